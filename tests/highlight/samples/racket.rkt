#lang racket
;; count the user ports
(define limit 1024)
(define (user-ports ports)
  (for/list ([p ports] #:when (> p limit)) p))
(let ([n (length (user-ports '(80 8080)))])
  (if (zero? n) (displayln "none") (printf "~a ports\n" n)))
