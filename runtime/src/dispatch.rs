//! The switchboard of one connector: from packet to handler to reply.
//!
//! Start reading here. Packets come from the [`workspace`](crate::workspace) room, calls go to the
//! [`connector`](crate::connector) room, and what a connector asks of the network goes through the
//! [`broker`](crate::broker) room. The three know nothing of each other.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::connector::{CallError, Connector, Context, Target};
use crate::manifest::Manifest;
use crate::oauth::Authorization;
use crate::printable::printable;
use crate::workspace::configuration;
use crate::workspace::introspection::introspect;
use crate::workspace::keys::KeyPair;
use crate::workspace::packet::raw;
use crate::workspace::{Incoming, Link, Query, Reply, Request, wrap_result};

/// How often health is reported, as the Node SDK does it.
const HEALTH_PERIOD: Duration = Duration::from_secs(30);

/// How long the controller's `stop` may take then.
const STOP: Duration = Duration::from_secs(4);

/// Packets that are being handled at once; most wait for the outbox then, since the connector refuses
/// calls long before. One beyond it is refused.
const PACKETS: usize = 4096;

/// Connects one connector with its workspace.
pub struct Dispatcher {
    /// The id that the workspace knows.
    pub id: Arc<str>,
    /// Runs the calls.
    pub connector: Arc<Connector>,
    /// Holds the OAuth grant.
    pub broker: Arc<Broker>,
    /// The workspace.
    pub link: Link,
    /// Opens sealed values.
    pub keys: Option<Arc<KeyPair>>,
    /// The OAuth flow, where the connector has one.
    pub authorization: Authorization,
    /// How long calls under way may go on when the process is asked to stop.
    pub grace: Duration,
}

/// What the handlers share.
struct Shared {
    dispatcher: Dispatcher,
    introspection: Box<RawValue>,
    /// What was wrong with the last configuration.
    problems: Mutex<Vec<String>>,
    /// Told when there is a new configuration.
    configured: Notify,
    /// Cancelled when calls under way have had their time.
    cut_off: CancellationToken,
}

impl Dispatcher {
    /// Handles packets until `shutdown`, then answers the calls under way and stops the connector.
    pub async fn run(self, mut incoming: mpsc::Receiver<Incoming>, shutdown: CancellationToken) {
        let shared = Arc::new(Shared::new(self));
        let (mut work, mut keepers) = (JoinSet::new(), JoinSet::new());
        keepers.spawn(shared.clone().keep_health());
        keepers.spawn(shared.clone().keep_house());
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(packet) = incoming.recv() => shared.dispatch(packet, &mut work),
                Some(ended) = work.join_next() => note_panic(ended),
            }
        }
        // From here on the link refuses calls by itself; those that wait refuse as they are dropped.
        incoming.close();
        keepers.shutdown().await;
        shared.drain(work).await;
    }
}

impl Shared {
    fn new(dispatcher: Dispatcher) -> Self {
        let introspection = raw(&introspection(dispatcher.connector.manifest()));
        Self {
            dispatcher,
            introspection,
            problems: Mutex::default(),
            configured: Notify::new(),
            cut_off: CancellationToken::new(),
        }
    }

    fn dispatch(self: &Arc<Self>, packet: Incoming, work: &mut JoinSet<()>) {
        let Incoming { request, reply } = packet;
        let shared = self.clone();
        match request {
            Request::SetConfig { secrets } => shared.configure(secrets),
            _ if work.len() >= PACKETS => {
                reply.refuse(&format!(
                    "overloaded: {PACKETS} packets wait already; try again later"
                ));
            }
            Request::Introspect => {
                work.spawn(async move { reply.answer(shared.introspection.clone()).await });
            }
            Request::Query(query) => {
                work.spawn(async move { shared.query(query, reply).await });
            }
            Request::StartOauth => {
                work.spawn(async move { answer(reply, shared.start_oauth()).await });
            }
            Request::FinishOauth { code, redirect_uri, code_verifier } => {
                work.spawn(async move {
                    let authorization = &shared.dispatcher.authorization;
                    let finished = authorization.finish(code, redirect_uri, code_verifier).await;
                    answer(reply, finished.map(|value| json!({ "value": value }))).await;
                });
            }
        }
    }

    /// Puts the configuration in force before the next packet is looked at.
    fn configure(&self, secrets: Map<String, Value>) {
        let Dispatcher { id, connector, keys, authorization, .. } = &self.dispatcher;
        let fields = connector.manifest().all_fields();
        let opened = configuration::open(secrets, &fields, keys.as_deref(), id, SystemTime::now());
        for problem in &opened.problems {
            tracing::warn!(connector = &**id, "configuration: {problem}");
        }
        *self.problems.lock() = opened.problems;
        let configuration = connector.configuration().with_workspace(opened.values);
        authorization.configure(&configuration);
        connector.configure(configuration);
        self.configured.notify_one();
    }

    async fn query(self: Arc<Self>, query: Query, reply: Reply) {
        let Query { path, original, variables, task_id, namespace, sticky } = query;
        let context = Context { call: Some(reply.call_id()), task_id, namespace, sticky };
        let connector = &self.dispatcher.connector;
        let target = target(connector.manifest(), &path);
        let variables = match target {
            Target::Fallback(_) => with_method(variables, &original),
            _ => variables,
        };
        let outcome = tokio::select! {
            outcome = connector.call(&target, &variables, &context) => outcome,
            () = self.cut_off.cancelled() => Err(CallError::CutOff),
        };
        match outcome {
            Ok(result) => reply.answer(wrap_result(&path, result)).await,
            Err(error) => {
                let (connector, call) = (&*self.dispatcher.id, context.call.as_deref());
                tracing::debug!(connector, call, "{}: {error}", path.join("."));
                reply.error(&error.to_string()).await;
            }
        }
    }

    fn start_oauth(&self) -> anyhow::Result<Value> {
        let started = self.dispatcher.authorization.start()?;
        Ok(json!({ "url": started.url, "useCodeChallenge": started.use_code_challenge }))
    }

    /// Reports health after each new configuration, and every [`HEALTH_PERIOD`] from then on. One
    /// check at a time: a slow one delays the next and is not overtaken.
    async fn keep_health(self: Arc<Self>) {
        self.configured.notified().await;
        loop {
            self.report_health().await;
            // Whichever comes first; that the time is up is no error.
            let _ = timeout(HEALTH_PERIOD, self.configured.notified()).await;
        }
    }

    async fn keep_house(self: Arc<Self>) {
        self.dispatcher.connector.keep_house().await;
    }

    async fn report_health(&self) {
        let mut problems = self.problems.lock().clone();
        problems.extend(self.dispatcher.connector.problems().await);
        problems.extend(self.dispatcher.broker.health_problem());
        for problem in &problems {
            tracing::warn!(connector = &*self.dispatcher.id, "not well: {}", printable(problem));
        }
        self.dispatcher.link.health(&problems);
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
        if timeout(STOP, self.dispatcher.connector.shut_down()).await.is_err() {
            tracing::warn!(connector, "`stop` was cut off after {STOP:?}");
        }
    }
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
    if let Err(error) = ended {
        tracing::error!("a call handler crashed, which is a fault of this program: {error}");
    }
}
