//! The one wasmtime engine of a process, and the clock by which guests give way.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use anyhow::Context as _;
use wasmtime::{Config, OptLevel};

use super::limits;

/// A wasmtime engine whose guests give way to others every [`limits::EPOCH`]. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    running: Arc<Running>,
}

impl Engine {
    /// Makes an engine and starts its clock thread, which ends with the last clone.
    ///
    /// # Errors
    /// When this machine cannot run compiled WebAssembly.
    pub fn new() -> anyhow::Result<Self> {
        let engine = wasmtime::Engine::new(&config())
            .map_err(anyhow::Error::from)
            .context("cannot make a WebAssembly engine on this machine")?;
        let running = Arc::new(Running::default());
        let (clock, weak) = (engine.weak(), Arc::downgrade(&running));
        thread::Builder::new().name("epoch".into()).spawn(move || {
            while let (Some(engine), Some(running)) = (clock.upgrade(), weak.upgrade()) {
                running.wait_until_any();
                drop(running);
                thread::sleep(limits::EPOCH);
                engine.increment_epoch();
            }
        })?;
        Ok(Self { engine, running })
    }

    /// An engine that compiles for the others and runs nothing.
    pub(super) fn compiling() -> anyhow::Result<wasmtime::Engine> {
        Ok(wasmtime::Engine::new(&config())?)
    }

    /// Wasmtime's engine.
    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// Keeps the clock going until the value is dropped. An idle process then has no timer at all.
    pub fn ticking(&self) -> Ticking {
        self.running.add();
        Ticking(self.running.clone())
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .max_wasm_stack(limits::STACK)
        .cranelift_opt_level(OptLevel::Speed)
        // Features that no guest toolchain needs stay off: less code between a guest and the host.
        .wasm_memory64(false);
    config
}

/// How many guests run. The clock sleeps while there are none.
#[derive(Default)]
struct Running {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Running {
    fn add(&self) {
        *self.lock() += 1;
        self.changed.notify_one();
    }

    fn remove(&self) {
        *self.lock() -= 1;
    }

    /// Returns at the latest after a second, so that the clock thread notices the engine's end.
    fn wait_until_any(&self) {
        const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(1);
        let count = self.lock();
        drop(self.changed.wait_timeout_while(count, LOOK_AGAIN, |count| *count == 0));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, usize> {
        // A count stays right whatever happened to the thread that held it.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock goes while this lives.
pub struct Ticking(Arc<Running>);

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.remove();
    }
}
