//! The switchboard of one connector: from packet to handler to reply.
//!
//! Start reading here. Packets come from the [`workspace`](crate::workspace) room, calls go to the
//! [`connector`](crate::connector) room, and what a connector asks of the network goes through the
//! [`broker`](crate::broker) room. The three know nothing of each other.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::connector::{Connector, Context, Target};
use crate::manifest::Manifest;
use crate::oauth::Authorization;
use crate::workspace::configuration;
use crate::workspace::introspection::introspect;
use crate::workspace::keys::KeyPair;
use crate::workspace::packet::raw;
use crate::workspace::{Incoming, Link, Query, Reply, Request, wrap_result};

/// How often health is reported, as the Node SDK does it.
const HEALTH_PERIOD: Duration = Duration::from_secs(30);

/// How long calls under way may go on when the process is asked to stop. Orchestrators kill after
/// 30 seconds; the replies still have to be flushed.
const DRAIN: Duration = Duration::from_secs(20);

/// Calls that are held at once, running or waiting. One beyond it is refused at once.
const CALLS: usize = 4096;

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
}

/// What the handlers share.
struct Shared {
    dispatcher: Dispatcher,
    introspection: Box<RawValue>,
    /// What was wrong with the last configuration.
    problems: parking_lot::Mutex<Vec<String>>,
    /// Held during a health check, so that a later check cannot report before an earlier one.
    checking: Mutex<()>,
}

impl Dispatcher {
    /// Handles packets until `shutdown`, then answers the calls under way and stops the connector.
    pub async fn run(self, mut incoming: mpsc::Receiver<Incoming>, shutdown: CancellationToken) {
        let shared = Arc::new(Shared::new(self));
        let mut work = JoinSet::new();
        let mut health = interval_at(Instant::now() + HEALTH_PERIOD, HEALTH_PERIOD);
        health.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut configured = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(packet) = incoming.recv() => {
                    if matches!(packet.request, Request::SetConfig { .. }) {
                        // Its handler reports health by itself; the next report is due a period later.
                        configured = true;
                        health.reset();
                    }
                    shared.dispatch(packet, &mut work);
                }
                _ = health.tick(), if configured => {
                    work.spawn(shared.clone().report_health());
                }
                Some(ended) = work.join_next() => note_panic(ended),
            }
        }
        shared.drain(work).await;
    }
}

impl Shared {
    fn new(dispatcher: Dispatcher) -> Self {
        let introspection = raw(&introspection(dispatcher.connector.manifest()));
        Self {
            dispatcher,
            introspection,
            problems: parking_lot::Mutex::default(),
            checking: Mutex::default(),
        }
    }

    fn dispatch(self: &Arc<Self>, packet: Incoming, work: &mut JoinSet<()>) {
        let Incoming { request, reply } = packet;
        let shared = self.clone();
        match request {
            Request::SetConfig { secrets } => shared.configure(secrets, work),
            Request::Introspect => {
                work.spawn(async move { reply.answer(shared.introspection.clone()).await });
            }
            Request::Query(_) if work.len() >= CALLS => {
                let refusal = format!("overloaded: {CALLS} calls are under way; try again later");
                work.spawn(async move { reply.error(&refusal).await });
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

    /// Puts the configuration in force before the next packet is looked at; the rest may take time.
    fn configure(self: Arc<Self>, secrets: Map<String, Value>, work: &mut JoinSet<()>) {
        let Dispatcher { id, connector, keys, authorization, .. } = &self.dispatcher;
        let fields = connector.manifest().all_fields();
        let opened = configuration::open(secrets, &fields, keys.as_deref(), id, SystemTime::now());
        for problem in &opened.problems {
            tracing::warn!(connector = &**id, "configuration: {problem}");
        }
        *self.problems.lock() = opened.problems;
        let configuration = connector.configuration().with_workspace(opened.values);
        authorization.configure(&configuration);
        let retired = connector.configure(configuration);
        work.spawn(async move {
            self.dispatcher.connector.stop(retired).await;
            self.report_health().await;
        });
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
        match connector.call(&target, &variables, &context).await {
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

    async fn report_health(self: Arc<Self>) {
        let _one_at_a_time = self.checking.lock().await;
        let mut problems = self.problems.lock().clone();
        problems.extend(self.dispatcher.connector.problems().await);
        problems.extend(self.dispatcher.broker.health_problem());
        for problem in &problems {
            tracing::warn!(connector = &*self.dispatcher.id, "not well: {problem}");
        }
        self.dispatcher.link.health(&problems);
    }

    async fn drain(self: Arc<Self>, mut work: JoinSet<()>) {
        if !work.is_empty() {
            tracing::info!(connector = &*self.dispatcher.id, "finishing {} calls", work.len());
        }
        let all = async {
            while let Some(ended) = work.join_next().await {
                note_panic(ended);
            }
            self.dispatcher.connector.shut_down().await;
        };
        if timeout(DRAIN, all).await.is_err() {
            tracing::warn!(connector = &*self.dispatcher.id, "calls were cut off after {DRAIN:?}");
        }
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
