//! The workspace at the other end: packets, the link that carries them, and sealed configuration.
//! This room knows nothing of wasm.
//!
//! `link` is the way in. `driver` keeps a `socket` open, after `registration`; `session` reads and
//! writes it. Links of a process share a `transport`. What comes in is read by `request` and queued by `inbox`; what goes out waits in
//! `outbox`.

pub mod configuration;
pub mod introspection;
pub mod keys;
pub mod packet;
pub mod sealing;

mod backoff;
mod complaints;
mod driver;
mod inbox;
mod limits;
mod link;
mod outbox;
mod pending;
mod registration;
mod reply;
mod request;
mod secrets;
mod session;
mod socket;
mod transport;

pub use backoff::Backoff;
pub use complaints::Complaints;
pub use driver::Driver;
pub use inbox::Incoming;
pub use limits::Timing;
pub use link::{Link, Status, open, open_by, open_with};
pub use outbox::Closed;
pub use pending::RequestError;
pub use registration::{Identity, LinkSettings};
pub use reply::{Reply, error_value, wrap_result};
pub use request::{Query, Request};
pub use secrets::{Secrets, SetConfig};
pub use transport::Transport;

#[cfg(test)]
mod link_tests;
