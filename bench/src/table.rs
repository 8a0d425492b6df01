//! The table of `wire`: medians of ours and of the floor, and their ratio.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::cargo::Built;
use crate::limits::MANY;
use crate::round::{Loaded, Measured, Round, Start};
use crate::usage::{Memory, load_average};

/// What a number of a table is.
#[derive(Clone, Copy)]
pub enum Unit {
    Milliseconds,
    Microseconds,
    PerSecond,
    Percent,
    Mebibytes,
    Kibibytes,
    Count,
}

struct Line {
    label: String,
    unit: Unit,
    ours: Option<f64>,
    floor: Option<f64>,
}

/// Prints everything.
pub fn print(ours: &Measured, floor: &Measured, built: &Built) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = load_average().unwrap_or_else(|| "unknown".into());
    let (starts, rounds) = (ours.starts.len(), ours.rounds.len());
    writeln!(out, "\n`hello` over the workspace protocol on loopback, {cores} cores;")?;
    writeln!(
        out,
        "medians of {starts} starts and {rounds} rounds; load average at the end {load}\n"
    )?;
    writeln!(out, "{:<46}{:>14}{:>14}{:>9}", "", ours.subject.name, floor.subject.name, "ratio")?;
    for line in lines(ours, floor, built) {
        writeln!(out, "{line}")?;
    }
    writeln!(out)?;
    for one in [ours, floor] {
        let rate = |round: &Round| show(Unit::PerSecond, Some(round.many.samples.rate()));
        let rates: Vec<_> = one.rounds.iter().map(rate).collect();
        let name = one.subject.name;
        writeln!(out, "calls/s with {MANY} in flight, each round, {name}: {}", rates.join(", "))?;
    }
    Ok(())
}

/// Two subjects side by side.
struct Comparison<'a> {
    ours: &'a Measured,
    floor: &'a Measured,
    lines: Vec<Line>,
}

fn lines(ours: &Measured, floor: &Measured, built: &Built) -> Vec<Line> {
    let mut all = Comparison { ours, floor, lines: Vec::new() };
    all.starts();
    for (in_flight, pick) in loads() {
        all.load(in_flight, pick);
    }
    for (when, pick) in rests() {
        all.memory(when, pick);
    }
    all.size("size of the program", Unit::Mebibytes, &built.program);
    all.size("size of the component", Unit::Kibibytes, &built.component);
    all.lines
}

impl Comparison<'_> {
    fn line(&mut self, label: &str, unit: Unit, pick: impl Fn(&Measured) -> Option<f64>) {
        let (ours, floor) = (pick(self.ours), pick(self.floor));
        self.lines.push(Line { label: label.into(), unit, ours, floor });
    }

    fn starts(&mut self) {
        self.line("start to connected, cold compile cache", Unit::Milliseconds, |all| {
            all.cold.map(|start| start.connected.as_secs_f64())
        });
        self.line("start to connected, warm", Unit::Milliseconds, |all| {
            starts(all, |start| start.connected)
        });
        self.line("start to first answer, warm", Unit::Milliseconds, |all| {
            starts(all, |start| start.answered)
        });
    }

    fn load(&mut self, in_flight: usize, pick: Pick<Loaded>) {
        let mut line = |what, unit, value: fn(&Loaded) -> Option<f64>| {
            let label = format!("{in_flight} in flight: {what}");
            self.line(&label, unit, |all| rounds(all, |round| value(pick(round))));
        };
        line("calls/s", Unit::PerSecond, |load| Some(load.samples.rate()));
        line("p50", Unit::Microseconds, |load| percentile(load, 50));
        line("p99", Unit::Microseconds, |load| percentile(load, 99));
        line("CPU per 1,000 calls", Unit::Milliseconds, |load| per_thousand(load, load.cpu));
        line("generator's CPU per 1,000 calls", Unit::Milliseconds, |load| {
            per_thousand(load, load.generator)
        });
        line("generator's share of a core", Unit::Percent, share_of_core);
    }

    fn memory(&mut self, when: &str, pick: Pick<Memory>) {
        for (what, value) in memories() {
            let bytes = |round: &Round| value(pick(round)).map(|bytes| bytes as f64);
            self.line(&format!("{when}: {what}"), Unit::Mebibytes, |all| rounds(all, bytes));
        }
    }

    fn size(&mut self, label: &str, unit: Unit, file: &Path) {
        let ours = fs::metadata(file).ok().map(|metadata| metadata.len() as f64);
        self.lines.push(Line { label: label.into(), unit, ours, floor: None });
    }
}

