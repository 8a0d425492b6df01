;; Waits for four million requests that nobody has started.

(import "aloma:connector/http@0.1.0" "wait" (func $wait (param i32 i32 i32)))

(func $misbehave (result i32)
  (if (i32.eq (memory.grow (i32.const 500)) (i32.const -1)) (then (unreachable)))
  (call $wait (i32.const 131072) (i32.const 4000000) (i32.const 512))
  (call $null))
