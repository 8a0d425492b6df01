//! The numbers of the sandbox. Each is on by default.

use std::time::Duration;

/// Wall time of one call. Long enough for a slow API with retries, short enough that a stuck call is
/// seen the same minute.
pub const CALL_TIME: Duration = Duration::from_secs(60);

/// Wall time of `describe`, and of making an instance. Both do no waiting, so more is a fault.
pub const DESCRIBE_TIME: Duration = Duration::from_secs(10);

/// Wall time of `start`, `stop`, `health-check` and `config-check`, each.
pub const LIFECYCLE_TIME: Duration = Duration::from_secs(20);

/// Memory of one instance, summed over all its linear memories. JavaScript engines need 64 MiB; Rust
/// connectors a few.
pub const MEMORY: usize = 128 << 20;

/// Elements of all tables of one instance. Engines of scripting languages have a few ten thousand.
pub const TABLE_ELEMENTS: usize = 200_000;

/// Core instances, tables and memories of one component. Adapters make a handful of each.
pub const CORE_ITEMS: usize = 64;

/// Handles that an instance may hold at once; the next one traps. StarlingMonkey leaks 8 a request,
/// so its instances have to go after `CALLS_PER_INSTANCE` long before.
pub const HANDLES: usize = 10_000;

/// Bytes that a guest may hand to the host in one host call. A request body is the largest.
pub const HOST_CALL_BYTES: usize = 64 << 20;

/// Bytes of random numbers that a guest may ask for at once.
pub const RANDOM_BYTES: u64 = 64 << 10;

/// Bytes of the header fields that a `wasi:http` guest may hold.
pub const FIELD_BYTES: usize = 128 << 10;

/// Stack of a guest. Wasmtime's own default; more lets recursion use more host memory.
pub const STACK: usize = 512 << 10;

/// How often a running guest gives way to others and its time is checked.
pub const EPOCH: Duration = Duration::from_millis(10);

/// Calls of one connector that run at once, one instance each.
pub const CONCURRENCY: usize = 64;

/// Calls of one connector that wait for an instance. One beyond it is refused at once.
pub const WAITING: usize = 1024;

/// Calls after which an instance is replaced: some engines leak. Making one costs less than a
/// millisecond.
pub const CALLS_PER_INSTANCE: u32 = 500;

/// Bytes of a component file. A Python connector has 22 MB.
pub const COMPONENT_BYTES: u64 = 64 << 20;

/// Bytes of a call's arguments, and of its result.
pub const JSON_BYTES: usize = 16 << 20;

/// Nesting of a result. JSON parsers of other languages overflow their stack somewhere above.
pub const JSON_DEPTH: usize = 128;

/// Bytes of one log line; the rest is cut.
pub const LOG_LINE: usize = 16 << 10;

/// Log lines of one call; then one line says that more are suppressed.
pub const LOG_LINES: u32 = 1000;

/// Requests and timers that an instance may have started and not taken.
pub const STARTED: usize = 256;

/// Actions of a connector, and fields, asks and so on.
pub const MANIFEST_ITEMS: usize = 2000;

/// Bytes of all texts of a manifest together.
pub const MANIFEST_BYTES: usize = 8 << 20;

/// Nodes of one schema with its references put in place. A generous form has a few hundred.
pub const SCHEMA_NODES: usize = 5000;

/// Nesting of a schema. A level of arguments takes two or three.
pub const SCHEMA_DEPTH: usize = 64;

/// Bytes of one compiled pattern of a schema.
pub const PATTERN_BYTES: usize = 256 << 10;

/// Time after which an idle instance goes. A burst of calls then leaves no memory behind.
pub const IDLE: Duration = Duration::from_secs(60);

/// Digits of a component's SHA-256 that people are shown: no two of one operator's connectors share
/// them.
pub const DIGEST_DIGITS: usize = 12;
