//! The benchmark's numbers.

use std::time::Duration;

/// How long anything but a build may take. A first start on a slow machine compiles for seconds.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often the workspace pings. The protocol wants a ping at least every 45 s.
pub const PING_EVERY: Duration = Duration::from_secs(20);

/// Load that is not measured: instances are made, buffers grow, branches are learned.
pub const WARM_UP: Duration = Duration::from_millis(500);

/// Rest before memory is read, so that what a start or a load leaves behind is given back.
pub const REST: Duration = Duration::from_millis(700);

/// Calls in flight under load: what one instance each allows by default.
pub const MANY: usize = 64;

/// Calls of one load. Four bytes are kept for each.
pub const CALLS: usize = 1_000_000;

/// Messages that the floor answers together.
pub const CHUNK: usize = 64;

/// Lines of a process's log that an error shows.
pub const LOG_LINES: usize = 15;

/// Bytes of the answer to a request: what an API answers that is asked for one thing.
pub const ANSWER_BYTES: usize = 1024;

/// Bytes of the head of a request that the server reads.
pub const REQUEST_HEAD: usize = 8 * 1024;

/// Requests in flight under load: half of what one connector may have.
pub const REQUESTS_AT_ONCE: usize = 32;

/// Requests whose connections are counted.
pub const REQUESTS_COUNTED: usize = 3000;

/// As many idle connections, and for as long, as the broker keeps.
pub const IDLE_CONNECTIONS: usize = 32;
/// See [`IDLE_CONNECTIONS`].
pub const IDLE_TIME: Duration = Duration::from_secs(50);

/// The broker is to be no slower than this, as a part of direct use.
pub const AIM_LATENCY: f64 = 1.25;

/// The broker is to use no more CPU than this, as a part of direct use.
pub const AIM_CPU: f64 = 1.3;

/// The broker is to open no more connections than this for [`REQUESTS_COUNTED`].
pub const AIM_CONNECTIONS: f64 = 33.0;
