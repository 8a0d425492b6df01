;; Logs one line of 100 MB: so many zero bytes, which take no memory until somebody reads them.

(import "aloma:connector/logging@0.1.0" "log" (func $log (param i32 i32 i32)))

(func $misbehave (result i32)
  (if (i32.eq (memory.grow (i32.const 1600)) (i32.const -1)) (then (unreachable)))
  ;; Level info.
  (call $log (i32.const 2) (i32.const 131072) (i32.const 100000000))
  (call $null))
