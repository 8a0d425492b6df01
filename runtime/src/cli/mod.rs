//! The command line.

mod args;
mod cache;
mod call;
mod compile_worker;
mod confinement;
mod doctor;
mod inspect;
mod keys;
mod new;
mod policy;
mod run;
mod serve;
mod trace;
mod workspace;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use self::args::{Cli, Command, LogLevel};
use crate::printable::printable;
use crate::settings::Environment;

/// The program: reads the command line, does what it says, and prints what went wrong.
///
/// Exit codes: 0 done, 1 it did not work (the text is on standard error) or a comparison found more, 2
/// the command line is not understood.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(cli.command) {
        Ok(code) => code,
        Err(error) => {
            // Nobody may be there to read it; the exit code says it too.
            let text = printable_lines(&format!("{error:#}"));
            let _ = writeln!(std::io::stderr(), "error: {text}");
            ExitCode::FAILURE
        }
    }
}

fn start(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => {
            let environment = Environment::read(args.connector.env_file.as_deref())?;
            log_to_stderr(args.connector.log_level, &environment, LogLevel::Info);
            confinement::of_run(&args, &environment)?;
            block_on(run::run(args, environment))?;
        }
        Command::Serve(args) => {
            let environment = Environment::read(args.env_file.as_deref())?;
            log_to_stderr(args.log_level, &environment, LogLevel::Info);
            confinement::of_serve(&args, &environment)?;
            block_on(serve::serve(args, environment))?;
        }
        Command::Call(args) => {
            let environment = Environment::read(args.connector.env_file.as_deref())?;
            log_to_stderr(args.connector.log_level, &environment, LogLevel::Warn);
            confinement::of_call(&args, &environment)?;
            block_on(call::call(args, environment))?;
        }
        Command::Inspect(args) => {
            let environment = Environment::of_process();
            log_to_stderr(None, &environment, LogLevel::Warn);
            confinement::of_inspect(&args, &environment)?;
            block_on(inspect::inspect(args, environment))?;
        }
        Command::Policy(command) => {
            let environment = Environment::of_process();
            log_to_stderr(None, &environment, LogLevel::Warn);
            confinement::of_policy(&command, &environment)?;
            return block_on(policy::policy(command, environment));
        }
        Command::Workspace(args) => {
            let environment = Environment::of_process();
            log_to_stderr(args.log_level, &environment, LogLevel::Info);
            confinement::of_workspace(&args, &environment)?;
            block_on(workspace::workspace(args, environment))?;
        }
        Command::Keys(args) => keys::keys(&args)?,
        Command::Cache(args) => cache::cache(&args, &Environment::of_process())?,
        Command::CompileWorker(args) => return Ok(compile_worker::compile_worker(&args)),
        Command::New(args) => new(&args)?,
        Command::Doctor(args) => return doctor::doctor(&args),
    }
    Ok(ExitCode::SUCCESS)
}

fn new(args: &args::New) -> anyhow::Result<()> {
    let folder = new::create(&args.name, &std::env::current_dir()?)?;
    print(&new::next_steps(&folder))
}

/// An error may hold what a guest said.
fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// Prints a text and ends the line. Whoever reads it may have stopped reading.
fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(work);
    // A blocking thread (a name look-up) may take its time; nobody waits for what it finds.
    runtime.shutdown_background();
    outcome
}

/// Logs go to standard error; what people pipe goes to standard output. Libraries speak up from
/// `warn`, so that `debug` shows our own story.
fn log_to_stderr(flag: Option<LogLevel>, environment: &Environment, default: LogLevel) {
    let set = environment.get("LOG_LEVEL").and_then(LogLevel::read);
    let level = flag.or(set).unwrap_or(default).as_str();
    // It warns of what guests do wrong, as often as they do it.
    let quiet = "wasmtime_wasi_http=error";
    let filter = EnvFilter::new(format!("warn,{quiet},aloma_wasm={level},connector={level}"));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(in_colour(environment));
    // It would tell of a log that cannot be written on that same log, and panic: a terminal may be closed
    // while calls under way still finish.
    let builder = builder.log_internal_errors(false);
    builder.with_target(false).with_writer(std::io::stderr).init();
}

/// Whether standard error is in colour: for a terminal, unless NO_COLOR is set (no-color.org).
fn in_colour(environment: &Environment) -> bool {
    let is_unwanted = environment.get("NO_COLOR").is_some_and(|value| !value.is_empty());
    !is_unwanted && std::io::IsTerminal::is_terminal(&std::io::stderr())
}
