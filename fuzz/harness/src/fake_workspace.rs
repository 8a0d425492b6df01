//! A workspace that answers whatever it is told to.

use std::sync::Mutex;

use aloma_wasm::connector::{Answer, Blob, Failure, NewBlob, Workspace};
use serde_json::value::{RawValue, to_raw_value};

/// Answers with one text in every place. One that begins with `!` is why there is no answer.
#[derive(Default)]
pub(crate) struct FakeWorkspace(Mutex<String>);

impl FakeWorkspace {
    pub fn answer(&self, text: &str) {
        *self.0.lock().expect("nobody panics with it in hand") = text.into();
    }

    fn text(&self) -> Result<String, Failure> {
        let text = self.0.lock().expect("nobody panics with it in hand").clone();
        if !text.starts_with('!') {
            return Ok(text);
        }
        Err(Failure {
            code: text.clone(),
            message: text.clone(),
            retryable: true,
            detail: Some(text),
        })
    }

    fn json(&self) -> Result<Box<RawValue>, Failure> {
        self.text().map(|text| to_raw_value(&text).expect("a text is JSON"))
    }
}

impl Workspace for FakeWorkspace {
    fn new_task(&self, _name: String, _data: Box<RawValue>) -> Answer<'_, Box<RawValue>> {
        Box::pin(async { self.json() })
    }

    fn update_task(&self, _id: String, _data: Box<RawValue>) -> Answer<'_, Box<RawValue>> {
        Box::pin(async { self.json() })
    }

    fn create_blob(&self, _blob: NewBlob) -> Answer<'_, String> {
        Box::pin(async { self.text() })
    }

    fn get_blob(&self, id: String) -> Answer<'_, Blob> {
        Box::pin(async move {
            let (name, meta) = (self.text()?, self.json()?);
            let size = Some(name.len() as u64);
            Ok(Blob { id, mimetype: Some(name.clone()), name: Some(name), size, meta: Some(meta) })
        })
    }

    fn get_blob_content(&self, _id: String) -> Answer<'_, Vec<u8>> {
        Box::pin(async { self.text().map(String::into_bytes) })
    }
}
