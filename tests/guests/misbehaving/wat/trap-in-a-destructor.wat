;; Traps in the destructor of a resource of its own.

(import "[export]things" "[resource-new]thing" (func $new (param i32) (result i32)))
(import "[export]things" "[resource-drop]thing" (func $drop (param i32)))

(func (export "things#[dtor]thing") (param i32)
  (unreachable))

(func $misbehave (result i32)
  (call $drop (call $new (i32.const 1)))
  (call $null))
