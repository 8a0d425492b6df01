//! What a fake workspace knows, all in one place that can be watched.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use tokio::sync::{mpsc, watch};

/// Shared by the server's threads and the test.
#[derive(Clone, Default)]
pub struct Shared(Arc<watch::Sender<State>>);

/// Makes the answer to a connector's request.
pub type Responder = Arc<dyn Fn(&Value) -> Value + Send + Sync>;

/// Everything that happened, and how to behave.
#[derive(Default)]
pub struct State {
    /// How to behave.
    pub rules: Rules,
    /// The key that was given out last.
    pub key: Option<String>,
    /// Every HTTP request.
    pub requests: Vec<Request>,
    /// Every registration that was accepted.
    pub registrations: Vec<Registration>,
    /// The way into the open socket.
    pub socket: Option<mpsc::UnboundedSender<Command>>,
    /// How many sockets were opened.
    pub sockets: usize,
    /// Pings of the connector.
    pub pings: usize,
    /// What was asked, by key.
    pub asked: BTreeMap<String, Option<Reply>>,
    /// The connector's own packets, in order.
    pub packets: Vec<Value>,
    /// How many packets of a method a test has taken.
    pub taken: HashMap<String, usize>,
    /// Who answers the connector's requests, by method.
    pub responders: HashMap<String, Responder>,
    /// Breaches of the protocol.
    pub violations: Vec<String>,
}

/// How a fake workspace behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Answer 401 to everything.
    pub refuse_tokens: bool,
    /// Take a socket without naming the subprotocol.
    pub forget_subprotocol: bool,
    /// Never ping.
    pub withhold_pings: bool,
}

/// One HTTP request.
#[derive(Clone, Debug)]
pub struct Request {
    /// `/connect`, `/register`, `/disconnect`, `/transport/`.
    pub path: String,
    /// The header field, empty where there is none.
    pub authorization: String,
    /// The header field, empty where there is none.
    pub user_agent: String,
    /// The body; null where it is no JSON.
    pub body: Value,
    /// When it came.
    pub at: Instant,
}

/// One registration.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The whole body.
    pub body: Value,
}

/// The answer to something that was asked.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The answer's value.
    pub value: Value,
    /// On which socket it came.
    pub socket: usize,
}

/// What a test does to an open socket.
#[derive(Debug)]
pub enum Command {
    /// Sends a text frame.
    Send(String),
    /// Sends a binary frame.
    SendBinary(Vec<u8>),
    /// Closes it in the polite way.
    Close,
    /// Closes the connection without a word.
    Drop,
}

impl Shared {
    /// Changes the state; whoever watches looks again.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut out = None;
        self.0.send_modify(|state| out = Some(change(state)));
        out.expect("the change was made")
    }

    /// Looks at the state.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.borrow())
    }

    /// Waits until there is something to see, and gives it.
    pub async fn wait<T>(&self, mut look: impl FnMut(&State) -> Option<T>) -> T {
        let mut watch = self.0.subscribe();
        loop {
            if let Some(found) = look(&watch.borrow_and_update()) {
                return found;
            }
            watch.changed().await.expect("this side holds the sender");
        }
    }

    /// Notes a breach of the protocol.
    pub fn breach(&self, what: impl Into<String>) {
        self.change(|state| state.violations.push(what.into()));
    }
}

impl Registration {
    /// The registered public key.
    pub fn public_key(&self) -> Option<&str> {
        self.body["publicKey"].as_str()
    }

    /// The connector's id.
    pub fn id(&self) -> &str {
        self.body["id"].as_str().unwrap_or_default()
    }

    /// The declaration of a configuration field.
    pub fn field(&self, key: &str) -> &Value {
        &self.body["schema"]["configSchema"]["fields"][key]
    }

    /// Whether a field goes unsealed.
    pub fn is_plain(&self, key: &str) -> bool {
        key == "endpointUrl" || self.field(key)["plain"] == Value::Bool(true)
    }
}
