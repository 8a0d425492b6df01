//! The switchboard of one connector: from packet to handler to reply.
//!
//! Start reading here. Packets come from the [`workspace`](crate::workspace) room, calls go to the
//! [`connector`](crate::connector) room, and what a connector asks of the network goes through the
//! [`broker`](crate::broker) room. The three know nothing of each other.
//!
//! A connector has one version at a time that takes calls. A new one takes over between two packets.

mod configuring;
mod health;
mod spot;
mod version;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::configuring::{Received, Turns};
use self::health::Health;
use self::spot::Spot;
use self::version::Version;
use crate::connector::{CallError, Context, Done, Target};
use crate::manifest::Manifest;
use crate::workspace::configuration;
use crate::workspace::introspection::introspect;
use crate::workspace::keys::KeyPair;
use crate::workspace::packet::raw;
use crate::workspace::{Incoming, Link, Query, Reply, Request, wrap_result};

pub use self::version::Prepared;

/// How often health is reported, as the Node SDK does it.
const HEALTH_PERIOD: Duration = Duration::from_secs(30);

/// How long the controller's `stop` may take then.
const STOP: Duration = Duration::from_secs(4);

/// Packets that are being handled at once; most wait for the outbox then, since the connector refuses
/// calls long before. One beyond it is refused.
const PACKETS: usize = 4096;

/// Packets that are begun before anything else is looked at: a few milliseconds of calls on the spot.
const TOGETHER: usize = 32;

/// Connects one connector with its workspace.
pub struct Dispatcher {
    /// The id that the workspace knows.
    pub id: Arc<str>,
    /// The workspace.
    pub link: Link,
    /// Opens sealed values.
    pub keys: Option<Arc<KeyPair>>,
    /// How long calls under way may go on when the process is asked to stop, or on a version that was
    /// replaced.
    pub grace: Duration,
}

/// What the handlers share.
struct Shared {
    dispatcher: Dispatcher,
    current: Mutex<Arc<Version>>,
    /// What the workspace sent last.
    received: Mutex<Option<Received>>,
    /// What was wrong with it.
    problems: Mutex<Vec<String>>,
    /// Whose turn it is to be told what the connector is.
    introspecting: tokio::sync::Mutex<()>,
    /// When the next one may come into force.
    turns: Turns,
    /// Told when there is a new configuration.
    configured: Notify,
    /// Cancelled when the process is asked to stop.
    shutdown: CancellationToken,
    /// Cancelled when calls under way have had their time.
    cut_off: CancellationToken,
}

/// The tasks of a dispatcher.
struct Tasks {
    /// Packets that are being handled.
    work: JoinSet<()>,
    /// Which calls need no task.
    spot: Spot,
    /// What goes on until the end.
    keepers: JoinSet<()>,
    /// Former versions with calls under way.
    retiring: JoinSet<()>,
    /// Keeps the house of the current version.
    house: AbortHandle,
}

impl Dispatcher {
    /// Handles packets until `shutdown`, then answers the calls under way and stops the connector.
    /// Each version that comes by `next` takes the place of the one before: calls that came earlier
    /// finish on that one.
    pub async fn run(
        self,
        first: Prepared,
        mut incoming: mpsc::Receiver<Incoming>,
        mut next: mpsc::Receiver<Prepared>,
        shutdown: CancellationToken,
    ) {
        let shared = Arc::new(Shared::new(self, first, shutdown.clone()));
        let mut tasks = shared.begin();
        let mut packets = Vec::with_capacity(TOGETHER);
        loop {
            tokio::select! {
                // A version that is there answers every packet that comes after it.
                biased;
                () = shutdown.cancelled() => break,
                Some(prepared) = next.recv() => shared.replace(prepared, &mut tasks).await,
                Some(ended) = tasks.work.join_next() => note_panic(ended),
                Some(ended) = tasks.keepers.join_next() => note_panic(ended),
                Some(ended) = tasks.retiring.join_next() => note_panic(ended),
                1.. = incoming.recv_many(&mut packets, TOGETHER) => {
                    for packet in packets.drain(..) {
                        shared.dispatch(packet, &mut tasks).await;
                    }
                }
            }
        }
        // From here on the link refuses calls by itself; those that wait refuse as they are dropped.
        incoming.close();
        let Tasks { work, mut keepers, mut retiring, .. } = tasks;
        keepers.shutdown().await;
        tokio::join!(shared.drain(work), finish(&mut retiring));
    }
}

