//! From a file to a connector that can be run: read, compile, link, describe.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail, ensure};
use tokio::time::Instant;
use wasmtime::component::Component;

use super::bindings::ConnectorPre;
use super::cache::{Cache, Name};
use super::describe;
use super::engine::Engine;
use super::host::journal::Journal;
use super::instance::{Instance, Parts};
use super::sandbox::{self, State};
use super::schema::Arguments;
use crate::envelope::{Limit, Limits};
use crate::events::Events;
use crate::manifest::Manifest;

/// A component that is a connector, compiled and described, and not yet running.
pub struct Loaded {
    /// What it says of itself.
    pub manifest: Arc<Manifest>,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
    /// Bytes of the file.
    pub size: usize,
    /// The beginning of the file's SHA-256.
    pub digest: Arc<str>,
    pub(super) pre: ConnectorPre<State>,
    pub(super) schemas: std::collections::BTreeMap<String, Arguments>,
    pub(super) engine: Engine,
}

impl Loaded {
    /// Loads a connector from a file. Compiles it unless the cache has it.
    ///
    /// # Errors
    /// A sentence that says what the file is instead, and what to do.
    pub async fn from_file(
        path: &Path,
        engine: &Engine,
        cache: Option<Arc<Cache>>,
        limits: &Arc<Limits>,
    ) -> anyhow::Result<Self> {
        Self::load(path, engine, cache, limits)
            .await
            .with_context(|| format!("cannot load {}", path.display()))
    }

    async fn load(
        path: &Path,
        engine: &Engine,
        cache: Option<Arc<Cache>>,
        limits: &Arc<Limits>,
    ) -> anyhow::Result<Self> {
        let bytes = read(path, limits)?;
        let size = bytes.len();
        let compiling = engine.clone();
        let (component, digest) =
            tokio::task::spawn_blocking(move || compile(&compiling, &bytes, cache.as_deref()))
                .await
                .context("the compiler crashed")??;
        let imports = imports(&component, engine);
        let pre = link(&component, engine)?;
        let manifest = describe(&pre, engine, limits).await?;
        let schemas = schemas(&manifest)?;
        Ok(Self {
            manifest: Arc::new(manifest),
            imports,
            size,
            digest,
            pre,
            schemas,
            engine: engine.clone(),
        })
    }
}

fn read(path: &Path, limits: &Limits) -> anyhow::Result<Vec<u8>> {
    let size = std::fs::metadata(path)?.len();
    ensure!(size <= limits.bytes(Limit::Component) as u64, limits.breach(Limit::Component));
    let bytes = std::fs::read(path)?;
    check_kind(&bytes)?;
    Ok(bytes)
}

/// Tells a component from what people take for one. The first eight bytes say it.
fn check_kind(bytes: &[u8]) -> anyhow::Result<()> {
    const MAGIC: &[u8] = b"\0asm";
    const MODULE: &[u8] = &[1, 0, 0, 0];
    const COMPONENT_LAYER: &[u8] = &[1, 0];
    match bytes {
        [] => bail!("it is empty"),
        _ if !bytes.starts_with(MAGIC) => bail!(
            "it is no WebAssembly; build the connector with `cargo component build --release` or \
             `cargo build --release --target wasm32-wasip2` and give the .wasm file"
        ),
        _ if bytes.get(4..8) == Some(MODULE) => bail!(
            "it is a core module, not a component; build it with `cargo component build` or with \
             `--target wasm32-wasip2`"
        ),
        _ if bytes.get(6..8) == Some(COMPONENT_LAYER) => Ok(()),
        _ => bail!("it is cut off, or of a WebAssembly version that this runtime does not know"),
    }
}

fn compile(
    engine: &Engine,
    bytes: &[u8],
    cache: Option<&Cache>,
) -> anyhow::Result<(Component, Arc<str>)> {
    let name = Name::new(bytes, engine.wasmtime());
    let digest = name.digest().into();
    if let Some(component) = cache.and_then(|cache| from_cache(engine, cache, &name)) {
        return Ok((component, digest));
    }
    let component = Component::new(engine.wasmtime(), bytes)
        .map_err(|error| anyhow!("it is damaged or cut off: {}", error.root_cause()))?;
    if let Some(cache) = cache {
        // Without a cache the next start is slower; that is no reason not to start now.
        let stored = component
            .serialize()
            .map_err(anyhow::Error::from)
            .and_then(|code| cache.put(&name, &code));
        if let Err(error) = stored {
            tracing::warn!("the compilation is not cached: {error:#}");
        }
    }
    Ok((component, digest))
}

#[allow(unsafe_code, reason = "wasmtime cannot check compiled code; the cache's MAC does")]
fn from_cache(engine: &Engine, cache: &Cache, name: &Name) -> Option<Component> {
    let code = cache.get(name)?;
    // SAFETY: the bytes came from `Component::serialize` in a process of this user: the cache has
    // checked them against a MAC whose key only this user can read.
    let component = unsafe { Component::deserialize(engine.wasmtime(), &code) };
    component
        .inspect_err(|error| tracing::warn!("a cached compilation does not load: {error}"))
        .ok()
}

fn imports(component: &Component, engine: &Engine) -> Vec<String> {
    let ty = component.component_type();
    ty.imports(engine.wasmtime()).map(|(name, _)| name.to_owned()).collect()
}

fn link(component: &Component, engine: &Engine) -> anyhow::Result<ConnectorPre<State>> {
    let linker = sandbox::linker(engine).map_err(anyhow::Error::from)?;
    let unknown = |error: wasmtime::Error| {
        anyhow!(
            "it imports what this runtime does not offer: {}; a connector imports \
             aloma:connector@0.1.0 and WASI 0.2",
            error.root_cause()
        )
    };
    let pre = linker.instantiate_pre(component).map_err(unknown)?;
    let no_connector = |error: wasmtime::Error| {
        anyhow!(
            "it is a component, but no connector: {}; a connector exports `actions` and \
             `lifecycle` of aloma:connector@0.1.0",
            error.root_cause()
        )
    };
    ConnectorPre::new(pre).map_err(no_connector)
}

async fn describe(
    pre: &ConnectorPre<State>,
    engine: &Engine,
    limits: &Arc<Limits>,
) -> anyhow::Result<Manifest> {
    let journal =
        Journal::new("describe".into(), Events::default(), Arc::default(), limits.clone());
    let parts = Parts {
        connector: "describe".into(),
        services: None,
        configuration: Arc::default(),
        generation: 0,
        journal: Arc::new(journal),
        limits: limits.clone(),
    };
    let late = Instant::now() + limits.time(Limit::QueueTime);
    let mut instance =
        Instance::new(pre, engine, parts, late).await.context("it does not start")?;
    let said = instance.describe().await.context("it does not describe itself")?;
    describe::manifest(said).context("what it says of itself is not right")
}

fn schemas(manifest: &Manifest) -> anyhow::Result<std::collections::BTreeMap<String, Arguments>> {
    let schema = |action: &crate::manifest::Action| {
        let arguments = Arguments::new(&action.arguments)
            .map_err(|why| anyhow!("the arguments schema of action `{}`: {why}", action.name))?;
        Ok((action.name.clone(), arguments))
    };
    manifest.actions.iter().map(schema).collect()
}
