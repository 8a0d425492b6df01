//! The table of `wire`: medians side by side, ours by Node's, and ours by the native floor's.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use super::Kind;
use super::round::{Loaded, Measured, Round, Start};
use crate::aims::Aim;
use crate::cargo::Built;
use crate::limits::{AIM_CALL_CPU, AIM_MEMORY, AIM_P50, AIM_RATE, AIM_START, MANY};
use crate::table::{Unit, circumstances, median, quotient, ratio, show};
use crate::usage::Memory;

/// The columns, in this order.
const COLUMNS: [(Kind, &str); 4] = [
    (Kind::Ours, "aloma-wasm"),
    (Kind::Node, "Node"),
    (Kind::Native, "native floor"),
    (Kind::Bare, "bare socket"),
];

/// One number of each subject.
struct Line {
    label: String,
    unit: Unit,
    values: [Option<f64>; COLUMNS.len()],
}

/// Takes a number from all that was measured of a subject.
type Pick<'a> = &'a dyn Fn(&Measured) -> Option<f64>;

/// Prints everything.
pub fn print(measured: &[Measured], built: &Built) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let first = measured.first();
    let starts = first.map_or(0, |one| one.starts.len());
    let rounds = first.map_or(0, |one| one.rounds.len());
    writeln!(
        out,
        "\n`hello` over the workspace protocol on loopback; medians of {starts} starts and"
    )?;
    writeln!(out, "{rounds} rounds; {}\n", circumstances())?;
    write!(out, "{:<35}", "")?;
    for (_, name) in COLUMNS {
        write!(out, "{name:>13}")?;
    }
    writeln!(out, "{:>6}{:>7}", "/Node", "/floor")?;
    for line in lines(measured, built) {
        writeln!(out, "{line}")?;
    }
    writeln!(out)?;
    for (kind, name) in COLUMNS {
        let Some(one) = of(measured, kind) else { continue };
        let rate = |round: &Round| show(Unit::PerSecond, Some(round.many.samples.rate()));
        let rates: Vec<_> = one.rounds.iter().map(rate).collect();
        writeln!(out, "calls/s with {MANY} in flight, each round, {name}: {}", rates.join(", "))?;
    }
    writeln!(out, "{}", generator(measured))?;
    Ok(())
}

/// What of the aims can be said from here.
pub fn aims(measured: &[Measured]) -> Vec<Aim> {
    let by = |kind, pick: Pick| {
        let number = |kind| pick(of(measured, kind)?);
        quotient(number(Kind::Ours), number(kind))
    };
    let times = Unit::Times;
    let rate: Pick = &|all| rounds(all, |round| Some(round.many.samples.rate()));
    let p50: Pick = &|all| rounds(all, |round| percentile(&round.one, 50));
    let cpu: Pick = &|all| rounds(all, |round| per_thousand(&round.many, round.many.cpu));
    let start: Pick = &|all| starts(all, |start| start.connected);
    let memory: Pick = &|all| rounds(all, |round| round.idle.resident.map(|bytes| bytes as f64));
    let in_flight = format!("calls/s with {MANY} in flight, of Node's");
    let per_call = format!("CPU of a call with {MANY} in flight, of the native floor's");
    vec![
        Aim::at_least(&in_flight, times, by(Kind::Node, rate), AIM_RATE),
        Aim::at_most("p50 with 1 in flight, of Node's", times, by(Kind::Node, p50), AIM_P50),
        Aim::at_most(&per_call, times, by(Kind::Native, cpu), AIM_CALL_CPU),
        Aim::at_most(
            "start to connected, warm, of Node's",
            times,
            by(Kind::Node, start),
            AIM_START,
        ),
        Aim::at_most("RSS after connecting, of Node's", times, by(Kind::Node, memory), AIM_MEMORY),
    ]
}

/// Whether the generator was what limited the calls.
fn generator(measured: &[Measured]) -> String {
    let number = |kind, pick: fn(&Loaded) -> Option<f64>| {
        rounds(of(measured, kind)?, |round| pick(&round.many))
    };
    let rate = |kind| number(kind, |load| Some(load.samples.rate()));
    format!(
        "the generator used {} of a core against aloma-wasm; against the bare socket it made {} \
         calls/s,\n{} times what aloma-wasm answered",
        show(Unit::Percent, number(Kind::Ours, share_of_core)),
        show(Unit::PerSecond, rate(Kind::Bare)),
        ratio(rate(Kind::Bare), rate(Kind::Ours)),
    )
}

