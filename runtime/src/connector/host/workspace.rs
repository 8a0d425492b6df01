//! `workspace`: tasks and blobs, for a guest that waits for the answer.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::value::RawValue;

use crate::broker::Held;
use crate::connector::bindings::aloma::connector::types;
use crate::connector::bindings::aloma::connector::workspace as wit;
use crate::connector::error::Failure;
use crate::connector::json;
use crate::connector::sandbox::State;
use crate::envelope::Limits;

/// The workspace as a connector needs it. Implemented by whoever holds the link.
pub trait Workspace: Send + Sync {
    /// Creates a task; the answer is the workspace's own.
    fn new_task(&self, name: String, data: Box<RawValue>) -> Answer<'_, Box<RawValue>>;
    /// Updates a task; the answer is the workspace's own.
    fn update_task(&self, id: String, data: Box<RawValue>) -> Answer<'_, Box<RawValue>>;
    /// Stores a file and gives its id.
    fn create_blob(&self, blob: NewBlob) -> Answer<'_, String>;
    /// What the workspace knows of a file.
    fn get_blob(&self, id: String) -> Answer<'_, Blob>;
    /// The content of a file.
    fn get_blob_content(&self, id: String) -> Answer<'_, Vec<u8>>;
}

/// A workspace's answer, or why there is none.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Failure>>;

/// A file to store.
#[derive(Debug)]
pub struct NewBlob {
    /// The content.
    pub content: Vec<u8>,
    /// The file's name.
    pub name: Option<String>,
    /// The media type.
    pub mimetype: Option<String>,
    /// Anything about the file.
    pub meta: Option<Box<RawValue>>,
    /// The task that it belongs to.
    pub task_id: Option<String>,
}

/// What the workspace knows of a file.
#[derive(Debug)]
pub struct Blob {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// In bytes.
    pub size: Option<u64>,
    /// The media type.
    pub mimetype: Option<String>,
    /// Anything about the file.
    pub meta: Option<Box<RawValue>>,
}

/// The host holds a file that is stored so many times over: as it is, in base64, which takes a third
/// more, and as JSON on its way to the workspace.
const COPIES: usize = 4;

impl State {
    fn workspace(&self) -> Result<Arc<dyn Workspace>, Failure> {
        let services = self.services.as_ref();
        services.map(|has| has.workspace.clone()).ok_or_else(|| Failure {
            code: "workspace-unavailable".into(),
            message: "there is no workspace while the connector is described".into(),
            retryable: false,
            detail: None,
        })
    }

    /// Room for so many bytes, until it is dropped. None where nothing can be sent anyway.
    fn hold(&self, bytes: usize) -> Result<Option<Held>, Failure> {
        let Some(services) = &self.services else { return Ok(None) };
        let mut held = services.broker.hold();
        let grown = held.grow(bytes).map_err(|error| Failure {
            code: "limit".into(),
            message: error.to_string(),
            // Other requests may be over then.
            retryable: true,
            detail: None,
        });
        grown.map(|()| Some(held))
    }
}

type Told<T> = wasmtime::Result<Result<T, types::Failure>>;

impl wit::Host for State {
    async fn new_task(&mut self, name: String, data: String) -> Told<String> {
        let workspace = self.workspace();
        let (data, limits) = (self.configuration.vault().scrub(data), &*self.limits);
        let answer = async {
            let data = sound("data", data, limits)?;
            Ok(workspace?.new_task(name, data).await?.get().to_owned())
        };
        told(answer.await)
    }

    async fn update_task(&mut self, id: String, data: String) -> Told<String> {
        let workspace = self.workspace();
        let (data, limits) = (self.configuration.vault().scrub(data), &*self.limits);
        let answer = async {
            let data = sound("data", data, limits)?;
            Ok(workspace?.update_task(id, data).await?.get().to_owned())
        };
        told(answer.await)
    }

    async fn create_blob(&mut self, blob: wit::NewBlob) -> Told<String> {
        let wit::NewBlob { content, name, mimetype, meta, task_id } = blob;
        let (workspace, limits) = (self.workspace(), &*self.limits);
        let held = self.hold(COPIES.saturating_mul(content.len()));
        let answer = async {
            let meta = meta.map(|meta| sound("meta", meta, limits)).transpose()?;
            let _held = held?;
            let blob = NewBlob { content, name, mimetype, meta, task_id };
            workspace?.create_blob(blob).await
        };
        told(answer.await)
    }

    async fn get_blob(&mut self, id: String) -> Told<wit::Blob> {
        let workspace = self.workspace();
        let answer = async {
            let Blob { id, name, size, mimetype, meta } = workspace?.get_blob(id).await?;
            let meta = meta.map(|meta| meta.get().to_owned());
            Ok(wit::Blob { id, name, size, mimetype, meta })
        };
        told(answer.await)
    }

    async fn get_blob_content(&mut self, id: String) -> Told<Vec<u8>> {
        let workspace = self.workspace();
        told(async { workspace?.get_blob_content(id).await }.await)
    }
}

fn told<T>(answer: Result<T, Failure>) -> Told<T> {
    Ok(answer.map_err(Into::into))
}

fn sound(what: &str, text: String, limits: &Limits) -> Result<Box<RawValue>, Failure> {
    json::sound(text, limits).map_err(|why| Failure {
        code: "invalid-arguments".into(),
        message: format!("{what}: {why}"),
        retryable: false,
        detail: None,
    })
}
