//! `aloma-wasm run`

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::args;
use crate::local::LocalWorkspace;
use crate::run::{self, Settings};
use crate::settings::Environment;

pub(super) async fn run(args: args::Run, environment: Environment) -> anyhow::Result<()> {
    let settings = Settings {
        connectors: args.connector.settings(&args.files)?,
        record: args.connector.record,
        environment,
        grace: Duration::from_secs(args.shutdown_timeout),
        listen: args.local.listen,
        data: args.local.data,
    };
    run::run(settings, until_asked_to_stop()?, announce).await
}

fn announce(local: &LocalWorkspace) -> anyhow::Result<()> {
    super::print(&format!("workspace: {}", local.page()))
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
