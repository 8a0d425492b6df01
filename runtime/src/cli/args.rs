//! What can be written on the command line.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::value::RawValue;

use crate::broker::{Mode, Policy, PolicyError};
use crate::envelope::{Limit, Limits};
use crate::run::{ConnectorSettings, Fields, Origin};
use crate::settings::choice::{self, Choice, choose};
use crate::settings::file::File;
use crate::settings::{Assignment, WorkspaceSettings};

/// Run ALOMA connectors that nobody has to trust.
///
/// A connector is one .wasm file. It runs in a sandbox: no files, no environment, no network but
/// what you grant. Start with `aloma-wasm new my-connector`, or look at a file that you were given
/// with `aloma-wasm inspect connector.wasm`.
#[derive(Debug, Parser)]
#[command(name = "aloma-wasm", version, max_term_width = 100)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Run(Run),
    Serve(Serve),
    Call(Call),
    Inspect(Inspect),
    #[command(subcommand)]
    Policy(PolicyCommand),
    Keys(Keys),
    Cache(Cache),
    Workspace(Workspace),
    New(New),
    Doctor(Doctor),
    #[command(hide = true)]
    CompileWorker(CompileWorker),
}

/// Join connectors to their workspace and run them
///
/// With REGISTRATION_TOKEN in the environment or in .env the connector joins the workspace of the
/// ALOMA platform. Without one, an embedded workspace is started on this machine; its web page shows
/// the connectors, their configuration, their actions and what they do.
///
/// A FILE is a component, or a connector.toml that names one and holds its settings. A component named
/// alone has the settings of ./connector.toml, where there is one and no second FILE is named.
///
/// Ctrl-C or SIGTERM ends it: calls under way get some time to finish, and every one is answered.
/// SIGHUP makes it read the files again (on a terminal, which sends it when it is closed, it ends
/// `run`, too), and --watch does that by itself: a new version takes over
/// without dropping the link, its configuration or its tokens, and calls under way finish on the old
/// one. A new version that does not load, asks for more than was accepted or has a wrong setting is
/// not taken; the log says why.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aloma-wasm run hello.wasm
  aloma-wasm run users.wasm --allow https://api.example.com
  aloma-wasm run users.wasm --allow-private http://127.0.0.1:8080 \\
    --config BASE_URL=http://127.0.0.1:8080
  aloma-wasm run users/connector.toml orders/connector.toml
  aloma-wasm run users/connector.toml --watch
  REGISTRATION_TOKEN=… aloma-wasm run users.wasm --env-file production.env

Flags win over connector.toml, which wins over the environment; grants of all of them count.

Environment (also read from .env): REGISTRATION_TOKEN or REGISTRATION_KEY, PRIVATE_KEY, PUBLIC_KEY,
CONNECTOR_ID, HOSTNAME, DEPLOYMENT, DEVICE_ENDPOINT, WEBSOCKET_ENDPOINT, LOG_LEVEL, OAUTH_CLIENT_ID,
OAUTH_CLIENT_SECRET, OAUTH_AUTHORIZATION_URL, OAUTH_TOKEN_URL, OAUTH_SCOPE, HTTPS_PROXY, HTTP_PROXY,
NO_PROXY. A configuration field is taken from the line of its name in .env, unless that is one of
these or settings name it for something else; from the environment only where --config names it.")]
pub(super) struct Run {
    /// The connectors: component files, or settings files that name them
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub connector: Connector,
    /// Let new versions take over as soon as their files are there
    #[arg(long)]
    pub watch: bool,
    #[command(flatten)]
    pub end: End,
    #[command(flatten)]
    pub local: Local,
}

/// How a process with connectors ends.
#[derive(Debug, Args)]
pub(super) struct End {
    /// Seconds that calls under way may take to finish when the process is asked to stop, and on a
    /// version that was replaced. What comes after takes a few more; orchestrators give 30 for all of it
    #[arg(long, value_name = "SECONDS", default_value_t = 20,
          value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub shutdown_timeout: u64,
}

