//! The compiler: a process of its own, which a hostile component can only end, or this process.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::ended::{Ended, What};
use super::worker::Worker;
use crate::connector::engine::Engine;
use crate::envelope::{Limit, Limits};

/// Compilers at once. Each uses all cores for most of its time, so more of them are no faster; with
/// more than one, a file that takes all its time does not hold up the others. Each may take
/// `compile-mib` of memory, so they are few.
const AT_ONCE: (usize, usize) = (2, 4);

/// Compiled code is at most so many times as large as the component (connectors have 3 to 6 times) …
const GROWTH: usize = 8;
/// … beside what every component brings: at most its memory's image and some functions.
const BASE: usize = 64 << 20;

/// Bytes of what a compiler says when it fails. A sentence is meant.
const SAYS: u64 = 2 << 10;

/// What makes code of components.
#[derive(Clone, Debug)]
pub struct Compiler(How);

#[derive(Clone, Debug)]
enum How {
    Child { program: Arc<Path>, slots: Arc<Semaphore> },
    Here,
}

impl Compiler {
    /// Compiles in a child process: this program, started again with the hidden subcommand
    /// `compile-worker`. Limits of time and memory hold for it, and if it dies this process goes on.
    /// For programs whose `main` is [`crate::main`].
    ///
    /// # Errors
    /// When this program does not know its own file.
    pub fn child_of_this_program() -> anyhow::Result<Self> {
        // The name in /proc stays right when the file is replaced by another version.
        Ok(match cfg!(target_os = "linux") {
            true => Self::child_of(Path::new("/proc/self/exe")),
            false => {
                let program = std::env::current_exe();
                Self::child_of(&program.context("this program's file is not known")?)
            }
        })
    }

    /// The same with another program whose `main` is [`crate::main`], of this very version.
    pub fn child_of(program: &Path) -> Self {
        let (least, most) = AT_ONCE;
        let slots = std::thread::available_parallelism().map_or(least, usize::from);
        let slots = Arc::new(Semaphore::new(slots.clamp(least, most)));
        Self(How::Child { program: program.into(), slots })
    }

    /// Compiles in this process. No limit of time or memory holds, and a crash of the compiler is one
    /// of this process: for components that are trusted, as those of a benchmark.
    pub fn in_process() -> Self {
        Self(How::Here)
    }

    /// The component's code, as [`wasmtime::Engine::precompile_component`] makes it.
    ///
    /// # Errors
    /// When the component is not right, or takes more than the limits.
    pub(super) async fn compile(
        &self,
        component: Arc<Vec<u8>>,
        engine: &Engine,
        limits: &Limits,
    ) -> anyhow::Result<Vec<u8>> {
        match &self.0 {
            How::Child { program, slots } => {
                let _slot = slots.acquire().await?;
                in_child(program, &component, limits).await
            }
            How::Here => {
                let engine = engine.clone();
                let compile = move || engine.wasmtime().precompile_component(&component);
                let compiled = tokio::task::spawn_blocking(compile).await;
                let compiled = compiled.context("the compiler crashed on it")?;
                compiled.map_err(|error| anyhow!("it is damaged: {}", error.root_cause()))
            }
        }
    }
}

async fn in_child(program: &Path, component: &[u8], limits: &Limits) -> anyhow::Result<Vec<u8>> {
    let mut child = command(program, limits).spawn().context("cannot start the compiler")?;
    let largest = component.len().saturating_mul(GROWTH).saturating_add(BASE);
    let ended = timeout(limits.time(Limit::CompileTime), run(&mut child, component, largest)).await;
    let Ok(ended) = ended else {
        child.kill().await.context("cannot stop the compiler")?;
        bail!(limits.breach(Limit::CompileTime));
    };
    let Ended { code, says, what } = ended?;
    match what {
        What::Done if code.len() > largest => {
            bail!(
                "its compiled code is larger than {} MiB, which is {GROWTH} times its own size and \
                 more; build it optimised, and without what it does not use",
                largest >> 20
            )
        }
        What::Done => Ok(code),
        What::Refused => bail!("it is damaged or cut off: {says}"),
        What::OutOfMemory => bail!(limits.breach(Limit::CompileMemory)),
        What::OutOfTime => bail!(limits.breach(Limit::CompileTime)),
        What::Killed => bail!(
            "the compiler was killed, as the system does when memory runs out; it may take {} \
             (compile-mib in [limits])",
            limits.shown(Limit::CompileMemory)
        ),
        What::Crashed(how) => bail!("the compiler crashed on it ({how}): {says}"),
    }
}

fn command(program: &Path, limits: &Limits) -> Command {
    let mut command = Command::new(program);
    command
        .args(Worker::of(limits).to_args())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn run(child: &mut Child, component: &[u8], largest: usize) -> anyhow::Result<Ended> {
    const PIPED: &str = "all three are piped";
    let stdin = child.stdin.take().expect(PIPED);
    let (stdout, stderr) = (child.stdout.take().expect(PIPED), child.stderr.take().expect(PIPED));
    let most = u64::try_from(largest).unwrap_or(u64::MAX).saturating_add(1);
    let (stdin, code, says) =
        tokio::join!(feed(stdin, component), read(stdout, most), read(stderr, SAYS));
    let (code, says) = (code?, says?);
    // Until here it has told the compiler that somebody waits for the code.
    drop(stdin);
    let status = child.wait().await?;
    Ok(Ended::new(status, code, &says))
}

/// Gives the component to the compiler. One that does not take it has said or will say why.
async fn feed(mut stdin: ChildStdin, component: &[u8]) -> ChildStdin {
    let length = (component.len() as u64).to_le_bytes();
    for part in [&length[..], component] {
        if stdin.write_all(part).await.is_err() {
            break;
        }
    }
    stdin
}

/// Reads at most so much. The rest is read as well, so that the other end is not stuck with it.
async fn read(mut from: impl AsyncRead + Unpin, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    (&mut from).take(most).read_to_end(&mut bytes).await?;
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok(bytes)
}
