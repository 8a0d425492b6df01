//! A request in every detail that `wasi:http` lets its client choose.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    Fields, FutureIncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};

use crate::answer;
use crate::stream::write_all;

/// What to send. What is left out is not set at all.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Sending {
    method: Option<String>,
    scheme: Option<String>,
    authority: Option<String>,
    path: Option<String>,
    headers: BTreeMap<String, String>,
    body: Option<String>,
    /// How often the body is written.
    times: Option<usize>,
    trailers: BTreeMap<String, String>,
    /// Drops the body where it should be finished.
    unfinished: bool,
    connect_ms: Option<u64>,
    first_byte_ms: Option<u64>,
    between_bytes_ms: Option<u64>,
    /// All three limits as far off as they can be told.
    patient: bool,
}

/// The part that could not be set, or the error.
type Refused = Value;

/// Sends it and tells everything that happened.
pub fn send(sending: &Sending) -> Value {
    let request = match sending.request() {
        Ok(request) => request,
        Err(refused) => return refused,
    };
    let body = sending.body.as_ref().map(|_| request.body().expect("the body is asked for once"));
    let future = match handle(request, Some(sending.options())) {
        Ok(future) => future,
        Err(code) => return json!({"handle": format!("{code:?}")}),
    };
    let mut seen = Map::new();
    if let Some(body) = body {
        sending.write(body, &mut seen);
    }
    answer::wait(&future, &mut seen);
    Value::Object(seen)
}

/// A plain request, begun.
pub fn get(authority: &str, path: &str) -> FutureIncomingResponse {
    let request = to(authority, path, Fields::new());
    handle(request, None).expect("a plain request is taken")
}

/// A plain request, not sent yet.
pub fn to(authority: &str, path: &str, headers: Fields) -> OutgoingRequest {
    let request = OutgoingRequest::new(headers);
    request.set_scheme(Some(&Scheme::Http)).expect("a scheme");
    request.set_authority(Some(authority)).expect("an authority");
    request.set_path_with_query(Some(path)).expect("a path");
    request
}

impl Sending {
    fn request(&self) -> Result<OutgoingRequest, Refused> {
        let request = OutgoingRequest::new(fields(&self.headers)?);
        let set = |part: &str, done: Result<(), ()>| done.map_err(|()| json!({"refused": part}));
        if let Some(text) = &self.method {
            set("method", request.set_method(&method(text)))?;
        }
        if let Some(text) = &self.scheme {
            set("scheme", request.set_scheme(Some(&scheme(text))))?;
        }
        set("authority", request.set_authority(self.authority.as_deref()))?;
        set("path", request.set_path_with_query(self.path.as_deref()))?;
        Ok(request)
    }

    fn options(&self) -> RequestOptions {
        let nanoseconds = |limit: Option<u64>| match limit {
            _ if self.patient => Some(u64::MAX),
            limit => limit.map(|milliseconds| milliseconds * 1_000_000),
        };
        let options = RequestOptions::new();
        let set = options
            .set_connect_timeout(nanoseconds(self.connect_ms))
            .and_then(|()| options.set_first_byte_timeout(nanoseconds(self.first_byte_ms)))
            .and_then(|()| options.set_between_bytes_timeout(nanoseconds(self.between_bytes_ms)));
        set.expect("the host knows all three limits");
        options
    }

    /// Writes the body, and tells of what went wrong with it.
    fn write(&self, body: OutgoingBody, seen: &mut Map<String, Value>) {
        let stream = body.write().expect("the stream is asked for once");
        let text = self.body.as_deref().unwrap_or_default().as_bytes();
        for _ in 0..self.times.unwrap_or(1) {
            if let Err(error) = write_all(&stream, text) {
                seen.insert("write".into(), json!(answer::shown(&error)));
                break;
            }
        }
        drop(stream);
        if self.unfinished {
            return;
        }
        let trailers = (!self.trailers.is_empty()).then(|| fields(&self.trailers));
        let trailers = trailers.transpose().expect("the test's trailers are right");
        if let Err(code) = OutgoingBody::finish(body, trailers) {
            seen.insert("finish".into(), json!(format!("{code:?}")));
        }
    }
}

fn fields(entries: &BTreeMap<String, String>) -> Result<Fields, Refused> {
    let fields = Fields::new();
    for (name, value) in entries {
        let added = fields.append(name, value.as_bytes());
        added.map_err(|error| json!({"refused": "header", "error": format!("{error:?}")}))?;
    }
    Ok(fields)
}

fn method(text: &str) -> Method {
    match text {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "PATCH" => Method::Patch,
        "OPTIONS" => Method::Options,
        "CONNECT" => Method::Connect,
        "TRACE" => Method::Trace,
        other => Method::Other(other.into()),
    }
}

fn scheme(text: &str) -> Scheme {
    match text {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.into()),
    }
}