/// Run every connector of a folder, and follow the folder as it changes
///
/// A connector is a settings file: NAME.toml in the folder, where it names a `component`, or
/// NAME/connector.toml. Hidden names are left out. One that comes is started, one that goes is
/// stopped, and one that changes, with its component or with a file that it takes a value from, is
/// replaced: link, configuration and tokens stay, and calls under way finish on the old version. A
/// new version that does not load, asks for more than was accepted or has a wrong setting is not
/// taken; the log says why.
///
/// What happens to one connector happens to no other: one that does not load, whose settings are wrong
/// or whose id is taken is told in the log and tried again, more and more rarely, and at once when its
/// files change. An empty folder is fine. A FILE is a component or settings file as for `run`.
///
/// Each connector has a registration token of its own: `token` in [workspace] of its settings file.
/// REGISTRATION_TOKEN of the environment is only for a single one. Without any, it joins the embedded
/// workspace. OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET are only for a single one, too; of several, each
/// has its client in [config].
///
/// Ctrl-C or SIGTERM ends it as it ends `run`; SIGHUP makes it read everything again, or on a terminal,
/// which sends it when it is closed, ends it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aloma-wasm serve /etc/aloma/connectors
  aloma-wasm serve connectors --env-file production.env --record requests.jsonl
  aloma-wasm serve users.toml orders/connector.toml
  kill -HUP $(pidof aloma-wasm)

Environment (also read from .env, once): what `run` reads. PRIVATE_KEY and PUBLIC_KEY are for all
connectors that have no keys of their own in [workspace].")]
pub(super) struct Serve {
    /// Folders with settings files; or files, as for `run`
    #[arg(value_name = "DIR|FILE", required = true)]
    pub paths: Vec<PathBuf>,
    /// Add a record of every request to this file, a JSON object a line, never with a body, query,
    /// header or secret
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Read settings from this file instead of .env; the environment goes before it
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// How much to log [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
    /// Let this process open any file and make any system call, as far as its user may. It gives that up
    /// after its start, where the kernel can hold it to that; see `aloma-wasm doctor`
    #[arg(long)]
    pub no_confinement: bool,
    #[command(flatten)]
    pub end: End,
    #[command(flatten)]
    pub local: Local,
}

/// Call one action and print its result
///
/// FILE is a component or a connector.toml, as for `run`. Needs no workspace. The result is JSON on
/// standard output, and nothing else is; logs and errors go to standard error. Exit code 1 when the
/// action failed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aloma-wasm call hello.wasm hello
  aloma-wasm call users.wasm getUser '{\"userId\":\"7\"}' --allow https://api.example.com
  aloma-wasm call connector.toml getUser '{\"userId\":\"7\"}' --trace
  echo '{\"name\":\"Ann\"}' | aloma-wasm call hello.wasm hello -")]
pub(super) struct Call {
    /// The connector: its component file, or a settings file that names it
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The action's name
    #[arg(value_name = "ACTION")]
    pub action: String,
    /// The arguments, a JSON object; `-` reads them from standard input
    #[arg(value_name = "JSON", default_value = "{}", value_parser = arguments)]
    pub arguments: Arguments,
    /// Print the call's requests as a tree on standard error: what was decided, tried and answered
    #[arg(long)]
    pub trace: bool,
    #[command(flatten)]
    pub connector: Connector,
}

/// Show what a connector is, what it asks for and what it can do
///
/// The connector is asked to describe itself in a sandbox without network. What it asks for is shown
/// beside what these flags and its connector.toml would grant.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aloma-wasm inspect users.wasm
  aloma-wasm inspect users.wasm --json | jq '.manifest.actions[].name'")]
pub(super) struct Inspect {
    /// The connector: its component file, or a settings file that names it
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
    /// Let this process open any file and make any system call, as far as its user may. It gives that up
    /// after its start, where the kernel can hold it to that; see `aloma-wasm doctor`
    #[arg(long)]
    pub no_confinement: bool,
    #[command(flatten)]
    pub rules: Rules,
}

/// Grants from a recording, and what versions of a connector ask for
#[derive(Debug, Subcommand)]
#[command(after_help = "\
From a first run to a policy:
  aloma-wasm run users.wasm --report --record users.jsonl    # let it work for a while
  aloma-wasm policy suggest users.jsonl >> connector.toml    # read the grants, then run with them
  aloma-wasm policy accept connector.toml users.wasm         # what asks for more no longer starts")]
pub(super) enum PolicyCommand {
    Suggest(Suggest),
    Diff(Diff),
    Accept(Accept),
}

/// Print a connector.toml with the grants that a recorded run needed
///
/// One grant for each origin, with the methods and the paths that were seen. What was refused for want
/// of a grant, or only reported, is in it as well: read it before you use it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aloma-wasm run users.wasm --report --record users.jsonl
  aloma-wasm policy suggest users.jsonl >> connector.toml")]
