//! What happens inside, for whoever watches: log lines of connectors and the requests they make.
//!
//! Events hold no payload and no secret. A watcher that is too slow loses the oldest events; nobody
//! waits for a watcher.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::sync::broadcast;

/// Events that a slow watcher may be behind before it loses some: a few seconds of a busy process.
const BACKLOG: usize = 1024;

/// The place where events are told and watched. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events(broadcast::Sender<Event>);

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Event {
    /// A connector logged a line.
    Log(LogLine),
    /// A connector's request ended.
    Request(RequestRecord),
}

/// One log line of a connector.
#[derive(Clone, Debug, Serialize)]
pub struct LogLine {
    /// When.
    #[serde(serialize_with = "millis")]
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

/// One request of a connector, ended well or not.
#[derive(Clone, Debug, Serialize)]
pub struct RequestRecord {
    /// When it ended.
    #[serde(serialize_with = "millis")]
    pub at: SystemTime,
    /// The connector's id.
    pub connector: Arc<str>,
    /// The call that made it; none for what happens between calls.
    pub call: Option<Arc<str>>,
    /// The method.
    pub method: String,
    /// Scheme, host, port and path. Never the query: people put secrets there.
    pub url: String,
    /// The answer's status; none where there was no answer.
    pub status: Option<u16>,
    /// Why there was no answer. Where the operator refused, the flag that would allow it.
    pub error: Option<String>,
    /// How often it was sent.
    pub attempts: u32,
    /// Bytes of the body sent.
    pub bytes_out: u64,
    /// Bytes of the body received.
    pub bytes_in: u64,
    /// How long it took, all attempts and pauses together.
    #[serde(serialize_with = "duration_millis")]
    pub took: Duration,
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

    /// Watches from now on.
    pub fn watch(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}

fn millis<S: serde::Serializer>(at: &SystemTime, out: S) -> Result<S::Ok, S::Error> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    out.serialize_u64(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn duration_millis<S: serde::Serializer>(took: &Duration, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_f64((took.as_secs_f64() * 1e6).round() / 1e3)
}
