;; Takes all the memory there is, in several memories that are small each.

(memory $a 1)
(memory $b 1)
(memory $c 1)

;; 128 pages are 8 MiB each.
(func $misbehave (result i32)
  (call $grown (memory.grow $a (i32.const 128)))
  (call $grown (memory.grow $b (i32.const 128)))
  (call $grown (memory.grow $c (i32.const 128)))
  (call $null))

;; As an allocator does that is out of memory.
(func $grown (param $before i32)
  (if (i32.eq (local.get $before) (i32.const -1)) (then (unreachable))))
