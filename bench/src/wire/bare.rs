//! The bare socket: the least that can answer `hello` over the protocol. No sandbox, no queue, no retry.
//! It shows what the load generator can do.

use std::env;
use std::fmt::Write as _;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, SEC_WEBSOCKET_PROTOCOL, USER_AGENT};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::limits::CHUNK;
use crate::load::ANSWER;

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

const AGENT: HeaderValue = HeaderValue::from_static("bare/0.0.0");
const REGISTRATION: &str = r#"{"deployment":"","name":"bare/0.0.0","version":"0.0.0","id":"bare","schema":{"configSchema":{"fields":{}},"introspect":""}}"#;
const HEALTH: &str = r#""m":"connector.health.check","a":{"ok":true,"error":null}"#;

#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(borrow)]
    p: Vec<Packet<'a>>,
}

#[derive(Deserialize)]
struct Packet<'a> {
    c: Option<&'a str>,
    m: Option<&'a str>,
    #[serde(borrow)]
    a: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Query<'a> {
    #[serde(borrow)]
    query: Vec<&'a str>,
}

#[derive(Deserialize)]
struct Registered {
    key: String,
}

/// Joins the workspace of the environment and answers until it hangs up.
pub async fn run() -> anyhow::Result<()> {
    answer_all(join().await?).await
}

async fn join() -> anyhow::Result<Socket> {
    let base = variable("DEVICE_ENDPOINT")?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    // The first call is refused, as that of every connector.
    ensure!(post(&client, &base, "connect", "null", "{}").await.is_err(), "let in without a key");
    let token = variable("REGISTRATION_TOKEN")?;
    let registered = post(&client, &base, "register", &token, REGISTRATION).await?;
    let Registered { key } = serde_json::from_slice(&registered)?;
    post(&client, &base, "connect", &key, "{}").await?;
    let mut request = variable("WEBSOCKET_ENDPOINT")?.into_client_request()?;
    let headers = request.headers_mut();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("connector"));
    headers.insert(AUTHORIZATION, format!("Connector {key}").parse()?);
    headers.insert(USER_AGENT, AGENT);
    let disable_nagle = true;
    let (socket, _) = connect_async_with_config(request, None, disable_nagle).await?;
    Ok(socket)
}

async fn post(
    client: &Client<HttpConnector, Full<Bytes>>,
    base: &str,
    path: &str,
    key: &str,
    body: &'static str,
) -> anyhow::Result<Bytes> {
    let request = http::Request::post(format!("{base}{path}"))
        .header(AUTHORIZATION, format!("Connector {key}"))
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, AGENT)
        .body(Full::new(Bytes::from_static(body.as_bytes())))?;
    let response = client.request(request).await?;
    ensure!(response.status().is_success(), "{path}: {}", response.status());
    Ok(response.into_body().collect().await?.to_bytes())
}

/// Everything that has arrived is answered in one message, as the protocol allows.
async fn answer_all(socket: Socket) -> anyhow::Result<()> {
    let (mut sink, stream) = socket.split();
    let mut chunks = stream.ready_chunks(CHUNK);
    let mut count = 0;
    while let Some(messages) = chunks.next().await {
        let mut answers = String::new();
        for message in messages {
            if let Message::Text(text) = message? {
                answer(&text, &mut answers, &mut count)?;
            }
        }
        if !answers.is_empty() {
            sink.send(Message::Text(format!(r#"{{"p":[{answers}]}}"#).into())).await?;
        }
    }
    Ok(())
}

fn answer(text: &str, answers: &mut String, count: &mut u64) -> anyhow::Result<()> {
    let incoming: Incoming = serde_json::from_str(text)?;
    for packet in incoming.p {
        let fields = match (packet.m, packet.c) {
            (Some("connector.set-config"), _) => HEALTH.to_owned(),
            (Some("connector.query"), Some(key)) => {
                let query: Query = serde_json::from_str(packet.a.context("no arguments")?.get())?;
                ensure!(query.query == ["hello"], "no action {:?}", query.query);
                format!(r#""c":"{key}","a":{ANSWER}"#)
            }
            _ => continue,
        };
        *count += 1;
        let comma = if answers.is_empty() { "" } else { "," };
        write!(answers, r#"{comma}{{{fields},"id":"b{count:031}"}}"#)?;
    }
    Ok(())
}

fn variable(name: &str) -> anyhow::Result<String> {
    env::var(name).with_context(|| format!("{name} is not set"))
}
