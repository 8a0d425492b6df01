//! `bench wire`: how fast the release binary answers `hello`.
//!
//! A lean workspace on loopback loads two processes in turn, over the real protocol: aloma-wasm and
//! a native floor, a plain websocket client with the answer written into it. The floor shows what
//! the machine and the load generator can do, so ratios mean something where absolute numbers do
//! not.

use std::time::Duration;

use crate::process::Subject;
use crate::round::Measured;
use crate::workspace::Workspace;
use crate::{Settings, cargo, round, table};

/// Measures and prints the table.
pub async fn measure(settings: &Settings) -> anyhow::Result<()> {
    let built = cargo::build()?;
    let folder = tempfile::tempdir()?;
    let ours = Subject::aloma_wasm(&built, folder.path());
    let floor = Subject::floor(folder.path())?;
    let mut workspace = Workspace::start().await?;
    let mut measured = [Measured::new(ours), Measured::new(floor)];

    // The cache is empty here, and never again.
    let [ours, _] = &mut measured;
    ours.cold = Some(round::start_once(&ours.subject, &mut workspace).await?);
    for _ in 0..settings.starts {
        for one in &mut measured {
            one.starts.push(round::start_once(&one.subject, &mut workspace).await?);
        }
    }
    // In turn, so that whatever else the machine does meets both.
    for _ in 0..settings.rounds {
        for one in &mut measured {
            one.round(&mut workspace, Duration::from_secs(settings.seconds)).await?;
        }
    }
    let [ours, floor] = &measured;
    table::print(ours, floor, &built)
}
