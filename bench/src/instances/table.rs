//! The table of `instances`: a call on a warm instance, in a fresh one, and what is between them.

use std::io::Write as _;

use super::{Kind, Loaded, Measured, Round};
use crate::aims::Aim;
use crate::limits::{AIM_FRESH, MANY};
use crate::table::{Unit, circumstances, median, show};

struct Line {
    label: String,
    unit: Unit,
    value: fn(&Round) -> f64,
}

/// Prints everything.
pub fn print(measured: &[Measured]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let rounds = measured.first().map_or(0, |one| one.rounds.len());
    writeln!(
        out,
        "\nCalls of `hello` in this process, without a workspace; medians of {rounds} rounds;"
    )?;
    writeln!(out, "{}\n", circumstances())?;
    writeln!(out, "{:<34}{:>16}{:>18}{:>16}", "", "warm instance", "isolation = call", "more by")?;
    for Line { label, unit, value } in lines() {
        let [warm, fresh] = [Kind::Warm, Kind::Fresh].map(|kind| of(measured, kind, value));
        let more = warm.zip(fresh).map(|(warm, fresh)| fresh - warm);
        let [warm, fresh, more] = [warm, fresh, more].map(|number| show(unit, number));
        writeln!(out, "{label:<34}{warm:>16}{fresh:>18}{more:>16}")?;
    }
    Ok(())
}

/// What of the aims can be said from here.
pub fn aims(measured: &[Measured]) -> Vec<Aim> {
    let p50 = |kind| of(measured, kind, |round| percentile(&round.one, 50));
    let more = p50(Kind::Fresh).zip(p50(Kind::Warm)).map(|(fresh, warm)| fresh - warm);
    let what = "call in a fresh instance, over one in a warm one (p50)";
    vec![Aim::at_most(what, Unit::Microseconds, more, AIM_FRESH)]
}

fn lines() -> Vec<Line> {
    let line = |label: &str, unit, value| Line { label: label.into(), unit, value };
    let many = |what: &str, unit, value| line(&format!("{MANY} at once: {what}"), unit, value);
    vec![
        line("p50", Unit::Microseconds, |round| percentile(&round.one, 50)),
        line("p99", Unit::Microseconds, |round| percentile(&round.one, 99)),
        line("CPU of a call", Unit::Microseconds, |round| cpu(&round.one)),
        many("calls/s", Unit::PerSecond, |round| round.many.samples.rate()),
        many("CPU of a call", Unit::Microseconds, |round| cpu(&round.many)),
    ]
}

fn of(measured: &[Measured], kind: Kind, value: fn(&Round) -> f64) -> Option<f64> {
    let one = measured.iter().find(|one| one.kind == kind)?;
    median(one.rounds.iter().map(value))
}

fn percentile(load: &Loaded, percent: usize) -> f64 {
    load.samples.percentile(percent).as_secs_f64()
}

fn cpu(load: &Loaded) -> f64 {
    load.cpu.as_secs_f64() / load.samples.calls() as f64
}
