//! The compiler process: limits itself, reads a component, writes its code.
//!
//! It opens no file and needs nothing but its three standard streams.

use std::ffi::OsString;
use std::io::{Read, Write as _};
use std::process::ExitCode;
use std::thread;

use anyhow::{Context as _, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};

use super::ended::{OUT_OF_MEMORY, REFUSED};
use crate::connector::engine::Engine;
use crate::envelope::{Limit, Limits};

/// The name of the hidden subcommand.
const COMMAND: &str = "compile-worker";

/// What a thread of the compiler has reserved and hardly uses: its stack, and its heap's beginnings.
const OF_A_THREAD: u64 = 4 << 20;
/// What the program has before it compiles.
const OF_THE_PROGRAM: u64 = 32 << 20;
/// The stack of the first thread, which the limit of memory does not count. The usual size.
const STACK: u64 = 8 << 20;
/// Three streams, and what the system's libraries may look at for a moment.
const OPEN_FILES: u64 = 16;
/// Calls that are running go first.
const NICE: i32 = 5;

/// What a compiler process may take. It says so to itself, as it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    /// MiB of memory.
    pub memory: u64,
    /// Seconds of CPU time, of all its threads.
    pub cpu: u64,
}

impl Worker {
    /// Wall time is what is limited, from outside. CPU time can only be this much in it; the limit on
    /// it ends a compiler that nobody is left to stop.
    pub(super) fn of(limits: &Limits) -> Self {
        let time = limits.get(Limit::CompileTime);
        Self { memory: limits.get(Limit::CompileMemory), cpu: time.saturating_mul(cores()) }
    }

    pub(super) fn to_args(self) -> [OsString; 3] {
        let Self { memory, cpu } = self;
        [COMMAND.into(), memory.to_string().into(), cpu.to_string().into()]
    }

    /// Compiles what is on standard input to standard output.
    pub fn work(self) -> ExitCode {
        let outcome = self.confine().and_then(|()| component()).and_then(|component| {
            // It goes on until its end, which ends the process.
            thread::Builder::new().spawn(end_with_input).context("cannot start a thread")?;
            compile(&component)
        });
        outcome.unwrap_or_else(|error| {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        })
    }

    fn confine(self) -> anyhow::Result<()> {
        let memory = self.memory << 20;
        lower(Resource::Data, memory + OF_THE_PROGRAM + cores().saturating_mul(OF_A_THREAD))?;
        lower(Resource::Cpu, self.cpu)?;
        lower(Resource::Stack, STACK)?;
        lower(Resource::Nofile, OPEN_FILES)?;
        lower(Resource::Fsize, 0)?;
        lower(Resource::Core, 0)?;
        // Where it is not allowed, the compiler takes its share of time like everybody.
        let _ = nice(NICE);
        Ok(())
    }
}

fn cores() -> u64 {
    thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

fn lower(resource: Resource, to: u64) -> anyhow::Result<()> {
    let now = getrlimit(resource);
    let to = Some(now.maximum.map_or(to, |now| now.min(to)));
    setrlimit(resource, Rlimit { current: to, maximum: to })
        .with_context(|| format!("the compiler cannot limit itself ({resource:?})"))
}

/// The component, behind its length: standard input does not end while somebody waits for the code.
fn component() -> anyhow::Result<Vec<u8>> {
    let mut input = std::io::stdin().lock();
    let mut length = [0; 8];
    input.read_exact(&mut length).context("no component came")?;
    let (length, mut component) = (u64::from_le_bytes(length), Vec::new());
    // Nothing is set aside for a length that may be wrong.
    input.take(length).read_to_end(&mut component).context("no component came")?;
    ensure!(component.len() as u64 == length, "the component did not come to its end");
    Ok(component)
}

/// Whoever waits for the code has gone when standard input ends.
fn end_with_input() {
    let mut none = [0];
    while matches!(std::io::stdin().lock().read(&mut none), Ok(1..)) {}
    std::process::exit(1);
}

fn compile(component: &[u8]) -> anyhow::Result<ExitCode> {
    let code = match Engine::compiling()?.precompile_component(component) {
        Ok(code) => code,
        Err(error) if error.is::<wasmtime::OutOfMemory>() => {
            return Ok(ExitCode::from(OUT_OF_MEMORY));
        }
        Err(error) => {
            say(&error.root_cause().to_string());
            return Ok(ExitCode::from(REFUSED));
        }
    };
    let mut output = std::io::stdout().lock();
    output.write_all(&code).and_then(|()| output.flush()).context("nobody takes the code")?;
    Ok(ExitCode::SUCCESS)
}

fn say(text: &str) {
    // The exit code says the most of it.
    let _ = writeln!(std::io::stderr(), "{text}");
}
