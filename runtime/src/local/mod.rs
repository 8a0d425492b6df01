//! The embedded workspace: the server side of the workspace protocol, with its store, a JSON API
//! and a web page.
//!
//! Any number of connectors join it, those of this process and others (the Node SDK's too), all over
//! the same protocol and a real socket. Start with [`LocalWorkspace::bind`].
//!
//! # The API
//!
//! ```sh
//! BASE=http://127.0.0.1:PORT             # the address that the workspace printed
//! AUTH="Authorization: Bearer $(cat DATA/token)"
//! curl -H "$AUTH" $BASE/api/connectors
//! curl -H "$AUTH" -X PUT $BASE/api/connectors/ID/config -d '{"API_KEY":"…","BASE_URL":"https://…"}'
//! curl -H "$AUTH" $BASE/api/connectors/ID/call -d '{"action":"createUser","arguments":{"name":"Ann"}}'
//! ```
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /api/connectors` | `{"connectors":[…]}`: id, name, version, `connected`, `health` `{ok, problems}` or `null`, `fields` (with `set`, `enterAgain`, and the `value` of plain ones only), `configSchema`, `asks`, `actions` (with JSON Schemas for connectors of this process), `introspect` |
//! | `GET /api/connectors/ID` | one of them |
//! | `DELETE /api/connectors/ID` | forgets one that is not connected (else 409), with its configuration and calls |
//! | `PUT /api/connectors/ID/config` | takes an object of values, `null` removes one; fields not named stay. Answers the connector. A value that does not fit: 400 with `error` and `field`. No key to seal with: 409 |
//! | `POST /api/connectors/ID/call` | takes `action`, and optionally `arguments` (an object), `timeoutMs`, `taskId`. Answers `{"call","result","tookMs"}`. Otherwise `{"error"}`, with `call` and `tookMs` once it was sent: 404 unknown connector, 409 not connected, 422 the action failed, 503 too many calls, 504 no answer in time |
//! | `GET /api/connectors/ID/calls` | `{"calls":[{"call","action","at","state","tookMs","error","arguments","result"}]}`, newest first; the last three are kept in memory only |
//! | `GET /api/connectors/ID/events?call=CALL` | `{"events":[…]}`: log lines and requests, oldest first; without `call` all of the connector |
//! | `GET /api/events` | Server-Sent Events of everything; with `?after=NUMBER` the past, at once: `{"events":[…],"last":NUMBER}` |
//! | `POST /api/connectors/ID/oauth/start` | `{"url"}` to sign in at |
//! | `GET /api/tasks`, `GET /api/blobs` | `{"tasks":[…]}`, `{"blobs":[…]}`, newest first |
//! | `GET /api/blobs/ID`, `GET /api/blobs/ID/content` | what is known of a blob; its bytes |
//!
//! An event has a `number` and a `kind`: `log` and `request` (see [`crate::events`]), `registered`,
//! `forgotten`, `connected`, `disconnected`, `health`, `configured`, `call`, `lost`. Times are milliseconds since
//! 1970. Every refusal is `{"error":"…"}`.

mod access;
mod api;
mod calls;
mod configure;
mod device;
mod feed;
mod form;
mod hosting;
mod hub;
mod introspection;
mod limits;
mod oauth;
mod outbox;
mod page;
mod pending;
mod portrait;
mod reply;
mod requests;
mod seats;
mod session;
mod store;
mod token;

#[cfg(test)]
mod tests;

use std::future::IntoFuture;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::serve::ListenerExt as _;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::sync::broadcast::Receiver;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use self::access::Access;
use self::hub::Hub;
use self::reply::Refusal;
use self::seats::Seats;
use self::store::{Store, connectors};
use crate::events::{Event, Events};

pub use self::hosting::{Hosted, Hosting};

/// How the workspace is set up.
pub struct LocalSettings {
    /// Where it listens: a loopback address. Port 0 takes any free one.
    pub listen: SocketAddr,
    /// The folder for its store and tokens, made when missing.
    pub data: PathBuf,
    /// Where the connectors of this process tell what happens.
    pub events: Events,
    /// The connectors of this process.
    pub hosted: Vec<Hosted>,
}

/// A workspace that listens and does not serve yet.
pub struct LocalWorkspace {
    listener: TcpListener,
    address: SocketAddr,
    hub: Arc<Hub>,
    events: Receiver<Event>,
}

impl LocalWorkspace {
    /// Opens the store and the port. A connector that dials now waits until [`Self::serve`].
    pub async fn bind(settings: LocalSettings) -> anyhow::Result<Self> {
        let LocalSettings { listen, data, events, hosted } = settings;
        let events = events.watch();
        token::private_folder(&data).with_context(|| format!("cannot make {}", data.display()))?;
        let store = Store::open(&data)?;
        let listener = TcpListener::bind(listen).await.with_context(|| {
            format!(
                "cannot listen on {listen}; where another workspace is running, give this one \
                     an address and a folder of its own with --listen and --data"
            )
        })?;
        let address = listener.local_addr()?;
        let seats = Seats::default();
        let known = store.with(connectors::all).await?;
        seats.remember(known.into_iter().map(|connector| connector.id));
        let hub = Hub {
            access: Access::new(token::kept(&data.join("token"))?, address.port()),
            registration_token: token::kept(&data.join("registration-token"))?,
            store,
            seats,
            pending: Default::default(),
            feed: Default::default(),
            calls: Default::default(),
            flows: Default::default(),
            hosted: Default::default(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        };
        let local = Self { listener, address, hub: Arc::new(hub), events };
        hosted.into_iter().for_each(|hosted| local.hosting().add(hosted));
        Ok(local)
    }

    /// Tells it about connectors of this process, also while it serves.
    pub fn hosting(&self) -> Hosting {
        Hosting(self.hub.clone())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The page's address, with the token that opens it: for this user's eyes only.
    pub fn page(&self) -> Url {
        let mut page = self.device_endpoint();
        page.query_pairs_mut().append_pair("token", self.hub.access.token().expose_secret());
        page
    }

    /// What a connector has as `DEVICE_ENDPOINT`.
    pub fn device_endpoint(&self) -> Url {
        self.url("http", "")
    }

    /// What a connector has as `WEBSOCKET_ENDPOINT`.
    pub fn websocket_endpoint(&self) -> Url {
        self.url("ws", "transport/")
    }

    /// What a connector has as `REGISTRATION_TOKEN`.
    pub fn registration_token(&self) -> SecretString {
        self.hub.registration_token.clone()
    }

    /// Serves until told to stop. Calls under way fail then, and sockets are closed.
    pub async fn serve(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { listener, hub, events, .. } = self;
        let follower = hub.clone();
        hub.tasks.spawn(async move { follower.feed.follow(events, &follower.stopping).await });
        // Somebody waits for each small packet.
        let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
        let server = axum::serve(listener, routes(&hub))
            .with_graceful_shutdown(hub.stopping.clone().cancelled_owned())
            .into_future();
        let mut server = pin!(server);
        let ended = tokio::select! {
            ended = &mut server => ended.context("the workspace's server"),
            () = shutdown.cancelled() => Ok(()),
        };
        hub.stopping.cancel();
        hub.tasks.close();
        hub.tasks.wait().await;
        if ended.is_ok() {
            // A browser may keep its connection open for as long as it likes.
            let _ = tokio::time::timeout(limits::STOP, server).await;
        }
        ended
    }

    fn url(&self, scheme: &str, path: &str) -> Url {
        let mut address = self.address;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        Url::parse(&format!("{scheme}://{address}/{path}"))
            .expect("a socket address is a valid authority")
    }
}

fn routes(hub: &Arc<Hub>) -> Router {
    Router::new()
        .merge(device::routes())
        .merge(api::routes(hub))
        .merge(page::routes())
        .fallback(async || Refusal::new(StatusCode::NOT_FOUND, "there is nothing here"))
        .layer(from_fn_with_state(hub.clone(), access::guard))
        .with_state(hub.clone())
}
