; count the busy servers
(import math [floor])
(setv limit 90)

(defn busy [servers]
  "Names of the busy servers."
  (lfor s servers
        :if (> (get s "load") limit)
        (get s "name")))
(print (busy [{"name" "alpha" "load" 95}]))
