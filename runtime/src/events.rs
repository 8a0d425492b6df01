//! What happens inside, for whoever watches: log lines of connectors and the requests they make.
//!
//! Events hold no payload and no secret. A watcher that is too slow loses the oldest events; nobody
//! waits for a watcher.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio_util::sync::CancellationToken;

/// Events that a slow watcher may be behind before it loses some: a few seconds of a busy process.
const BACKLOG: usize = 1024;

/// The place where events are told and watched. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events(broadcast::Sender<Event>);

/// Watches until it is told to stop, and then gives what was told before.
pub struct Watcher {
    events: broadcast::Receiver<Event>,
    stop: CancellationToken,
}

/// What a watcher sees.
#[derive(Debug)]
pub enum Seen {
    /// An event.
    Event(Event),
    /// So many events came faster than they were taken.
    Lost(u64),
}

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Event {
    /// A connector logged a line.
    Log(LogLine),
    /// A connector's request ended.
    Request(Box<RequestRecord>),
}

/// A connector as its events name it.
#[derive(Clone, Debug)]
pub struct Component {
    /// The connector's id.
    pub connector: Arc<str>,
    /// Which component it is: the beginning of its SHA-256, in hexadecimal digits. Empty where that
    /// is not known.
    pub digest: Arc<str>,
}

/// One log line of a connector.
#[derive(Clone, Debug, Serialize)]
pub struct LogLine {
    /// When.
    #[serde(serialize_with = "millis_since_1970::serialize")]
    pub at: SystemTime,
    /// The connector's id.
    pub connector: Arc<str>,
    /// The call that logged it; none for what happens between calls.
    pub call: Option<Arc<str>>,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// The line.
    pub message: String,
}

/// One request of a connector, ended well or not: what was decided, what was tried, what it took.
/// Never a query, a header, a body or a secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestRecord {
    /// When it ended.
    #[serde(with = "millis_since_1970")]
    pub at: SystemTime,
    /// The connector's id.
    pub connector: Arc<str>,
    /// Its component; see [`Component::digest`].
    pub digest: Arc<str>,
    /// The call that made it; none for what happens between calls.
    pub call: Option<Arc<str>>,
    /// The method.
    pub method: String,
    /// Scheme, host, port and path. Never the query: people put secrets there.
    pub url: String,
    /// Scheme, host and port, as a grant names them; empty where the URL could not be read.
    pub origin: String,
    /// What the policy said; none where it was not asked, as of a request that cannot be read.
    pub decision: Option<Decision>,
    /// The name of the credential that was added.
    pub credential: Option<String>,
    /// The answer's status; none where there was no answer.
    pub status: Option<u16>,
    /// Why there was no answer. Where the operator refused, the flag that would allow it.
    pub error: Option<String>,
    /// How often it was sent.
    pub sent: u32,
    /// The attempts in order: the first ones, where there were very many.
    pub attempts: Vec<Attempt>,
    /// Where redirects led, in order; as `url`.
    pub hops: Vec<String>,
    /// Bytes of the body sent, all attempts together.
    pub bytes_out: u64,
    /// Bytes of the bodies received, as they came over the wire.
    pub bytes_in: u64,
    /// Bytes of the answer's body after decompression; none where it was not compressed.
    pub bytes_decoded: Option<u64>,
    /// The time spent waiting for a place: for what the operator's limits allow.
    #[serde(rename = "queuedMs", with = "millis")]
    pub queued: Duration,
    /// The time spent on getting a token.
    #[serde(rename = "tokenMs", with = "millis")]
    pub token: Duration,
    /// How long it took, all attempts and pauses together.
    #[serde(rename = "tookMs", with = "millis")]
    pub took: Duration,
}

/// What the policy said of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Decision {
    /// It was let through by this grant.
    Granted(Arc<str>),
    /// It was let through because the policy only reports; this would have been said.
    Reported(Arc<str>),
    /// It was refused, and this was said.
    Refused(Arc<str>),
}

/// One attempt of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// When it began, counted from the request's begin.
    #[serde(rename = "startedMs", with = "millis")]
    pub started: Duration,
    /// How long it took.
    #[serde(rename = "tookMs", with = "millis")]
    pub took: Duration,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The connection that it used; none where there was none.
    pub connection: Option<Connection>,
    /// Bytes of the body sent.
    pub bytes_out: u64,
    /// Bytes of the body received.
    pub bytes_in: u64,
    /// The pause before it; none before the first.
    pub pause: Option<Pause>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// With an answer of this status.
    Status(u16),
    /// Without one; a word for the reason, like `timeout`.
    Error(Cow<'static, str>),
}

