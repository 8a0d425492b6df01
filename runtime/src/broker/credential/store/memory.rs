//! Tokens in memory, which end with the process.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt, ready};
use parking_lot::Mutex;

use super::{Entry, EntryName, Lock, Store, StoreError};

/// Keeps tokens as long as the process lives.
#[derive(Default)]
pub struct MemoryStore {
    entries: Mutex<HashMap<EntryName, Entry>>,
    /// The brokers of two versions of one connector may hold the same refresh token.
    locks: Mutex<HashMap<EntryName, Arc<Turn>>>,
}

type Turn = tokio::sync::Mutex<()>;

impl Store for MemoryStore {
    fn load<'a>(&'a self, name: &'a EntryName) -> BoxFuture<'a, Result<Option<Entry>, StoreError>> {
        ready(Ok(self.entries.lock().get(name).cloned())).boxed()
    }

    fn save<'a>(
        &'a self,
        name: &'a EntryName,
        entry: &'a Entry,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.entries.lock().insert(name.clone(), entry.clone());
        ready(Ok(())).boxed()
    }

    fn lock<'a>(&'a self, name: &'a EntryName) -> BoxFuture<'a, Result<Lock, StoreError>> {
        let turn = self.locks.lock().entry(name.clone()).or_default().clone();
        async { Ok(Box::new(turn.lock_owned().await) as Lock) }.boxed()
    }

    fn remove<'a>(&'a self, name: &'a EntryName) -> BoxFuture<'a, Result<(), StoreError>> {
        self.entries.lock().remove(name);
        ready(Ok(())).boxed()
    }
}
