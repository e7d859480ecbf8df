;; count the requests of a host
(local limit 100)
(var hits 0)

(fn handle [host]
  (set hits (+ hits 1))
  (if (> hits limit)
      (print "too many requests" host)
      (values true hits)))
