module Ops
// classify a port
let describe (port: int) =
    match port with
    | 80 -> "web"
    | p when p > 1024 -> sprintf "user port %d" p
    | _ -> "system"
