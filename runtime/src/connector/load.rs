//! From a file to a connector that can be run: read, compile, link, describe.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;

use anyhow::{Context as _, anyhow, bail, ensure};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use wasmtime::component::Component;

use super::bindings::ConnectorPre;
use super::code::cache::{Cache, Name};
use super::code::compiler::Compiler;
use super::code::{Code, Source, census};
use super::describe;
use super::engine::Engine;
use super::host::journal::Journal;
use super::instance::{Instance, Parts};
use super::known::Known;
use super::limits;
use super::sandbox::{self, State};
use super::schema::{Arguments, Budget};
use crate::envelope::{Limit, Limits};
use crate::events::Events;
use crate::manifest::{Action, Manifest};

/// Files at once that are compiled or wait for a compiler, of which there are fewer. Each of them is in
/// memory.
const COMPILING: usize = 8;

/// The compiled schemas of actions' arguments, by action.
pub(super) type Schemas = BTreeMap<String, Arguments>;

/// Loads the connectors of one process. What two of them have in common is in memory once. Cheap to
/// clone.
#[derive(Clone)]
pub struct Loader {
    code: Code,
    known: Arc<Known>,
    turns: Arc<Turns>,
}

/// How many connectors are at which step. Who compiles holds up nobody who does not need to.
struct Turns {
    /// Reading, and describing. More than there are cores would only take turns at the same cores.
    working: Semaphore,
    compiling: Semaphore,
}

impl Default for Turns {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self { working: Semaphore::new(cores), compiling: Semaphore::new(COMPILING) }
    }
}

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
    pub(super) pre: Arc<ConnectorPre<State>>,
    pub(super) schemas: Arc<Schemas>,
    pub(super) engine: Engine,
}

impl Loader {
    /// What compiles with this compiler what is not in the cache, for this engine.
    pub fn new(engine: Engine, cache: Option<Arc<Cache>>, compiler: Compiler) -> Self {
        Self {
            code: Code { engine, cache, compiler },
            known: Arc::default(),
            turns: Arc::default(),
        }
    }

    /// Loads a connector from a file. Compiles it unless it is known or the cache has it.
    ///
    /// # Errors
    /// A sentence that says what the file is instead or which limit it breaches, and what to do.
    pub async fn load(&self, path: &Path, limits: &Limits) -> anyhow::Result<Loaded> {
        let loaded = self.load_file(path, limits).await;
        loaded.with_context(|| format!("cannot load {}", path.display()))
    }

    async fn load_file(&self, path: &Path, limits: &Limits) -> anyhow::Result<Loaded> {
        let engine = &self.code.engine;
        let (source, pre) = self.code(path, limits).await?;
        let imports = imports(pre.instance_pre().component(), engine);
        let name = &*source.name;
        let turn = self.turns.working.acquire().await?;
        let manifest = describe(&pre, engine, limits, name.digest()).await?;
        let (manifest, schemas) = match self.known.said(name, &manifest) {
            Some(same) => same,
            None => {
                let manifest = Arc::new(manifest);
                let schemas = Arc::new(compile_schemas(manifest.clone()).await?);
                self.known.add_said(name, &manifest, &schemas);
                (manifest, schemas)
            }
        };
        drop(turn);
        let (size, digest) = (source.bytes.len(), name.digest().into());
        Ok(Loaded { manifest, imports, size, digest, pre, schemas, engine: engine.clone() })
    }

    async fn code(
        &self,
        path: &Path,
        limits: &Limits,
    ) -> anyhow::Result<(Source, Arc<ConnectorPre<State>>)> {
        let turn = self.turns.working.acquire().await?;
        let source = self.source(path, limits).await?;
        if let Some(pre) = self.at_hand(&source).await? {
            return Ok((source, pre));
        }
        drop((turn, source));
        let _turn = self.turns.compiling.acquire().await?;
        // Nothing was kept of the file meanwhile, and it may be another one by now.
        let source = self.source(path, limits).await?;
        let pre = self.pre(&source, limits).await?;
        Ok((source, pre))
    }

