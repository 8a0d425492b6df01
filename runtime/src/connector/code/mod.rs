//! A component's compiled code: from the cache, else from the compiler.

pub mod cache;
pub(super) mod census;
pub mod compiler;
mod ended;
pub mod worker;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;
use wasmtime::component::Component;

use self::cache::{Cache, Lock, Name};
use self::compiler::Compiler;
use super::engine::Engine;
use super::trap::told;
use crate::envelope::{Limit, Limits};

/// How often a process looks whether another has compiled what it needs. Compiling takes longer.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A component that was read and counted and can be compiled.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) name: Arc<Name>,
}

/// Where compiled code comes from.
#[derive(Clone)]
pub(super) struct Code {
    pub(super) engine: Engine,
    pub(super) cache: Option<Arc<Cache>>,
    pub(super) compiler: Compiler,
}

impl Code {
    /// The component, ready to be linked. Compiles it unless the cache has it.
    ///
    /// # Errors
    /// When the component is not right, or takes more than the limits.
    pub(super) async fn component(
        &self,
        source: &Source,
        limits: &Limits,
    ) -> anyhow::Result<Component> {
        if let Some(component) = self.cached(&source.name).await? {
            return Ok(component);
        }
        let turn = self.turn(&source.name, limits.time(Limit::CompileTime)).await;
        if turn.is_late
            && let Some(component) = self.cached(&source.name).await?
        {
            return Ok(component);
        }
        let code = self.compiler.compile(source.bytes.clone(), &self.engine, limits).await?;
        let kept = self.keep(code, source.name.clone()).await;
        kept.map_err(|error| match told(&format!("{error:#}"), limits) {
            Some(breach) => breach.into(),
            None => error,
        })
    }

    /// The component, where the cache has it.
    ///
    /// # Errors
    /// When looking crashed.
    pub(super) async fn cached(&self, name: &Arc<Name>) -> anyhow::Result<Option<Component>> {
        let (Some(cache), name) = (self.cache.clone(), name.clone()) else { return Ok(None) };
        self.blocking(move |engine| Ok(from_cache(engine, &cache, &name))).await
    }

    /// Loads what was just compiled, from the cache if it takes it.
    async fn keep(&self, code: Vec<u8>, name: Arc<Name>) -> anyhow::Result<Component> {
        let cache = self.cache.clone();
        let load = move |engine: &wasmtime::Engine| {
            let cached = cache.and_then(|cache| into_cache(engine, &cache, &name, &code));
            cached.map_or_else(|| from_compiler(engine, &code), Ok)
        };
        self.blocking(load).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&wasmtime::Engine) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let engine = self.engine.wasmtime().clone();
        tokio::task::spawn_blocking(move || work(&engine))
            .await
            .context("loading its code crashed")?
    }

    /// Waits while another compiles the same component. Compiling it twice does no harm, so nobody
    /// waits for longer than compiling may take.
    async fn turn(&self, name: &Name, patience: Duration) -> Turn {
        let Some(cache) = &self.cache else { return Turn::default() };
        let until = Instant::now() + patience;
        let mut is_late = false;
        loop {
            match cache.try_lock(name) {
                Ok(None) if Instant::now() < until => is_late = true,
                Ok(lock) => return Turn { _lock: lock, is_late },
                // The cache cannot be written, and will say so itself.
                Err(_) => return Turn { _lock: None, is_late },
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// The right to compile, or no more patience.
#[derive(Default)]
struct Turn {
    _lock: Option<Lock>,
    /// Another had it first, and may have compiled it.
    is_late: bool,
}

fn from_cache(engine: &wasmtime::Engine, cache: &Cache, name: &Name) -> Option<Component> {
    cache
        .get(name)?
        .component(engine)
        .inspect_err(|error| tracing::warn!("a cached compilation does not load: {error:#}"))
        .ok()
}

fn into_cache(
    engine: &wasmtime::Engine,
    cache: &Cache,
    name: &Name,
    code: &[u8],
) -> Option<Component> {
    if let Err(error) = cache.put(name, code) {
        // Without a cache the next start is slower; that is no reason not to start now.
        tracing::warn!("the compilation is not cached: {error:#}");
        return None;
    }
    from_cache(engine, cache, name)
}

#[allow(unsafe_code, reason = "wasmtime cannot check compiled code; its origin is known")]
fn from_compiler(engine: &wasmtime::Engine, code: &[u8]) -> anyhow::Result<Component> {
    // SAFETY: the bytes were made by `precompile_component`: in this process, or in a child that runs
    // this program and wrote them to a pipe that nobody else has.
    let component = unsafe { Component::deserialize(engine, code) };
    component.map_err(anyhow::Error::from).context("its compiled code does not load")
}

#[cfg(test)]
mod tests {
    use wasmtime::{Config, InstanceAllocationStrategy};

    use super::cache::settings_of;
    use super::*;

    #[test]
    fn what_the_compiler_makes_fits_what_runs_it() {
        let compiling = Engine::compiling().expect("an engine");
        let running = Engine::new().expect("an engine");
        assert_eq!(settings_of(&compiling), settings_of(running.wasmtime()));
    }

    #[test]
    fn how_instances_get_their_memory_does_not_change_the_code() {
        let of = |config: &Config| settings_of(&wasmtime::Engine::new(config).expect("an engine"));
        let mut config = Config::new();
        let on_demand = of(&config);
        config.allocation_strategy(InstanceAllocationStrategy::pooling());
        assert_eq!(of(&config), on_demand);
        config.epoch_interruption(true);
        assert_ne!(of(&config), on_demand, "this does");
    }

    #[tokio::test]
    async fn a_library_compiles_in_its_own_process() {
        let (engine, limits) = (Engine::new().expect("an engine"), Limits::default());
        let code = Code { engine, cache: None, compiler: Compiler::in_process() };
        let source = |bytes: &[u8]| Source {
            bytes: Arc::new(bytes.to_vec()),
            name: Name::new(bytes, code.engine.wasmtime()).into(),
        };
        let empty = source(b"\0asm\x0d\0\x01\0");
        code.component(&empty, &limits).await.expect("an empty component");
        let damaged = source(b"\0asm\x0d\0\x01\0\x01");
        let error = code.component(&damaged, &limits).await.expect_err("it is refused");
        assert!(error.to_string().contains("it is damaged"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_for_another_that_compiles() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Arc::new(Cache::open(folder.path()).expect("a cache"));
        let engine = Engine::new().expect("an engine");
        let bytes = b"\0asm\x0d\0\x01\0";
        let name = Arc::new(Name::new(bytes, engine.wasmtime()));
        let source = Source { bytes: Arc::new(bytes.to_vec()), name };
        let stuck = cache.try_lock(&source.name).expect("a lock").expect("it is free");
        let compiler = Compiler::in_process();
        let code = Code { engine, cache: Some(cache), compiler };
        let component = code.component(&source, &Limits::default()).await;
        component.expect("it is compiled in the end");
        drop(stuck);
    }
}
