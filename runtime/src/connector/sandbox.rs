//! What an instance can touch: nothing but its host imports, clocks and random numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;
use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable};
use wasmtime::{ResourceLimiter, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::bindings::Connector;
use super::config::Configuration;
use super::engine::Engine;
use super::host::http::Started;
use super::host::journal::Journal;
use super::host::wasi_http::{self, Hooks};
use super::host::workspace::Workspace;
use super::meter::Meter;
use crate::broker::{Allowance, Broker, Scope};
use crate::envelope::{Breach, Limit, Limits};

/// What the host does for a connector. None of it is there while the connector is described.
#[derive(Clone)]
pub struct Services {
    /// The door to the network.
    pub broker: Arc<Broker>,
    /// The workspace's tasks and blobs.
    pub workspace: Arc<dyn Workspace>,
}

/// The host's side of one instance.
pub struct State {
    pub(super) services: Option<Services>,
    pub(super) configuration: Arc<Configuration>,
    pub(super) journal: Arc<Journal>,
    pub(super) started: Started,
    pub(super) limits: Arc<Limits>,
    pub(super) memory: Memory,
    meter: Arc<Meter>,
    scope: Scope,
    wasi: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    hooks: Hooks,
}

impl State {
    /// What is behind a handle to an error.
    pub(super) fn error(
        &self,
        handle: &Resource<wasmtime::Error>,
    ) -> wasmtime::Result<&wasmtime::Error> {
        Ok(self.table.get(handle)?)
    }

    /// The running call.
    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What a new call may use up of the network.
    pub(super) fn allowance(&self) -> Arc<Allowance> {
        self.services.as_ref().map_or_else(Arc::default, |services| services.broker.allowance())
    }

    /// Everything from now on belongs to this call.
    pub(super) fn enter(&mut self, scope: Scope) {
        self.journal.enter(scope.call.clone());
        self.hooks.enter(scope.clone());
        self.scope = scope;
    }

    /// Whether so many handles are left that a call can be expected to find enough.
    pub(super) fn has_handles(&mut self) -> bool {
        self.table.iter_mut().count() <= self.limits.count(Limit::Handles) / 2
    }

    /// Ends what the call left behind.
    pub(super) fn leave(&mut self) {
        self.started.clear();
        self.hooks.leave();
        self.journal.leave();
    }
}

/// What an instance begins with.
pub(super) struct Furniture {
    /// None while it is described.
    pub services: Option<Services>,
    pub configuration: Arc<Configuration>,
    pub journal: Arc<Journal>,
    pub limits: Arc<Limits>,
    /// Bytes of memory of all instances of the connector.
    pub together: Arc<AtomicUsize>,
    pub meter: Arc<Meter>,
}

/// Makes a store with every limit set and nothing in it.
pub(super) fn store(engine: &Engine, furniture: Furniture) -> Store<State> {
    let Furniture { services, configuration, journal, limits, together, meter } = furniture;
    let mut wasi = WasiCtx::builder();
    wasi.allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(limits.bytes(Limit::Random) as u64)
        .stdout(journal.stdout())
        .stderr(journal.stderr());
    let mut http = WasiHttpCtx::new();
    http.set_field_size_limit(limits.bytes(Limit::Fields));
    let vault = configuration.vault().clone();
    let allowance = Arc::default();
    let scope = Scope { call: None, deadline: Instant::now(), vault, allowance };
    let broker = services.as_ref().map(|has| has.broker.clone());
    let hooks = Hooks::new(broker, scope.clone(), limits.clone());
    let mut table = ResourceTable::new();
    table.set_max_capacity(limits.count(Limit::Handles));
    let (host_call, handles) = (limits.bytes(Limit::HostCall), limits.count(Limit::Handles));
    let state = State {
        services,
        configuration,
        journal,
        started: Started::default(),
        memory: Memory::new(limits.clone(), together),
        limits,
        meter,
        scope,
        wasi: wasi.build(),
        table,
        http,
        hooks,
    };
    let mut store = Store::new(engine.wasmtime(), state);
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(host_call);
    store.set_max_component_handles(handles);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|store| store.data().meter.tick());
    store
}

/// Everything that a guest can import: our interfaces, WASI 0.2 with nothing behind it, and
/// `wasi:http` with the broker behind it.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine.wasmtime());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasi_http::codes::add_to_linker(&mut linker)?;
    Connector::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    Ok(linker)
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.hooks.tend(&mut self.table, &mut self.http);
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

/// Counts the memory of an instance over all its memories, and the elements of its tables.
pub(super) struct Memory {
    limits: Arc<Limits>,
    used: usize,
    /// What all instances of the connector use.
    together: Arc<AtomicUsize>,
    elements: usize,
    /// What was last asked for and refused. Most guests trap soon after.
    refused: Option<Breach>,
}

impl Memory {
    fn new(limits: Arc<Limits>, together: Arc<AtomicUsize>) -> Self {
        Self { limits, used: 0, together, elements: 0, refused: None }
    }

    /// Takes so much more, where no limit is in the way.
    fn take(&mut self, more: usize) -> Result<(), Breach> {
        let within = |used: usize, limit: Limit| {
            let sum = used.checked_add(more).filter(|sum| *sum <= self.limits.bytes(limit));
            sum.ok_or_else(|| self.limits.breach(limit))
        };
        let used = within(self.used, Limit::Memory)?;
        let together = self.together.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            within(used, Limit::TotalMemory).ok()
        });
        together.map_err(|_| self.limits.breach(Limit::TotalMemory))?;
        self.used = used;
        Ok(())
    }

    /// Whether there is room left for a call: memory that a guest once had it never gives back.
    pub(super) fn has_room(&self) -> bool {
        self.used <= self.limits.bytes(Limit::Memory) / 4 * 3
    }

    /// Forgets what was refused: another call begins.
    pub(super) fn forget(&mut self) {
        self.refused = None;
    }

    /// What was refused since.
    pub(super) fn refused(&self) -> Option<Breach> {
        self.refused
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.together.fetch_sub(self.used, Ordering::Relaxed);
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // It fails anyway, and must cost nothing.
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        let taken = self.take(desired.saturating_sub(current));
        if let Err(breach) = taken {
            self.refused = Some(breach);
        }
        Ok(taken.is_ok())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        let elements = self.elements.saturating_add(desired.saturating_sub(current));
        let granted = elements <= self.limits.count(Limit::TableElements);
        if granted {
            self.elements = elements;
        } else {
            self.refused = Some(self.limits.breach(Limit::TableElements));
        }
        Ok(granted)
    }

    fn instances(&self) -> usize {
        self.limits.count(Limit::CoreInstances)
    }

    fn tables(&self) -> usize {
        self.limits.count(Limit::Tables)
    }

    fn memories(&self) -> usize {
        self.limits.count(Limit::Memories)
    }
}
