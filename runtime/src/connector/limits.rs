//! The numbers of the sandbox that nobody has to change. Those that an operator can change are in
//! [`envelope`](crate::envelope).

use std::time::Duration;

/// Stack of a guest. Wasmtime's own default; more lets recursion use more host memory.
pub const STACK: usize = 512 << 10;

/// How often a running guest gives way to others and its time is checked.
pub const EPOCH: Duration = Duration::from_millis(10);

/// Epochs without a guest after which the clock sleeps until there is one.
pub const QUIET_EPOCHS: u32 = 10;

/// Actions of a connector, and fields, asks, words of an OAuth scope and so on.
pub const MANIFEST_ITEMS: usize = 2000;

/// Bytes of all texts of a manifest together.
pub const MANIFEST_BYTES: usize = 8 << 20;

/// Nodes of one schema with its references put in place: its schemas, their keywords, and each value of
/// an `enum`. A generous form has a thousand.
pub const SCHEMA_NODES: usize = 10_000;

/// Nodes of the schemas of all actions together. A thousand actions of two hundred each have them, and
/// checkers of them take some 70 MiB.
pub const SCHEMAS_NODES: usize = 200_000;

/// Bytes of a text in a schema, or of the path to a node, that take as much memory as a node: a checker
/// has several copies of them.
pub const NODE_TEXT: usize = 256;

/// Nesting of a schema. A level of arguments takes two or three.
pub const SCHEMA_DEPTH: usize = 64;

/// Bytes of one compiled pattern of a schema.
pub const PATTERN_BYTES: usize = 256 << 10;

/// Bytes of a compiled pattern below which it is not measured any closer: those of an email address or
/// an id.
pub const SMALL_PATTERN: usize = 4 << 10;

/// Bytes of a pattern's text. A compiler takes a hundred times as much for it, before it knows how large
/// it becomes.
pub const PATTERN_TEXT: usize = 4 << 10;

/// Bytes that each compiled pattern takes beside itself and what searching with it needs, which is as
/// much again.
pub const PATTERN_BASE: usize = 16 << 10;

/// Bytes of all compiled patterns of all actions together: well over a thousand as people write them.
pub const PATTERNS_BYTES: usize = 32 << 20;

/// Bytes of arguments that are checked between two other things: they are parsed for it.
pub const QUICK_CHECK_BYTES: usize = 16 << 10;

/// Looks at a value by a node of its schema that can be taken between two other things: a few
/// milliseconds.
pub const QUICK_CHECK: usize = 1 << 20;

/// Looks at a value by a node that a check may take at all: some seconds, in which the call waits. A call
/// may take as long for itself.
pub const LONGEST_CHECK: usize = 1 << 30;

/// Looks at a value by a node in which every fault is sought. Each may find one, of a few hundred bytes.
pub const FAULTS_SOUGHT: usize = 64 << 10;

/// Bytes of each part of a fault's text, which may hold names and lists from the schema.
pub const FAULT_TEXT: usize = 1 << 10;

/// Digits of a component's SHA-256 that people are shown: no two of one operator's connectors share
/// them.
pub const DIGEST_DIGITS: usize = 12;

/// What a heavy guest runs at least before it gives way. Shorter, and changing guests costs more than it
/// gives.
pub const SLICE: Duration = Duration::from_millis(5);

/// A job that has not used more than this is timed by the wall's clock, which costs a fiftieth of the
/// system call that asks for CPU time.
pub const CHEAP_JOB: Duration = Duration::from_millis(5);

/// Instances of a process at once, of all connectors: what 15 connectors can have that are as busy as
/// they may be. The others wait for their turn. Setting each aside takes a microsecond of the start.
pub const INSTANCES: u32 = 1000;

/// Addresses that are set aside for a memory: all that 32 bits can name, so that compiled code needs to
/// check none.
pub const RESERVATION: u64 = 4 << 30;

/// Bytes of the host's own record of an instance. It holds a reference for each function of a table.
pub const INSTANCE_RECORD: usize = 16 << 20;

/// Slots that keep the memory image of the component that had them last, and so serve it again in
/// microseconds.
pub const WARM_SLOTS: u32 = 100;

/// Bytes of a slot that are cleared instead of given back, which is faster. What a call of a small
/// connector touches.
pub const KEEP_RESIDENT: usize = 64 << 10;

/// Calls of an instance between two looks at how many handles it has leaked. In so many a call can leak
/// hundreds each before one fails.
pub const CALLS_BETWEEN_LOOKS: usize = 16;

/// Bytes of each text of a failure: a sentence for a person, with a stack trace. A guest may say more,
/// up to what a host call takes, and each copy on the way to the caller would cost as much again.
pub const FAILURE_TEXT: usize = 16 << 10;

/// Bytes of a name, an id or a media type that goes to the workspace. Real ones have some dozens.
pub const WORKSPACE_TEXT: usize = 16 << 10;
