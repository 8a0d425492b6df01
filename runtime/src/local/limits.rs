//! The local workspace's numbers, each with its reason.

use std::time::Duration;

/// Connectors that may be registered. Each holds a form, an icon and a queue; a process serves a
/// thousand of them.
pub const CONNECTORS: usize = 2000;
/// Body of a registration: a schema, an introspection text and an icon of a megabyte or two.
pub const REGISTRATION_BYTES: usize = 4 << 20;
/// Body of an API call, which holds an action's arguments.
pub const API_BYTES: usize = 16 << 20;
/// Message on a socket. The Node SDK's receiver takes 100 MiB.
pub const MESSAGE_BYTES: usize = 100 << 20;
/// Bytes read from a socket at once, which every idle connector holds.
pub const READ_BUFFER: usize = 16 << 10;

/// Time between two pings. The Node SDK hangs up after 45 s without one.
pub const PING_EVERY: Duration = Duration::from_secs(20);
/// Silence after which a socket is dead: three of our pings without a pong.
pub const SILENCE: Duration = Duration::from_secs(61);
/// Time that one message may take to be written, so that a peer that stops reading is let go.
pub const WRITE: Duration = Duration::from_secs(30);
/// Time for the close frame of a socket that is being let go.
pub const CLOSE: Duration = Duration::from_secs(1);
/// Time that open HTTP requests get once the workspace stops.
pub const STOP: Duration = Duration::from_secs(3);

/// Packets that may wait for one connector's socket.
pub const WAITING_PACKETS: usize = 1024;
/// Bytes that may wait for one connector's socket: one largest message and a bit.
pub const WAITING_BYTES: usize = 128 << 20;
/// Bytes after which a batch of packets becomes a message of its own.
pub const BATCH_BYTES: usize = 1 << 20;

/// Calls of one connector that may wait for their answer.
pub const CALLS_UNDER_WAY: usize = 256;
/// Time that a call waits for its answer when the caller names none: as long as people wait.
pub const CALL: Duration = Duration::from_secs(5 * 60);
/// The most that a caller may name: the Node SDK's longest time limit for a request.
pub const CALL_MOST: Duration = Duration::from_secs(30 * 60);
/// Time in which a new version of a connector of this process says what it is: it has it at hand.
pub const INTROSPECTION: Duration = Duration::from_secs(30);
/// Time for the steps of an OAuth flow: the SDK's limit for a token request, and a little more.
pub const OAUTH_STEP: Duration = Duration::from_secs(70);
/// Time between the start of an OAuth flow and its callback: a person signs in somewhere.
pub const OAUTH_FLOW: Duration = Duration::from_secs(10 * 60);
/// OAuth flows under way. The oldest gives way.
pub const OAUTH_FLOWS: usize = 32;

/// Fields of a form. More is no form.
pub const FIELDS: usize = 200;
/// Bytes of one value of the configuration: a private key, a small JSON document.
pub const VALUE_BYTES: usize = 64 << 10;
/// Bytes of a sealed value that a connector hands over. Sealing adds about two thirds.
pub const SEALED_BYTES: usize = 256 << 10;
/// Bytes of the health text that are kept.
pub const HEALTH_BYTES: usize = 16 << 10;
/// Bytes of an introspection answer that are kept.
pub const INTROSPECT_BYTES: usize = 4 << 20;
/// Bytes of a connector's id, name or version.
pub const NAME_BYTES: usize = 300;

/// Tasks that are kept.
pub const TASKS: i64 = 10_000;
/// Bytes of a task's data.
pub const TASK_BYTES: usize = 1 << 20;
/// Bytes of a task's or a blob's name.
pub const LABEL_BYTES: usize = 1 << 10;
/// Blobs that are kept.
pub const BLOBS: i64 = 10_000;
/// Bytes of one blob. In base64 it still fits into a message.
pub const BLOB_BYTES: usize = 64 << 20;
/// Bytes of all blobs together.
pub const ALL_BLOBS_BYTES: i64 = 2 << 30;
/// Bytes of a blob's `meta`.
pub const META_BYTES: usize = 64 << 10;
/// Rows of one answer of the API.
pub const LISTED: i64 = 500;

/// Calls that the store remembers, of all connectors.
pub const CALLS_STORED: i64 = 5_000;
/// Calls whose arguments and results are remembered, in memory.
pub const CALLS_SHOWN: usize = 200;
/// Bytes of arguments, and of a result, that are remembered.
pub const SHOWN_BYTES: usize = 64 << 10;

/// Events that are remembered, in memory.
pub const EVENTS: usize = 5_000;
/// Bytes of all remembered events.
pub const EVENTS_BYTES: usize = 16 << 20;
/// Bytes of one log line that are remembered.
pub const LINE_BYTES: usize = 16 << 10;
/// Events that a slow watcher of the page may be behind.
pub const WATCHER_BACKLOG: usize = 1024;
/// Time between two signs of life on a quiet event stream.
pub const STREAM_ALIVE: Duration = Duration::from_secs(15);
