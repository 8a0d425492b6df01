//! Reading an answer, and telling all of it.

use serde_json::{Map, Value, json};
use wasip2::http::types::{
    Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, http_error_code,
};
use wasip2::io::streams::{InputStream, StreamError};

/// The most that is read at once, in bytes.
pub const CHUNK: u64 = 64 * 1024;

/// Waits for an answer and tells it.
pub fn wait(future: &FutureIncomingResponse, seen: &mut Map<String, Value>) {
    match arrived(future) {
        Ok(response) => tell(response, seen),
        Err(code) => {
            seen.insert("error".into(), json!(code));
        }
    }
}

/// Waits for the head of an answer.
pub fn arrived(future: &FutureIncomingResponse) -> Result<IncomingResponse, String> {
    future.subscribe().block();
    let outcome = future.get().expect("it is ready").expect("it is taken once");
    outcome.map_err(|code| format!("{code:?}"))
}

/// Status, header, body and trailers.
pub fn tell(response: IncomingResponse, seen: &mut Map<String, Value>) {
    seen.insert("status".into(), json!(response.status()));
    seen.insert("headers".into(), told(&response.headers()));
    let body = response.consume().expect("the body is taken once");
    drop(response);
    let stream = body.stream().expect("the stream is taken once");
    let mut bytes = Vec::new();
    let outcome = read(&stream, |piece| bytes.extend_from_slice(piece));
    drop(stream);
    seen.insert("length".into(), json!(bytes.len()));
    seen.insert("body".into(), json!(String::from_utf8_lossy(&bytes[..bytes.len().min(1000)])));
    match outcome {
        Ok(()) => {
            seen.insert("trailers".into(), trailers(body));
        }
        Err(error) => {
            seen.insert("broken".into(), json!(error));
        }
    }
}

/// Reads to the end.
pub fn read(stream: &InputStream, mut piece: impl FnMut(&[u8])) -> Result<(), String> {
    loop {
        match stream.blocking_read(CHUNK) {
            Ok(bytes) => piece(&bytes),
            Err(StreamError::Closed) => return Ok(()),
            Err(error) => return Err(shown(&error)),
        }
    }
}

/// What follows a body.
pub fn trailers(body: IncomingBody) -> Value {
    let future = IncomingBody::finish(body);
    future.subscribe().block();
    match future.get().expect("they are ready").expect("they are taken once") {
        Ok(fields) => fields.map_or(Value::Null, |fields| told(&fields)),
        Err(code) => json!({"error": format!("{code:?}")}),
    }
}

/// Fields by name; values of one name in one text.
pub fn told(fields: &Fields) -> Value {
    let mut told = Map::<String, Value>::new();
    for (name, value) in fields.entries() {
        let value = String::from_utf8_lossy(&value).into_owned();
        let before = told.get(&name).and_then(Value::as_str).map(|text| format!("{text}, "));
        told.insert(name, json!(before.unwrap_or_default() + &value));
    }
    Value::Object(told)
}

/// The code of a stream's error, where it has one.
pub fn shown(error: &StreamError) -> String {
    match error {
        StreamError::Closed => "closed".into(),
        StreamError::LastOperationFailed(error) => match http_error_code(error) {
            Some(code) => format!("{code:?}"),
            None => format!("no code: {}", error.to_debug_string()),
        },
    }
}
