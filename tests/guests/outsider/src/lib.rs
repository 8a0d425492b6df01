//! A connector that makes its requests as code does that never heard of ours: by `wasi:http`.

use aloma_connector::{Error, Result, connector};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, IncomingResponse, OutgoingRequest, Scheme};
use wasip2::io::streams::StreamError;

/// The most that is read at once, in bytes.
const CHUNK: u64 = 64 * 1024;

/// The controller.
#[derive(Default)]
pub struct Outsider;

/// Where to ask.
#[derive(Deserialize, JsonSchema)]
pub struct Place {
    /// Host and port.
    authority: String,
    path: String,
}

/// Asks by another way.
#[connector]
impl Outsider {
    /// asks for a page
    pub async fn get(&self, place: Place) -> Result<Value> {
        let request = OutgoingRequest::new(Fields::new());
        let set = request
            .set_scheme(Some(&Scheme::Http))
            .and_then(|()| request.set_authority(Some(&place.authority)))
            .and_then(|()| request.set_path_with_query(Some(&place.path)));
        set.map_err(|()| Error::invalid_arguments("this is no place to ask"))?;
        let answer = handle(request, None).map_err(|code| refused(&code))?;
        answer.subscribe().block();
        match answer.get() {
            Some(Ok(Ok(response))) => {
                Ok(json!({"status": response.status(), "body": body(&response)?}))
            }
            Some(Ok(Err(code))) => Err(refused(&code)),
            _ => Err(Error::msg("no answer where one was promised")),
        }
    }
}

fn refused(code: &wasip2::http::types::ErrorCode) -> Error {
    Error::msg(format!("{code:?}"))
}

fn body(response: &IncomingResponse) -> Result<String> {
    let body = response.consume().map_err(|()| Error::msg("the body was taken"))?;
    let stream = body.stream().map_err(|()| Error::msg("the stream was taken"))?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(CHUNK) {
            Ok(chunk) => bytes.extend(chunk),
            Err(StreamError::Closed) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => return Err(Error::msg(format!("{error:?}"))),
        }
    }
}
