//! A lean workspace: lets everybody in, hands out the sockets, records nothing.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use axum::extract::State;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::limits::PATIENCE;

/// Lets a connector register, where only one does.
const TOKEN: &str = "token";

/// What a connector with this token is known by, once it is registered: the token with this before it.
const KEY: &str = "key-of-";

/// A running workspace. It ends when this goes.
pub struct Workspace {
    address: SocketAddr,
    sockets: mpsc::UnboundedReceiver<Joined>,
    serving: JoinHandle<()>,
}

/// A connector that has joined.
pub struct Joined {
    /// The token that it registered with.
    pub token: String,
    /// Its socket.
    pub socket: WebSocket,
    /// Since when the socket is open.
    pub at: Instant,
}

impl Workspace {
    /// Serves at a free port of this machine.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (joined, sockets) = mpsc::unbounded_channel();
        let router = Router::new()
            .route("/connect", post(connect))
            .route("/register", post(register))
            .route("/disconnect", post(async || Json(json!({}))))
            .route("/transport/", get(transport))
            .with_state(joined);
        let listener = listener.tap_io(|tcp| {
            // Without it the numbers are slow, not wrong.
            let _ = tcp.set_nodelay(true);
        });
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, sockets, serving })
    }

    /// The base of the HTTP calls.
    pub fn device_endpoint(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The address of the websocket.
    pub fn websocket_endpoint(&self) -> String {
        format!("ws://{}/transport/", self.address)
    }

    /// What a process with one connector needs to find and to join this workspace.
    pub fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("REGISTRATION_TOKEN", TOKEN.into()),
            ("DEVICE_ENDPOINT", self.device_endpoint()),
            ("WEBSOCKET_ENDPOINT", self.websocket_endpoint()),
        ]
    }

    /// The next connector that joins.
    pub async fn joined(&mut self) -> anyhow::Result<Joined> {
        let joined = timeout(PATIENCE, self.sockets.recv()).await;
        joined.context("nobody joined in time")?.context("no server")
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn connect(headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    token(&headers).map(|_| Json(json!({}))).ok_or(StatusCode::UNAUTHORIZED)
}

async fn register(headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    let token = authorization(&headers).ok_or(StatusCode::UNAUTHORIZED)?;
    Ok(Json(json!({ "key": format!("{KEY}{token}") })))
}

async fn transport(
    State(joined): State<mpsc::UnboundedSender<Joined>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, StatusCode> {
    let token = token(&headers).ok_or(StatusCode::UNAUTHORIZED)?.to_owned();
    Ok(upgrade.protocols(["connector"]).on_upgrade(async move |socket| {
        // Nobody waits any more at the end of the run.
        let _ = joined.send(Joined { token, socket, at: Instant::now() });
    }))
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Connector ")
}

/// The token of a connector that has registered. The first call of every connector is refused.
fn token(headers: &HeaderMap) -> Option<&str> {
    authorization(headers)?.strip_prefix(KEY)
}