pub(super) struct Suggest {
    /// The recording: a JSON object a line; `-` reads it from standard input
    #[arg(value_name = "RECORDING")]
    pub recording: PathBuf,
    /// The connector that is meant, where the recording has several
    #[arg(long, value_name = "ID")]
    pub connector: Option<String>,
}

/// Show what a new version asks for beyond the old one
///
/// Compared are the origins, the OAuth URLs and scope, the secret and the plain fields, the declared
/// credentials and the imported interfaces.
/// Exit code 0 when nothing more is asked for, 1 when more is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aloma-wasm policy diff users-1.wasm users-2.wasm
  aloma-wasm policy diff connector.toml users-2.wasm")]
pub(super) struct Diff {
    /// The old version; of a settings file what it has accepted, or else the component that it names
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// The new version
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
    /// Let this process open any file and make any system call, as far as its user may. It gives that up
    /// after its start, where the kernel can hold it to that; see `aloma-wasm doctor`
    #[arg(long)]
    pub no_confinement: bool,
}

/// Write into a connector.toml what its connector asks for, so that a version that asks for more does
/// not start
///
/// Only the table [accepted] is replaced. Accepting grants nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aloma-wasm policy accept connector.toml
  aloma-wasm policy accept connector.toml users-2.wasm")]
pub(super) struct Accept {
    /// The settings file
    #[arg(value_name = "SETTINGS")]
    pub settings: PathBuf,
    /// The component, where it is not the one that the settings name
    #[arg(value_name = "FILE")]
    pub component: Option<PathBuf>,
    /// Print the table and write nothing
    #[arg(long)]
    pub print: bool,
    /// Let this process open any file and make any system call, as far as its user may. It gives that up
    /// after its start, where the kernel can hold it to that; see `aloma-wasm doctor`
    #[arg(long)]
    pub no_confinement: bool,
}

/// Make the key pair that opens secret configuration
///
/// Writes PRIVATE_KEY and PUBLIC_KEY to a .env file that only you can read. The workspace seals
/// secret fields with the public key. A new pair makes what was entered before unreadable, so a
/// file that has keys already is left alone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aloma-wasm keys
  aloma-wasm keys --env-file production.env
  aloma-wasm keys --stdout")]
pub(super) struct Keys {
    /// The file to write to; other lines in it stay
    #[arg(long, value_name = "FILE", default_value = ".env")]
    pub env_file: PathBuf,
    /// Print the pair instead of writing a file
    #[arg(long, conflicts_with = "env_file")]
    pub stdout: bool,
}

/// Show the cache of compiled code, or clear it
///
/// A component is compiled when it is first loaded; later starts take its code from the cache. Each
/// line has the beginning of a component's SHA-256, the size of its code and when it was last used. What
/// was not used the longest goes by itself when there is too much.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aloma-wasm cache
  aloma-wasm cache clear
  aloma-wasm cache clear --old

The cache is in aloma-wasm/compiled in XDG_CACHE_HOME, which is ~/.cache where it is not set.")]
pub(super) struct Cache {
    #[command(subcommand)]
    pub command: Option<CacheCommand>,
}

#[derive(Debug, Subcommand)]
pub(super) enum CacheCommand {
    Clear(Clear),
}

/// Remove what is in the cache
///
/// The next start compiles again. Connectors that run go on.
#[derive(Debug, Args)]
pub(super) struct Clear {
    /// Remove only what other versions of this program compiled
    #[arg(long)]
    pub old: bool,
}

/// Compile the component on standard input. This program starts it for itself
#[derive(Debug, Args)]
pub(super) struct CompileWorker {
    /// MiB of memory that it may take
    #[arg(value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=MOST_MIB))]
    pub memory: u64,
    /// Seconds of CPU time that it may take
    #[arg(value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub cpu: u64,
}

/// MiB whose number of bytes is a number with room to spare.
const MOST_MIB: u64 = 1 << 32;

/// Run the embedded workspace alone
///
/// Any connector can join it, also one made with the Node SDK. The settings that it needs for that
/// are printed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aloma-wasm workspace
  aloma-wasm workspace --listen 127.0.0.1:0 --data ./workspace")]
