//! Our side of the websocket, in three ends: a handle to speak, a queue to listen, a driver to run.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use super::backoff::Backoff;
use super::complaints::Complaints;
use super::driver::Driver;
use super::inbox::{Inbox, Incoming};
use super::limits::{PACKET_BYTES, Timing};
use super::outbox::{Closed, Kind, Outbox};
use super::packet::{Packet, raw};
use super::pending::{Pending, RequestError};
use super::registration::{Identity, LinkSettings, Nameplate, Registration};
use super::socket::Dialer;
use super::transport::Transport;

/// Makes the three ends. Nothing is dialled until the driver runs.
pub fn open(
    settings: LinkSettings,
    identity: Identity,
) -> (Link, mpsc::Receiver<Incoming>, Driver) {
    open_by(&Transport::default(), settings, identity)
}

/// The same for one link of many, which share their transport.
pub fn open_by(
    transport: &Transport,
    settings: LinkSettings,
    identity: Identity,
) -> (Link, mpsc::Receiver<Incoming>, Driver) {
    assemble(transport, settings, identity, Timing::default())
}

/// The same, with other timing.
pub fn open_with(
    settings: LinkSettings,
    identity: Identity,
    timing: Timing,
) -> (Link, mpsc::Receiver<Incoming>, Driver) {
    assemble(&Transport::default(), settings, identity, timing)
}

fn assemble(
    transport: &Transport,
    settings: LinkSettings,
    identity: Identity,
    timing: Timing,
) -> (Link, mpsc::Receiver<Incoming>, Driver) {
    let Transport { http, tls } = transport.clone();
    let nameplate = Nameplate::new(identity);
    let (inbox, incoming) = Inbox::new();
    let shared = Arc::new(Shared {
        outbox: Arc::default(),
        pending: Pending::default(),
        inbox,
        nameplate: nameplate.clone(),
        status: watch::Sender::new(Status::Connecting),
        timing: timing.clone(),
    });
    let driver = Driver {
        shared: shared.clone(),
        registration: Registration::new(&settings, nameplate, http, &timing),
        dialer: Dialer::new(settings.websocket_endpoint, tls, timing.http),
        backoff: Backoff::new(timing.first_retry, timing.longest_retry),
        complaints: Complaints::new(timing.complain_again),
    };
    (Link(shared), incoming, driver)
}

/// Where the link stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Status {
    /// Asking and dialling.
    Connecting,
    /// The websocket is open.
    Connected,
    /// There is no websocket, and the next attempt is some time off.
    Lost {
        /// For people.
        reason: Arc<str>,
        /// From when the status was set.
        retry_in: Duration,
    },
    /// Shut down.
    Closed,
}

/// What the ends share.
#[derive(Debug)]
pub(super) struct Shared {
    pub outbox: Arc<Outbox>,
    pub pending: Pending,
    pub inbox: Inbox,
    pub nameplate: Nameplate,
    pub status: watch::Sender<Status>,
    pub timing: Timing,
}

/// The handle to speak to the workspace. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Link(Arc<Shared>);

impl Link {
    /// Reports health: no problem is well. Never waits; a report that is still queued is replaced.
    pub fn health(&self, problems: &[String]) {
        let error = (!problems.is_empty()).then(|| problems.join("\n"));
        let report = raw(&json!({ "ok": error.is_none(), "error": error }));
        self.0.outbox.push_health(Packet::notice("connector.health.check", report));
    }

    /// Gives the workspace a sealed OAuth result to keep. Returns when it is queued; from then on it
    /// survives lost connections, not the end of the process.
    pub async fn config_update(&self, jwe: String) -> Result<(), Closed> {
        let packet = Packet::notice("connector.config-update", raw(&json!({ "value": jwe })));
        self.0.outbox.push(Kind::ConfigUpdate, packet).await
    }

    /// Asks the workspace for something and waits for its answer: JSON, nearly always an object.
    /// It is sent once at most. Dropping the future takes back a request that is still queued.
    pub async fn request(
        &self,
        method: &str,
        arguments: Box<RawValue>,
    ) -> Result<Box<RawValue>, RequestError> {
        let bytes = arguments.get().len();
        if bytes > PACKET_BYTES {
            return Err(RequestError::TooLarge(bytes));
        }
        let Shared { outbox, pending, timing, .. } = &*self.0;
        let deadline = Instant::now() + timing.request;
        let mut waiting = pending.open()?;
        let queued = Queued { outbox, key: waiting.key.clone() };
        let packet = Packet::request(&queued.key, method, arguments);
        match timeout_at(deadline, outbox.push(Kind::Request, packet)).await {
            Ok(Ok(())) => {}
            Ok(Err(Closed)) => return Err(RequestError::Closed),
            Err(_) => return Err(RequestError::NotSent(timing.request)),
        }
        match timeout_at(deadline, waiting.answer()).await {
            Ok(outcome) => outcome,
            Err(_) if queued.withdraw() => Err(RequestError::NotSent(timing.request)),
            Err(_) => Err(RequestError::NoAnswer(timing.request)),
        }
    }

    /// Takes another identity: a new version of the connector has taken over. The socket stays open.
    /// The workspace is told with the next connection, for which the connector registers again.
    pub fn identify(&self, identity: Identity) {
        self.0.nameplate.replace(identity);
    }

    /// Where the link stands, now and from now on.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.0.status.subscribe()
    }
}

/// Takes a request back when its caller goes.
struct Queued<'a> {
    outbox: &'a Outbox,
    key: String,
}

impl Queued<'_> {
    fn withdraw(&self) -> bool {
        self.outbox.withdraw(&self.key)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.withdraw();
    }
}
