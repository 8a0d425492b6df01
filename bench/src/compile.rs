//! `bench compile`: what a start costs without compiled code, and with it.
//!
//! `aloma-wasm inspect` reads, compiles, links and describes a connector, and ends. Each round begins
//! with an empty cache, which the first start fills for the second.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::Settings;
use crate::cargo::{self, Built, EXAMPLES};
use crate::table::{Unit, circumstances, median, ratio, show};
use crate::usage::ended_cpu;

/// One example.
struct Measured {
    name: &'static str,
    component: u64,
    /// Bytes of compiled code.
    compiled: u64,
    cold: Vec<Start>,
    warm: Vec<Start>,
}

/// One start, from beginning to end.
#[derive(Clone, Copy)]
struct Start {
    time: Duration,
    /// In ticks of the kernel, so only of use for a long start.
    cpu: Option<Duration>,
}

/// Measures and prints the table.
pub async fn measure(settings: &Settings) -> anyhow::Result<()> {
    let built = cargo::build()?;
    let new = |name| Measured::new(name, &built);
    let mut measured = EXAMPLES.iter().copied().map(new).collect::<anyhow::Result<Vec<_>>>()?;
    let mut nothing = Vec::new();
    for _ in 0..settings.rounds {
        for one in &mut measured {
            one.round(&built)?;
        }
        nothing.push(start(Command::new(&built.program).arg("--version"))?);
    }
    print(&measured, &nothing)
}

impl Measured {
    fn new(name: &'static str, built: &Built) -> anyhow::Result<Self> {
        let component = std::fs::metadata(built.component(name))?.len();
        Ok(Self { name, component, compiled: 0, cold: Vec::new(), warm: Vec::new() })
    }

    fn round(&mut self, built: &Built) -> anyhow::Result<()> {
        let home = tempfile::tempdir()?;
        let inspect = || {
            let mut command = Command::new(&built.program);
            command
                .arg("inspect")
                .arg(built.component(self.name))
                .env_clear()
                .env("HOME", home.path())
                .env("XDG_CACHE_HOME", home.path().join("cache"))
                .current_dir(home.path());
            start(&mut command)
        };
        self.cold.push(inspect()?);
        self.compiled = size(&home.path().join("cache"))?;
        self.warm.push(inspect()?);
        Ok(())
    }
}

fn start(command: &mut Command) -> anyhow::Result<Start> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let (begin, before) = (Instant::now(), ended_cpu());
    let status = command.status().context("cannot start aloma-wasm")?;
    let time = begin.elapsed();
    ensure!(status.success(), "{command:?} ended with {status}");
    let cpu = ended_cpu().zip(before).map(|(now, before)| now.saturating_sub(before));
    Ok(Start { time, cpu })
}

/// Bytes of the files in a folder: code, and next to it a key of a few bytes.
fn size(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                bytes += metadata.len();
            }
        }
    }
    Ok(bytes)
}

fn print(measured: &[Measured], nothing: &[Start]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n`aloma-wasm inspect`, without compiled code and with it; medians of")?;
    writeln!(out, "{} rounds; {}\n", nothing.len(), circumstances())?;
    write!(out, "{:<14}{:>12}{:>12}", "", "component", "compiled")?;
    writeln!(out, "{:>14}{:>14}{:>14}{:>12}", "cold", "CPU of that", "warm", "cold/warm")?;
    for Measured { name, component, compiled, cold, warm } in measured {
        let bytes = |bytes: u64| show(Unit::Kibibytes, Some(bytes as f64));
        write!(out, "{name:<14}{:>12}{:>12}", bytes(*component), bytes(*compiled))?;
        for value in [time(cold), cpu(cold), time(warm)] {
            write!(out, "{:>14}", show(Unit::Milliseconds, value))?;
        }
        writeln!(out, "{:>12}", ratio(time(cold), time(warm)))?;
    }
    let nothing = show(Unit::Milliseconds, time(nothing));
    writeln!(out, "\n`aloma-wasm --version`, which loads nothing, takes {nothing}")?;
    Ok(())
}

fn time(starts: &[Start]) -> Option<f64> {
    median(starts.iter().map(|start| start.time.as_secs_f64()))
}

fn cpu(starts: &[Start]) -> Option<f64> {
    median(starts.iter().filter_map(|start| Some(start.cpu?.as_secs_f64())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_as_large_as_all_its_files() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a"), [0; 10]).expect("a file");
        std::fs::create_dir(folder.path().join("b")).expect("a folder in it");
        std::fs::write(folder.path().join("b/c"), [0; 5]).expect("a file in that");
        assert_eq!(size(folder.path()).expect("a size"), 15);
    }
}
