//! Tasks and blobs in memory.

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::workspace::{Blob, NewBlob};

/// A task that the controller created.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTask {
    /// `task-1` for the first.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its data, as last updated.
    pub data: Value,
}

/// A blob that the controller created.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredBlob {
    /// `blob-1` for the first.
    pub id: String,
    /// What was stored.
    pub blob: NewBlob,
}

/// The fake workspace.
#[derive(Default)]
pub struct Workspace {
    pub tasks: Vec<StoredTask>,
    pub blobs: Vec<StoredBlob>,
}

impl Workspace {
    pub fn new_task(&mut self, name: &str, data: &str) -> Result<String> {
        let id = format!("task-{}", self.tasks.len() + 1);
        let data = serde_json::from_str(data)?;
        self.tasks.push(StoredTask { id: id.clone(), name: name.into(), data });
        Ok(json!({ "id": id }).to_string())
    }

    pub fn update_task(&mut self, id: &str, data: &str) -> Result<String> {
        let task = self.tasks.iter_mut().find(|task| task.id == id);
        let task = task.ok_or_else(|| Error::new("not-found", format!("no task `{id}`")))?;
        task.data = serde_json::from_str(data)?;
        Ok(json!({ "id": id }).to_string())
    }

    pub fn create_blob(&mut self, blob: NewBlob) -> String {
        let id = format!("blob-{}", self.blobs.len() + 1);
        self.blobs.push(StoredBlob { id: id.clone(), blob });
        id
    }

    pub fn get_blob(&self, id: &str) -> Result<Blob> {
        let blob = self.stored(id)?.blob.clone();
        let size = Some(blob.content.len() as u64);
        let NewBlob { name, mimetype, meta, .. } = blob;
        Ok(Blob { id: id.into(), name, size, mimetype, meta })
    }

    pub fn get_blob_content(&self, id: &str) -> Result<Vec<u8>> {
        self.stored(id).map(|stored| stored.blob.content.clone())
    }

    fn stored(&self, id: &str) -> Result<&StoredBlob> {
        let stored = self.blobs.iter().find(|stored| stored.id == id);
        stored.ok_or_else(|| Error::new("not-found", format!("no blob `{id}`")))
    }
}