pub(super) struct Workspace {
    #[command(flatten)]
    pub local: Local,
    /// How much to log [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
    /// Let this process open any file and make any system call, as far as its user may. It gives that up
    /// after its start, where the kernel can hold it to that; see `aloma-wasm doctor`
    #[arg(long)]
    pub no_confinement: bool,
}

/// Make a new Rust connector
///
/// The folder is complete: it builds with `cargo component build` and with `cargo build --target
/// wasm32-wasip2`, and passes its own tests with `cargo test`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aloma-wasm new my-connector")]
pub(super) struct New {
    /// The connector's name and folder
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// Look at this machine and say what is amiss
///
/// Looked at are the confinement of the process (Landlock and seccomp, tried out), its folders, TLS, the
/// WebAssembly engine, the keys and the limits of the process. Start it as the connectors are started:
/// as the same user, with the same environment. Exit code 1 when there is something to mend.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aloma-wasm doctor
  aloma-wasm doctor --json | jq '.[] | select(.standing == \"problem\")'")]
pub(super) struct Doctor {
    /// Read settings from this file instead of .env; the environment goes before it
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// What a connector may do, and where that is written.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Rules {
    /// Let it reach this origin: https://api.example.com, https://*.example.com for what is below it,
    /// https://* for all; never a private address
    #[arg(long, value_name = "ORIGIN", value_parser = grant)]
    pub allow: Vec<String>,
    /// Let it reach this origin even at a private address: http://127.0.0.1:8080
    #[arg(long, value_name = "ORIGIN", value_parser = private_grant)]
    pub allow_private: Vec<String>,
    /// Let it reach whatever is public, without secrets, and report what would have been refused
    #[arg(long)]
    pub report: bool,
    /// Send the secret in this configuration field to this origin only, of all that are granted;
    /// repeat it for another one
    #[arg(long, value_name = "KEY=ORIGIN", value_parser = binding)]
    pub bind: Vec<(String, String)>,
    /// Let the connector read the secret in this configuration field; else it gets a placeholder
    #[arg(long, value_name = "KEY")]
    pub reveal: Vec<String>,
    /// Read the connector's settings from this file instead of ./connector.toml
    #[arg(long, value_name = "FILE", conflicts_with = "no_settings")]
    pub settings: Option<PathBuf>,
    /// Leave ./connector.toml unread
    #[arg(long)]
    pub no_settings: bool,
}

/// What can be said of each connector.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Connector {
    #[command(flatten)]
    pub rules: Rules,
    /// Set a configuration field; what the workspace sends goes before it. KEY alone takes the value
    /// from the environment, ID.KEY is for one connector of several
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    pub config: Vec<Assignment>,
    /// Add a record of every request to this file, a JSON object a line, never with a body, query,
    /// header or secret
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Read settings from this file instead of .env; the environment goes before it
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Let this process open any file and make any system call, as far as its user may. It gives that up
    /// after its start, where the kernel can hold it to that; see `aloma-wasm doctor`
    #[arg(long)]
    pub no_confinement: bool,
    /// How much to log [default: info, for `call` warn]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(Limit::CallTime.range()),
          help = with_default("Stop a call after so many seconds", Limit::CallTime))]
    pub call_timeout: Option<u64>,
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(Limit::Memory.range()),
          help = with_default("Memory of one instance, in MiB", Limit::Memory))]
    pub memory: Option<u64>,
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(Limit::Concurrency.range()),
          help = with_default("Calls of one connector that run at once", Limit::Concurrency))]
    pub concurrency: Option<u64>,
}

