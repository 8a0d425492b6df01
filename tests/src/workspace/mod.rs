//! A fake workspace: the server side of the protocol, strict with whoever speaks to it.

mod http;
mod socket;
mod state;
mod wire;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::{any, get};
use serde_json::{Map, Value, json};

pub use self::http::TOKEN;
use self::state::{Command, Shared};
pub use self::state::{Registration, Reply, Request, Rules};
use crate::limits::PATIENCE;
use crate::log::Log;
use crate::process::{within, within_time};
use crate::sealing::Seal;
use crate::server::Server;

/// A running fake workspace. When it goes, every breach of the protocol that it saw is a panic.
pub struct FakeWorkspace {
    server: Option<Server>,
    base: String,
    shared: Shared,
    log: Log,
}

/// Something that was asked and may be answered later, even by way of another socket.
#[must_use = "an answer that nobody waits for is not checked"]
pub struct Asked {
    shared: Shared,
    log: Log,
    key: String,
}

impl FakeWorkspace {
    /// Starts one at a free port.
    pub fn start() -> Self {
        let shared = Shared::default();
        let server = Server::start(router(shared.clone()));
        let base = server.address().to_string();
        Self { server: Some(server), base, shared, log: Log::default() }
    }

    /// Waits are told with this process's output from now on.
    pub fn attach(&mut self, log: &Log) {
        self.log = log.clone();
    }

    /// What the connector needs to find and to join this workspace.
    pub fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("REGISTRATION_TOKEN", TOKEN.into()),
            ("DEVICE_ENDPOINT", format!("http://{}/", self.base)),
            ("WEBSOCKET_ENDPOINT", format!("ws://{}/transport/", self.base)),
        ]
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.base
    }

    /// Changes how it behaves.
    pub fn behave(&self, change: impl FnOnce(&mut Rules)) {
        self.shared.change(|state| change(&mut state.rules));
    }

    /// Forgets the key that it gave out: the next `connect` is answered 401.
    pub fn forget_key(&self) {
        self.shared.change(|state| state.key = None);
    }

    /// Programs the answer to a connector's own request (`connector.task.new`, …).
    pub fn respond(&self, method: &str, respond: impl Fn(&Value) -> Value + Send + Sync + 'static) {
        let respond = std::sync::Arc::new(respond);
        self.shared.change(|state| state.responders.insert(method.into(), respond));
    }

    /// The latest registration, now or later.
    pub async fn registered(&self) -> Registration {
        self.wait("a registration", |state| state.registrations.last().cloned()).await
    }

    /// Waits until a socket is open.
    pub async fn connected(&self) {
        self.wait("an open socket", |state| state.socket.is_some().then_some(())).await;
    }

    /// Waits until so many requests for a path have come, and gives all of them.
    pub async fn requests(&self, path: &str, count: usize) -> Vec<Request> {
        let what = format!("{count} requests for {path}");
        let of_path = |state: &state::State| {
            let all = state.requests.iter().filter(|request| request.path == path);
            let all: Vec<Request> = all.cloned().collect();
            (all.len() >= count).then_some(all)
        };
        self.wait(&what, of_path).await
    }

    /// All requests so far, in order.
    pub fn history(&self) -> Vec<Request> {
        self.shared.look(|state| state.requests.clone())
    }

    /// How many sockets were opened so far.
    pub fn sockets(&self) -> usize {
        self.shared.look(|state| state.sockets)
    }

    /// Waits until the connector has pinged so often.
    pub async fn pings(&self, count: usize) {
        self.wait("a ping", |state| (state.pings >= count).then_some(())).await;
    }

    /// Sends a configuration. Fields that are not plain are sealed with the registered key.
    pub async fn configure(&self, values: &[(String, Value)]) {
        let registration = self.registered().await;
        let mut secrets = Map::new();
        for (key, value) in values {
            let value = match registration.is_plain(key) {
                true => value.clone(),
                false => seal_for(&registration).seal(value).into(),
            };
            secrets.insert(key.clone(), value);
        }
        self.configure_raw(json!(secrets)).await;
    }

    /// Sends a configuration as it is.
    pub async fn configure_raw(&self, secrets: Value) {
        self.tell("connector.set-config", json!({ "secrets": secrets })).await;
    }

    /// How this workspace seals values for the connector.
    pub async fn seal(&self) -> Seal {
        seal_for(&self.registered().await)
    }

    /// Calls an action and gives the answer.
    pub async fn query(&self, path: &[&str], variables: Value) -> Value {
        self.ask_query(path, variables).await.answer().await
    }

    /// Calls an action and goes on.
    pub async fn ask_query(&self, path: &[&str], variables: Value) -> Asked {
        self.ask("connector.query", json!({"query": path, "variables": variables})).await
    }

    /// What the connector says of itself.
    pub async fn introspect(&self) -> Value {
        self.ask("connector.introspect", json!({})).await.answer().await
    }

    /// Sends a request that wants an answer.
    pub async fn ask(&self, method: &str, arguments: Value) -> Asked {
        self.ask_together(method, &[arguments]).await.remove(0)
    }

    /// Sends several requests in one message.
    pub async fn ask_together(&self, method: &str, arguments: &[Value]) -> Vec<Asked> {
        let mut packets = Vec::new();
        let mut asked = Vec::new();
        for arguments in arguments {
            let key = format!("_srv-{}", fresh_id());
            self.shared.change(|state| state.asked.insert(key.clone(), None));
            packets.push(json!({"id": fresh_id(), "c": key, "m": method, "a": arguments}));
            asked.push(Asked { shared: self.shared.clone(), log: self.log.clone(), key });
        }
        self.send_raw(&socket::encode(&packets)).await;
        asked
    }

    /// Sends a request that wants no answer.
    pub async fn tell(&self, method: &str, arguments: Value) {
        let packet = json!({"id": fresh_id(), "m": method, "a": arguments});
        self.send_raw(&socket::encode(&[packet])).await;
    }

    /// Sends any text.
    pub async fn send_raw(&self, text: &str) {
        self.command(Command::Send(text.into())).await;
    }

    /// Sends any bytes as a binary frame.
    pub async fn send_binary(&self, bytes: &[u8]) {
        self.command(Command::SendBinary(bytes.to_vec())).await;
    }

    /// The next health packet that was not taken yet.
    pub async fn health(&self) -> Value {
        self.next("connector.health.check").await
    }

    /// The next health packet of this kind; others before it are passed over.
    pub async fn health_of(&self, ok: bool) -> Value {
        loop {
            let health = self.health().await;
            if health["ok"] == ok {
                return health;
            }
        }
    }

    /// The arguments of the next packet of a method that was not taken yet.
    pub async fn next(&self, method: &str) -> Value {
        let taken = self.shared.look(|state| state.taken.get(method).copied().unwrap_or(0));
        let what = format!("a packet {method}");
        let found = self
            .wait(&what, |state| {
                let of_method = |packet: &&Value| packet["m"] == method;
                state.packets.iter().filter(of_method).nth(taken).map(|packet| packet["a"].clone())
            })
            .await;
        self.shared.change(|state| state.taken.insert(method.into(), taken + 1));
        found
    }

    /// All packets of a method so far.
    pub fn packets(&self, method: &str) -> Vec<Value> {
        self.shared.look(|state| {
            state.packets.iter().filter(|packet| packet["m"] == method).cloned().collect()
        })
    }

    /// Closes the connection without a word, and returns when it is closed.
    pub async fn drop_socket(&self) {
        self.command(Command::Drop).await;
        self.disconnected().await;
    }

    /// Closes the socket with a close frame, and returns when it is closed.
    pub async fn close_socket(&self) {
        self.command(Command::Close).await;
        self.disconnected().await;
    }

    /// Waits until no socket is open.
    pub async fn disconnected(&self) {
        self.wait("the socket to close", |state| state.socket.is_none().then_some(())).await;
    }

    /// Kills the workspace as a crash does.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill().await;
        }
        self.shared.change(|state| state.socket = None);
    }

    /// Brings it back at the same address, with all that it knew.
    pub async fn restart(&mut self) {
        self.stop().await;
        let address = self.base.parse().expect("an address made from one");
        self.server = Some(Server::start_at(address, router(self.shared.clone())));
    }

    /// Every breach of the protocol so far.
    pub fn violations(&self) -> Vec<String> {
        self.shared.look(|state| state.violations.clone())
    }

    async fn command(&self, command: Command) {
        let socket = self.wait("an open socket", |state| state.socket.clone()).await;
        // A socket that closes at this moment has taken nothing; a test that cares waits for more.
        let _ = socket.send(command);
    }

    async fn wait<T>(&self, what: &str, look: impl FnMut(&state::State) -> Option<T>) -> T {
        within(what, &self.log, self.shared.wait(look)).await
    }
}

