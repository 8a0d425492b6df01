//! One instance: what can be asked of it, and what becomes of it.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::time::{Instant, timeout_at};
use wasmtime::Store;

use super::bindings::aloma::connector::types;
use super::bindings::exports::aloma::connector::actions::Manifest;
use super::bindings::{Connector as Guest, ConnectorPre};
use super::config::Configuration;
use super::engine::Engine;
use super::error::{CallError, Failure};
use super::host::journal::Journal;
use super::json;
use super::limits;
use super::meter::Meter;
use super::sandbox::{self, Furniture, Services, State};
use super::trap::explain;
use crate::broker::Scope;
use crate::envelope::{Limit, Limits};
use crate::fair::Seat;

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

/// Something that an instance can be asked to do. Texts are JSON.
#[derive(Clone, Copy, Debug)]
pub(super) enum Job<'a> {
    Start,
    Stop { shutdown: bool },
    HealthCheck,
    ConfigCheck { fields: &'a str },
    Action { name: &'a str, arguments: &'a str },
    Autocomplete { arguments: &'a str },
    Endpoint { arguments: &'a str },
    Fallback { name: &'a str, arguments: &'a str },
}

impl Job<'_> {
    /// What it is, where it is not a call.
    fn hook(self) -> Option<&'static str> {
        match self {
            Self::Start => Some("`start`"),
            Self::Stop { .. } => Some("`stop`"),
            Self::HealthCheck => Some("its health check"),
            Self::ConfigCheck { .. } => Some("its configuration check"),
            _ => None,
        }
    }

    fn time(self) -> Limit {
        if self.hook().is_some() { Limit::HookTime } else { Limit::CallTime }
    }

    /// Says what was running, where that was no call.
    fn named(self, error: CallError) -> CallError {
        match (error, self.hook()) {
            (CallError::Limit(breach), Some(during)) => CallError::LimitOfHook { during, breach },
            (error, _) => error,
        }
    }
}

/// A guest in its store. Serves one job at a time.
pub(super) struct Instance {
    /// It is large, and instances are moved often.
    guest: Box<Guest>,
    store: Store<State>,
    meter: Arc<Meter>,
    calls: usize,
    /// The configuration that it was made with.
    pub(super) generation: u64,
    /// Whether it trapped or was stopped: then nothing can be called any more.
    broken: bool,
    /// Its room among all instances of the process.
    _room: Seat,
}

/// What an instance is made of.
pub(super) struct Parts {
    pub connector: Arc<str>,
    pub services: Option<Services>,
    pub configuration: Arc<Configuration>,
    pub generation: u64,
    pub journal: Arc<Journal>,
    pub limits: Arc<Limits>,
    /// Bytes of memory of all instances of the connector.
    pub together: Arc<AtomicUsize>,
}

impl Instance {
    /// Makes an instance, unless there is no room before it is too late. Runs the component's own
    /// initialisation, so it has a time limit.
    pub(super) async fn new(
        pre: &ConnectorPre<State>,
        engine: &Engine,
        parts: Parts,
        late: Instant,
    ) -> Result<Self, CallError> {
        let Parts { connector, services, configuration, generation, journal, limits, together } =
            parts;
        let room = timeout_at(late, engine.room(&connector)).await;
        let room = room.map_err(|_| limits.breach(Limit::QueueTime))?;
        let meter = Meter::new(engine.clone(), connector, &limits);
        let time = Limit::DescribeTime;
        let (until, late) = (Instant::now() + limits.time(time), limits.breach(time));
        let furniture =
            Furniture { services, configuration, journal, limits, together, meter: meter.clone() };
        let mut store = sandbox::store(engine, furniture);
        store.set_epoch_deadline(1);
        let made = timeout_at(until, meter.run(pre.instantiate_async(&mut store))).await;
        let guest = match made {
            Err(_) => return Err(making(late.into())),
            Ok(Err(breach)) => return Err(making(breach.into())),
            Ok(Ok(Err(error))) => return Err(making(explain(&error, store.data()))),
            Ok(Ok(Ok(guest))) => guest,
        };
        Ok(Self {
            guest: Box::new(guest),
            store,
            meter,
            calls: 0,
            generation,
            broken: false,
            _room: room,
        })
    }

