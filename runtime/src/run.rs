//! Runs connectors: makes the rooms, connects them, and waits for the end.
//!
//! `candidate` is a connector that was loaded and checked, `member` one that is in its workspace. A
//! `keeper` keeps one running and lets new versions take over; the `supervisor` has a keeper for every
//! settings file in a folder. `watch` and `folder` notice what has changed.

mod broker;
mod candidate;
mod embedded;
mod folder;
mod ids;
mod keeper;
mod limits;
mod member;
mod process;
mod settings;
mod supervisor;
mod watch;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::broker::{Mode, Policy};
use crate::connector::{Cache, Compiler, Engine, Loader};
use crate::manifest::{Credential, Manifest};
use crate::printable::printable;
use crate::recording::Recording;
use crate::settings::{Assignment, Environment, check_assignments, data_folder};

use self::candidate::{Candidate, Membership};
use self::embedded::Embedded;
use self::keeper::Keeper;
use self::process::Process;
use self::supervisor::Supervisor;

pub use self::broker::Shared;
pub use self::embedded::Announce;
pub use self::folder::settings_files;
pub use self::settings::{ConnectorSettings, Fields, Origin};
pub use self::supervisor::ReadFile;

/// What holds for all of a process.
pub struct Settings {
    /// The environment over `.env`.
    pub environment: Environment,
    /// Where requests are recorded.
    pub record: Option<PathBuf>,
    /// How long calls under way may go on after `shutdown`, or on a version that was replaced.
    pub grace: Duration,
    /// Where the embedded workspace listens, where there is one.
    pub listen: SocketAddr,
    /// The embedded workspace's folder.
    pub data: Option<PathBuf>,
    /// Called when there is an embedded workspace.
    pub announce: Announce,
}

/// The connectors of `run`.
pub struct Fixed {
    /// Each of them.
    pub connectors: Vec<Origin>,
    /// The values that flags give to any of them.
    pub values: Vec<Assignment>,
    /// Whether new versions take over as soon as their files are there.
    pub watch: bool,
}

/// The connectors of `serve`.
pub struct Served {
    /// Files, each a connector's.
    pub files: Vec<PathBuf>,
    /// Folders with settings files.
    pub folders: Vec<PathBuf>,
    /// How a file is read.
    pub read: ReadFile,
}

/// What a process is told from outside.
#[derive(Clone, Default)]
pub struct Signals {
    /// It is asked to stop.
    pub shutdown: CancellationToken,
    /// It is asked to read everything again.
    pub reload: Arc<Notify>,
}

/// Joins connectors to their workspaces and runs them until it is told to stop.
///
/// # Errors
/// When a file is no connector or a setting is wrong. Once connectors run, nothing ends them but the
/// signal.
pub async fn run(settings: Settings, connectors: Fixed, signals: Signals) -> anyhow::Result<()> {
    let (process, recording) = begin(settings)?;
    let outcome = run_fixed(&process, connectors, &signals).await;
    end(&process, recording, outcome).await
}

/// Runs the connectors of folders and files, as they come and go, until it is told to stop. None of
/// them ends it.
///
/// # Errors
/// When a setting of the process itself is wrong.
pub async fn serve(settings: Settings, served: Served, signals: Signals) -> anyhow::Result<()> {
    let (process, recording) = begin(settings)?;
    let Served { files, folders, read } = served;
    let supervisor = Supervisor::new(process.clone(), read, files, folders);
    let following = follow_files(&process, true, &signals);
    tokio::select! {
        () = supervisor.serve(signals.shutdown.clone()) => {}
        () = following => {}
    }
    end(&process, recording, Ok(())).await
}

fn begin(settings: Settings) -> anyhow::Result<(Arc<Process>, Option<Recording>)> {
    let Settings { environment, record, grace, listen, data, announce } = settings;
    let shared = Shared::default();
    let embedded = Embedded::new(listen, data, shared.events.clone(), announce);
    let recording = record.map(|file| Recording::start(&file, &shared.events)).transpose()?;
    let process = Process::new(environment, grace, shared, embedded)?;
    Ok((Arc::new(process), recording))
}

async fn end(
    process: &Process,
    recording: Option<Recording>,
    outcome: anyhow::Result<()>,
) -> anyhow::Result<()> {
    let served = process.embedded.end().await;
    if let Some(recording) = recording {
        recording.finish().await;
    }
    outcome.and(served)
}

