//! The instances of one connector: reused one call at a time, made when needed, thrown away when
//! broken or outdated.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::{Notify, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

use super::Settings;
use super::bindings::ConnectorPre;
use super::config::Configuration;
use super::engine::Engine;
use super::error::CallError;
use super::host::journal::Journal;
use super::instance::{Context, Instance, Job, Parts};
use super::queue::Queue;
use super::sandbox::{Services, State};
use crate::envelope::{Limit, Limits};
use crate::events::Events;

/// Whether calls share instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// An instance serves one call after the other, so that a controller keeps what it caches.
    #[default]
    Reuse,
    /// Every call has an instance of its own, which is dropped afterwards without `stop`.
    Call,
}

pub(super) struct Pool {
    engine: Engine,
    pre: Arc<ConnectorPre<State>>,
    id: Arc<str>,
    services: Services,
    limits: Arc<Limits>,
    /// Bytes of memory of all instances.
    together: Arc<AtomicUsize>,
    isolation: Isolation,
    events: Events,
    queue: Queue,
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
        let Settings { id, services, configuration, limits, isolation, events } = settings;
        let configuration = Arc::new(configuration);
        Self {
            engine,
            pre,
            id,
            services,
            queue: Queue::new(&limits),
            together: Arc::default(),
            limits,
            isolation,
            events,
            inner: Mutex::new(Inner {
                configuration,
                generation: 0,
                idle: Vec::new(),
                retired: Vec::new(),
            }),
            retired: Notify::new(),
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Does a job in an instance of its own, when there is room. With the answer comes the call's
    /// place, which others wait for.
    pub(super) async fn perform(
        &self,
        job: Job<'_>,
        context: &Context,
    ) -> Result<(String, SemaphorePermit<'_>), CallError> {
        let late = Instant::now() + self.limits.time(Limit::QueueTime);
        let place = self.queue.place(late).await?;
        Ok((self.perform_by(late, job, context).await?, place))
    }

    /// The same for a job that something else comes before, which has to be done by the time that an
    /// instance has to be there.
    pub(super) async fn perform_after(
        &self,
        first: impl Future<Output = Result<(), CallError>>,
        job: Job<'_>,
        context: &Context,
    ) -> Result<(String, SemaphorePermit<'_>), CallError> {
        let late = Instant::now() + self.limits.time(Limit::QueueTime);
        let place = self.queue.place(late).await?;
        timeout_at(late, first).await.map_err(|_| self.limits.breach(Limit::QueueTime))??;
        Ok((self.perform_by(late, job, context).await?, place))
    }

    /// Does jobs beside the calls, however many there are: a busy connector is not an ill one. Gives
    /// what went wrong; after a fault that is not the connector's own word there would only be more.
    ///
    /// An idle instance that serves for this is as old afterwards as before, and one that is made for
    /// it goes with it: a connector that is only looked after holds no memory.
    pub(super) async fn check(&self, jobs: &[Job<'_>]) -> Vec<CallError> {
        let idle = self.inner.lock().idle.pop();
        let late = Instant::now() + self.limits.time(Limit::QueueTime);
        let (mut instance, since) = match idle {
            Some(Idle { instance, since }) => (instance, Some(since)),
            None => match Box::pin(self.make(late)).await {
                Ok(instance) => (instance, None),
                Err(error) => return vec![error],
            },
        };
        let mut errors = Vec::new();
        for job in jobs {
            errors.extend(instance.perform(*job, &Context::default()).await.err());
            if instance.is_broken() {
                break;
            }
        }
        self.put_back(instance, since);
        errors
    }

    async fn perform_by(
        &self,
        late: Instant,
        job: Job<'_>,
        context: &Context,
    ) -> Result<String, CallError> {
        let idle = self.inner.lock().idle.pop();
        let mut instance = match idle {
            Some(idle) => idle.instance,
            // Boxed, because most calls find one: the room for making it would be half of theirs.
            None => Box::pin(self.make(late)).await?,
        };
        let outcome = instance.perform(job, context).await;
        self.put_back(instance, Some(Instant::now()));
        outcome
    }

    /// A new instance of the configuration in force, which has started.
    async fn make(&self, late: Instant) -> Result<Instance, CallError> {
        let (configuration, generation) = {
            let inner = self.inner.lock();
            (inner.configuration.clone(), inner.generation)
        };
        let vault = configuration.vault().clone();
        let journal =
            Journal::new(self.id.clone(), self.events.clone(), vault, self.limits.clone());
        let parts = Parts {
            connector: self.id.clone(),
            services: Some(self.services.clone()),
            configuration,
            generation,
            journal: Arc::new(journal),
            limits: self.limits.clone(),
            together: self.together.clone(),
        };
        let mut instance = Instance::new(&self.pre, &self.engine, parts, late).await?;
        let started = instance.perform(Job::Start, &Context::default()).await;
        started.map_err(|error| CallError::NotStarted(error.to_string()))?;
        Ok(instance)
    }

    /// Keeps an instance that is idle since then for the next call, or retires it when it has had its
    /// day.
    fn put_back(&self, mut instance: Instance, since: Option<Instant>) {
        if instance.is_broken() || self.isolation == Isolation::Call {
            return;
        }
        let mut inner = self.inner.lock();
        let is_current = instance.generation == inner.generation && instance.is_fit();
        match since.filter(|_| is_current && self.has_room()) {
            Some(since) => inner.idle.push(Idle { instance, since }),
            None => self.retire(&mut inner, instance),
        }
    }

    /// Whether there is room for idle instances: others of the process do not wait for it, and calls
    /// find enough of the memory that all instances may have together.
    fn has_room(&self) -> bool {
        let together = self.together.load(Ordering::Relaxed);
        !self.engine.is_crowded() && together <= self.limits.bytes(Limit::TotalMemory) / 2
    }

    /// Puts an instance aside, to be told later that it goes: nobody who waits for a result waits for
    /// that.
    fn retire(&self, inner: &mut Inner, instance: Instance) {
        // Guests whose `stop` hangs must not pile up under a flood of configurations.
        if inner.retired.len() < self.limits.count(Limit::Concurrency).saturating_mul(2) {
            inner.retired.push(instance);
        }
        self.retired.notify_one();
    }

    /// Tells retired instances that they go, and retires those that were idle for too long, or that
    /// hold the room that others wait for. Runs for as long as the connector does.
    pub(super) async fn keep_house(&self) {
        loop {
            let mut crowded = pin!(self.engine.crowded());
            // From here on nobody is missed.
            crowded.as_mut().enable();
            self.retire_idle();
            let retired = std::mem::take(&mut self.inner.lock().retired);
            if !retired.is_empty() {
                self.stop_all(retired, false).await;
                // There may be more.
                continue;
            }
            // A late look only keeps an instance a little longer.
            tokio::select! {
                _ = timeout(self.limits.time(Limit::IdleTime), self.retired.notified()) => {}
                () = crowded => {}
            }
        }
    }

    /// Retires those that were idle for too long, or the one that was it for the longest.
    fn retire_idle(&self) {
        let (mut inner, time) = (self.inner.lock(), self.limits.time(Limit::IdleTime));
        let old = inner.idle.extract_if(.., |idle| idle.since.elapsed() >= time);
        let mut old: Vec<_> = old.map(|idle| idle.instance).collect();
        if old.is_empty() && self.engine.is_crowded() && !inner.idle.is_empty() {
            old.push(inner.idle.remove(0).instance);
        }
        inner.retired.extend(old);
    }

    /// Tells instances that they go, all at once. What they say to that is for the log.
    pub(super) async fn stop_all(&self, instances: Vec<Instance>, shutdown: bool) {
        let stop = async |mut instance: Instance| {
            let stopped = instance.perform(Job::Stop { shutdown }, &Context::default()).await;
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
        self.queue.close();
        let mut inner = self.inner.lock();
        let idle = std::mem::take(&mut inner.idle).into_iter().map(|idle| idle.instance);
        idle.chain(std::mem::take(&mut inner.retired)).collect()
    }
}
