//! `bench many`: what a process with one, ten, a hundred and a thousand connectors takes.
//!
//! `aloma-wasm serve` runs a folder of settings files, each of which names the connector `hello` and a
//! token of its own. All join the same lean workspace.

mod crowd;
mod files;
mod folder;
mod table;

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::timeout;

use self::crowd::Crowd;
use crate::Settings;
use crate::aims::Aim;
use crate::cargo::{self, Built};
use crate::limits::{CONNECTORS, CROWD_PATIENCE, FILES, FILES_PER_CONNECTOR, IDLE_WATCH, MANY};
use crate::load::Samples;
use crate::peer::Peer as _;
use crate::process::{Process, Subject};
use crate::usage::{Memory, cpu};
use crate::workspace::Workspace;

/// One number of connectors.
pub struct Measured {
    /// How many.
    pub connectors: usize,
    subject: Subject,
    /// The rounds.
    pub rounds: Vec<Round>,
}

/// One round.
pub struct Round {
    /// From the start of the process until the last connector has its socket.
    pub connected: Duration,
    /// The same, until all are configured and have reported their health.
    pub well: Duration,
    /// All are configured, none is called.
    pub idle: Memory,
    /// CPU time then, as a part of a core.
    pub idle_cpu: Option<f64>,
    /// Calls to all of them in turn.
    pub samples: Samples,
    /// CPU time of these calls.
    pub cpu: Option<Duration>,
    /// After these calls.
    pub after: Memory,
}

/// Measures and prints the table.
pub async fn measure(settings: &Settings) -> anyhow::Result<Vec<Aim>> {
    let built = cargo::build(settings)?;
    let folder = tempfile::tempdir()?;
    let mut workspace = Workspace::start().await?;
    let mut measured = Vec::new();
    for connectors in CONNECTORS {
        match files::make_room(FILES + FILES_PER_CONNECTOR * connectors as u64) {
            Ok(()) => measured.push(Measured::new(connectors, &built, folder.path(), &workspace)?),
            Err(why) => eprintln!("\nwithout {connectors} connectors: {why:#}\n"),
        }
    }
    // All share one cache, which the first start fills.
    if let Some(first) = measured.first() {
        first.start(&mut workspace).await?;
    }
    for _ in 0..settings.rounds {
        for one in &mut measured {
            let round = one.round(&mut workspace, Duration::from_secs(settings.seconds)).await;
            one.rounds.push(round.with_context(|| one.subject.last_words())?);
        }
    }
    table::print(&measured)?;
    Ok(table::aims(&measured))
}

impl Measured {
    fn new(
        connectors: usize,
        built: &Built,
        folder: &Path,
        workspace: &Workspace,
    ) -> anyhow::Result<Self> {
        let settings = folder.join(connectors.to_string());
        folder::fill(&settings, connectors, &built.component("hello"), workspace)?;
        let arguments = ["serve".into(), settings];
        let home = folder.join("home");
        let subject = Subject::new("aloma-wasm serve", built.program.clone(), arguments, home);
        Ok(Self { connectors, subject, rounds: Vec::new() })
    }

    async fn round(&self, workspace: &mut Workspace, time: Duration) -> anyhow::Result<Round> {
        let (process, mut crowd, connected) = self.start(workspace).await?;
        crowd.configure().await?;
        let well = process.started.elapsed();
        let before = cpu(process.id);
        crowd.rest(IDLE_WATCH).await?;
        let idle_cpu = spent(&process, before).map(|spent| spent.div_duration_f64(IDLE_WATCH));
        let idle = Memory::of(process.id);
        let before = cpu(process.id);
        let samples = crowd.load(MANY, time).await?;
        let cpu = spent(&process, before);
        let after = Memory::of(process.id);
        process.kill().await?;
        Ok(Round { connected, well, idle, idle_cpu, samples, cpu, after })
    }

    async fn start(&self, workspace: &mut Workspace) -> anyhow::Result<(Process, Crowd, Duration)> {
        let process = self.subject.start([])?;
        let gathered = timeout(CROWD_PATIENCE, Crowd::gather(workspace, self.connectors)).await;
        let (crowd, last) = gathered.context("not all connectors joined in time")??;
        let connected = last.duration_since(process.started);
        Ok((process, crowd, connected))
    }
}

fn spent(process: &Process, before: Option<Duration>) -> Option<Duration> {
    cpu(process.id)?.checked_sub(before?)
}
