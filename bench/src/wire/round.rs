//! What is done with a subject: start it, let it rest, load it, let it rest again.

use std::time::Duration;

use anyhow::Context as _;

use super::Kind;
use super::session::Session;
use crate::limits::{MANY, REST, WARM_UP};
use crate::load::Samples;
use crate::peer::Peer as _;
use crate::process::{Process, Subject};
use crate::usage::{Memory, cpu};
use crate::workspace::Workspace;

/// Everything measured of one subject.
pub struct Measured {
    /// Its column.
    pub kind: Kind,
    /// What was measured.
    pub subject: Subject,
    /// The start that had to compile.
    pub cold: Option<Start>,
    /// The other starts.
    pub starts: Vec<Start>,
    /// The rounds.
    pub rounds: Vec<Round>,
}

/// How long a start took, from the start of the process.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// To an open socket.
    pub connected: Duration,
    /// To the answer of the first call, which is sent when the configuration is in force.
    pub answered: Duration,
}

/// One round.
#[derive(Clone, Debug)]
pub struct Round {
    /// After connecting, configuration and one call.
    pub idle: Memory,
    /// One call in flight.
    pub one: Loaded,
    /// Many calls in flight.
    pub many: Loaded,
    /// After the load.
    pub after: Memory,
}

/// One load and what it cost.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The times.
    pub samples: Samples,
    /// CPU time of the subject.
    pub cpu: Option<Duration>,
    /// CPU time of the load generator.
    pub generator: Option<Duration>,
}

/// Starts a subject, calls it once and ends it.
pub async fn start_once(subject: &Subject, workspace: &mut Workspace) -> anyhow::Result<Start> {
    let started = async {
        let (process, _, start) = start(subject, workspace).await?;
        process.kill().await?;
        anyhow::Ok(start)
    };
    started.await.with_context(|| subject.last_words())
}

impl Measured {
    /// Nothing yet.
    pub fn new(kind: Kind, subject: Subject) -> Self {
        Self { kind, subject, cold: None, starts: Vec::new(), rounds: Vec::new() }
    }

    /// One more round.
    pub async fn round(&mut self, workspace: &mut Workspace, time: Duration) -> anyhow::Result<()> {
        let measured = async {
            let (process, session, start) = start(&self.subject, workspace).await?;
            let round = round(&process, session, time).await?;
            process.kill().await?;
            anyhow::Ok((start, round))
        };
        let (start, round) = measured.await.with_context(|| self.subject.last_words())?;
        self.starts.push(start);
        self.rounds.push(round);
        Ok(())
    }
}

async fn start(
    subject: &Subject,
    workspace: &mut Workspace,
) -> anyhow::Result<(Process, Session, Start)> {
    let process = subject.start(workspace.environment())?;
    let joined = workspace.joined().await?;
    let mut session = Session::new(joined.socket);
    session.configure().await?;
    session.call().await?;
    let start = Start {
        connected: joined.at.duration_since(process.started),
        answered: process.started.elapsed(),
    };
    Ok((process, session, start))
}

async fn round(process: &Process, mut session: Session, time: Duration) -> anyhow::Result<Round> {
    session.rest(REST).await?;
    let idle = Memory::of(process.id);
    session.load(MANY, WARM_UP).await?;
    let one = load(process, &mut session, 1, time * 2 / 3).await?;
    let many = load(process, &mut session, MANY, time).await?;
    session.rest(REST).await?;
    Ok(Round { idle, one, many, after: Memory::of(process.id) })
}

async fn load(
    process: &Process,
    session: &mut Session,
    in_flight: usize,
    time: Duration,
) -> anyhow::Result<Loaded> {
    let ours = std::process::id();
    let before = (cpu(process.id), cpu(ours));
    let samples = session.load(in_flight, time).await?;
    let spent = |now: Option<Duration>, before: Option<Duration>| now?.checked_sub(before?);
    Ok(Loaded {
        samples,
        cpu: spent(cpu(process.id), before.0),
        generator: spent(cpu(ours), before.1),
    })
}
