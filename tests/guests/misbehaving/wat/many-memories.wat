;; Takes all the memory there is, in many memories that are small each.

(memory $a 1)
(memory $b 1)
(memory $c 1)
(memory $d 1)
(memory $e 1)
(memory $f 1)
(memory $g 1)
(memory $h 1)

;; 64 pages are 4 MiB each.
(func $misbehave (result i32)
  (call $grown (memory.grow $a (i32.const 64)))
  (call $grown (memory.grow $b (i32.const 64)))
  (call $grown (memory.grow $c (i32.const 64)))
  (call $grown (memory.grow $d (i32.const 64)))
  (call $grown (memory.grow $e (i32.const 64)))
  (call $grown (memory.grow $f (i32.const 64)))
  (call $grown (memory.grow $g (i32.const 64)))
  (call $grown (memory.grow $h (i32.const 64)))
  (call $null))

;; As an allocator does that is out of memory.
(func $grown (param $before i32)
  (if (i32.eq (local.get $before) (i32.const -1)) (then (unreachable))))
