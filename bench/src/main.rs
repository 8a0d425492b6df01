//! `cargo run --release -p aloma-bench`: how fast aloma-wasm is, beside Node and something native
//! that are measured in the same run.
//!
//! `wire` is the way of a call from the workspace to the guest and back, `instances` what of it is
//! the sandbox, `many` a process with up to a thousand connectors, `compile` the start without and
//! with a cache, `broker` what a request costs beyond the HTTP library. Nothing is asserted about
//! time: the tables are the result.

mod aims;
mod broker;
mod cargo;
mod compile;
mod instances;
mod limits;
mod load;
mod many;
mod peer;
mod process;
mod table;
mod usage;
mod wire;
mod workspace;

use std::path::PathBuf;

use anyhow::ensure;
use clap::{Args, Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

/// Measure aloma-wasm beside Node and something native, and print tables
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
    /// The aloma-wasm to measure [default: the one that is built from here]
    #[arg(long, global = true, value_name = "FILE")]
    program: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
enum Command {
    /// Calls over the workspace protocol, beside Node, a native floor and a bare socket
    Wire,
    /// Calls of a connector in this process: on a warm instance, and in a fresh one each
    Instances,
    /// 1 to 1,000 connectors in one process: start, memory, calls
    Many,
    /// Compiling the examples, without and with a cache
    Compile,
    /// Requests of the broker, beside direct use of the same HTTP library
    Broker,
    /// The native floor of `wire`, a process of its own
    #[command(hide = true)]
    Native,
    /// The bare socket of `wire`, a process of its own
    #[command(hide = true)]
    Bare,
    /// The server of `broker`, a process of its own
    #[command(hide = true)]
    Server,
}

fn main() -> anyhow::Result<()> {
    let Cli { command, settings } = Cli::parse();
    match command {
        Some(Command::Native) => return threads()?.block_on(wire::native::run()),
        Some(Command::Bare) => return one_thread()?.block_on(wire::bare::run()),
        Some(Command::Server) => return one_thread()?.block_on(broker::server::run()),
        _ => {}
    }
    ensure!(!cfg!(debug_assertions), "this build is slow itself; run it with `--release`");
    let is_wanted = |part| command.is_none_or(|command| command == part);
    let mut aims = Vec::new();
    if is_wanted(Command::Wire) {
        aims.extend(one_thread()?.block_on(wire::measure(&settings))?);
    }
    if is_wanted(Command::Instances) {
        aims.extend(threads()?.block_on(instances::measure(&settings))?);
    }
    if is_wanted(Command::Many) {
        aims.extend(one_thread()?.block_on(many::measure(&settings))?);
    }
    if is_wanted(Command::Compile) {
        one_thread()?.block_on(compile::measure(&settings))?;
    }
    if is_wanted(Command::Broker) {
        threads()?.block_on(broker::measure(&settings))?;
    }
    aims::print(&aims)
}

/// For what loads others: it must leave the other cores to the program that is measured.
fn one_thread() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// For what is measured itself: the threads that it has in the program.
fn threads() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build()
}
