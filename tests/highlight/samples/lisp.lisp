;; sum the loads
(defvar *limit* 100)
(defun total-load (servers)
  "Sum the load of all servers."
  (let ((sum 0))
    (dolist (s servers sum)
      (when (< sum *limit*)
        (incf sum (getf s :load))))))
