//! The instances of one connector: reused one call at a time, made when needed, thrown away when
//! broken or outdated.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, TryAcquireError};
use tokio::time::{Instant, timeout};

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
    pre: Arc<ConnectorPre<State>>,
    id: Arc<str>,
    services: Services,
    limits: Limits,
    events: Events,
    places: Semaphore,
    waiting: AtomicUsize,
    inner: Mutex<Inner>,
    /// Told when an instance is retired.
    retired: Notify,
}

struct Inner {
    configuration: Arc<Configuration>,
    /// Counts configurations, so that an instance of an old one is not reused.
    generation: u64,
    /// The last one to come back is the first to go out, so that the others grow old.
    idle: Vec<Idle>,
    /// Instances that are still to be told that they go.
    retired: Vec<Instance>,
}

struct Idle {
    instance: Instance,
    since: Instant,
}

impl Pool {
    pub(super) fn new(engine: Engine, pre: Arc<ConnectorPre<State>>, settings: Settings) -> Self {
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
            inner: Mutex::new(Inner {
                configuration,
                generation: 0,
                idle: Vec::new(),
                retired: Vec::new(),
            }),
            retired: Notify::new(),
        }
    }

    /// Does a job in an instance of its own, when there is room.
    pub(super) async fn perform(&self, job: &Job, context: &Context) -> Result<String, CallError> {
        let _place = self.place().await?;
        self.perform_aside(job, context).await
    }

    /// Does a job beside the calls, however many there are: a busy connector is not an ill one.
    pub(super) async fn perform_aside(
        &self,
        job: &Job,
        context: &Context,
    ) -> Result<String, CallError> {
        let mut instance = self.instance().await?;
        let outcome = instance.perform(job, context, self.time(job)).await;
        self.put_back(instance);
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
        match self.places.try_acquire() {
            Ok(place) => return Ok(place),
            Err(TryAcquireError::Closed) => return Err(CallError::ShuttingDown),
            Err(TryAcquireError::NoPermits) => {}
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
            if let Some(idle) = inner.idle.pop() {
                return Ok(idle.instance);
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

    /// Keeps an instance for the next call, or retires it when it has had its day.
    fn put_back(&self, instance: Instance) {
        if instance.is_broken() {
            return;
        }
        let mut inner = self.inner.lock();
        if instance.generation == inner.generation && instance.is_fit() {
            inner.idle.push(Idle { instance, since: Instant::now() });
        } else {
            self.retire(&mut inner, instance);
        }
    }

    /// Puts an instance aside, to be told later that it goes: nobody who waits for a result waits for
    /// that.
    fn retire(&self, inner: &mut Inner, instance: Instance) {
        // Guests whose `stop` hangs must not pile up under a flood of configurations.
        if inner.retired.len() < self.limits.concurrency.saturating_mul(2) {
            inner.retired.push(instance);
        }
        self.retired.notify_one();
    }

    /// Tells retired instances that they go, and retires those that were idle for too long. Runs for
    /// as long as the connector does.
    pub(super) async fn keep_house(&self) {
        loop {
            // A late look only keeps an instance a little longer.
            let _ = timeout(limits::IDLE, self.retired.notified()).await;
            self.retire_idle();
            let retired = std::mem::take(&mut self.inner.lock().retired);
            self.stop_all(retired, false).await;
        }
    }

    fn retire_idle(&self) {
        let mut inner = self.inner.lock();
        let old = inner.idle.extract_if(.., |idle| idle.since.elapsed() >= limits::IDLE);
        let old: Vec<_> = old.map(|idle| idle.instance).collect();
        inner.retired.extend(old);
    }

    /// Tells instances that they go, all at once. What they say to that is for the log.
    pub(super) async fn stop_all(&self, instances: Vec<Instance>, shutdown: bool) {
        let stop = async |mut instance: Instance| {
            let job = Job::Stop { shutdown };
            let stopped = instance.perform(&job, &Context::default(), self.time(&job)).await;
            if let Err(error) = stopped {
                tracing::warn!(connector = &*self.id, "stop: {error}");
            }
        };
        join_all(instances.into_iter().map(stop)).await;
    }

    pub(super) fn configuration(&self) -> Arc<Configuration> {
        self.inner.lock().configuration.clone()
    }

    /// Puts a configuration in force. The instances of the old one are retired.
    pub(super) fn configure(&self, configuration: Configuration) {
        let mut inner = self.inner.lock();
        inner.configuration = Arc::new(configuration);
        inner.generation += 1;
        for idle in std::mem::take(&mut inner.idle) {
            self.retire(&mut inner, idle.instance);
        }
    }

    /// Lets no further call in, and gives the instances that no call holds, to be stopped.
    pub(super) fn close(&self) -> Vec<Instance> {
        self.places.close();
        let mut inner = self.inner.lock();
        let idle = std::mem::take(&mut inner.idle).into_iter().map(|idle| idle.instance);
        idle.chain(std::mem::take(&mut inner.retired)).collect()
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
