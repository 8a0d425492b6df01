//! The program under test as a process of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::limits::PATIENCE;
use crate::log::{Log, Stream};

/// What to start: arguments and environment. Nothing of the test's own environment but `PATH`
/// reaches the process.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    /// The arguments.
    pub args: Vec<OsString>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// The working directory; an empty one where there is none.
    pub directory: Option<PathBuf>,
}

/// A running process. It is killed when this goes.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: Log,
    readers: Vec<JoinHandle<()>>,
    /// Home, data and working directory; goes with the process.
    home: TempDir,
}

impl Process {
    /// Starts the program.
    pub fn start(invocation: &Invocation) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let mut child = command(invocation, home.path())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program().display()));
        let log = Log::default();
        let readers = vec![
            log.read(Stream::Out, child.stdout.take().expect("standard output is piped")),
            log.read(Stream::Err, child.stderr.take().expect("standard error is piped")),
        ];
        Self { child, log, readers, home }
    }

    /// What it printed.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Its home, which is also where it was started when nothing else was said.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Waits until so many lines hold `part`.
    pub async fn lines_with(&self, part: &str, count: usize) {
        let what = format!("{count} lines with {part:?}");
        within(&what, &self.log, self.log.lines_with(part, count)).await
    }

    /// The first line that holds `part`, now or later.
    pub async fn line_with(&self, part: &str) -> String {
        let what = format!("a line with {part:?}");
        within(&what, &self.log, self.log.line_with(part)).await
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Sends SIGHUP, which asks to read the files again.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.id().expect("the process still runs");
        let id = i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(id, signal).expect("the process still runs");
    }

    /// The memory that it has, in bytes.
    #[cfg(target_os = "linux")]
    pub fn memory(&self) -> u64 {
        self.status_of("VmRSS")
    }

    /// The most memory that it ever had, in bytes.
    #[cfg(target_os = "linux")]
    pub fn peak_memory(&self) -> u64 {
        self.status_of("VmHWM")
    }

    /// How many files and sockets it has open.
    #[cfg(target_os = "linux")]
    pub fn open_files(&self) -> usize {
        let id = self.child.id().expect("the process still runs");
        std::fs::read_dir(format!("/proc/{id}/fd")).expect("it still runs").count()
    }

    #[cfg(target_os = "linux")]
    fn status_of(&self, key: &str) -> u64 {
        let kibibytes = self.status(key);
        let kibibytes = kibibytes.strip_suffix(" kB").and_then(|text| text.parse::<u64>().ok());
        1024 * kibibytes.expect("a number of kB")
    }

    /// What the system says of it, by the name of the line.
    #[cfg(target_os = "linux")]
    pub fn status(&self, name: &str) -> String {
        let id = self.child.id().expect("the process still runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it still runs");
        let mut lines = status.lines().filter_map(|line| line.split_once(':'));
        let line = lines.find(|(other, _)| *other == name);
        line.unwrap_or_else(|| panic!("there is no {name}")).1.trim().to_owned()
    }

    /// Waits until it ends by itself and has printed everything.
    pub async fn exit(&mut self) -> ExitStatus {
        let log = self.log.clone();
        let ended = async {
            let status = self.child.wait().await.expect("a child can be waited for");
            for reader in self.readers.drain(..) {
                reader.await.expect("reading lines does not panic");
            }
            status
        };
        within("the process to end", &log, ended).await
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log);
        }
    }
}

/// Waits for something, but not for ever: then panics with what the process printed.
pub async fn within<T>(what: &str, log: &Log, future: impl Future<Output = T>) -> T {
    within_time(PATIENCE, what, log, future).await
}

/// Waits so long for something, then panics with what the process printed.
pub async fn within_time<T>(
    limit: Duration,
    what: &str,
    log: &Log,
    future: impl Future<Output = T>,
) -> T {
    match timeout(limit, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {limit:?} for {what}\n{log}"),
    }
}

fn command(invocation: &Invocation, home: &Path) -> Command {
    let mut command = Command::new(program());
    command
        .args(&invocation.args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("XDG_CACHE_HOME", shared_cache())
        .env("XDG_DATA_HOME", home.join("data"))
        .envs(&invocation.env)
        .current_dir(invocation.directory.as_deref().unwrap_or(home))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// `target/PROFILE/aloma-wasm-under-test`: a test's binary lies in `deps` beside it.
pub fn program() -> PathBuf {
    profile_directory().join(format!("aloma-wasm-under-test{}", std::env::consts::EXE_SUFFIX))
}

/// Compiled guests are kept between tests and between runs, because compiling one takes longer
/// than most tests.
fn shared_cache() -> PathBuf {
    let cache = profile_directory().join("test-cache");
    std::fs::create_dir_all(&cache).expect("a folder in target");
    cache
}

fn profile_directory() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let deps = test.parent().expect("a file has a folder");
    deps.parent().expect("deps lies in the profile's folder").to_path_buf()
}
