//! Tokens in memory, which end with the process.

use std::collections::HashMap;

use futures_util::future::{BoxFuture, FutureExt, ready};
use parking_lot::Mutex;

use super::{Entry, EntryName, Store, StoreError};

/// Keeps tokens as long as the process lives.
#[derive(Default)]
pub struct MemoryStore(Mutex<HashMap<EntryName, Entry>>);

impl Store for MemoryStore {
    fn load<'a>(&'a self, name: &'a EntryName) -> BoxFuture<'a, Result<Option<Entry>, StoreError>> {
        ready(Ok(self.0.lock().get(name).cloned())).boxed()
    }

    fn save<'a>(
        &'a self,
        name: &'a EntryName,
        entry: &'a Entry,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.lock().insert(name.clone(), entry.clone());
        ready(Ok(())).boxed()
    }

    fn remove<'a>(&'a self, name: &'a EntryName) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.lock().remove(name);
        ready(Ok(())).boxed()
    }
}