impl Drop for FakeWorkspace {
    fn drop(&mut self) {
        let violations = self.violations();
        if !std::thread::panicking() {
            assert!(
                violations.is_empty(),
                "the protocol was broken: {violations:#?}\n{}",
                self.log
            );
        } else if !violations.is_empty() {
            eprintln!("the protocol was broken as well: {violations:#?}");
        }
    }
}

/// The text of an answer or a health packet that is an error; empty where it is none.
pub fn error_of(answer: &Value) -> &str {
    answer["error"].as_str().unwrap_or_default()
}

impl Asked {
    /// Waits for the answer.
    pub async fn answer(self) -> Value {
        self.answer_within(PATIENCE).await
    }

    /// Waits so long for the answer.
    pub async fn answer_within(self, limit: Duration) -> Value {
        let look = |state: &state::State| state.asked.get(&self.key).cloned().flatten();
        within_time(limit, "an answer", &self.log, self.shared.wait(look)).await.value
    }

    /// Whether the answer has come.
    pub fn is_answered(&self) -> bool {
        self.shared.look(|state| matches!(state.asked.get(&self.key), Some(Some(_))))
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/connect", any(http::connect))
        .route("/register", any(http::register))
        .route("/disconnect", any(http::disconnect))
        .route("/transport/", get(socket::transport))
        .fallback(http::unknown)
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(shared)
}

fn seal_for(registration: &Registration) -> Seal {
    let key = registration.public_key().expect("the connector registered a public key");
    Seal::new(key, registration.id())
}

/// A new id in the platform's form. A number is enough: one workspace gives out all of them.
fn fresh_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("w{:031}", COUNT.fetch_add(1, Ordering::Relaxed))
}
