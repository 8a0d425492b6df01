;; Logs one line of 50 MB, which is less than a host call takes.

(import "aloma:connector/logging@0.1.0" "log" (func $log (param i32 i32 i32)))

(func $misbehave (result i32)
  (if (i32.eq (memory.grow (i32.const 1600)) (i32.const -1)) (then (unreachable)))
  (memory.fill (i32.const 131072) (i32.const 120) (i32.const 50000000))
  (call $log (i32.const 2) (i32.const 131072) (i32.const 50000000))
  (call $null))
