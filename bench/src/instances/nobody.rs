//! A workspace that is not there: `hello` asks nothing of it.

use aloma_wasm::connector::{Answer, Blob, Failure, NewBlob, Workspace};
use futures_util::FutureExt as _;
use serde_json::value::RawValue;

/// Answers everything with a failure.
pub struct Nobody;

impl Nobody {
    fn failure<T: Send + 'static>() -> Answer<'static, T> {
        let failure = Failure {
            code: "workspace-unavailable".into(),
            message: "there is no workspace in this benchmark".into(),
            retryable: false,
            detail: None,
        };
        async { Err(failure) }.boxed()
    }
}

impl Workspace for Nobody {
    fn new_task(&self, _name: String, _data: Box<RawValue>) -> Answer<'_, Box<RawValue>> {
        Self::failure()
    }

    fn update_task(&self, _id: String, _data: Box<RawValue>) -> Answer<'_, Box<RawValue>> {
        Self::failure()
    }

    fn create_blob(&self, _blob: NewBlob) -> Answer<'_, String> {
        Self::failure()
    }

    fn get_blob(&self, _id: String) -> Answer<'_, Blob> {
        Self::failure()
    }

    fn get_blob_content(&self, _id: String) -> Answer<'_, Vec<u8>> {
        Self::failure()
    }
}
