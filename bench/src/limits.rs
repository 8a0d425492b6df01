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
