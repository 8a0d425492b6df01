//! Where tokens are kept: in memory, or on disk for the next process.
//!
//! A store may be shared. Two processes that save the same entry do not tear it, and the last one
//! wins. A grant locks its entry and loads it again before it asks for a token, so that of two that
//! hold the same refresh token one exchanges it and the other finds what that brought: used twice, it
//! would end the whole grant.

mod disk;
mod memory;

use std::fmt;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt, ready};
use secrecy::SecretString;

pub use disk::DiskStore;
pub use memory::MemoryStore;

/// Keeps the tokens of many connectors and credentials.
pub trait Store: Send + Sync {
    /// The tokens under that name. What cannot be trusted is as good as none.
    fn load<'a>(&'a self, name: &'a EntryName) -> BoxFuture<'a, Result<Option<Entry>, StoreError>>;

    /// Keeps tokens in place of those before. Afterwards they outlive this process, where the store
    /// does.
    fn save<'a>(
        &'a self,
        name: &'a EntryName,
        entry: &'a Entry,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Waits until nobody else holds the lock of that name. It is released when what this gives is
    /// dropped. A store that nobody shares has none.
    fn lock<'a>(&'a self, _name: &'a EntryName) -> BoxFuture<'a, Result<Lock, StoreError>> {
        ready(Ok(Box::new(()) as Lock)).boxed()
    }

    /// Forgets the tokens under that name, if there are any.
    fn remove<'a>(&'a self, name: &'a EntryName) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// The lock of an entry, for as long as it lives.
pub type Lock = Box<dyn Send>;

/// Whose tokens they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryName {
    /// The connector's id.
    pub connector: Arc<str>,
    /// The credential's name.
    pub credential: Arc<str>,
}

/// Tokens as they are kept.
#[derive(Clone, Debug)]
pub struct Entry {
    /// A digest of what the tokens were asked for with. Tokens of another client are not used.
    pub identity: String,
    /// The access token.
    pub access: SecretString,
    /// What brings the next one.
    pub refresh: Option<SecretString>,
    /// When the access token ends, in seconds since 1970.
    pub ends: Option<u64>,
    /// How long it is good for altogether, in seconds.
    pub life: Option<f64>,
}

/// Why a store does not do its work. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

impl fmt::Display for EntryName {
    /// Unambiguous, whatever the parts hold.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", serde_json::json!([&*self.connector, &*self.credential]))
    }
}
