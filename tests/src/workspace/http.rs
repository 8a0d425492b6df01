//! The HTTP phase: connect, register, disconnect.

use std::time::Instant;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::state::{Registration, Request, Shared};

/// The token that a workspace gives to whoever may register.
pub const TOKEN: &str = "registration-token-of-the-test";

/// `POST /connect`.
pub async fn connect(
    Extract(shared): Extract<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let request = receive(&shared, &method, &uri, &headers, &body);
    if request.body != json!({}) {
        shared.breach(format!("the body of connect is not {{}}: {}", request.body));
    }
    if knows(&shared, &request) {
        return Json(json!({})).into_response();
    }
    if shared.look(|state| state.key.is_none() && state.requests.len() == 1)
        && request.authorization != "Connector null"
    {
        shared.breach(format!("the first connect came with {:?}", request.authorization));
    }
    StatusCode::UNAUTHORIZED.into_response()
}

/// `POST /register`.
pub async fn register(
    Extract(shared): Extract<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let request = receive(&shared, &method, &uri, &headers, &body);
    let refuse = shared.look(|state| state.rules.refuse_tokens);
    if refuse || request.authorization != format!("Connector {TOKEN}") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    for breach in registration_breaches(&request) {
        shared.breach(breach);
    }
    let key = shared.change(|state| {
        let key = format!("key-{}", state.registrations.len() + 1);
        state.registrations.push(Registration { body: request.body });
        state.key = Some(key.clone());
        key
    });
    Json(json!({ "key": key })).into_response()
}

/// `POST /disconnect`.
pub async fn disconnect(
    Extract(shared): Extract<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let request = receive(&shared, &method, &uri, &headers, &body);
    if request.body != json!({}) || !knows(&shared, &request) {
        shared.breach(format!("disconnect came with {request:?}"));
    }
    Json(json!({})).into_response()
}

/// Anything else is a mistake of the connector.
pub async fn unknown(Extract(shared): Extract<Shared>, method: Method, uri: Uri) -> StatusCode {
    shared.breach(format!("a request for {method} {uri}"));
    StatusCode::NOT_FOUND
}

/// Whether a request carries the key that was given out, and keys are taken at all.
pub fn knows(shared: &Shared, request: &Request) -> bool {
    shared.look(|state| {
        let key = state.key.as_ref().filter(|_| !state.rules.refuse_tokens);
        key.is_some_and(|key| request.authorization == format!("Connector {key}"))
    })
}

/// Records a request of the HTTP phase and checks what all of them have in common.
fn receive(
    shared: &Shared,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &str,
) -> Request {
    let request = record(shared, uri, headers, body);
    if method != Method::POST {
        shared.breach(format!("{} came with {method}", request.path));
    }
    if header(headers, "content-type") != "application/json" {
        shared.breach(format!("{} is not application/json", request.path));
    }
    request
}

/// Records any request.
pub fn record(shared: &Shared, uri: &Uri, headers: &HeaderMap, body: &str) -> Request {
    let request = Request {
        path: uri.path().into(),
        authorization: header(headers, "authorization"),
        user_agent: header(headers, "user-agent"),
        body: serde_json::from_str(body).unwrap_or_default(),
        at: Instant::now(),
    };
    if !request.authorization.starts_with("Connector ") {
        shared.breach(format!("{} came with {:?}", request.path, request.authorization));
    }
    if request.user_agent.split('/').filter(|part| !part.is_empty()).count() != 2 {
        shared.breach(format!("{} has the user agent {:?}", request.path, request.user_agent));
    }
    shared.change(|state| state.requests.push(request.clone()));
    request
}

/// A header field, empty where there is none.
pub fn header(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().into()
}

fn registration_breaches(request: &Request) -> Vec<String> {
    let body = &request.body;
    let mut found = Vec::new();
    let mut check = |holds: bool, what: &str| {
        if !holds {
            found.push(format!("registration: {what}: {body}"));
        }
    };
    let known = ["deployment", "name", "version", "id", "publicKey", "schema", "icon"];
    let keys = body.as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>());
    let only_known = |keys: Vec<String>| keys.iter().all(|key| known.contains(&key.as_str()));
    check(keys.is_some_and(only_known), "unknown field");
    for key in ["deployment", "name", "version", "id"] {
        check(body[key].is_string(), &format!("{key} is no string"));
    }
    let agent = format!("{}/{}", text(&body["id"]), text(&body["version"]));
    check(request.user_agent == agent, "the user agent is not id/version");
    check(body["schema"]["configSchema"]["fields"].is_object(), "no fields");
    check(body["schema"]["introspect"].is_string(), "no introspection");
    let is_base64 =
        |value: &Value| value.as_str().is_some_and(|text| STANDARD.decode(text).is_ok());
    for key in ["publicKey", "icon"] {
        check(body.get(key).is_none_or(is_base64), &format!("{key} is not base64"));
    }
    found
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