    /// Whether nothing can be called any more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether it may serve another job. One that leaks goes before a call has to suffer for it.
    pub(super) fn is_fit(&mut self) -> bool {
        // Handles are counted one by one, so not after each call.
        let looks = self.calls.is_multiple_of(limits::CALLS_BETWEEN_LOOKS);
        !self.broken
            && self.calls < self.limits().count(Limit::CallsPerInstance)
            && self.store.data().memory.has_room()
            && (!looks || self.store.data_mut().has_handles())
    }

    fn limits(&self) -> &Limits {
        &self.store.data().limits
    }

    /// Does one job within its limits. A failure is the guest's own word; every other error breaks
    /// the instance. What the guest says holds no secret any more.
    pub(super) async fn perform(
        &mut self,
        job: Job<'_>,
        context: &Context,
    ) -> Result<String, CallError> {
        let deadline = self.enter(context.call.clone(), job.time());
        let meter = self.meter.clone();
        let outcome = {
            // Pinned here, since it is large and each that takes it would move it.
            let call = pin!(self.call(job, context));
            timeout_at(deadline, meter.run(call)).await
        };
        self.calls += 1;
        self.store.data_mut().leave();
        let error = match outcome {
            // Its requests end at the same moment, and what it makes of that is no result.
            Ok(Ok(Ok(answer))) if Instant::now() < deadline => return self.scrubbed(answer),
            Ok(Ok(Err(error))) => explain(&error, self.store.data()),
            Ok(Err(breach)) => breach.into(),
            Ok(Ok(Ok(_))) | Err(_) => self.limits().breach(job.time()).into(),
        };
        self.broken = true;
        Err(job.named(error))
    }

    fn scrubbed(&self, answer: Answer) -> Result<String, CallError> {
        if let Ok(text) = &answer {
            let fits = json::check_size(text.len(), self.limits());
            fits.map_err(|breach| CallError::BadResult(breach.into()))?;
        }
        let vault = self.store.data().configuration.vault();
        answer.map(|text| vault.scrub(text)).map_err(|failure| {
            let cut = |text: String| vault.scrub_and_cut(&text, limits::FAILURE_TEXT);
            Failure::from(failure).map(cut).into()
        })
    }

    /// Asks the guest what it is.
    pub(super) async fn describe(&mut self) -> Result<Manifest, CallError> {
        let deadline = self.enter(None, Limit::DescribeTime);
        let meter = self.meter.clone();
        let asked = self.guest.aloma_connector_actions().call_describe(&mut self.store);
        let outcome = timeout_at(deadline, meter.run(asked)).await;
        self.store.data_mut().leave();
        let error = match outcome {
            Ok(Ok(described)) => {
                return described.map_err(|error| explain(&error, self.store.data()));
            }
            Ok(Err(breach)) => breach,
            Err(_) => self.limits().breach(Limit::DescribeTime),
        };
        Err(CallError::LimitOfHook { during: "`describe`", breach: error })
    }

    /// Begins a job. Gives when it has to be done.
    fn enter(&mut self, call: Option<Arc<str>>, time: Limit) -> Instant {
        let deadline = Instant::now() + self.limits().time(time);
        let state = self.store.data_mut();
        state.memory.forget();
        let vault = state.configuration.vault().clone();
        let allowance = state.allowance();
        state.enter(Scope { call, deadline, vault, allowance });
        self.store.set_epoch_deadline(1);
        deadline
    }

    async fn call(&mut self, job: Job<'_>, context: &Context) -> wasmtime::Result<Answer> {
        let store = &mut self.store;
        let actions = self.guest.aloma_connector_actions();
        let lifecycle = self.guest.aloma_connector_lifecycle();
        let nothing = |answer: Result<(), types::Failure>| answer.map(|()| String::new());
        Ok(match job {
            Job::Start => nothing(lifecycle.call_start(store).await?),
            Job::Stop { shutdown } => nothing(lifecycle.call_stop(store, shutdown).await?),
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

fn making(error: CallError) -> CallError {
    match error {
        CallError::Limit(breach) => CallError::LimitOfHook { during: "making an instance", breach },
        error => error,
    }
}
