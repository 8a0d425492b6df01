//! `cargo run --release -p aloma-bench`: how fast the release binary answers `hello`.
//!
//! A lean workspace on loopback loads two processes in turn, over the real protocol: aloma-wasm and
//! a native floor, a plain websocket client with the answer written into it. The floor shows what
//! the machine and the load generator can do, so ratios mean something where absolute numbers do
//! not. Nothing is asserted about time: the table is the result.

mod cargo;
mod floor;
mod limits;
mod load;
mod process;
mod round;
mod session;
mod table;
mod usage;
mod workspace;

use std::time::Duration;

use anyhow::ensure;
use clap::{Parser, Subcommand};

use crate::process::Subject;
use crate::round::Measured;
use crate::workspace::Workspace;

/// Measure aloma-wasm beside a native floor and print a table
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Rounds: each starts both programs anew and loads them. The table shows medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// Seconds of load in a round with 64 calls in flight; with one in flight, two thirds of it
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Starts beside those of the rounds
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(0..=100))]
    starts: u32,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The floor, a process of its own
    #[command(hide = true)]
    Floor,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    // One thread: it must leave the other cores to the program that is measured.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match cli.command {
        Some(Command::Floor) => runtime.block_on(floor::run()),
        None => runtime.block_on(measure(&cli)),
    }
}

async fn measure(cli: &Cli) -> anyhow::Result<()> {
    ensure!(!cfg!(debug_assertions), "this build is slow itself; run it with `--release`");
    let built = cargo::build()?;
    let folder = tempfile::tempdir()?;
    let ours = Subject::aloma_wasm(&built, folder.path());
    let floor = Subject::floor(folder.path())?;
    let mut workspace = Workspace::start().await?;
    let mut measured = [Measured::new(ours), Measured::new(floor)];

    // The cache is empty here, and never again.
    let [ours, _] = &mut measured;
    ours.cold = Some(round::start_once(&ours.subject, &mut workspace).await?);
    for _ in 0..cli.starts {
        for one in &mut measured {
            one.starts.push(round::start_once(&one.subject, &mut workspace).await?);
        }
    }
    // In turn, so that whatever else the machine does meets both.
    for _ in 0..cli.rounds {
        for one in &mut measured {
            one.round(&mut workspace, Duration::from_secs(cli.seconds)).await?;
        }
    }
    let [ours, floor] = &measured;
    table::print(ours, floor, &built)
}
