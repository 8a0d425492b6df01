//! The table of `many`: a column for each number of connectors.

use std::io::Write as _;

use super::{Measured, Round};
use crate::aims::Aim;
use crate::limits::{AIM_MANY_MEMORY, MANY, MOST_CONNECTORS};
use crate::table::{Unit, circumstances, median, show};

/// Takes a number from a round with so many connectors.
type Pick = fn(&Round, usize) -> Option<f64>;

/// Prints everything.
pub fn print(measured: &[Measured]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let rounds = measured.first().map_or(0, |one| one.rounds.len());
    writeln!(
        out,
        "\n`aloma-wasm serve` with many connectors, warm cache; medians of {rounds} rounds;"
    )?;
    writeln!(out, "{}\n", circumstances())?;
    write!(out, "{:<38}", "connectors")?;
    for one in measured {
        write!(out, "{:>15}", one.connectors)?;
    }
    writeln!(out)?;
    for (label, unit, pick) in lines() {
        write!(out, "{label:<38}")?;
        for one in measured {
            write!(out, "{:>15}", show(unit, of(one, pick)))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// What of the aims can be said from here.
pub fn aims(measured: &[Measured]) -> Vec<Aim> {
    let most = measured.iter().find(|one| one.connectors == MOST_CONNECTORS);
    let resident = most.and_then(|most| of(most, |round, _| bytes(round.idle.resident)));
    let what = format!("RSS of a process with {MOST_CONNECTORS} idle connectors");
    vec![Aim::at_most(&what, Unit::Mebibytes, resident, AIM_MANY_MEMORY)]
}

fn lines() -> Vec<(String, Unit, Pick)> {
    let loaded = |what: &str| format!("{MANY} calls in flight: {what}");
    vec![
        ("start to all connected".into(), Unit::Seconds, |round, _| {
            Some(round.connected.as_secs_f64())
        }),
        ("start to all configured and well".into(), Unit::Seconds, |round, _| {
            Some(round.well.as_secs_f64())
        }),
        ("idle: RSS".into(), Unit::Mebibytes, |round, _| bytes(round.idle.resident)),
        ("idle: anonymous".into(), Unit::Mebibytes, |round, _| bytes(round.idle.anonymous)),
        ("idle: anonymous, each".into(), Unit::Kibibytes, |round, connectors| {
            Some(bytes(round.idle.anonymous)? / connectors as f64)
        }),
        ("idle: part of a core".into(), Unit::Percent, |round, _| round.idle_cpu),
        (loaded("calls/s"), Unit::PerSecond, |round, _| Some(round.samples.rate())),
        (loaded("p50"), Unit::Microseconds, |round, _| percentile(round, 50)),
        (loaded("p99"), Unit::Microseconds, |round, _| percentile(round, 99)),
        (loaded("CPU of 1,000"), Unit::Milliseconds, |round, _| {
            Some(round.cpu?.as_secs_f64() * 1000.0 / round.samples.calls() as f64)
        }),
        ("after the load: RSS".into(), Unit::Mebibytes, |round, _| bytes(round.after.resident)),
        ("after the load: anonymous".into(), Unit::Mebibytes, |round, _| {
            bytes(round.after.anonymous)
        }),
    ]
}

fn of(one: &Measured, pick: Pick) -> Option<f64> {
    median(one.rounds.iter().filter_map(|round| pick(round, one.connectors)))
}

fn bytes(value: Option<u64>) -> Option<f64> {
    value.map(|bytes| bytes as f64)
}

fn percentile(round: &Round, percent: usize) -> Option<f64> {
    Some(round.samples.percentile(percent).as_secs_f64())
}
