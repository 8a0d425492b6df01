//! Calls and their times: a fixed number in flight, a new call for each answer.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::limits::CALLS;

/// What `hello` answers, letter by letter.
pub const ANSWER: &str = r#"{"hi":"world"}"#;

const KEY: &str = "_srv-";

/// A load under way.
pub struct Load {
    begin: Instant,
    time: Duration,
    /// When each call was sent; none once it is answered.
    sent: Vec<Option<Instant>>,
    in_flight: usize,
    latencies: Vec<u32>,
}

/// The times of a load.
#[derive(Clone, Debug)]
pub struct Samples {
    /// From the first query to the last answer.
    pub elapsed: Duration,
    /// In nanoseconds, sorted, never empty.
    latencies: Vec<u32>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    p: Vec<Packet<'a>>,
}

#[derive(Deserialize)]
struct Packet<'a> {
    c: Option<&'a str>,
    m: Option<&'a str>,
    #[serde(borrow)]
    a: Option<&'a RawValue>,
}

impl Load {
    /// Begins now.
    pub fn new(time: Duration) -> Self {
        Self { begin: Instant::now(), time, sent: Vec::new(), in_flight: 0, latencies: Vec::new() }
    }

    /// The next query, to be sent at once.
    pub fn query(&mut self) -> String {
        let number = self.sent.len();
        self.sent.push(Some(Instant::now()));
        self.in_flight += 1;
        format!(
            r#"{{"p":[{{"id":"q{number:031}","c":"{KEY}{number:032}","m":"connector.query","a":{{"query":["hello"],"variables":{{}}}}}}]}}"#
        )
    }

    /// Takes a message of the connector. Gives how many new calls are due.
    pub fn take(&mut self, text: &str) -> anyhow::Result<usize> {
        let message: Message = serde_json::from_str(text).context("no message of packets")?;
        let now = Instant::now();
        let mut answers = 0;
        for packet in message.p.iter().filter(|packet| packet.m.is_none()) {
            self.take_answer(packet, now)?;
            answers += 1;
        }
        let goes_on = now.duration_since(self.begin) < self.time;
        Ok(if goes_on { answers.min(CALLS.saturating_sub(self.sent.len())) } else { 0 })
    }

    fn take_answer(&mut self, packet: &Packet, now: Instant) -> anyhow::Result<()> {
        let number = packet.c.and_then(|key| key.strip_prefix(KEY)?.parse::<usize>().ok());
        let sent = number.and_then(|number| self.sent.get_mut(number)?.take());
        let sent = sent.with_context(|| format!("nobody asked with {:?}", packet.c))?;
        self.in_flight -= 1;
        match packet.a.map(RawValue::get) {
            Some(ANSWER) => {}
            Some(other) => ensure!(is_the_answer(other), "hello answered {other}"),
            None => bail!("hello answered nothing"),
        }
        let latency = now.duration_since(sent).as_nanos();
        self.latencies.push(u32::try_from(latency).unwrap_or(u32::MAX));
        Ok(())
    }

    /// How many calls there were so far.
    pub fn asked(&self) -> usize {
        self.sent.len()
    }

    /// Nothing is in flight.
    pub fn is_over(&self) -> bool {
        self.in_flight == 0
    }

    /// The times.
    pub fn finish(self) -> Samples {
        Samples::new(self.begin.elapsed(), self.latencies)
    }
}

/// The same value may be written in another way.
fn is_the_answer(text: &str) -> bool {
    let value = |text| serde_json::from_str::<Value>(text).ok();
    value(text) == value(ANSWER)
}

impl Samples {
    /// Of latencies in nanoseconds, in any order.
    pub fn new(elapsed: Duration, mut latencies: Vec<u32>) -> Self {
        latencies.sort_unstable();
        Self { elapsed, latencies }
    }

    /// How many calls.
    pub fn calls(&self) -> usize {
        self.latencies.len()
    }

    /// Calls in a second.
    pub fn rate(&self) -> f64 {
        self.calls() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that so many percent of the calls did not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.calls() * percent).div_ceil(100).max(1);
        let latency = self.latencies.get(rank - 1).copied().unwrap_or_default();
        Duration::from_nanos(latency.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(number: usize, value: &str) -> String {
        format!(r#"{{"p":[{{"c":"{KEY}{number:032}","a":{value},"id":"i"}}]}}"#)
    }

    #[test]
    fn an_answer_makes_room_for_a_call_until_the_time_is_over() {
        for (time, due) in [(Duration::from_secs(60), 1), (Duration::ZERO, 0)] {
            let mut load = Load::new(time);
            load.query();
            assert_eq!(load.take(&answer(0, ANSWER)).expect("the answer"), due);
            assert!(load.is_over());
            assert_eq!(load.finish().calls(), 1);
        }
    }

    #[test]
    fn only_the_right_answer_to_an_open_call_counts() {
        for (number, value, right) in [
            (0, ANSWER, true),
            (0, r#"{ "hi": "world" }"#, true),
            (0, r#"{"error":"overloaded"}"#, false),
            (0, "null", false),
            (1, ANSWER, false),
        ] {
            let mut load = Load::new(Duration::ZERO);
            load.query();
            assert_eq!(load.take(&answer(number, value)).is_ok(), right, "{number} {value}");
        }
        let mut load = Load::new(Duration::ZERO);
        load.query();
        load.take(&answer(0, ANSWER)).expect("the first answer");
        assert!(load.take(&answer(0, ANSWER)).is_err(), "a second answer");
    }

    #[test]
    fn a_health_report_is_no_answer() {
        let mut load = Load::new(Duration::from_secs(60));
        load.query();
        let health =
            r#"{"p":[{"id":"i","m":"connector.health.check","a":{"ok":true,"error":null}}]}"#;
        assert_eq!(load.take(health).expect("a message"), 0);
        assert!(!load.is_over());
    }

    #[test]
    fn a_percentile_is_a_latency_that_was_seen() {
        for (latencies, percent, expected) in [
            (vec![7], 50, 7),
            (vec![7], 99, 7),
            ((1..=100).collect(), 50, 50),
            ((1..=100).collect(), 99, 99),
            (vec![1, 2], 99, 2),
        ] {
            let samples = Samples { elapsed: Duration::from_secs(1), latencies };
            assert_eq!(samples.percentile(percent), Duration::from_nanos(expected));
        }
    }
}
