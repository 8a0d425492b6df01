//! The connector room: wasm, and the only place that names wasmtime.
//!
//! A file becomes a [`Loaded`] connector; with services and a configuration it becomes a running
//! [`Connector`], which keeps a pool of instances and answers calls.

mod bindings;
pub mod code;
pub mod config;
mod declared;
mod describe;
pub mod engine;
mod error;
pub mod host;
mod instance;
mod json;
mod known;
pub mod limits;
mod load;
mod meter;
mod pool;
mod queue;
mod sandbox;
mod schema;
mod trap;
mod trial;

use std::panic::resume_unwind;
use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::sync::{Semaphore, SemaphorePermit};

pub use self::code::cache::Cache;
pub use self::code::compiler::Compiler;
pub use self::config::{Configuration, Values, plain_fields, secret_fields};
pub use self::declared::declared_credential;
pub use self::engine::Engine;
pub use self::error::{CallError, Failure};
pub use self::host::workspace::{Answer, Blob, NewBlob, Workspace};
pub use self::instance::Context;
pub use self::load::{Loaded, Loader};
pub use self::pool::Isolation;
pub use self::sandbox::Services;

use self::instance::Job;
use self::pool::Pool;
use crate::envelope::Limits;
use crate::events::Events;
use crate::manifest::Manifest;

/// A running connector. Calls run at once, each in an instance of its own.
pub struct Connector {
    manifest: Arc<Manifest>,
    schemas: Arc<load::Schemas>,
    /// The turn of checks that take long.
    checks: Arc<Semaphore>,
    pool: Pool,
}

/// What a loaded connector needs to run.
pub struct Settings {
    /// The id that logs and events name.
    pub id: Arc<str>,
    /// What the host does for it.
    pub services: Services,
    /// The configuration that it begins with.
    pub configuration: Configuration,
    /// What it may use up.
    pub limits: Arc<Limits>,
    /// Whether calls share instances.
    pub isolation: Isolation,
    /// Where its log lines are told.
    pub events: Events,
}

/// What came of a call.
pub struct Done<'a> {
    /// The result: any JSON.
    pub json: Box<RawValue>,
    /// The call's place among those that run at once. Results are large, so whoever passes one on
    /// keeps it until the result is on its way: then there are no more of them than calls.
    pub place: SemaphorePermit<'a>,
}

/// What a call is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One of the described actions.
    Action(String),
    /// A name that is none.
    Fallback(String),
    /// Suggestions for a field.
    Autocomplete,
    /// Data for the endpoint.
    Endpoint,
}

impl Connector {
    /// Makes a connector ready for calls. No instance is made yet.
    pub fn new(loaded: Loaded, settings: Settings) -> Self {
        let Loaded { manifest, schemas, pre, engine, .. } = loaded;
        let checks = Arc::new(Semaphore::new(1));
        Self { manifest, schemas, checks, pool: Pool::new(engine, pre, settings) }
    }

    /// What the connector says of itself.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// The configuration in force.
    pub fn configuration(&self) -> Arc<Configuration> {
        self.pool.configuration()
    }

    /// Calls an action, or whatever else the target is. The result is any JSON.
    ///
    /// # Errors
    /// Every error is about this call alone: the next one finds a working connector.
    pub async fn call(
        &self,
        target: &Target,
        arguments: &RawValue,
        context: &Context,
    ) -> Result<Done<'_>, CallError> {
        json::check_size(arguments.get().len(), self.pool.limits())?;
        let job = job(target, arguments.get());
        let (text, place) = match self.check(target, arguments)? {
            None => self.pool.perform(job, context).await?,
            // Boxed, because few calls have such: the room for it would be part of every other.
            Some(name) => {
                let check = self.check_aside(name, arguments);
                Box::pin(self.pool.perform_after(check, job, context)).await?
            }
        };
        let json = json::result(text, self.pool.limits()).map_err(CallError::BadResult)?;
        Ok(Done { json, place })
    }

    /// Checks an action's arguments, unless that takes long: gives the name of the action then.
    fn check<'a>(
        &self,
        target: &'a Target,
        arguments: &RawValue,
    ) -> Result<Option<&'a str>, CallError> {
        let Target::Action(name) = target else { return Ok(None) };
        let Some(schema) = self.schemas.get(name) else { return Ok(None) };
        if !schema.is_quick(arguments) {
            return Ok(Some(name));
        }
        schema.check(name, arguments).map_err(CallError::InvalidArguments)?;
        Ok(None)
    }

    /// Checks arguments on a thread where nobody waits behind it. One at a time: a connector whose
    /// checks take long takes no more of the CPUs, also when nobody waits for them any more.
    async fn check_aside(&self, name: &str, arguments: &RawValue) -> Result<(), CallError> {
        let turn = self.checks.clone().acquire_owned().await;
        let turn = turn.map_err(|_| CallError::ShuttingDown)?;
        let (schemas, name) = (self.schemas.clone(), name.to_owned());
        let arguments = arguments.to_owned();
        let check = move || {
            let _turn = turn;
            schemas.get(&name).map_or(Ok(()), |schema| schema.check(&name, &arguments))
        };
        match tokio::task::spawn_blocking(check).await {
            Ok(checked) => checked.map_err(CallError::InvalidArguments),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(CallError::ShuttingDown),
            },
        }
    }

    /// Puts another configuration in force. Calls under way finish with the old one; every later
    /// call gets an instance that was started with this one.
    pub fn configure(&self, configuration: Configuration) {
        self.pool.configure(configuration);
    }

    /// Stops instances of old configurations and those that were idle for long. Never ends: whoever
    /// runs the connector runs this beside it.
    pub async fn keep_house(&self) {
        self.pool.keep_house().await;
    }

    /// What is wrong with the connector: its start, health check and configuration check. Empty
    /// when it is well.
    pub async fn problems(&self) -> Vec<String> {
        let configuration = self.configuration();
        let fields = configuration.to_json();
        let jobs = [Job::HealthCheck, Job::ConfigCheck { fields: &fields }];
        let found = self.pool.check(&jobs).await;
        let found = found.iter().map(ToString::to_string);
        configuration.problems().into_iter().chain(found).collect()
    }

    /// The same as [`Self::shut_down`] for a connector of which another version goes on: its instances
    /// are told so.
    pub async fn retire(&self) {
        self.pool.stop_all(self.pool.close(), false).await;
    }

    /// Refuses later calls and stops every instance that no call holds. Those of calls under way go
    /// with their calls.
    pub async fn shut_down(&self) {
        self.pool.stop_all(self.pool.close(), true).await;
    }
}

fn job<'a>(target: &'a Target, arguments: &'a str) -> Job<'a> {
    match target {
        Target::Action(name) => Job::Action { name, arguments },
        Target::Fallback(name) => Job::Fallback { name, arguments },
        Target::Autocomplete => Job::Autocomplete { arguments },
        Target::Endpoint => Job::Endpoint { arguments },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the future that a function makes.
    fn size<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_call_has_no_room_for_a_check_that_takes_long() {
        let perform = size(|(pool, job, context): (&'static Pool, Job<'static>, _)| {
            pool.perform(job, context)
        });
        type Call = (&'static Connector, &'static Target, &'static RawValue, &'static Context);
        let call = size(|(connector, target, arguments, context): Call| {
            connector.call(target, arguments, context)
        });
        assert!(call < perform + 200, "{call} bytes, of which the performance takes {perform}");
    }
}
