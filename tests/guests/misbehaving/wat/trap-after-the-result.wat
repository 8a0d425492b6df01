;; Traps when its result was read and is to be freed.

(global $misbehaves (mut i32) (i32.const 0))

(func $misbehave (result i32)
  (global.set $misbehaves (i32.const 1))
  (call $null))

(func (export "cabi_post_aloma:connector/actions@0.1.0#invoke") (param i32)
  (if (global.get $misbehaves) (then (unreachable))))
