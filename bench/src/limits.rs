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

/// Calls of one load. About twenty bytes are kept for each.
pub const CALLS: usize = 1_000_000;

/// Messages that the bare socket answers together.
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

/// Calls per second with [`MANY`] in flight, at least this times Node's.
pub const AIM_RATE: f64 = 4.0;

/// The median time of a call with one in flight, at most this part of Node's.
pub const AIM_P50: f64 = 1.0 / 3.0;

/// CPU time of a call with [`MANY`] in flight, at most this times the native floor's.
pub const AIM_CALL_CPU: f64 = 1.6;

/// From the start to connected with a warm cache, at most this part of Node's.
pub const AIM_START: f64 = 0.1;

/// Resident memory after connecting, at most this part of Node's.
pub const AIM_MEMORY: f64 = 0.25;

/// Seconds that a call in a fresh instance takes over one in a warm instance, at most.
pub const AIM_FRESH: f64 = 60e-6;

/// Bytes of a process with [`MOST_CONNECTORS`] idle connectors, at most.
pub const AIM_MANY_MEMORY: f64 = 300e6;

/// How many connectors a process runs, one after another.
pub const CONNECTORS: [usize; 4] = [1, 10, 100, MOST_CONNECTORS];

/// The most connectors in one process.
pub const MOST_CONNECTORS: usize = 1000;

/// How long a process may take until all its connectors are connected.
pub const CROWD_PATIENCE: Duration = Duration::from_secs(180);

/// Sockets that one connector may take at each end: the websocket, and HTTP connections that are kept.
pub const FILES_PER_CONNECTOR: u64 = 4;

/// Files beside those of connectors: libraries, the cache, pipes, what the runtime needs.
pub const FILES: u64 = 200;

/// How long idle connectors are watched for the CPU time that they take.
pub const IDLE_WATCH: Duration = Duration::from_secs(3);
