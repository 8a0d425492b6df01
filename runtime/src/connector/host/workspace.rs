//! `workspace`: tasks and blobs, for a guest that waits for the answer.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::value::RawValue;

use crate::broker::Held;
use crate::connector::bindings::aloma::connector::types;
use crate::connector::bindings::aloma::connector::workspace as wit;
use crate::connector::error::Failure;
use crate::connector::sandbox::State;
use crate::connector::{json, limits};

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

/// The host holds what is stored so many times over: as it is, as JSON on its way to the workspace, and a
/// file in base64, which takes a third more.
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

    /// Room for so many bytes on their way to the workspace, until it is dropped. None where nothing can
    /// be sent anyway.
    fn hold(&self, bytes: usize) -> Result<Option<Held>, Failure> {
        let Some(services) = &self.services else { return Ok(None) };
        let mut held = services.broker.hold();
        let grown = held.grow(COPIES.saturating_mul(bytes)).map_err(|error| Failure {
            code: "limit".into(),
            message: error.to_string(),
            // Other requests may be over then.
            retryable: true,
            detail: None,
        });
        grown.map(|()| Some(held))
    }

    /// JSON for the workspace, without secrets.
    fn json(&self, what: &str, text: String) -> Result<Box<RawValue>, Failure> {
        let refused = |why| invalid(format!("{what}: {why}"));
        // Before anybody reads it.
        json::check_size(text.len(), &self.limits).map_err(|breach| refused(breach.into()))?;
        json::sound(self.configuration.vault().scrub(text), &self.limits).map_err(refused)
    }

    /// The data of a task, and the room that it takes.
    fn task(&self, data: String) -> Result<(Box<RawValue>, Option<Held>), Failure> {
        let held = self.hold(data.len())?;
        Ok((self.json("data", data)?, held))
    }

    fn blob(&self, blob: wit::NewBlob) -> Result<(NewBlob, Option<Held>), Failure> {
        let wit::NewBlob { content, name, mimetype, meta, task_id } = blob;
        for (what, text) in [("name", &name), ("mimetype", &mimetype), ("task-id", &task_id)] {
            short(what, text.as_deref().unwrap_or_default())?;
        }
        let bytes = content.len().saturating_add(meta.as_ref().map_or(0, String::len));
        let held = self.hold(bytes)?;
        let meta = meta.map(|meta| self.json("meta", meta)).transpose()?;
        Ok((NewBlob { content, name, mimetype, meta, task_id }, held))
    }
}

type Told<T> = wasmtime::Result<Result<T, types::Failure>>;

impl wit::Host for State {
    async fn new_task(&mut self, name: String, data: String) -> Told<String> {
        let ready = short("name", &name).and_then(|()| self.task(data));
        let workspace = self.workspace();
        let answer = async {
            let (data, _held) = ready?;
            Ok(workspace?.new_task(name, data).await?.get().to_owned())
        };
        told(answer.await)
    }

    async fn update_task(&mut self, id: String, data: String) -> Told<String> {
        let ready = short("id", &id).and_then(|()| self.task(data));
        let workspace = self.workspace();
        let answer = async {
            let (data, _held) = ready?;
            Ok(workspace?.update_task(id, data).await?.get().to_owned())
        };
        told(answer.await)
    }

    async fn create_blob(&mut self, blob: wit::NewBlob) -> Told<String> {
        let (workspace, ready) = (self.workspace(), self.blob(blob));
        let answer = async {
            let (blob, _held) = ready?;
            workspace?.create_blob(blob).await
        };
        told(answer.await)
    }

    async fn get_blob(&mut self, id: String) -> Told<wit::Blob> {
        let workspace = self.workspace();
        let answer = async {
            short("id", &id)?;
            let Blob { id, name, size, mimetype, meta } = workspace?.get_blob(id).await?;
            let meta = meta.map(|meta| meta.get().to_owned());
            Ok(wit::Blob { id, name, size, mimetype, meta })
        };
        told(answer.await)
    }

    async fn get_blob_content(&mut self, id: String) -> Told<Vec<u8>> {
        let workspace = self.workspace();
        let answer = async {
            short("id", &id)?;
            workspace?.get_blob_content(id).await
        };
        told(answer.await)
    }
}

fn told<T>(answer: Result<T, Failure>) -> Told<T> {
    Ok(answer.map_err(Into::into))
}

/// Names and ids are sent as they are, and one character can take six in JSON.
fn short(what: &str, text: &str) -> Result<(), Failure> {
    if text.len() <= limits::WORKSPACE_TEXT {
        return Ok(());
    }
    let most = limits::WORKSPACE_TEXT >> 10;
    Err(invalid(format!("{what}: it is longer than {most} KiB")))
}

fn invalid(message: String) -> Failure {
    Failure { code: "invalid-arguments".into(), message, retryable: false, detail: None }
}