async fn run_fixed(
    process: &Arc<Process>,
    connectors: Fixed,
    signals: &Signals,
) -> anyhow::Result<()> {
    let Fixed { connectors, values, watch } = connectors;
    let shutdown = &signals.shutdown;
    let ready = tokio::select! {
        ready = load_all(process, connectors, &values) => ready?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let mut keepers = JoinSet::new();
    for (keeper, candidate, membership) in ready {
        keepers.spawn(keeper.keep(Some((candidate, membership)), shutdown.clone()));
    }
    let kept = async {
        while let Some(ended) = keepers.join_next().await {
            if let Err(error) = ended {
                tracing::error!("a keeper crashed, which is a fault of this program: {error}");
            }
        }
    };
    tokio::select! {
        () = kept => {}
        () = follow_files(process, watch, signals) => {}
    }
    ensure!(shutdown.is_cancelled(), "no connector runs any more; start the program again");
    Ok(())
}

/// Tells keepers what may have changed. Never ends.
async fn follow_files(process: &Process, watch: bool, signals: &Signals) {
    let reload = async {
        loop {
            signals.reload.notified().await;
            tracing::info!("reading all connectors again");
            process.lookout.tell_all();
        }
    };
    let look = async {
        match watch {
            true => process.lookout.keep_looking().await,
            false => std::future::pending().await,
        }
    };
    tokio::join!(reload, look);
}

/// All connectors, before the first of them runs: what is wrong with one of them ends the process.
async fn load_all(
    process: &Arc<Process>,
    connectors: Vec<Origin>,
    values: &[Assignment],
) -> anyhow::Result<Vec<(Keeper, Candidate, Membership)>> {
    for Origin { path, read } in &connectors {
        process.note(path, &read()?);
    }
    let mut loaded = Vec::new();
    let mut ids = BTreeSet::new();
    for origin in connectors {
        let keeper = Keeper::new(process.clone(), origin, false);
        let candidate = keeper.load().await?;
        let id = candidate.standing.id.clone();
        if !ids.insert(id.clone()) {
            bail!(
                "two connectors have the id {id}; give each its own with `id` in its settings file \
                 (CONNECTOR_ID can only be set for one connector)"
            );
        }
        loaded.push((keeper, candidate));
    }
    for (keeper, candidate) in &loaded {
        process.client.note(keeper.path(), !candidate.may_want_client());
    }
    let described = loaded.iter().map(|(_, one)| (&*one.standing.id, &*one.manifest));
    check_assignments(values, &described.collect::<Vec<_>>())?;
    let mut settled = Vec::new();
    for (keeper, candidate) in loaded {
        let membership = candidate.settle(process).await?;
        settled.push((keeper, candidate, membership));
    }
    Ok(settled)
}

/// The folder of the embedded workspace.
///
/// # Errors
/// When none was given and there is no home.
pub fn local_data(given: Option<PathBuf>, environment: &Environment) -> anyhow::Result<PathBuf> {
    given
        .or_else(|| data_folder(environment))
        .context("no folder for the workspace's data: set --data, XDG_DATA_HOME or HOME")
}

/// What loads the connectors of this process.
///
/// # Errors
/// When this machine cannot run compiled WebAssembly.
pub fn loader(environment: &Environment) -> anyhow::Result<Loader> {
    let compiler = Compiler::child_of_this_program()?;
    Ok(Loader::new(Engine::new()?, cache(environment), compiler))
}

/// Opens the cache of compiled code. Without one everything works, only slower.
fn cache(environment: &Environment) -> Option<Arc<Cache>> {
    let folder = crate::settings::cache_folder(environment)?;
    match Cache::open(&folder) {
        Ok(cache) => Some(Arc::new(cache)),
        Err(error) => {
            tracing::warn!("connectors are compiled at every start: {error:#}");
            None
        }
    }
}

/// Nobody should take a report for a refusal.
pub fn tell_mode(id: &str, policy: &Policy) {
    if policy.mode() == Mode::Report {
        tracing::warn!(
            connector = id,
            "what is not granted is let through to public addresses and only reported"
        );
    }
}

fn tell_asks(id: &str, manifest: &Manifest) {
    for ask in &manifest.asks {
        let reason = ask.reason.as_deref().unwrap_or("no reason given");
        let ask = printable(&format!("asks to reach {}: {reason}", ask.origin));
        tracing::info!(connector = id, "{ask}");
    }
    for Credential { name, kind, origins, reason } in &manifest.credentials {
        let reason = reason.as_deref().unwrap_or("no reason given");
        let origins = origins.join(", ");
        let declared = format!("declares the credential {name} ({kind}) for {origins}: {reason}");
        tracing::info!(connector = id, "{}", printable(&declared));
    }
}