/// The connection that an attempt used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// The address that was dialled: the server's, or the proxy's.
    pub address: SocketAddr,
    /// Whether that is a proxy, which dials on.
    pub proxied: bool,
    /// Whether it was open already.
    pub reused: bool,
}

/// A pause before an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// How long.
    #[serde(rename = "ms", with = "millis")]
    pub time: Duration,
    /// What it was for.
    pub why: Cow<'static, str>,
}

impl From<&str> for Component {
    fn from(connector: &str) -> Self {
        Self { connector: connector.into(), digest: Arc::default() }
    }
}

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::channel(BACKLOG).0)
    }
}

impl Events {
    /// Tells an event. Costs next to nothing when nobody watches.
    pub fn tell(&self, event: Event) {
        // An error means that nobody watches, which is fine.
        let _ = self.0.send(event);
    }

    /// Whether anybody watches. Who makes an event only for watchers asks first.
    pub fn are_watched(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Watches from now on.
    pub fn watch(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}

impl Watcher {
    /// Watches from now on.
    pub fn new(events: &Events, stop: CancellationToken) -> Self {
        Self { events: events.watch(), stop }
    }

    /// The next event. None after the end, or when nobody is left to tell one.
    pub async fn next(&mut self) -> Option<Seen> {
        loop {
            match self.now() {
                Err(TryRecvError::Empty) if !self.stop.is_cancelled() => {}
                seen => return seen.ok(),
            }
            tokio::select! {
                event = self.events.recv() => return match event {
                    Ok(event) => Some(Seen::Event(event)),
                    Err(RecvError::Lagged(count)) => Some(Seen::Lost(count)),
                    Err(RecvError::Closed) => None,
                },
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// An event that is there already.
    pub fn now(&mut self) -> Result<Seen, TryRecvError> {
        match self.events.try_recv() {
            Ok(event) => Ok(Seen::Event(event)),
            Err(TryRecvError::Lagged(count)) => Ok(Seen::Lost(count)),
            Err(none) => Err(none),
        }
    }
}

mod millis_since_1970 {
    use super::*;

    pub fn serialize<S: Serializer>(at: &SystemTime, out: S) -> Result<S::Ok, S::Error> {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        out.serialize_u64(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        let since = Duration::from_millis(u64::deserialize(from)?);
        let too_late = || serde::de::Error::custom("a time that no clock shows");
        SystemTime::UNIX_EPOCH.checked_add(since).ok_or_else(too_late)
    }
}

/// Milliseconds with three digits after the point.
mod millis {
    use super::*;

    pub fn serialize<S: Serializer>(time: &Duration, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_f64((time.as_secs_f64() * 1e6).round() / 1e3)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let millis = f64::deserialize(from)?;
        Duration::try_from_secs_f64(millis / 1e3).map_err(serde::de::Error::custom)
    }
}

/// A request that was granted, tried twice and answered: for tests.
#[cfg(test)]
pub(crate) fn sample() -> RequestRecord {
    let millis = Duration::from_millis;
    let connection =
        Connection { address: ([192, 0, 2, 1], 443).into(), proxied: false, reused: false };
    let first = Attempt {
        started: millis(125),
        took: millis(80),
        outcome: Outcome::Status(503),
        connection: Some(connection),
        bytes_out: 8,
        bytes_in: 12,
        pause: None,
    };
    let second = Attempt {
        started: millis(1205),
        took: millis(45),
        outcome: Outcome::Status(200),
        connection: Some(Connection { reused: true, ..connection }),
        bytes_out: 8,
        bytes_in: 1200,
        pause: Some(Pause { time: millis(1000), why: "status 503".into() }),
    };
    RequestRecord {
        at: SystemTime::UNIX_EPOCH + millis(1_700_000_001_250),
        connector: "users".into(),
        digest: "0123456789ab".into(),
        call: Some("call".into()),
        method: "POST".into(),
        url: "https://api.example.com/v1/users".into(),
        origin: "https://api.example.com".into(),
        decision: Some(Decision::Granted("https://*.example.com".into())),
        credential: Some("users-api".into()),
        status: Some(200),
        error: None,
        sent: 2,
        attempts: vec![first, second],
        hops: Vec::new(),
        bytes_out: 16,
        bytes_in: 1212,
        bytes_decoded: Some(5000),
        queued: millis(15),
        token: millis(110),
        took: millis(1250),
    }
}
