(* count open ports *)
type server = { name : string; port : int }
let limit = 1024
let rec count = function
  | [] -> 0
  | s :: rest when s.port > limit -> 1 + count rest
  | _ :: rest -> count rest
let () = Printf.printf "%d open\n" (count [])
