//! The harness's numbers.

use std::time::Duration;

/// How long a test waits for anything. Far longer than anything takes, because the first test of a
/// run compiles its guest on a machine that is busy with the other tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long a test waits that nobody runs without asking for it.
pub const LONG_PATIENCE: Duration = Duration::from_secs(30 * 60);

/// How often the fake workspace pings. The protocol wants a ping at least every 45 s.
pub const PING_EVERY: Duration = Duration::from_secs(10);

/// The largest message that the fake workspace reads: what the Node SDK's own socket takes.
pub const LARGEST_MESSAGE: usize = 100 * 1024 * 1024;

/// The largest request that the fake API and the broken API read.
pub const LARGEST_REQUEST: usize = 16 * 1024 * 1024;
