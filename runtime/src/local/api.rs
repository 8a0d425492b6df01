//! The JSON API. See the documentation of the room for how to use it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast::{self, error::RecvError};

use super::access::signed_in;
use super::calls::{self, Order};
use super::feed::{Happening, Told};
use super::hub::Hub;
use super::limits::{API_BYTES, STREAM_ALIVE};
use super::reply::Refusal;
use super::seats::Seat;
use super::store::connectors;
use super::store::{blobs, tasks};
use super::{configure, oauth, portrait};

type Shared = State<Arc<Hub>>;
type Body = Result<Bytes, BytesRejection>;
type Answer = Result<Json<Value>, Refusal>;

pub fn routes(hub: &Arc<Hub>) -> Router<Arc<Hub>> {
    Router::new()
        .route("/api/connectors", get(connectors))
        .route("/api/connectors/{id}", get(connector).delete(forget))
        .route("/api/connectors/{id}/config", put(configure))
        .route("/api/connectors/{id}/call", post(call))
        .route("/api/connectors/{id}/calls", get(calls))
        .route("/api/connectors/{id}/events", get(connector_events))
        .route("/api/connectors/{id}/oauth/start", post(start_oauth))
        .route("/api/events", get(events))
        .route("/api/tasks", get(tasks))
        .route("/api/blobs", get(blobs))
        .route("/api/blobs/{id}", get(blob))
        .route("/api/blobs/{id}/content", get(blob_content))
        .layer(DefaultBodyLimit::max(API_BYTES))
        .layer(from_fn_with_state(hub.clone(), signed_in))
}

async fn connectors(State(hub): Shared) -> Answer {
    let all = hub.store.with(connectors::all).await?;
    let mut portraits = Vec::with_capacity(all.len());
    for registered in all {
        portraits.push(portrait::of(&hub, registered).await?);
    }
    Ok(Json(json!({"connectors": portraits})))
}

async fn connector(State(hub): Shared, Path(id): Path<String>) -> Answer {
    let key = id.clone();
    let registered = hub.store.with(move |store| connectors::get(store, &key)).await?;
    let registered = registered.ok_or_else(|| Refusal::unknown_connector(&id))?;
    Ok(Json(json!(portrait::of(&hub, registered).await?)))
}

async fn forget(State(hub): Shared, Path(id): Path<String>) -> Answer {
    let seat = seat(&hub, &id)?;
    if !hub.seats.give_up(&seat) {
        let text = format!("connector `{id}` is connected; stop it first");
        return Err(Refusal::new(StatusCode::CONFLICT, text));
    }
    hub.store.with(move |store| connectors::forget(store, &id)).await?;
    hub.feed.tell(&seat.connector, Happening::Forgotten);
    Ok(Json(json!({})))
}

async fn configure(State(hub): Shared, Path(id): Path<String>, body: Body) -> Answer {
    let seat = seat(&hub, &id)?;
    let values: Map<String, Value> = read(body, "an object of values, such as {\"host\":\"x\"}")?;
    configure::set(&hub, &seat, values).await?;
    connector(State(hub), Path(id)).await
}

async fn call(
    State(hub): Shared,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<calls::Answered>, Refusal> {
    let seat = seat(&hub, &id)?;
    let order: Order = read(body, "{\"action\":\"NAME\",\"arguments\":{…}}")?;
    calls::call(hub, seat, order).await.map(Json)
}

async fn calls(State(hub): Shared, Path(id): Path<String>) -> Answer {
    let seat = seat(&hub, &id)?;
    Ok(Json(calls::listed(hub.calls.latest(&hub, &seat.connector).await?)))
}

#[derive(Deserialize)]
struct OfCall {
    call: Option<String>,
}

async fn connector_events(
    State(hub): Shared,
    Path(id): Path<String>,
    Query(OfCall { call }): Query<OfCall>,
) -> Answer {
    let seat = seat(&hub, &id)?;
    Ok(Json(json!({"events": hub.feed.of(&seat.connector, call.as_deref())})))
}

async fn start_oauth(State(hub): Shared, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    let seat = seat(&hub, &id)?;
    // The guard has checked it.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let url = oauth::start(&hub, &seat, host).await?;
    Ok(Json(json!({"url": url.as_str()})))
}

#[derive(Deserialize)]
struct After {
    after: Option<u64>,
}

/// With `after`, what happened since then; without, a stream of what happens.
async fn events(
    State(hub): Shared,
    Query(After { after }): Query<After>,
    headers: HeaderMap,
) -> Response {
    if let Some(after) = after {
        let (past, _) = hub.feed.watch(after);
        let last = past.last().map_or(hub.feed.last(), |told| told.number);
        let events: Vec<_> = past.into_iter().map(|told| told.json).collect();
        return Json(json!({"events": events, "last": last})).into_response();
    }
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let (past, coming) = hub.feed.watch(seen.unwrap_or(u64::MAX));
    let events = stream::iter(past)
        .chain(follow(coming))
        .map(|told| {
            Ok::<_, Infallible>(Event::default().id(told.number.to_string()).data(told.json.get()))
        })
        .take_until(hub.stopping.clone().cancelled_owned());
    Sse::new(events).keep_alive(KeepAlive::new().interval(STREAM_ALIVE)).into_response()
}

/// A watcher that is too slow loses the oldest events; the gap shows in the numbers.
fn follow(coming: broadcast::Receiver<Told>) -> impl Stream<Item = Told> {
    stream::unfold(coming, async |mut coming| {
        loop {
            match coming.recv().await {
                Ok(told) => return Some((told, coming)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    })
}

async fn tasks(State(hub): Shared) -> Answer {
    Ok(Json(json!({"tasks": hub.store.with(tasks::latest).await?})))
}

async fn blobs(State(hub): Shared) -> Answer {
    Ok(Json(json!({"blobs": hub.store.with(blobs::latest).await?})))
}

async fn blob(State(hub): Shared, Path(id): Path<String>) -> Answer {
    let missing = no_blob(&id);
    let blob = hub.store.with(move |store| blobs::get(store, &id)).await?;
    Ok(Json(json!(blob.ok_or(missing)?)))
}

/// Always as a download of bytes: what a connector stored must not run as a page of ours.
async fn blob_content(State(hub): Shared, Path(id): Path<String>) -> Result<Response, Refusal> {
    let missing = no_blob(&id);
    let content = hub.store.with(move |store| blobs::content(store, &id)).await?.ok_or(missing)?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"blob\""),
    ];
    Ok((headers, content).into_response())
}

fn no_blob(id: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("there is no blob `{id}`"))
}

fn seat(hub: &Hub, id: &str) -> Result<Arc<Seat>, Refusal> {
    hub.seats.get(id).ok_or_else(|| Refusal::unknown_connector(id))
}

fn read<T: serde::de::DeserializeOwned>(body: Body, wanted: &str) -> Result<T, Refusal> {
    let body = body.map_err(|error| Refusal::new(error.status(), error.body_text()))?;
    serde_json::from_slice(&body)
        .map_err(|error| Refusal::bad(format!("the body must be {wanted}: {error}")))
}
