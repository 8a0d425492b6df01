;; Answers a text of 1 GB: so many zero bytes, which take no memory until somebody reads them.

(func $misbehave (result i32)
  (if (i32.eq (memory.grow (i32.const 16384)) (i32.const -1)) (then (unreachable)))
  (call $text (i32.const 131072) (i32.const 1000000000)))
