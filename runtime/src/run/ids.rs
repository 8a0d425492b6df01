//! The ids that are taken in this process: a workspace knows a connector by its id alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The ids of the connectors that run, and which file each belongs to. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Ids(Arc<Inner>);

#[derive(Default)]
struct Inner {
    taken: Mutex<BTreeMap<Arc<str>, PathBuf>>,
    freed: Notify,
}

/// An id that is taken until this is dropped.
pub(super) struct Id {
    ids: Ids,
    id: Arc<str>,
}

/// Somebody else has it.
#[derive(Debug, thiserror::Error)]
#[error(
    "its id {id} is that of {}, which runs; give each its own with `id` in its settings file \
     (CONNECTOR_ID can only be set for one connector)",
    by.display()
)]
pub(super) struct Taken {
    id: Arc<str>,
    by: PathBuf,
}

impl Ids {
    /// Takes an id for the connector of that file.
    pub fn take(&self, id: &Arc<str>, path: &Path) -> Result<Id, Taken> {
        let mut taken = self.0.taken.lock();
        if let Some(by) = taken.get(id) {
            return Err(Taken { id: id.clone(), by: by.clone() });
        }
        taken.insert(id.clone(), path.to_owned());
        Ok(Id { ids: self.clone(), id: id.clone() })
    }

    /// Waits until any id is given back.
    pub async fn freed(&self) {
        self.0.freed.notified().await;
    }
}

impl Drop for Id {
    fn drop(&mut self) {
        self.ids.0.taken.lock().remove(&self.id);
        self.ids.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_for_one_connector_at_a_time() {
        let (ids, id): (_, Arc<str>) = (Ids::default(), "users".into());
        let first = ids.take(&id, Path::new("a.toml")).expect("free");
        let told = ids.take(&id, Path::new("b.toml")).err().expect("taken").to_string();
        assert!(told.starts_with("its id users is that of a.toml"), "{told}");
        drop(first);
        assert!(ids.take(&id, Path::new("b.toml")).is_ok());
    }
}
