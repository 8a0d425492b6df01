//! `aloma-wasm run`

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::args;
use crate::local::LocalWorkspace;
use crate::run::{self, Fixed, Settings, Signals};
use crate::settings::Environment;

pub(super) async fn run(args: args::Run, environment: Environment) -> anyhow::Result<()> {
    let settings = Settings {
        record: args.connector.record.clone(),
        environment,
        grace: Duration::from_secs(args.end.shutdown_timeout),
        listen: args.local.listen,
        data: args.local.data,
        announce,
    };
    let connectors = Fixed {
        values: args.connector.config.clone(),
        connectors: args.connector.origins(&args.files)?,
        watch: args.watch,
    };
    run::run(settings, connectors, signals()?).await
}

pub(super) fn announce(local: &LocalWorkspace) -> anyhow::Result<()> {
    super::print(&format!("workspace: {}", local.page()))
}

/// What the process is told from outside: to stop, and to read its files again.
///
/// SIGHUP asks for the second. With a terminal it comes when that is closed, and asks for the first.
pub(super) fn signals() -> anyhow::Result<Signals> {
    let mut hang_up = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
    let signals = Signals { shutdown: until_asked_to_stop()?, ..Signals::default() };
    let Signals { shutdown, reload } = signals.clone();
    let has_terminal = std::io::stdin().is_terminal();
    // Lives as long as the process.
    tokio::spawn(async move {
        while hang_up.recv().await.is_some() {
            if has_terminal {
                tracing::info!("stopping: the terminal was closed");
                shutdown.cancel();
            } else {
                reload.notify_one();
            }
        }
    });
    Ok(signals)
}

/// Cancelled by the first SIGTERM or Ctrl-C. A second one ends the process at once.
pub(super) fn until_asked_to_stop() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for Ctrl-C")?;
    let shutdown = CancellationToken::new();
    let asked = shutdown.clone();
    // Lives as long as the process, which the second signal ends.
    tokio::spawn(async move {
        for round in 0.. {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if round > 0 {
                std::process::exit(130);
            }
            tracing::info!("stopping; once more to stop at once");
            asked.cancel();
        }
    });
    Ok(shutdown)
}