/// Takes a part of a round.
type Pick<T> = fn(&Round) -> &T;

/// Takes a number of bytes.
type PickBytes = fn(&Memory) -> Option<u64>;

fn loads() -> [(usize, Pick<Loaded>); 2] {
    [(1, |round| &round.one), (MANY, |round| &round.many)]
}

fn rests() -> [(&'static str, Pick<Memory>); 2] {
    [("idle after connecting", |round| &round.idle), ("idle after the load", |round| &round.after)]
}

fn memories() -> [(&'static str, PickBytes); 3] {
    [
        ("RSS", |memory| memory.resident),
        ("PSS", |memory| memory.proportional),
        ("anonymous", |memory| memory.anonymous),
    ]
}

fn starts(all: &Measured, pick: fn(&Start) -> Duration) -> Option<f64> {
    median(all.starts.iter().map(|start| pick(start).as_secs_f64()).collect())
}

fn rounds(all: &Measured, pick: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
    median(all.rounds.iter().filter_map(pick).collect())
}

fn percentile(load: &Loaded, percent: usize) -> Option<f64> {
    Some(load.samples.percentile(percent).as_secs_f64())
}

fn per_thousand(load: &Loaded, spent: Option<Duration>) -> Option<f64> {
    Some(spent?.as_secs_f64() * 1000.0 / load.samples.calls() as f64)
}

fn share_of_core(load: &Loaded) -> Option<f64> {
    Some(load.generator?.as_secs_f64() / load.samples.elapsed.as_secs_f64())
}

/// The middle one; of an even number the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Self { label, unit, ours, floor } = self;
        let ratio = ours.zip(*floor).filter(|(_, floor)| *floor > 0.0);
        let ratio = ratio.map_or(NOTHING.into(), |(ours, floor)| format!("{:.2}", ours / floor));
        let (ours, floor) = (show(*unit, *ours), show(*unit, *floor));
        write!(f, "{label:<46}{ours:>14}{floor:>14}{ratio:>9}")
    }
}

/// Stands where a number is not known or makes no sense.
pub const NOTHING: &str = "-";

/// The number for people.
pub fn show(unit: Unit, value: Option<f64>) -> String {
    let Some(value) = value else { return NOTHING.into() };
    match unit {
        Unit::Milliseconds => format!("{:.1} ms", value * 1e3),
        Unit::Microseconds => format!("{:.0} µs", value * 1e6),
        Unit::PerSecond | Unit::Count => format!("{value:.0}"),
        Unit::Percent => format!("{:.0} %", value * 100.0),
        Unit::Mebibytes => format!("{:.1} MiB", value / f64::from(1 << 20)),
        Unit::Kibibytes => format!("{:.0} KiB", value / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        for (values, expected) in [
            (vec![], None),
            (vec![3.0], Some(3.0)),
            (vec![9.0, 1.0, 2.0], Some(2.0)),
            (vec![4.0, 1.0], Some(2.5)),
        ] {
            assert_eq!(median(values), expected);
        }
    }

    #[test]
    fn what_is_not_known_has_no_ratio() {
        let line = |ours, floor| Line { label: "l".into(), unit: Unit::PerSecond, ours, floor };
        assert!(line(Some(9.0), Some(3.0)).to_string().ends_with("3.00"));
        for (ours, floor) in [(Some(9.0), None), (None, Some(9.0)), (Some(9.0), Some(0.0))] {
            assert!(line(ours, floor).to_string().ends_with(NOTHING));
        }
    }
}
