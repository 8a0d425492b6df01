//! The programs under test, each in a process of its own.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::cargo::Built;
use crate::limits::LOG_LINES;

/// What is measured.
pub struct Subject {
    /// For the table.
    pub name: &'static str,
    program: PathBuf,
    arguments: Vec<OsString>,
    home: PathBuf,
}

/// A running subject. It is killed when this goes.
pub struct Process {
    child: Child,
    /// Its process id.
    pub id: u32,
    /// When it was started.
    pub started: Instant,
}

impl Subject {
    /// A program that keeps its files in a folder of its own.
    pub fn new(
        name: &'static str,
        program: PathBuf,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        home: PathBuf,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { name, program, arguments, home }
    }

    /// The program with the connector `hello`.
    pub fn aloma_wasm(built: &Built, folder: &Path) -> Self {
        let arguments = ["run".into(), built.component("hello")];
        Self::new("aloma-wasm", built.program.clone(), arguments, folder.join("aloma-wasm"))
    }

    /// This program again, in another part.
    pub fn this_program(
        name: &'static str,
        command: &'static str,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("where is this program?")?;
        Ok(Self::new(name, program, [command], folder.join(command)))
    }

    /// Starts it with these variables. Its home outlives it, and in it the compiled code.
    pub fn start(
        &self,
        environment: impl IntoIterator<Item = (&'static str, String)>,
    ) -> anyhow::Result<Process> {
        std::fs::create_dir_all(&self.home)?;
        let log = File::create(self.log())?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .env("HOME", &self.home)
            .env("XDG_CACHE_HOME", self.home.join("cache"))
            .env("XDG_DATA_HOME", self.home.join("data"))
            .envs(environment)
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {}", self.name))?;
        let id = child.id().context("it is gone already")?;
        Ok(Process { child, id, started })
    }

    /// The end of what it said last, for an error.
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let end = &lines[lines.len().saturating_sub(LOG_LINES)..];
        format!("{}; its log ends with:\n{}", self.name, end.join("\n"))
    }

    fn log(&self) -> PathBuf {
        self.home.join("log")
    }
}

impl Process {
    /// Ends it, so that it does not disturb the next.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("cannot end the program")
    }
}
