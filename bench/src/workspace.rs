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
use crate::session::Session;

/// Lets a connector register.
pub const TOKEN: &str = "token";
const KEY: &str = "key";

/// A running workspace. It ends when this goes.
pub struct Workspace {
    address: SocketAddr,
    sockets: mpsc::UnboundedReceiver<Opened>,
    serving: JoinHandle<()>,
}

/// A socket, and since when it is open.
struct Opened(WebSocket, Instant);

impl Workspace {
    /// Serves at a free port of this machine.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (opened, sockets) = mpsc::unbounded_channel();
        let router = Router::new()
            .route("/connect", post(connect))
            .route("/register", post(async || Json(json!({ "key": KEY }))))
            .route("/disconnect", post(async || Json(json!({}))))
            .route("/transport/", get(transport))
            .with_state(opened);
        let listener = listener.tap_io(|tcp| {
            // Without it the numbers are slow, not wrong.
            let _ = tcp.set_nodelay(true);
        });
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, sockets, serving })
    }

    /// What a connector needs to find and to join this workspace.
    pub fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("REGISTRATION_TOKEN", TOKEN.into()),
            ("DEVICE_ENDPOINT", format!("http://{}/", self.address)),
            ("WEBSOCKET_ENDPOINT", format!("ws://{}/transport/", self.address)),
        ]
    }

    /// The next connector that joins, and when its socket was open.
    pub async fn joined(&mut self) -> anyhow::Result<(Session, Instant)> {
        let opened = timeout(PATIENCE, self.sockets.recv()).await;
        let Opened(socket, at) = opened.context("nobody joined in time")?.context("no server")?;
        Ok((Session::new(socket), at))
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn connect(headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    match given.and_then(|value| value.strip_prefix("Connector ")) {
        Some(KEY) => Ok(Json(json!({}))),
        _ => Err(StatusCode::UNAUTHORIZED),
    }
}

async fn transport(
    State(opened): State<mpsc::UnboundedSender<Opened>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.protocols(["connector"]).on_upgrade(async move |socket| {
        // Nobody waits any more at the end of the run.
        let _ = opened.send(Opened(socket, Instant::now()));
    })
}