    async fn source(&self, path: &Path, limits: &Limits) -> anyhow::Result<Source> {
        let (path, limits) = (path.to_owned(), limits.clone());
        let engine = self.code.engine.clone();
        let read = move || {
            let bytes = read(&path, &limits)?;
            check_kind(&bytes)?;
            census::check(&bytes, &limits)?;
            let name = Name::new(&bytes, engine.wasmtime());
            anyhow::Ok(Source { bytes: bytes.into(), name: name.into() })
        };
        tokio::task::spawn_blocking(read).await.context("reading it crashed")?
    }

    /// What is in memory or in the cache.
    async fn at_hand(&self, source: &Source) -> anyhow::Result<Option<Arc<ConnectorPre<State>>>> {
        if let Some(known) = self.known.code(&source.name) {
            return Ok(Some(known));
        }
        let cached = self.code.cached(&source.name).await?;
        cached.map(|component| self.linked(source, &component)).transpose()
    }

    async fn pre(
        &self,
        source: &Source,
        limits: &Limits,
    ) -> anyhow::Result<Arc<ConnectorPre<State>>> {
        if let Some(known) = self.known.code(&source.name) {
            return Ok(known);
        }
        let component = self.code.component(source, limits).await?;
        self.linked(source, &component)
    }

    fn linked(
        &self,
        source: &Source,
        component: &Component,
    ) -> anyhow::Result<Arc<ConnectorPre<State>>> {
        Ok(self.known.add(&source.name, link(component, &self.code.engine)?))
    }
}

fn read(path: &Path, limits: &Limits) -> anyhow::Result<Vec<u8>> {
    let most = limits.bytes(Limit::Component);
    let mut bytes = Vec::new();
    // Another kind of file could keep us waiting, or have no end.
    ensure!(
        path.metadata()?.is_file(),
        "it is no file; give the .wasm file, and a folder to `aloma-wasm serve`"
    );
    let file = File::open(path)?;
    // One byte more than is accepted, so that the limit is told and not a broken end.
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() <= most, limits.breach(Limit::Component));
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
    limits: &Limits,
    digest: &str,
) -> anyhow::Result<Manifest> {
    let limits = Arc::new(limits.clone());
    let journal = Journal::new(digest.into(), Events::default(), Arc::default(), limits.clone());
    let parts = Parts {
        connector: digest.into(),
        services: None,
        configuration: Arc::default(),
        generation: 0,
        journal: Arc::new(journal),
        limits: limits.clone(),
        together: Arc::default(),
    };
    let late = Instant::now() + limits.time(Limit::QueueTime);
    let mut instance =
        Instance::new(pre, engine, parts, late).await.context("it does not start")?;
    let said = instance.describe().await.context("it does not describe itself")?;
    describe::manifest(said).context("what it says of itself is not right")
}

/// Takes up to a second of what a guest says, so not between other things.
async fn compile_schemas(manifest: Arc<Manifest>) -> anyhow::Result<Schemas> {
    let compile = move || schemas(&manifest);
    tokio::task::spawn_blocking(compile).await.context("reading its schemas crashed")?
}

/// The schemas of the actions whose arguments are checked.
fn schemas(manifest: &Manifest) -> anyhow::Result<Schemas> {
    let (mut schemas, mut budget) = (Schemas::new(), Budget::default());
    let mut unchecked = Vec::new();
    for Action { name, arguments, .. } in &manifest.actions {
        let prepared = Arguments::new(arguments, &mut budget)
            .map_err(|why| anyhow!("the arguments schema of action `{name}`: {why}"))?;
        match prepared {
            Some(arguments) => drop(schemas.insert(name.clone(), arguments)),
            None => unchecked.push(name),
        }
    }
    if let Some(first) = unchecked.first() {
        tracing::warn!(
            "{}: the arguments of {} actions, of which `{first}` is the first, are not checked before \
             a call: their schemas are too large, {} nodes each and {} together, or have too many \
             patterns; the connector checks them itself",
            manifest.name,
            unchecked.len(),
            limits::SCHEMA_NODES,
            limits::SCHEMAS_NODES,
        );
    }
    Ok(schemas)
}
