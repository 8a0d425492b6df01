//! The HTTP side of the protocol: `connect`, `register`, `disconnect`, and the way to the socket.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::same;
use super::feed::Happening;
use super::hub::Hub;
use super::limits::{MESSAGE_BYTES, NAME_BYTES, READ_BUFFER, REGISTRATION_BYTES};
use super::reply::Refusal;
use super::seats::Seat;
use super::session;
use super::store::connectors::{self, Registered};
use super::store::now;
use crate::workspace::keys::PublicKey;

const TOO_MANY: &str =
    "too many connectors have registered; forget one with DELETE /api/connectors/ID";
const SUBPROTOCOL: &str = "connector";

pub fn routes() -> Router<Arc<Hub>> {
    Router::new()
        .route("/connect", post(connect))
        .route("/register", post(register))
        .route("/disconnect", post(disconnect))
        .route("/transport/", get(transport))
        .layer(DefaultBodyLimit::max(REGISTRATION_BYTES))
}

/// The body of a registration. The Node SDK leaves out what it does not have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Registration {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: String,
    public_key: Option<String>,
    #[serde(default)]
    schema: Value,
    icon: Option<String>,
}

async fn connect(State(hub): State<Arc<Hub>>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    let seat = seated(&hub, &headers)?;
    let id = seat.connector.to_string();
    hub.store.with(move |store| connectors::seen(store, &id)).await?;
    Ok(Json(json!({})))
}

async fn disconnect(
    State(hub): State<Arc<Hub>>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    seated(&hub, &headers)?.leave();
    Ok(Json(json!({})))
}

async fn register(
    State(hub): State<Arc<Hub>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    if !key(&headers).is_some_and(|given| same(hub.registration_token.expose_secret(), given)) {
        return Err(unauthorized("the registration token is wrong"));
    }
    let said: Registration = serde_json::from_slice(&body)
        .map_err(|error| Refusal::bad(format!("this is no registration: {error}")))?;
    let registered = said.read()?;
    let (seat, key) = hub
        .seats
        .register(&registered.id)
        .ok_or_else(|| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, TOO_MANY))?;
    hub.store.with(move |store| connectors::save(store, &registered)).await?;
    hub.feed.tell(&seat.connector, Happening::Registered);
    Ok(Json(json!({"key": key})))
}

async fn transport(
    State(hub): State<Arc<Hub>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let seat = match seated(&hub, &headers) {
        Ok(seat) => seat,
        Err(refusal) => return refusal.into_response(),
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade.protocols([SUBPROTOCOL]),
        Err(rejection) => return rejection.into_response(),
    };
    if upgrade.selected_protocol().is_none() {
        return Refusal::bad("offer the subprotocol `connector`").into_response();
    }
    let tracker = hub.tasks.clone();
    upgrade
        .read_buffer_size(READ_BUFFER)
        .max_message_size(MESSAGE_BYTES)
        .max_frame_size(MESSAGE_BYTES)
        .on_upgrade(move |socket| tracker.track_future(session::run(hub, seat, socket)))
}

impl Registration {
    fn read(self) -> Result<Registered, Refusal> {
        let too_long =
            [&self.id, &self.name, &self.version].iter().any(|text| text.len() > NAME_BYTES);
        if self.id.is_empty() || too_long {
            return Err(Refusal::bad(format!(
                "`id` is missing, or `id`, `name` or `version` is longer than {NAME_BYTES} bytes"
            )));
        }
        let form = self.schema.get("configSchema").unwrap_or(&Value::Null);
        let introspect = self.schema.get("introspect").and_then(Value::as_str).unwrap_or_default();
        Ok(Registered {
            schema: form.to_string(),
            introspect: introspect.to_owned(),
            public_key: self.public_key.and_then(|key| usable(&self.id, &key)),
            icon: self.icon.filter(|icon| is_png(icon)),
            name: self.name,
            version: self.version,
            id: self.id,
            seen: now(),
        })
    }
}

/// The key in its one spelling, so that a new one is known by its text. A connector with a key that
/// cannot be read may still join, as one without a key: the Node SDK notices no earlier either.
fn usable(connector: &str, key: &str) -> Option<String> {
    PublicKey::from_env(key)
        .inspect_err(|error| {
            tracing::warn!(connector, "the connector's public key cannot be used: {error}");
        })
        .ok()
        .map(|key| key.env().to_owned())
}

fn is_png(icon: &str) -> bool {
    STANDARD.decode(icon).is_ok_and(|bytes| bytes.starts_with(b"\x89PNG\r\n\x1a\n"))
}

/// The seat of the connector whose key came with the request.
fn seated(hub: &Hub, headers: &HeaderMap) -> Result<Arc<Seat>, Refusal> {
    key(headers)
        .and_then(|key| hub.seats.by_key(key))
        .ok_or_else(|| unauthorized("the key is not known; register first"))
}

fn key(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Connector ")
}

fn unauthorized(text: &str) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, text)
}
