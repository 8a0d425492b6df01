//! The one wasmtime engine of a process: its memory, and the clock by which guests give way.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use anyhow::Context as _;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::limits;
use crate::envelope::Limit;
use crate::fair::{Places, Seat};

/// A wasmtime engine whose guests give way to others every [`limits::EPOCH`]. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    running: Arc<Running>,
    rooms: Arc<Rooms>,
}

/// What instances share. Connectors get it in turn.
struct Rooms {
    /// For one instance each.
    instances: Places,
    /// The rights to go on with heavy work.
    heavy: Places,
    /// `Places` can be at many things; here each is at one.
    here: Arc<str>,
    /// Instances that wait for room.
    waiting: AtomicUsize,
    /// Told when there is one more of them.
    crowded: Notify,
}

impl Engine {
    /// Makes an engine and starts its clock thread, which ends with the last clone.
    ///
    /// # Errors
    /// When this machine cannot run compiled WebAssembly.
    pub fn new() -> anyhow::Result<Self> {
        let engine = wasmtime_engine()
            .map_err(anyhow::Error::from)
            .context("cannot make a WebAssembly engine on this machine")?;
        let running = Arc::new(Running::default());
        let (clock, weak) = (engine.weak(), Arc::downgrade(&running));
        thread::Builder::new().name("epoch".into()).spawn(move || {
            let mut quiet = 0;
            while let (Some(engine), Some(running)) = (clock.upgrade(), weak.upgrade()) {
                quiet = if running.look() { 0 } else { quiet + 1 };
                if quiet >= limits::QUIET_EPOCHS {
                    running.sleep();
                    continue;
                }
                drop(running);
                thread::sleep(limits::EPOCH);
                engine.increment_epoch();
            }
        })?;
        Ok(Self { engine, running, rooms: Arc::new(Rooms::new()) })
    }

    /// An engine that compiles for the others and runs nothing.
    pub(crate) fn compiling() -> anyhow::Result<wasmtime::Engine> {
        Ok(wasmtime::Engine::new(&compiling())?)
    }

    /// Wasmtime's engine.
    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// Keeps the clock going until the value is dropped. In an idle process it only looks each second
    /// whether the engine is still there.
    pub fn ticking(&self) -> Ticking {
        self.running.add();
        Ticking(self.running.clone())
    }

    /// Waits for room for one more instance.
    pub(super) async fn room(&self, connector: &Arc<str>) -> Seat {
        let Rooms { instances, here, waiting, crowded, .. } = &*self.rooms;
        if let Some(seat) = instances.try_take(here) {
            return seat;
        }
        let _waiting = Waiting::join(waiting);
        crowded.notify_waiters();
        instances.take(here, connector).await
    }

    /// Whether somebody waits for room, so that idle instances have to make some.
    pub(super) fn is_crowded(&self) -> bool {
        self.rooms.waiting.load(Ordering::Relaxed) > 0
    }

    /// Returns when one more waits.
    pub(super) fn crowded(&self) -> Notified<'_> {
        self.rooms.crowded.notified()
    }

    /// Waits for a heavy guest's turn.
    pub(super) async fn turn(&self, connector: &Arc<str>) -> Seat {
        self.rooms.heavy.take(&self.rooms.here, connector).await
    }
}

impl Rooms {
    fn new() -> Self {
        let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            instances: Places::new(limits::INSTANCES as usize),
            heavy: Places::new(cpus.saturating_sub(1).max(1)),
            here: "".into(),
            waiting: AtomicUsize::new(0),
            crowded: Notify::new(),
        }
    }
}

/// One that waits for room.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn join(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An engine whose instances are slots of memory that was set aside at once, which makes one in
/// microseconds.
fn wasmtime_engine() -> wasmtime::Result<wasmtime::Engine> {
    let mut config = compiling();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(slots()));
    wasmtime::Engine::new(&config).or_else(|error| {
        // It takes terabytes of addresses, of which next to none are used. Some places limit those.
        tracing::warn!(
            "instances are made one by one, which is slower, for there are too few addresses to set \
             aside ({error}); raise the limit of virtual memory (`ulimit -v`)"
        );
        wasmtime::Engine::new(&compiling())
    })
}

