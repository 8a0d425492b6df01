;; Says that its result is 1 GB, which its memory does not have.

(func $misbehave (result i32)
  (call $text (i32.const 0) (i32.const 1000000000)))
