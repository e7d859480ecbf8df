(* count user ports *)
structure Ports = struct
  val limit = 1024
  fun count [] = 0
    | count (p :: ps) = (if p > limit then 1 else 0) + count ps
end
val _ = print ("ports: " ^ Int.toString (Ports.count [80, 8080]))
