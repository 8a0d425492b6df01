//! Tasks and blobs of the workspace that the connector has joined.
//!
//! Each function waits for the workspace's answer, for a limited time. Without a workspace, or when
//! it does not answer, the error's code is `workspace-unavailable`.

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::host;

/// A file to store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewBlob {
    /// The bytes.
    pub content: Vec<u8>,
    /// The file's name.
    pub name: Option<String>,
    /// The media type: `text/plain`.
    pub mimetype: Option<String>,
    /// Anything about the file.
    pub meta: Option<Value>,
    /// The task that the file belongs to.
    pub task_id: Option<String>,
}

/// What the workspace knows of a stored file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Blob {
    /// Its id.
    pub id: String,
    /// The file's name.
    pub name: Option<String>,
    /// In bytes.
    pub size: Option<u64>,
    /// The media type.
    pub mimetype: Option<String>,
    /// Anything about the file.
    pub meta: Option<Value>,
}

/// Creates a task. The answer is what the workspace says of it; it usually holds its `id`.
pub async fn new_task(name: &str, data: &(impl Serialize + ?Sized)) -> Result<Value> {
    let answer = host::new_task(name, &serde_json::to_string(data)?)?;
    parse(&answer)
}

/// Updates a task. The answer is what the workspace says.
pub async fn update_task(id: &str, data: &(impl Serialize + ?Sized)) -> Result<Value> {
    let answer = host::update_task(id, &serde_json::to_string(data)?)?;
    parse(&answer)
}

/// Stores a file and gives its id.
pub async fn create_blob(blob: NewBlob) -> Result<String> {
    host::create_blob(blob)
}

/// What the workspace knows of a file, without its content.
pub async fn get_blob(id: &str) -> Result<Blob> {
    host::get_blob(id)
}

/// The content of a file.
pub async fn get_blob_content(id: &str) -> Result<Vec<u8>> {
    host::get_blob_content(id)
}

fn parse(answer: &str) -> Result<Value> {
    serde_json::from_str(answer)
        .map_err(|error| Error::from(error).context("the workspace's answer"))
}
