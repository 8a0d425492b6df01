;; Has more memories than a connector may have.

(memory 1)
(memory 1)
(memory 1)
(memory 1)

(func $misbehave (result i32)
  (call $null))
