//! The instances of one connector: reused one call at a time, made when needed, thrown away when
//! broken or outdated.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Settings;
use super::bindings::ConnectorPre;
use super::config::Configuration;
use super::engine::Engine;
use super::error::CallError;
use super::host::journal::Journal;
use super::instance::{Context, Instance, Job};
use super::limits;
use super::sandbox::{self, Limits, Services, State};
use crate::events::Events;

pub(super) struct Pool {
    engine: Engine,
    pre: ConnectorPre<State>,
    id: Arc<str>,
    services: Services,
    limits: Limits,
    events: Events,
    places: Semaphore,
    waiting: AtomicUsize,
    inner: Mutex<Inner>,
}

struct Inner {
    configuration: Arc<Configuration>,
    /// Counts configurations, so that an instance of an old one is not reused.
    generation: u64,
    idle: Vec<Instance>,
}

impl Pool {
    pub(super) fn new(engine: Engine, pre: ConnectorPre<State>, settings: Settings) -> Self {
        let Settings { id, services, configuration, limits, events } = settings;
        let configuration = Arc::new(configuration);
        Self {
            engine,
            pre,
            id,
            services,
            limits,
            events,
            places: Semaphore::new(limits.concurrency),
            waiting: AtomicUsize::new(0),
            inner: Mutex::new(Inner { configuration, generation: 0, idle: Vec::new() }),
        }
    }

    /// Does a job in an instance of its own, when there is room.
    pub(super) async fn perform(&self, job: &Job, context: &Context) -> Result<String, CallError> {
        let _place = self.place().await?;
        let mut instance = self.instance().await?;
        let outcome = instance.perform(job, context, self.time(job)).await;
        self.put_back(instance).await;
        outcome
    }

    fn time(&self, job: &Job) -> std::time::Duration {
        match job {
            Job::Start | Job::Stop { .. } | Job::HealthCheck | Job::ConfigCheck { .. } => {
                limits::LIFECYCLE_TIME
            }
            _ => self.limits.call_time,
        }
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>, CallError> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let waiting = Waiting::join(&self.waiting)?;
        let place = self.places.acquire().await.map_err(|_| CallError::ShuttingDown);
        drop(waiting);
        place
    }

    /// An idle instance of the configuration in force, or a new one that has started.
    async fn instance(&self) -> Result<Instance, CallError> {
        let (configuration, generation) = {
            let mut inner = self.inner.lock();
            if let Some(instance) = inner.idle.pop() {
                return Ok(instance);
            }
            (inner.configuration.clone(), inner.generation)
        };
        let vault = configuration.vault().clone();
        let journal = Arc::new(Journal::new(self.id.clone(), self.events.clone(), vault));
        let services = Some(self.services.clone());
        let store =
            sandbox::store(&self.engine, services, configuration, journal, self.limits.memory);
        let mut instance = Instance::new(&self.pre, store, &self.engine, generation).await?;
        let started =
            instance.perform(&Job::Start, &Context::default(), limits::LIFECYCLE_TIME).await;
        started.map_err(|error| CallError::NotStarted(error.to_string()))?;
        Ok(instance)
    }

    /// Keeps an instance for the next call. One that has had its day is stopped instead.
    async fn put_back(&self, mut instance: Instance) {
        {
            let mut inner = self.inner.lock();
            let current = instance.generation == inner.generation;
            if current && instance.is_fit() && !self.places.is_closed() {
                inner.idle.push(instance);
                return;
            }
        }
        self.stop(&mut instance, self.places.is_closed()).await;
    }

    /// Tells an instance that it goes. What it says to that is for the log.
    pub(super) async fn stop(&self, instance: &mut Instance, shutdown: bool) {
        if instance.is_broken() {
            return;
        }
        let job = Job::Stop { shutdown };
        let stopped = instance.perform(&job, &Context::default(), limits::LIFECYCLE_TIME).await;
        if let Err(error) = stopped {
            tracing::warn!(connector = &*self.id, "stop: {error}");
        }
    }

    pub(super) fn configuration(&self) -> Arc<Configuration> {
        self.inner.lock().configuration.clone()
    }

    /// Puts a configuration in force and gives the instances of the old one, to be stopped.
    pub(super) fn configure(&self, configuration: Configuration) -> Vec<Instance> {
        let mut inner = self.inner.lock();
        inner.configuration = Arc::new(configuration);
        inner.generation += 1;
        std::mem::take(&mut inner.idle)
    }

    /// Lets no further call in, waits for those inside, and gives the instances, to be stopped.
    pub(super) async fn close(&self) -> Vec<Instance> {
        let all = u32::try_from(self.limits.concurrency).unwrap_or(u32::MAX);
        let everybody = self.places.acquire_many(all).await;
        self.places.close();
        drop(everybody);
        std::mem::take(&mut self.inner.lock().idle)
    }
}

/// One call in the queue.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn join(count: &'a AtomicUsize) -> Result<Self, CallError> {
        let waiting = count.fetch_add(1, Ordering::Relaxed);
        let place = Self(count);
        if waiting >= limits::WAITING { Err(CallError::Overloaded { waiting }) } else { Ok(place) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
