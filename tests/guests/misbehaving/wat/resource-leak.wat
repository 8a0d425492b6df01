;; Makes resources of its own without end and keeps their handles.

(import "[export]things" "[resource-new]thing" (func $new (param i32) (result i32)))

(func $misbehave (result i32)
  (loop $more
    (drop (call $new (i32.const 1)))
    (br $more))
  (unreachable))
