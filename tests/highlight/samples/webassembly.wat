;; a counter
(module
  (import "env" "log" (func $log (param i32)))
  (global $hits (mut i32) (i32.const 0))
  (func $add (export "add") (param $n i32) (result i32)
    (global.set $hits (i32.add (global.get $hits) (local.get $n)))
    (call $log (i32.const 42))
    (global.get $hits)))
