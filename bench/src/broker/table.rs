//! The table of `broker`: medians of the clients, their ratio, and what is aimed at.

use std::io::Write as _;

use super::client::Kind;
use super::{Loaded, Measured, Round};
use crate::limits::{
    AIM_CONNECTIONS, AIM_CPU, AIM_LATENCY, ANSWER_BYTES, REQUESTS_AT_ONCE, REQUESTS_COUNTED,
};
use crate::table::{NOTHING, Unit, circumstances, median, ratio, show};

struct Line {
    label: String,
    unit: Unit,
    value: fn(&Round) -> f64,
    aim: Option<Aim>,
}

/// What is to be reached.
#[derive(Clone, Copy)]
enum Aim {
    /// By the ratio to direct use.
    Ratio(f64),
    /// By the number itself.
    Number(f64),
}

/// Prints everything.
pub fn print(measured: &[Measured]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let rounds = measured.first().map_or(0, |one| one.rounds.len());
    writeln!(
        out,
        "\nRequests on loopback, answers of {ANSWER_BYTES} bytes; medians of {rounds} rounds;"
    )?;
    writeln!(out, "{}\n", circumstances())?;
    writeln!(
        out,
        "{:<42}{:>10}{:>10}{:>10}{:>8}{:>8}",
        "", "broker", "watched", "direct", "ratio", "aim"
    )?;
    for line in lines() {
        writeln!(out, "{}", line.show(measured))?;
    }
    writeln!(out, "\nwatched: the broker, while somebody watches its records")?;
    writeln!(out, "ratio: broker to direct use of the same HTTP library")?;
    Ok(())
}

fn lines() -> Vec<Line> {
    let line = |what: &str, unit, value, aim| Line { label: what.into(), unit, value, aim };
    let many = REQUESTS_AT_ONCE;
    let latency = Some(Aim::Ratio(AIM_LATENCY));
    let cpu = Some(Aim::Ratio(AIM_CPU));
    let connections = format!("connections for {REQUESTS_COUNTED} requests, {many} at once");
    vec![
        line("1 in flight: p50", Unit::Microseconds, |round| percentile(&round.one, 50), latency),
        line("1 in flight: p99", Unit::Microseconds, |round| percentile(&round.one, 99), None),
        line("1 in flight: CPU per request", Unit::Microseconds, |round| cpu_of(&round.one), cpu),
        line(
            &format!("{many} in flight: requests/s"),
            Unit::PerSecond,
            |round| round.many.samples.rate(),
            None,
        ),
        line(
            &format!("{many} in flight: p50"),
            Unit::Microseconds,
            |round| percentile(&round.many, 50),
            None,
        ),
        line(
            &format!("{many} in flight: CPU per request"),
            Unit::Microseconds,
            |round| cpu_of(&round.many),
            cpu,
        ),
        line(
            &connections,
            Unit::Count,
            |round| round.connections as f64,
            Some(Aim::Number(AIM_CONNECTIONS)),
        ),
    ]
}

fn percentile(load: &Loaded, percent: usize) -> f64 {
    load.samples.percentile(percent).as_secs_f64()
}

fn cpu_of(load: &Loaded) -> f64 {
    load.cpu.as_secs_f64() / load.samples.calls() as f64
}

impl Line {
    fn show(&self, measured: &[Measured]) -> String {
        let of = |kind| {
            let one = measured.iter().find(|one| one.kind == kind)?;
            median(one.rounds.iter().map(self.value))
        };
        let [broker, watched, direct] = [Kind::Broker, Kind::Watched, Kind::Direct].map(of);
        let ratio = ratio(broker, direct);
        let aim = match self.aim {
            Some(Aim::Ratio(aim)) => format!("{aim:.2}"),
            Some(Aim::Number(aim)) => show(self.unit, Some(aim)),
            None => NOTHING.into(),
        };
        let [broker, watched, direct] = [broker, watched, direct].map(|one| show(self.unit, one));
        let label = &self.label;
        format!("{label:<42}{broker:>10}{watched:>10}{direct:>10}{ratio:>8}{aim:>8}")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::Samples;

    #[test]
    fn a_line_compares_the_broker_with_direct_use() {
        let loaded = |latency: u32| Loaded {
            samples: Samples::new(Duration::from_secs(1), vec![latency; 10]),
            cpu: Duration::from_micros(100),
        };
        let measured = |kind, latency| Measured {
            kind,
            rounds: vec![Round { connections: 32, one: loaded(latency), many: loaded(1) }],
        };
        let measured = [measured(Kind::Broker, 60_000), measured(Kind::Direct, 50_000)];
        let shown = lines()[0].show(&measured);
        let cells: Vec<_> = shown.split_whitespace().skip(4).collect();
        assert_eq!(cells, ["60", "µs", "-", "50", "µs", "1.20", "1.25"]);
    }
}
