//! One instance: what can be asked of it, and what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use wasmtime::Store;

use super::bindings::aloma::connector::types;
use super::bindings::exports::aloma::connector::actions::Manifest;
use super::bindings::{Connector as Guest, ConnectorPre};
use super::engine::{Engine, Ticking};
use super::error::{CallError, Failure};
use super::limits;
use super::sandbox::State;
use crate::broker::Scope;

/// What comes with a call, beside its arguments.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The call's id.
    pub call: Option<Arc<str>>,
    /// The workspace's task.
    pub task_id: Option<String>,
    /// As the workspace sent it.
    pub namespace: Option<String>,
    /// As the workspace sent it.
    pub sticky: Option<String>,
}

/// Something that an instance can be asked to do.
#[derive(Clone, Debug)]
pub(super) enum Job {
    Start,
    Stop { shutdown: bool },
    HealthCheck,
    ConfigCheck { fields: String },
    Action { name: String, arguments: String },
    Autocomplete { arguments: String },
    Endpoint { arguments: String },
    Fallback { name: String, arguments: String },
}

impl Job {
    fn timed_out(&self, limit: Duration) -> CallError {
        let what = match self {
            Self::Start => "`start`",
            Self::Stop { .. } => "`stop`",
            Self::HealthCheck => "its health check",
            Self::ConfigCheck { .. } => "its configuration check",
            _ => return CallError::TimedOut(limit),
        };
        CallError::HookTimedOut { what, limit }
    }
}

/// A guest in its store. Serves one job at a time.
pub(super) struct Instance {
    guest: Guest,
    store: Store<State>,
    engine: Engine,
    calls: u32,
    /// The configuration that it was made with.
    pub(super) generation: u64,
    /// Whether it trapped or was stopped: then nothing can be called any more.
    broken: bool,
}

impl Instance {
    /// Makes an instance. Runs the component's own initialisation, so it has a time limit.
    pub(super) async fn new(
        pre: &ConnectorPre<State>,
        mut store: Store<State>,
        engine: &Engine,
        generation: u64,
    ) -> Result<Self, CallError> {
        let limit = limits::DESCRIBE_TIME;
        let ticking = engine.ticking();
        store.set_epoch_deadline(1);
        let made = tokio::time::timeout(limit, pre.instantiate_async(&mut store)).await;
        drop(ticking);
        let guest = match made {
            Err(_) => return Err(CallError::HookTimedOut { what: "making an instance", limit }),
            Ok(Err(error)) => return Err(explain(&error, store.data())),
            Ok(Ok(guest)) => guest,
        };
        Ok(Self { guest, store, engine: engine.clone(), calls: 0, generation, broken: false })
    }

    /// Whether nothing can be called any more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether it may serve another job.
    pub(super) fn is_fit(&self) -> bool {
        !self.broken && self.calls < limits::CALLS_PER_INSTANCE
    }

    /// Does one job within its time limit. A failure is the guest's own word; every other error
    /// breaks the instance. What the guest says holds no secret any more.
    pub(super) async fn perform(
        &mut self,
        job: &Job,
        context: &Context,
        limit: Duration,
    ) -> Result<String, CallError> {
        let _ticking = self.enter(context.call.clone(), limit);
        let deadline = self.store.data().scope().deadline;
        let outcome = timeout_at(deadline, self.call(job, context)).await;
        self.calls += 1;
        self.store.data_mut().leave();
        match outcome {
            Ok(Ok(answer)) => self.scrubbed(answer),
            Ok(Err(error)) => {
                self.broken = true;
                Err(explain(&error, self.store.data()))
            }
            Err(_) => {
                self.broken = true;
                Err(job.timed_out(limit))
            }
        }
    }

    fn scrubbed(&self, answer: Answer) -> Result<String, CallError> {
        let vault = self.store.data().configuration.vault();
        let scrub = |text| vault.scrub(text);
        answer.map(scrub).map_err(|failure| Failure::from(failure).map(scrub).into())
    }

    /// Asks the guest what it is.
    pub(super) async fn describe(&mut self) -> Result<Manifest, CallError> {
        let limit = limits::DESCRIBE_TIME;
        let _ticking = self.enter(None, limit);
        let asked = self.guest.aloma_connector_actions().call_describe(&mut self.store);
        let outcome = tokio::time::timeout(limit, asked).await;
        self.store.data_mut().leave();
        match outcome {
            Ok(described) => described.map_err(|error| explain(&error, self.store.data())),
            Err(_) => Err(CallError::HookTimedOut { what: "`describe`", limit }),
        }
    }

    fn enter(&mut self, call: Option<Arc<str>>, limit: Duration) -> Ticking {
        let state = self.store.data_mut();
        state.memory.forget();
        let vault = state.configuration.vault().clone();
        let (deadline, allowance) = (Instant::now() + limit, state.allowance());
        state.enter(Scope { call, deadline, vault, allowance });
        self.store.set_epoch_deadline(1);
        self.engine.ticking()
    }

    async fn call(&mut self, job: &Job, context: &Context) -> wasmtime::Result<Answer> {
        let store = &mut self.store;
        let actions = self.guest.aloma_connector_actions();
        let lifecycle = self.guest.aloma_connector_lifecycle();
        let nothing = |answer: Result<(), types::Failure>| answer.map(|()| String::new());
        Ok(match job {
            Job::Start => nothing(lifecycle.call_start(store).await?),
            Job::Stop { shutdown } => nothing(lifecycle.call_stop(store, *shutdown).await?),
            Job::HealthCheck => nothing(lifecycle.call_health_check(store).await?),
            Job::ConfigCheck { fields } => {
                nothing(lifecycle.call_config_check(store, fields).await?)
            }
            Job::Action { name, arguments } => {
                actions.call_invoke(store, name, arguments, &context.into()).await?
            }
            Job::Autocomplete { arguments } => {
                lifecycle.call_autocomplete(store, arguments, &context.into()).await?
            }
            Job::Endpoint { arguments } => {
                lifecycle.call_endpoint(store, arguments, &context.into()).await?
            }
            Job::Fallback { name, arguments } => {
                lifecycle.call_fallback(store, name, arguments, &context.into()).await?
            }
        })
    }
}

type Answer = Result<String, types::Failure>;

impl From<&Context> for types::Context {
    fn from(context: &Context) -> Self {
        Self {
            call_id: context.call.as_deref().unwrap_or_default().to_owned(),
            task_id: context.task_id.clone(),
            namespace: context.namespace.clone(),
            sticky: context.sticky.clone(),
        }
    }
}

/// Says in a few words why a guest trapped. The whole story goes to the log.
fn explain(error: &wasmtime::Error, state: &State) -> CallError {
    tracing::debug!("trap: {error:?}");
    let why = match error.downcast_ref::<wasmtime::Trap>() {
        Some(wasmtime::Trap::StackOverflow) => "its recursion went too deep".to_owned(),
        Some(wasmtime::Trap::UnreachableCodeReached) => {
            // What a program does when an allocation fails; with none refused it is a panic.
            return state.memory.refused().cloned().unwrap_or_else(panicked);
        }
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    CallError::Crashed(why)
}

fn panicked() -> CallError {
    CallError::Crashed("it panicked".to_owned())
}
