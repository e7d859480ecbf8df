;; a public counter
(define-constant ERR_LIMIT (err u100))
(define-data-var counter uint u0)
(define-map names uint (string-ascii 20))
(define-public (increment)
  (begin
    (asserts! (< (var-get counter) u50) ERR_LIMIT)
    (print "incremented")
    (ok (var-set counter (+ (var-get counter) u1)))))
