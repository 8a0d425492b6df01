//! Tasks and blobs: what a connector asks of its workspace, in the workspace's own words.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use crate::connector::{Answer, Blob, Failure, NewBlob, Workspace};
use crate::workspace::packet::raw;
use crate::workspace::{Link, RequestError};

/// The workspace behind a link. Requests are those of the Node SDK's `newTask`, `updateTask`,
/// `createBlob`, `getBlob` and `getBlobContent`.
pub struct Tasks(pub Link);

impl Workspace for Tasks {
    fn new_task(&self, name: String, data: Box<RawValue>) -> Answer<'_, Box<RawValue>> {
        #[derive(Serialize)]
        struct New {
            name: String,
            a: Box<RawValue>,
        }
        Box::pin(self.ask("connector.task.new", raw(&New { name, a: data })))
    }

    fn update_task(&self, id: String, data: Box<RawValue>) -> Answer<'_, Box<RawValue>> {
        #[derive(Serialize)]
        struct Update {
            id: String,
            a: Box<RawValue>,
        }
        Box::pin(self.ask("connector.task.update", raw(&Update { id, a: data })))
    }

    fn create_blob(&self, blob: NewBlob) -> Answer<'_, String> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Create {
            content: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            name: Option<String>,
            size: usize,
            #[serde(skip_serializing_if = "Option::is_none")]
            mimetype: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            meta: Option<Box<RawValue>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            task_id: Option<String>,
        }
        let NewBlob { content, name, mimetype, meta, task_id } = blob;
        let (size, content) = (content.len(), STANDARD.encode(content));
        let arguments = raw(&Create { content, name, size, mimetype, meta, task_id });
        Box::pin(async move {
            #[derive(Deserialize)]
            struct Created {
                id: String,
            }
            let answer = self.ask("connector.blob.create", arguments).await?;
            Ok(read::<Created>(&answer)?.id)
        })
    }

    fn get_blob(&self, id: String) -> Answer<'_, Blob> {
        Box::pin(async move {
            #[derive(Deserialize)]
            struct Known {
                id: String,
                name: Option<String>,
                size: Option<u64>,
                mimetype: Option<String>,
                meta: Option<Box<RawValue>>,
            }
            let answer = self.ask("connector.blob.get", raw(&json!({ "id": id }))).await?;
            let Known { id, name, size, mimetype, meta } = read(&answer)?;
            Ok(Blob { id, name, size, mimetype, meta })
        })
    }

    fn get_blob_content(&self, id: String) -> Answer<'_, Vec<u8>> {
        Box::pin(async move {
            #[derive(Deserialize)]
            struct Content {
                content: String,
            }
            let answer = self.ask("connector.blob.get-content", raw(&json!({ "id": id }))).await?;
            let Content { content } = read(&answer)?;
            STANDARD.decode(content).map_err(|error| odd(format!("content is no base64: {error}")))
        })
    }
}

impl Tasks {
    async fn ask(&self, method: &str, arguments: Box<RawValue>) -> Result<Box<RawValue>, Failure> {
        self.0.request(method, arguments).await.map_err(failure)
    }
}

fn failure(error: RequestError) -> Failure {
    let code = match error {
        RequestError::Refused(_) => "workspace-refused",
        RequestError::TooLarge(_) => "invalid-arguments",
        _ => "workspace-unavailable",
    };
    let retryable = matches!(error, RequestError::NotSent(_) | RequestError::TooMany);
    Failure { code: code.into(), message: error.to_string(), retryable, detail: None }
}

fn read<T: DeserializeOwned>(answer: &RawValue) -> Result<T, Failure> {
    serde_json::from_str(answer.get()).map_err(|error| odd(error.to_string()))
}

fn odd(why: String) -> Failure {
    Failure {
        code: "workspace-unavailable".into(),
        message: format!("the workspace's answer is not understood: {why}"),
        retryable: false,
        detail: None,
    }
}

/// No workspace at all: a single call from the command line.
pub struct NoWorkspace;

impl Workspace for NoWorkspace {
    fn new_task(&self, _name: String, _data: Box<RawValue>) -> Answer<'_, Box<RawValue>> {
        Box::pin(async { Err(nobody()) })
    }

    fn update_task(&self, _id: String, _data: Box<RawValue>) -> Answer<'_, Box<RawValue>> {
        Box::pin(async { Err(nobody()) })
    }

    fn create_blob(&self, _blob: NewBlob) -> Answer<'_, String> {
        Box::pin(async { Err(nobody()) })
    }

    fn get_blob(&self, _id: String) -> Answer<'_, Blob> {
        Box::pin(async { Err(nobody()) })
    }

    fn get_blob_content(&self, _id: String) -> Answer<'_, Vec<u8>> {
        Box::pin(async { Err(nobody()) })
    }
}

fn nobody() -> Failure {
    Failure {
        code: "workspace-unavailable".into(),
        message: "a single call has no workspace for tasks and blobs; use `aloma-wasm run`".into(),
        retryable: false,
        detail: None,
    }
}
