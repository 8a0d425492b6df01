//! `cargo run --release -p aloma-bench`: how fast aloma-wasm is, beside something native that is
//! measured in the same run.
//!
//! `wire` is the way of a call from the workspace to the guest and back, `broker` what a request
//! costs beyond the HTTP library. Nothing is asserted about time: the tables are the result.

mod broker;
mod cargo;
mod floor;
mod limits;
mod load;
mod process;
mod round;
mod session;
mod table;
mod usage;
mod wire;
mod workspace;

use anyhow::ensure;
use clap::{Args, Parser, Subcommand};
use tokio::runtime::Builder;

/// Measure aloma-wasm beside something native and print tables
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Cli {
    /// What to measure [default: everything]
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct Settings {
    /// Rounds: each starts what is measured anew and loads it. The tables show medians
    #[arg(long, global = true, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// Seconds of load in a round with many calls in flight; with one in flight, two thirds of it
    #[arg(long, global = true, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Starts beside those of the rounds, for `wire`
    #[arg(long, global = true, default_value_t = 7, value_parser = clap::value_parser!(u32).range(0..=100))]
    starts: u32,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Command {
    /// Calls over the workspace protocol, beside a native floor
    Wire,
    /// Requests of the broker, beside direct use of the same HTTP library
    Broker,
    /// The floor of `wire`, a process of its own
    #[command(hide = true)]
    Floor,
    /// The server of `broker`, a process of its own
    #[command(hide = true)]
    Server,
}

fn main() -> anyhow::Result<()> {
    let Cli { command, settings } = Cli::parse();
    // One thread: it must leave the other cores to the program that is measured.
    let one_thread = Builder::new_current_thread().enable_all().build()?;
    match command {
        Some(Command::Floor) => return one_thread.block_on(floor::run()),
        Some(Command::Server) => return one_thread.block_on(broker::server::run()),
        _ => {}
    }
    ensure!(!cfg!(debug_assertions), "this build is slow itself; run it with `--release`");
    if !matches!(command, Some(Command::Broker)) {
        one_thread.block_on(wire::measure(&settings))?;
    }
    if !matches!(command, Some(Command::Wire)) {
        // Here the client is what is measured, and runs on the threads that it has in the program.
        Builder::new_multi_thread().enable_all().build()?.block_on(broker::measure(&settings))?;
    }
    Ok(())
}