impl Shared {
    fn new(dispatcher: Dispatcher, first: Prepared, shutdown: CancellationToken) -> Self {
        let cut_off = CancellationToken::new();
        let version = Version::start(first, &dispatcher, None, cut_off.child_token());
        version.authorization.configure(&version.connector.configuration());
        Self {
            dispatcher,
            current: Mutex::new(Arc::new(version)),
            received: Mutex::default(),
            problems: Mutex::default(),
            introspecting: tokio::sync::Mutex::default(),
            turns: Turns::new(),
            configured: Notify::new(),
            shutdown,
            cut_off,
        }
    }

    fn begin(self: &Arc<Self>) -> Tasks {
        let mut keepers = JoinSet::new();
        keepers.spawn(self.clone().keep_health());
        let house = keepers.spawn(keep_house(self.current()));
        Tasks {
            work: JoinSet::new(),
            spot: Spot::default(),
            keepers,
            retiring: JoinSet::new(),
            house,
        }
    }

    /// The version that takes calls now.
    fn current(&self) -> Arc<Version> {
        self.current.lock().clone()
    }

    /// Lets a new version take over, with the configuration and the tokens that there are. Nothing
    /// comes in between: packets wait.
    async fn replace(self: &Arc<Self>, prepared: Prepared, tasks: &mut Tasks) {
        let Dispatcher { id, link, .. } = &self.dispatcher;
        let former = self.current();
        let (digest, identity) = (prepared.loaded.digest.clone(), prepared.identity.clone());
        let cut_off = self.cut_off.child_token();
        let version = Arc::new(Version::start(prepared, &self.dispatcher, Some(&former), cut_off));
        let received = self.received.lock().clone();
        match received {
            Some(received) => Box::pin(self.configure(&version, received)).await,
            None => version.authorization.configure(&version.connector.configuration()),
        }
        link.identify(identity);
        *self.current.lock() = version.clone();
        let house = tasks.keepers.spawn(keep_house(version));
        let former_house = std::mem::replace(&mut tasks.house, house);
        tasks.retiring.spawn(self.clone().retire(former, former_house));
        tracing::info!(connector = &**id, "replaced by version {digest}");
    }

    /// Sees a former version off, when its last call has ended.
    async fn retire(self: Arc<Self>, former: Arc<Version>, house: AbortHandle) {
        let Dispatcher { id, grace, .. } = &self.dispatcher;
        former.finish(id, *grace).await;
        house.abort();
        former.make_room(id).await;
    }

    async fn dispatch(self: &Arc<Self>, packet: Incoming, tasks: &mut Tasks) {
        let Incoming { request, reply } = packet;
        let Tasks { work, spot, .. } = tasks;
        let (shared, version) = (self.clone(), self.current());
        match request {
            // Boxed, because it is seldom, and the loop would hold the room for it all the time.
            Request::SetConfig(config) => Box::pin(self.set_config(&version, config)).await,
            _ if work.len() >= PACKETS => {
                reply.refuse(&format!(
                    "overloaded: {PACKETS} packets wait already; try again later"
                ));
            }
            Request::Introspect => {
                work.spawn(async move {
                    // It may be large, so one copy at a time waits for the link.
                    let _turn = shared.introspecting.lock().await;
                    reply.answer(version.introspection.clone()).await;
                });
            }
            Request::Query(query) => {
                let under_way = version.call();
                let call = || async move {
                    shared.query(&version, query, reply).await;
                    drop(under_way);
                };
                spot.begin(call, work).await;
            }
            Request::StartOauth => {
                work.spawn(async move { answer(reply, start_oauth(&version)).await });
            }
            Request::FinishOauth { code, redirect_uri, code_verifier } => {
                work.spawn(async move {
                    let finished =
                        version.authorization.finish(code, redirect_uri, code_verifier).await;
                    answer(reply, finished.map(|value| json!({ "value": value }))).await;
                });
            }
        }
    }

