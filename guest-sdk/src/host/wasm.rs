//! The imports of `wit/`, in the words of this crate.

use crate::bindings::aloma::connector as wit;
use crate::error::{Error, Result};
use crate::http::{self, Answer, Request};
use crate::logging::Level;
use crate::workspace::{Blob, NewBlob};

pub fn config_get(key: &str) -> Option<String> {
    wit::config::get(key)
}

pub fn log_enabled(level: Level) -> bool {
    wit::logging::enabled(wit_level(level))
}

pub fn log(level: Level, message: &str) {
    wit::logging::log(wit_level(level), message);
}

fn wit_level(level: Level) -> wit::logging::Level {
    match level {
        Level::Trace => wit::logging::Level::Trace,
        Level::Debug => wit::logging::Level::Debug,
        Level::Info => wit::logging::Level::Info,
        Level::Warn => wit::logging::Level::Warn,
        Level::Error => wit::logging::Level::Error,
    }
}

pub fn http_start(request: &Request) -> u64 {
    wit::http::start(&wit::http::Request {
        method: request.method.clone(),
        url: request.url.clone(),
        headers: request.headers.clone(),
        body: request.body.clone(),
        options: wit::http::RequestOptions {
            timeout_ms: request.options.timeout_ms,
            attempts: request.options.attempts,
            idempotency_key: request.options.idempotency_key.clone(),
            credential: request.options.credential.clone(),
        },
    })
}

pub fn http_take(handle: u64) -> Option<Result<Answer, http::Error>> {
    let outcome = wit::http::take(handle)?;
    Some(outcome.map(answer).map_err(http_error))
}

fn answer(response: wit::http::Response) -> Answer {
    Answer { status: response.status, headers: response.headers, body: response.body }
}

fn http_error(error: wit::http::Error) -> http::Error {
    match error {
        wit::http::Error::InvalidRequest(text) => http::Error::InvalidRequest(text),
        wit::http::Error::Denied(text) => http::Error::Denied(text),
        wit::http::Error::Dns(text) => http::Error::Dns(text),
        wit::http::Error::Connect(text) => http::Error::Connect(text),
        wit::http::Error::Timeout(text) => http::Error::Timeout(text),
        wit::http::Error::Interrupted(text) => http::Error::Interrupted(text),
        wit::http::Error::Limit(text) => http::Error::Limit(text),
        wit::http::Error::Credential(text) => http::Error::Credential(text),
    }
}

pub fn timer(milliseconds: u64) -> u64 {
    wit::http::timer(milliseconds)
}

pub fn wait(handles: &[u64]) -> Vec<u64> {
    wit::http::wait(handles)
}

pub fn cancel(handle: u64) {
    wit::http::cancel(handle);
}

pub fn new_task(name: &str, data: &str) -> Result<String> {
    wit::workspace::new_task(name, data).map_err(failure)
}

pub fn update_task(id: &str, data: &str) -> Result<String> {
    wit::workspace::update_task(id, data).map_err(failure)
}

pub fn create_blob(blob: NewBlob) -> Result<String> {
    let NewBlob { content, name, mimetype, meta, task_id } = blob;
    let meta = meta.map(|meta| meta.to_string());
    let blob = wit::workspace::NewBlob { content, name, mimetype, meta, task_id };
    wit::workspace::create_blob(&blob).map_err(failure)
}

pub fn get_blob(id: &str) -> Result<Blob> {
    let wit::workspace::Blob { id, name, size, mimetype, meta } =
        wit::workspace::get_blob(id).map_err(failure)?;
    let meta = meta.and_then(|text| serde_json::from_str(&text).ok());
    Ok(Blob { id, name, size, mimetype, meta })
}

pub fn get_blob_content(id: &str) -> Result<Vec<u8>> {
    wit::workspace::get_blob_content(id).map_err(failure)
}

fn failure(failure: wit::types::Failure) -> Error {
    let made = Error::new(failure.code, failure.message);
    let made = if failure.retryable { made.retryable() } else { made };
    let detail = failure.detail.and_then(|text| serde_json::from_str(&text).ok());
    match detail {
        Some::<serde_json::Value>(detail) => made.detail(detail),
        None => made,
    }
}
