//! A fake host, to test a controller natively by plain `cargo test`.
//!
//! It answers what the real host would: configuration, requests, tasks and blobs. Time is virtual, so
//! nothing sleeps. Every test has its own; tests may run at once.

mod clock;
mod connector;
mod host;
mod http;
pub(crate) mod import;
mod workspace;

pub use connector::Connector;
pub use host::{Host, LogLine};
pub use http::{Reply, Request};
pub use workspace::{StoredBlob, StoredTask};