/// The embedded workspace.
#[derive(Debug, Args)]
pub(super) struct Local {
    /// Where the embedded workspace listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4060", value_parser = loopback)]
    pub listen: SocketAddr,
    /// The embedded workspace's folder [default: aloma-wasm/workspace in the user's data folder]
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl LogLevel {
    /// An unknown word in the environment is no reason not to start.
    pub(super) fn read(text: &str) -> Option<Self> {
        <Self as ValueEnum>::from_str(text, true).ok()
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// The text of a flag whose value may come from connector.toml, too.
fn with_default(text: &str, limit: Limit) -> String {
    format!("{text} [default: {}]", Limits::default().get(limit))
}

impl Rules {
    /// The connectors that the files name, with their settings files.
    pub(super) fn choose(&self, files: &[PathBuf]) -> anyhow::Result<Vec<Choice>> {
        let from = match &self.settings {
            Some(file) => choice::From::Named(file),
            None if self.no_settings => choice::From::Nowhere,
            None => choice::From::Folder(Path::new("")),
        };
        choose(files, from)
    }

    /// What may be reached: by these flags and the file.
    pub(super) fn policy(&self, file: Option<&File>) -> anyhow::Result<Policy> {
        let mut policy = Policy::parse(&self.allow, &self.allow_private)?;
        let mut mode = Mode::default();
        if let Some(file) = file {
            policy = policy
                .with_tables(&file.grants, file.folder())
                .bind(&file.bindings().collect::<Vec<_>>())?;
            mode = file.mode;
        }
        let mode = if self.report { Mode::Report } else { mode };
        Ok(policy.bind(&self.bind)?.in_mode(mode))
    }

    /// The keys of secrets that the connector reads as they are.
    pub(super) fn revealed(&self, file: Option<&File>) -> Vec<String> {
        let of_file = file.into_iter().flat_map(File::revealed);
        of_file.chain(&self.reveal).cloned().collect()
    }
}

impl Connector {
    /// The connectors that the files name, each to be read again when it has changed.
    ///
    /// # Errors
    /// When it is not clear which settings belong to which of them, or they cannot be read.
    pub(super) fn origins(self, files: &[PathBuf]) -> anyhow::Result<Vec<Origin>> {
        self.rules.choose(files)?;
        // The settings of the working directory are for one connector.
        let no_settings = self.rules.no_settings || files.len() > 1;
        let rules = Rules { no_settings, ..self.rules };
        let connector = Arc::new(Self { rules, ..self });
        Ok(files.iter().map(|file| connector.origin(file)).collect())
    }

    /// The connector that one file names.
    pub(super) fn origin(self: &Arc<Self>, file: &Path) -> Origin {
        let (connector, path) = (self.clone(), file.to_owned());
        let read = move || Ok(connector.settings(std::slice::from_ref(&path))?.remove(0));
        Origin { path: file.to_owned(), read: Arc::new(read) }
    }

    /// The connectors that the files name, with all that is said of them.
    pub(super) fn settings(&self, files: &[PathBuf]) -> anyhow::Result<Vec<ConnectorSettings>> {
        self.rules.choose(files)?.into_iter().map(|choice| self.settings_of(choice)).collect()
    }

    fn settings_of(&self, choice: Choice) -> anyhow::Result<ConnectorSettings> {
        let Choice { component, file } = choice;
        let (policy, limits) = (self.rules.policy(file.as_ref())?, self.limits(file.as_ref()));
        let isolation = file.as_ref().map(|file| file.isolation).unwrap_or_default();
        let revealed = self.rules.revealed(file.as_ref());
        let fields = Fields { values: self.config.clone(), revealed, ..Fields::default() };
        let without_file = ConnectorSettings {
            component,
            file: None,
            id: None,
            policy,
            fields,
            limits: Arc::new(limits),
            isolation,
            credentials: BTreeMap::new(),
            network: None,
            workspace: WorkspaceSettings::default(),
            accepted: None,
            named: Vec::new(),
        };
        let Some(file) = file else { return Ok(without_file) };
        Ok(ConnectorSettings {
            fields: Fields {
                sources: file.config,
                secrets: file.secrets.into_keys().collect(),
                variables: file.variables,
                ..without_file.fields
            },
            file: Some(file.path),
            id: file.id,
            credentials: file.credentials,
            network: file.network,
            workspace: file.workspace,
            accepted: file.accepted,
            named: file.named,
            ..without_file
        })
    }

    fn limits(&self, file: Option<&File>) -> Limits {
        let flags = [
            (Limit::Memory, self.memory),
            (Limit::CallTime, self.call_timeout),
            (Limit::Concurrency, self.concurrency),
        ];
        flags.into_iter().fold(limits_of(file), |limits, (limit, value)| match value {
            Some(value) => limits.with(limit, value),
            None => limits,
        })
    }
}

/// The limits that a settings file sets.
pub(super) fn limits_of(file: Option<&File>) -> Limits {
    file.map(|file| file.limits.clone()).unwrap_or_default()
}

/// The arguments of a call.
#[derive(Clone, Debug)]
pub(super) enum Arguments {
    /// To be read from standard input.
    Input,
    /// A JSON object.
    Given(Box<RawValue>),
}

fn arguments(text: &str) -> Result<Arguments, String> {
    if text == "-" { Ok(Arguments::Input) } else { object(text).map(Arguments::Given) }
}

/// Reads a JSON object.
pub(super) fn object(text: &str) -> Result<Box<RawValue>, String> {
    const LIKE_THIS: &str = "write a JSON object, like '{\"name\":\"value\"}'";
    let raw: Box<RawValue> =
        serde_json::from_str(text).map_err(|error| format!("no JSON ({error}); {LIKE_THIS}"))?;
    if raw.get().starts_with('{') { Ok(raw) } else { Err(LIKE_THIS.to_owned()) }
}

/// Checks a grant while the command line is read, so that a wrong one is a usage error.
fn grant(text: &str) -> Result<String, PolicyError> {
    let text = text.to_owned();
    Policy::parse(std::slice::from_ref(&text), &[]).map(|_| text)
}

fn private_grant(text: &str) -> Result<String, PolicyError> {
    let text = text.to_owned();
    Policy::parse(&[], std::slice::from_ref(&text)).map(|_| text)
}

fn binding(text: &str) -> Result<(String, String), String> {
    let Some((key, origin)) = text.split_once('=').filter(|(key, _)| !key.is_empty()) else {
        return Err("write it as KEY=https://api.example.com".to_owned());
    };
    let binding = (key.to_owned(), origin.to_owned());
    let checked = Policy::default().bind(std::slice::from_ref(&binding));
    checked.map(|_| binding).map_err(|error| error.to_string())
}

/// The page can call actions with the operator's secrets; it is for this machine only.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    const LIKE_THIS: &str = "write an address and a port of this machine, like 127.0.0.1:4060";
    let address: SocketAddr = text.parse().map_err(|_| LIKE_THIS.to_owned())?;
    if address.ip().is_loopback() { Ok(address) } else { Err(LIKE_THIS.to_owned()) }
}

fn assignment(text: &str) -> Result<Assignment, String> {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.into())),
        None => (text, None),
    };
    if key.is_empty() {
        return Err("write it as KEY=VALUE, or as KEY to take it from the environment".to_owned());
    }
    Ok(Assignment { key: key.to_owned(), value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    /// What `run` makes of a settings file and flags.
    fn settings(file: &str, flags: &[&str]) -> ConnectorSettings {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("connector.toml");
        std::fs::write(&path, format!("component = 'x.wasm'\n{file}")).expect("a file");
        let name = path.to_str().expect("a path that is text");
        let line = ["aloma-wasm", "run", name].into_iter().chain(flags.iter().copied());
        let Command::Run(run) = Cli::try_parse_from(line).expect("a command line").command else {
            panic!("it is `run`");
        };
        run.connector.settings(&run.files).expect("settings").remove(0)
    }

    #[test]
    fn flags_win_over_the_file_and_grants_add_up() {
        const FILE: &str = "policy = 'report'\n[limits]\nmemory-mib = 10\nconcurrency = 3\n\
            [secrets.A]\nreveal = true\nbind = ['https://a.example']\n[[grant]]\n\
            origin = 'https://a.example'\n";
        let flags = [
            ["--memory", "20"],
            ["--call-timeout", "5"],
            ["--allow", "https://b.example"],
            ["--reveal", "B"],
            ["--bind", "A=https://b.example"],
        ];
        let ConnectorSettings { policy, fields, limits, .. } = settings(FILE, &flags.concat());
        let read = [Limit::Memory, Limit::Concurrency, Limit::CallTime];
        assert_eq!(read.map(|limit| limits.get(limit)), [20, 3, 5]);
        assert_eq!(fields.revealed, ["A", "B"]);
        assert_eq!(policy.mode(), Mode::Report);
        let grants: Vec<_> = policy.lines().collect();
        let expected = ["https://a.example", "https://b.example"];
        assert_eq!(grants, expected.map(|origin| format!("origin = \"{origin}\"")));
        let bound: Vec<_> = policy.bound().collect();
        assert_eq!(bound, [("A", expected.map(str::to_owned).to_vec())]);
    }

    #[test]
    fn what_nobody_says_is_the_default() {
        let ConnectorSettings { policy, limits, .. } = settings("", &[]);
        let default = Limits::default();
        assert_eq!(*limits, default);
        assert_eq!(policy.mode(), Mode::Enforce);
        assert_eq!(settings("", &["--report"]).policy.mode(), Mode::Report);
    }
}
