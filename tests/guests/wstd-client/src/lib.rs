//! A connector whose requests are made by the HTTP client of `wstd`, as it comes from the registry.

use std::time::Duration;

use aloma_connector::{Error, Result, connector};
use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use wstd::http::body::util::BodyExt;
use wstd::http::{Body, Client, Request, Response};
use wstd::runtime::block_on;

/// The controller.
#[derive(Default)]
pub struct WstdClient;

/// Where to ask.
#[derive(Deserialize, JsonSchema)]
pub struct Place {
    url: String,
}

/// What to send where.
#[derive(Deserialize, JsonSchema)]
pub struct Parcel {
    url: String,
    value: Value,
}

/// Where to ask, and how often.
#[derive(Deserialize, JsonSchema)]
pub struct Often {
    url: String,
    count: usize,
}

/// Where to ask, and how long to wait for the beginning of the answer.
#[derive(Deserialize, JsonSchema)]
pub struct Limited {
    url: String,
    milliseconds: u64,
}

/// Asks with another's client.
#[connector]
impl WstdClient {
    /// asks for a page
    pub async fn get(&self, place: Place) -> Result<Value> {
        block_on(async {
            let mut answer = get(&place.url).await?;
            let kind = answer.headers().get("content-type").cloned();
            let text = answer.body_mut().str_contents().await.map_err(told)?.to_owned();
            let kind = kind.as_ref().and_then(|kind| kind.to_str().ok());
            Ok(json!({"status": answer.status().as_u16(), "type": kind, "body": text}))
        })
    }

    /// sends JSON and reads JSON
    pub async fn post(&self, parcel: Parcel) -> Result<Value> {
        block_on(async {
            let body =
                Body::from_json(&parcel.value).map_err(|error| Error::msg(error.to_string()))?;
            let request = Request::post(&parcel.url).header("content-type", "application/json");
            let request = request.body(body).map_err(told)?;
            let mut answer = Client::new().send(request).await.map_err(told)?;
            answer.body_mut().json::<Value>().await.map_err(told)
        })
    }

    /// counts the bytes of an answer as they come
    pub async fn count(&self, place: Place) -> Result<Value> {
        block_on(async {
            let mut body = get(&place.url).await?.into_body().into_boxed_body();
            let mut bytes = 0;
            while let Some(frame) = body.frame().await {
                bytes += frame.map_err(told)?.into_data().map_or(0, |data| data.len());
            }
            Ok(json!({ "bytes": bytes }))
        })
    }

    /// asks for a page often, all at once
    pub async fn many(&self, often: Often) -> Result<Value> {
        block_on(async {
            let answers = join_all((0..often.count).map(|_| get(&often.url))).await;
            let status = |answer: Result<Response<Body>>| Ok(answer?.status().as_u16());
            let statuses: Result<Vec<u16>> = answers.into_iter().map(status).collect();
            Ok(json!({"statuses": statuses?}))
        })
    }

    /// asks for a page that must begin to come within its time
    pub async fn get_within(&self, limited: Limited) -> Result<Value> {
        block_on(async {
            let mut client = Client::new();
            client.set_connect_timeout(Duration::from_secs(10));
            client.set_first_byte_timeout(Duration::from_millis(limited.milliseconds));
            client.set_between_bytes_timeout(Duration::from_secs(10));
            let request = Request::get(&limited.url).body(Body::empty()).map_err(told)?;
            let answer = client.send(request).await.map_err(told)?;
            Ok(json!({"status": answer.status().as_u16()}))
        })
    }
}

async fn get(url: &str) -> Result<Response<Body>> {
    let request = Request::get(url).body(Body::empty()).map_err(told)?;
    Client::new().send(request).await.map_err(told)
}

/// An error as the client tells it.
fn told(error: impl Into<wstd::http::Error>) -> Error {
    Error::msg(format!("{:?}", error.into()))
}