    async fn query(&self, version: &Version, query: Query, reply: Reply) {
        let Query { path, original, variables, task_id, namespace, sticky } = query;
        let context = Context { call: Some(reply.call_id()), task_id, namespace, sticky };
        let connector = &version.connector;
        let target = target(connector.manifest(), &path);
        let variables = match target {
            Target::Fallback(_) => with_method(variables, &original),
            _ => variables,
        };
        let outcome = tokio::select! {
            // Most calls never come to ask the other.
            biased;
            outcome = connector.call(&target, &variables, &context) => outcome,
            () = version.cut_off.cancelled() => Err(CallError::CutOff),
        };
        match outcome {
            Ok(Done { json, place }) => {
                reply.answer(wrap_result(&path, json)).await;
                drop(place);
            }
            Err(error) => {
                let (connector, call) = (&*self.dispatcher.id, context.call.as_deref());
                tracing::debug!(connector, call, "{}: {error}", path.join("."));
                reply.error(&error.to_string()).await;
            }
        }
    }

    /// Reports health after each new configuration, and every [`HEALTH_PERIOD`] from then on. One
    /// check at a time: a slow one delays the next and is not overtaken.
    async fn keep_health(self: Arc<Self>) {
        let mut health = Health::new();
        self.configured.notified().await;
        loop {
            self.report_health(&mut health).await;
            // Whichever comes first; that the time is up is no error.
            let _ = timeout(HEALTH_PERIOD, self.configured.notified()).await;
        }
    }

    async fn report_health(&self, health: &mut Health) {
        let Dispatcher { id, link, .. } = &self.dispatcher;
        let mut problems = self.problems.lock().clone();
        problems.extend(self.current().problems().await);
        link.health(&health.tell(id, problems));
    }

    /// Finishes the calls under way, each with an answer, and stops the connector.
    async fn drain(self: Arc<Self>, mut work: JoinSet<()>) {
        let connector = &*self.dispatcher.id;
        if !work.is_empty() {
            tracing::info!(connector, "finishing {} calls", work.len());
        }
        let grace = self.dispatcher.grace;
        if timeout(grace, finish(&mut work)).await.is_err() {
            tracing::warn!(connector, "{} calls are cut off after {grace:?}", work.len());
            self.cut_off.cancel();
            // They have only their answers left to queue; what cannot is answered as it is dropped.
            let _ = timeout(STOP, finish(&mut work)).await;
            work.shutdown().await;
        }
        self.current().stop(connector).await;
    }
}

async fn keep_house(version: Arc<Version>) {
    version.connector.keep_house().await;
}

fn start_oauth(version: &Version) -> anyhow::Result<Value> {
    let started = version.authorization.start()?;
    Ok(json!({ "url": started.url, "useCodeChallenge": started.use_code_challenge }))
}

async fn finish(work: &mut JoinSet<()>) {
    while let Some(ended) = work.join_next().await {
        note_panic(ended);
    }
}

/// The answer to `introspect`, and the `schema` of the registration.
pub fn introspection(manifest: &Manifest) -> Value {
    json!({
        "configSchema": configuration::config_schema(manifest),
        "introspect": introspect(&manifest.actions),
    })
}

/// What a path of names stands for. `["crm","contacts","create"]` and `["crm.contacts.create"]` are
/// the same.
pub fn target(manifest: &Manifest, path: &[String]) -> Target {
    let name = path.join(".");
    match name.as_str() {
        _ if manifest.action(&name).is_some() => Target::Action(name),
        "__autocomplete" => Target::Autocomplete,
        "__endpoint" => Target::Endpoint,
        "_endpoint" if manifest.endpoint.is_some() => Target::Endpoint,
        _ => Target::Fallback(name),
    }
}

/// The arguments of the fallback: those of the call, and the whole path as `__method`.
fn with_method(variables: Box<RawValue>, original: &RawValue) -> Box<RawValue> {
    let Ok(mut all) = serde_json::from_str::<Map<String, Value>>(variables.get()) else {
        return variables;
    };
    let path = match serde_json::from_str(original.get()) {
        Ok(Value::Array(path)) => Value::Array(path),
        Ok(name) => Value::Array(vec![name]),
        Err(_) => Value::Array(Vec::new()),
    };
    all.insert("__method".to_owned(), path);
    raw(&all)
}

async fn answer(reply: Reply, outcome: anyhow::Result<Value>) {
    match outcome {
        Ok(value) => reply.answer(raw(&value)).await,
        Err(error) => reply.error(&format!("{error:#}")).await,
    }
}

/// A panic in a handler is our fault. The reply answers by itself when it is dropped.
fn note_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && !error.is_cancelled()
    {
        tracing::error!("a call handler crashed, which is a fault of this program: {error}");
    }
}
