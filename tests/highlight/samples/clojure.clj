;; count healthy servers
(ns ops.health)
(def servers [{:name "alpha" :port 8080} {:name "beta" :port 9090}])
(defn healthy? [s]
  (if (> (:port s) 8000) true false))
(println (count (filter healthy? servers)))
