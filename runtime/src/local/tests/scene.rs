//! The scene of the tests: a workspace on one side, a small connector on a real socket on the other.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;

use super::manifest;
use crate::events::Events;
use crate::local::{Hosted, LocalSettings, LocalWorkspace};
use crate::workspace::keys::KeyPair;

/// A test that waits longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A workspace under test.
pub struct Scene {
    pub base: String,
    pub token: String,
    pub registration_token: String,
    pub data: TempDir,
    pub events: Events,
    pub http: Client,
    stop: CancellationToken,
    served: JoinHandle<anyhow::Result<()>>,
}

impl Scene {
    pub async fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder")).await
    }

    pub async fn start_in(data: TempDir) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let events = Events::default();
        let settings = LocalSettings {
            listen: ([127, 0, 0, 1], 0).into(),
            data: data.path().join("state"),
            events: events.clone(),
            hosted: vec![Hosted { id: "hosted".into(), manifest: manifest().into() }],
        };
        let workspace = LocalWorkspace::bind(settings).await.expect("a workspace");
        let page = workspace.page();
        let stop = CancellationToken::new();
        Self {
            base: workspace.device_endpoint().to_string(),
            token: page.query_pairs().next().expect("a token").1.into_owned(),
            registration_token: workspace.registration_token().expose_secret().to_owned(),
            data,
            events,
            http: Client::new(),
            served: tokio::spawn(workspace.serve(stop.clone())),
            stop,
        }
    }

    /// Stops the workspace and gives back its folder.
    pub async fn stop(self) -> TempDir {
        self.stop.cancel();
        let served = tokio::time::timeout(PATIENCE, self.served).await.expect("it stops");
        served.expect("no panic").expect("it ends well");
        self.data
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.request(Method::GET, path).send().await.expect("an answer");
        answer.json().await.expect("json")
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        said(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn configure(&self, id: &str, values: Value) -> (StatusCode, Value) {
        said(self.request(Method::PUT, &format!("api/connectors/{id}/config")).json(&values)).await
    }

    /// Calls in the background, because the test itself plays the connector.
    pub fn call(&self, id: &str, order: Value) -> JoinHandle<(StatusCode, Value)> {
        let path = format!("api/connectors/{id}/call");
        tokio::spawn(said(self.request(Method::POST, &path).json(&order)))
    }

    pub async fn device(&self, path: &str, key: &str, body: Value) -> (StatusCode, Value) {
        let request = self.http.post(format!("{}{path}", self.base)).json(&body);
        said(request.header("authorization", format!("Connector {key}"))).await
    }

    pub async fn register(&self, id: &str, schema: Value, keys: Option<&KeyPair>) -> String {
        let body = json!({
            "deployment": "", "id": id, "name": format!("{id}/1.0.0"), "version": "1.0.0",
            "publicKey": keys.map(KeyPair::public_env),
            "schema": {"configSchema": schema, "introspect": ""},
        });
        let (status, answer) = self.device("register", &self.registration_token, body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["key"].as_str().expect("a key").to_owned()
    }

    /// Registers, connects, and answers the first question.
    pub async fn join(&self, id: &str, schema: Value, keys: Option<&KeyPair>) -> FakeConnector {
        let key = self.register(id, schema.clone(), keys).await;
        let mut connector = self.connect(key).await;
        connector.greeted(schema).await;
        connector
    }

    pub async fn connect(&self, key: String) -> FakeConnector {
        let (status, _) = self.device("connect", &key, json!({})).await;
        assert_eq!(status, StatusCode::OK);
        let socket = self.socket(&key, Some("connector")).await.expect("a socket");
        FakeConnector { socket, key, queued: Default::default() }
    }

    pub async fn socket(&self, key: &str, protocol: Option<&str>) -> Result<Socket, String> {
        let url = format!("{}transport/", self.base.replacen("http", "ws", 1));
        let mut request = url.into_client_request().expect("a request");
        let authorization = format!("Connector {key}").parse().expect("a header");
        request.headers_mut().insert("authorization", authorization);
        if let Some(protocol) = protocol {
            let protocol = protocol.parse().expect("a header");
            request.headers_mut().insert("sec-websocket-protocol", protocol);
        }
        connect_async(request).await.map(|(socket, _)| socket).map_err(|error| error.to_string())
    }

    /// Waits for the API to say so: the connector's own packets have no answers to wait for.
    pub async fn until(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let look = async {
            loop {
                let answer = self.get(path).await;
                if is_so(&answer) {
                    return answer;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, look).await.expect("it becomes so")
    }

    /// Whether a file of the workspace's folder holds this text.
    pub fn holds(&self, text: &str) -> bool {
        let files = std::fs::read_dir(self.data.path().join("state")).expect("a folder");
        files.flatten().any(|file| {
            let bytes = std::fs::read(file.path()).unwrap_or_default();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    }
}

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The other side of the protocol, played by the test.
pub struct FakeConnector {
    pub socket: Socket,
    pub key: String,
    queued: VecDeque<Value>,
}

impl FakeConnector {
    /// The next packet.
    pub async fn next(&mut self) -> Value {
        tokio::time::timeout(PATIENCE, self.packet())
            .await
            .expect("a packet in time")
            .expect("a packet")
    }

    /// None when the socket closed.
    pub async fn packet(&mut self) -> Option<Value> {
        loop {
            if let Some(packet) = self.queued.pop_front() {
                return Some(packet);
            }
            let Message::Text(text) = self.socket.next().await?.ok()? else { continue };
            let message: Value = serde_json::from_str(&text).expect("json");
            self.queued.extend(message["p"].as_array().expect("packets").iter().cloned());
        }
    }

    pub async fn send(&mut self, packets: Value) {
        let text = json!({"p": packets}).to_string();
        self.socket.send(Message::text(text)).await.expect("sent");
    }

    pub async fn answer(&mut self, question: &Value, value: Value) {
        self.send(json!([{"c": question["c"], "a": value, "id": "x"}])).await;
    }

    /// Asks the workspace something and gives the answer.
    pub async fn ask(&mut self, method: &str, arguments: Value) -> Value {
        self.send(json!([{"c": "_req-1", "m": method, "a": arguments, "id": "x"}])).await;
        let answer = self.next().await;
        assert_eq!((answer["c"].as_str(), answer.get("m")), (Some("_req-1"), None));
        answer["a"].clone()
    }

    /// The two packets of every beginning. Gives the secrets.
    pub async fn greeted(&mut self, schema: Value) -> Value {
        let secrets = self.secrets().await;
        let question = self.next().await;
        assert_eq!(question["m"], "connector.introspect");
        let text = "\n/**\n * says hello\n **/    \ndeclare function hello(): any;\n      ";
        self.answer(&question, json!({"configSchema": schema, "introspect": text})).await;
        secrets
    }

    pub async fn secrets(&mut self) -> Value {
        let packet = self.next().await;
        assert_eq!(packet["m"], "connector.set-config", "{packet}");
        assert_eq!(packet.get("c"), None);
        packet["a"]["secrets"].clone()
    }

    pub async fn query(&mut self) -> Value {
        let packet = self.next().await;
        assert_eq!(packet["m"], "connector.query", "{packet}");
        packet
    }
}

pub async fn said(request: RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.expect("an answer");
    (answer.status(), answer.json().await.unwrap_or(Value::Null))
}