/// What decides on compiled code. Whoever compiles for this process does it with this.
fn compiling() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .max_wasm_stack(limits::STACK)
        .cranelift_opt_level(OptLevel::Speed)
        .memory_reservation(limits::RESERVATION)
        // Features that no guest toolchain needs stay off: less code between a guest and the host.
        .wasm_memory64(false);
    config
}

fn slots() -> PoolingAllocationConfig {
    let most = |limit: Limit| u32::try_from(*limit.range().end()).unwrap_or(u32::MAX);
    let [instances, memories, tables] =
        [Limit::CoreInstances, Limit::Memories, Limit::Tables].map(most);
    let mut slots = PoolingAllocationConfig::new();
    slots
        .total_component_instances(limits::INSTANCES)
        .total_stacks(limits::INSTANCES)
        // Whoever has room for an instance has it for all that the instance may have.
        .total_core_instances(limits::INSTANCES * instances)
        .total_memories(limits::INSTANCES * memories)
        .total_tables(limits::INSTANCES * tables)
        .max_core_instances_per_component(instances)
        .max_memories_per_component(memories)
        .max_memories_per_module(memories)
        .max_tables_per_component(tables)
        .max_tables_per_module(tables)
        .max_component_instance_size(limits::INSTANCE_RECORD)
        .max_core_instance_size(limits::INSTANCE_RECORD)
        .table_elements(most(Limit::TableElements) as usize)
        .max_memory_size(limits::RESERVATION as usize)
        .max_unused_warm_slots(limits::WARM_SLOTS)
        .linear_memory_keep_resident(limits::KEEP_RESIDENT)
        .table_keep_resident(limits::KEEP_RESIDENT)
        .pagemap_scan(Enabled::Auto);
    slots
}

/// How many guests run. The clock sleeps while there are none.
///
/// Telling it is a system call, and most calls are shorter than one: so it goes on for some ticks
/// after the last one, and is only told when it sleeps.
#[derive(Default)]
struct Running {
    now: AtomicUsize,
    /// How many began since the last look.
    began: AtomicUsize,
    sleeps: AtomicBool,
    lock: Mutex<()>,
    woken: Condvar,
}

impl Running {
    fn add(&self) {
        self.now.fetch_add(1, Ordering::SeqCst);
        self.began.fetch_add(1, Ordering::Relaxed);
        if self.sleeps.load(Ordering::SeqCst) {
            // Whoever goes to sleep holds the lock until it listens.
            drop(self.lock());
            self.woken.notify_one();
        }
    }

    fn remove(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether any runs, or has run since the last look.
    fn look(&self) -> bool {
        self.began.swap(0, Ordering::Relaxed) > 0 || self.now.load(Ordering::SeqCst) > 0
    }

    /// Sleeps while none runs. Returns at the latest after a second, so that the clock thread notices
    /// the engine's end.
    fn sleep(&self) {
        const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(1);
        let guard = self.lock();
        self.sleeps.store(true, Ordering::SeqCst);
        let none = |_: &mut ()| self.now.load(Ordering::SeqCst) == 0;
        drop(self.woken.wait_timeout_while(guard, LOOK_AGAIN, none));
        self.sleeps.store(false, Ordering::SeqCst);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock goes while this lives.
pub struct Ticking(Arc<Running>);

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_compiled_without_slots_runs_in_slots() {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let hash = |engine: &wasmtime::Engine| {
            let mut hasher = DefaultHasher::new();
            engine.precompile_compatibility_hash().hash(&mut hasher);
            hasher.finish()
        };
        let compiler = Engine::compiling().expect("an engine");
        let runner = Engine::new().expect("an engine");
        assert_eq!(hash(&compiler), hash(runner.wasmtime()));
    }
}