fn of(measured: &[Measured], kind: Kind) -> Option<&Measured> {
    measured.iter().find(|one| one.kind == kind)
}

fn lines(measured: &[Measured], built: &Built) -> Vec<Line> {
    let mut all = Lines { measured, lines: Vec::new() };
    all.starts();
    all.load(1, |round| &round.one);
    all.load(MANY, |round| &round.many);
    all.memory("idle", |round| &round.idle);
    all.memory("after the load", |round| &round.after);
    all.size("size of the program", Unit::Mebibytes, &built.program);
    all.size("size of the component", Unit::Kibibytes, &built.component("hello"));
    all.lines
}

struct Lines<'a> {
    measured: &'a [Measured],
    lines: Vec<Line>,
}

impl Lines<'_> {
    fn line(&mut self, label: &str, unit: Unit, pick: Pick) {
        let values = COLUMNS.map(|(kind, _)| pick(of(self.measured, kind)?));
        self.lines.push(Line { label: label.into(), unit, values });
    }

    fn starts(&mut self) {
        self.line("start to connected, cold cache", Unit::Milliseconds, &|all| {
            all.cold.map(|start| start.connected.as_secs_f64())
        });
        self.line("start to connected, warm", Unit::Milliseconds, &|all| {
            starts(all, |start| start.connected)
        });
        self.line("start to first answer, warm", Unit::Milliseconds, &|all| {
            starts(all, |start| start.answered)
        });
    }

    fn load(&mut self, in_flight: usize, part: fn(&Round) -> &Loaded) {
        let mut line = |what, unit, value: fn(&Loaded) -> Option<f64>| {
            let label = format!("{in_flight} in flight: {what}");
            self.line(&label, unit, &|all| rounds(all, |round| value(part(round))));
        };
        line("calls/s", Unit::PerSecond, |load| Some(load.samples.rate()));
        line("p50", Unit::Microseconds, |load| percentile(load, 50));
        line("p99", Unit::Microseconds, |load| percentile(load, 99));
        line("CPU per 1,000 calls", Unit::Milliseconds, |load| per_thousand(load, load.cpu));
        line("generator's CPU", Unit::Milliseconds, |load| per_thousand(load, load.generator));
        line("generator, of a core", Unit::Percent, share_of_core);
    }

    fn memory(&mut self, when: &str, part: fn(&Round) -> &Memory) {
        let mut line = |what, value: fn(&Memory) -> Option<u64>| {
            let bytes = |round: &Round| value(part(round)).map(|bytes| bytes as f64);
            self.line(&format!("{when}: {what}"), Unit::Mebibytes, &|all| rounds(all, bytes));
        };
        line("RSS", |memory| memory.resident);
        line("PSS", |memory| memory.proportional);
        line("anonymous", |memory| memory.anonymous);
    }

    /// Only ours has a size of interest.
    fn size(&mut self, label: &str, unit: Unit, file: &Path) {
        let bytes = fs::metadata(file).ok().map(|metadata| metadata.len() as f64);
        self.line(label, unit, &|all| bytes.filter(|_| all.kind == Kind::Ours));
    }
}

fn starts(all: &Measured, pick: fn(&Start) -> Duration) -> Option<f64> {
    median(all.starts.iter().map(|start| pick(start).as_secs_f64()))
}

fn rounds(all: &Measured, pick: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
    median(all.rounds.iter().filter_map(pick))
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

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Self { label, unit, values } = self;
        write!(f, "{label:<35}")?;
        for value in values {
            write!(f, "{:>13}", show(*unit, *value))?;
        }
        let [ours, node, native, _] = *values;
        write!(f, "{:>6}{:>7}", ratio(ours, node), ratio(ours, native))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_and_compares_ours_with_node_and_the_floor() {
        let values = [Some(0.5), Some(2.0), Some(0.25), None];
        let line = Line { label: "l".into(), unit: Unit::Milliseconds, values };
        let shown = line.to_string();
        assert!(shown.chars().count() <= 100, "{shown}");
        let cells: Vec<_> = shown.split_whitespace().skip(7).collect();
        assert_eq!(cells, ["-", "0.25", "2.00"]);
    }
}
