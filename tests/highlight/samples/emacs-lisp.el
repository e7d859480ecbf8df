;;; counter.el --- a counter  -*- lexical-binding: t; -*-
(defvar my-counter 0
  "Number of deployments.")

(defun my-deploy (host)
  "Deploy to HOST and count it."
  (interactive "sHost: ")
  (when (< my-counter 100)
    (setq my-counter (+ my-counter 1))
    (message "deployed %s" host)))
