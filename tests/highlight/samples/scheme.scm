; count the busy servers
(define limit 90)

(define (busy servers)
  (let loop ((rest servers) (n 0))
    (cond ((null? rest) n)
          ((> (cdr (car rest)) limit) (loop (cdr rest) (+ n 1)))
          (else (loop (cdr rest) n)))))

(display (busy '(("alpha" . 95) ("beta" . 20))))
