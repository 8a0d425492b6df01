//! The envelope of a connector: every limit on what it may use up, in one table.
//!
//! Each is on by default, can be changed in `[limits]` of `connector.toml`, is shown by `inspect`, and
//! says so itself when it is breached.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Something that a connector can use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the table says what each is and why it is as it is")]
pub enum Limit {
    CallTime,
    CpuTime,
    HookTime,
    DescribeTime,
    QueueTime,
    IdleTime,
    Memory,
    TotalMemory,
    TableElements,
    CoreInstances,
    Memories,
    Tables,
    Handles,
    CallsPerInstance,
    Concurrency,
    Waiting,
    Json,
    JsonDepth,
    HostCall,
    Random,
    Fields,
    LogLines,
    LogLine,
    Log,
    Started,
    Requests,
    InFlight,
    RequestBody,
    AnswerBody,
    Sent,
    Received,
    Decoded,
    Held,
    Component,
    Functions,
    CompileTime,
    CompileMemory,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// 2^20 bytes.
    Mebibytes,
    /// 2^10 bytes.
    Kibibytes,
    /// Things.
    Count,
}

/// All that is known of a limit.
struct Row {
    limit: Limit,
    /// Its name in `[limits]`.
    key: &'static str,
    flag: Option<&'static str>,
    unit: Unit,
    default: u64,
    range: RangeInclusive<u64>,
    /// For lists.
    what: &'static str,
    /// What is told when it is breached; `{}` is its value.
    breach: &'static str,
}

const DAY: u64 = 24 * 60 * 60;
/// MiB that 32-bit addresses can name.
const ADDRESSABLE: u64 = 4096;
/// More than anybody means: finds a mistyped number.
const MANY: u64 = 1 << 20;

const fn row(limit: Limit, key: &'static str, unit: Unit, default: u64) -> Row {
    Row { limit, key, flag: None, unit, default, range: 1..=MANY, what: "", breach: "" }
}

impl Row {
    const fn flag(mut self, flag: &'static str) -> Self {
        self.flag = Some(flag);
        self
    }

    const fn most(mut self, most: u64) -> Self {
        self.range = 1..=most;
        self
    }

    const fn says(mut self, what: &'static str, breach: &'static str) -> Self {
        self.what = what;
        self.breach = breach;
        self
    }
}

/// In the order of [`Limit`].
const ROWS: &[Row] = &[
    // Long enough for a slow API with retries, short enough that a stuck call is seen the same minute.
    row(Limit::CallTime, "call-seconds", Unit::Seconds, 60)
        .flag("--call-timeout")
        .most(DAY)
        .says("time of a call", "the call was stopped after {}, its time limit"),
    // Connectors wait, they do not compute: this is enough to parse some gigabytes of JSON.
    row(Limit::CpuTime, "cpu-seconds", Unit::Seconds, 10).most(DAY).says(
        "CPU time of a call, of start, stop, each check, describe and making an instance",
        "the connector was stopped after {} of CPU time, its limit",
    ),
    // They may ask an API whether it is there.
    row(Limit::HookTime, "hook-seconds", Unit::Seconds, 20).most(DAY).says(
        "time of start, stop and each check",
        "the connector was stopped after {}, the limit for start, stop and checks",
    ),
    // Both do no waiting, so more is a fault.
    row(Limit::DescribeTime, "describe-seconds", Unit::Seconds, 10).most(DAY).says(
        "time of describe and of making an instance",
        "the connector was stopped after {}, the limit for describe and for making an instance",
    ),
    // Half of what a call may take: later its caller has often given up.
    row(Limit::QueueTime, "queue-seconds", Unit::Seconds, 30).most(DAY).says(
        "time that a call waits for an instance",
        "overloaded: no instance was free for the call within {}, the limit; nothing was called, \
         try again later",
    ),
    // A burst of calls then leaves no memory behind.
    row(Limit::IdleTime, "idle-seconds", Unit::Seconds, 60)
        .most(DAY)
        .says("time after which an idle instance goes", "an instance was idle for {}, the limit"),
    // JavaScript engines need 64 MiB; Rust connectors a few.
    row(Limit::Memory, "memory-mib", Unit::Mebibytes, 128).flag("--memory").most(ADDRESSABLE).says(
        "memory of an instance, all its memories together",
        "the connector needs more than {} of memory, its limit",
    ),
    // What a host with some gigabytes can spare for one connector: eight of the largest instances, or
    // all that run at once, with 16 MiB each.
    row(Limit::TotalMemory, "total-memory-mib", Unit::Mebibytes, 1024).says(
        "memory of all instances of the connector together",
        "the instances of the connector need more than {} of memory together, the limit",
    ),
    // Engines of scripting languages have a few ten thousand.
    row(Limit::TableElements, "table-elements", Unit::Count, 200_000).most(1_000_000).says(
        "table elements of an instance",
        "the connector needs tables of more than {} elements, the limit",
    ),
    // Adapters make a handful.
    row(Limit::CoreInstances, "core-instances", Unit::Count, 64).most(64).says(
        "core instances of an instance",
        "the connector has more than {} core instances, the limit",
    ),
    // One, and those of adapters. Each takes addresses of the process.
    row(Limit::Memories, "memories", Unit::Count, 4)
        .most(4)
        .says("memories of an instance", "the connector has more than {} memories, the limit"),
    // One of each core instance.
    row(Limit::Tables, "tables", Unit::Count, 16)
        .most(16)
        .says("tables of an instance", "the connector has more than {} tables, the limit"),
    // StarlingMonkey leaks 8 a request, so its instances go after `calls-per-instance` long before.
    row(Limit::Handles, "handles", Unit::Count, 10_000).says(
        "handles that an instance holds",
        "the connector holds more than {} handles, the limit",
    ),
    // Some engines leak. Making an instance costs less than a millisecond.
    row(Limit::CallsPerInstance, "calls-per-instance", Unit::Count, 500)
        .most(MANY << 20)
        .says("calls after which an instance is replaced", "an instance had {} calls, the limit"),
    // One instance each; what a connector can take of the process.
    row(Limit::Concurrency, "concurrency", Unit::Count, 64)
        .flag("--concurrency")
        .most(1024)
        .says("calls at once", "{} calls are running, the limit"),
    // What a workspace sends in a burst. One beyond it is refused at once.
    row(Limit::Waiting, "waiting", Unit::Count, 1024).says(
        "calls that wait for an instance",
        "overloaded: {} calls are waiting for this connector, the limit; nothing was called, try \
         again later",
    ),
    // A large export; a quarter of what the platform's own client can send.
    row(Limit::Json, "json-mib", Unit::Mebibytes, 16)
        .most(64)
        .says("arguments, and result", "more than {} of JSON, the limit of arguments and results"),
    // JSON parsers of other languages overflow their stack somewhere above.
    row(Limit::JsonDepth, "json-depth", Unit::Count, 128)
        .most(10_000)
        .says("nesting of a result", "JSON nested deeper than {} levels, the limit"),
    // A request body is the largest.
    row(Limit::HostCall, "host-call-mib", Unit::Mebibytes, 64).most(ADDRESSABLE).says(
        "what one host call takes",
        "the connector gave one host call more than {}, the limit",
    ),
    // Keys have 32 bytes; an engine that fills a pool takes a few kB.
    row(Limit::Random, "random-kib", Unit::Kibibytes, 64).says(
        "random bytes at once",
        "the connector asked for more than {} of random bytes at once, the limit",
    ),
    // Servers stop at 8 to 64 kB.
    row(Limit::Fields, "fields-kib", Unit::Kibibytes, 128).most(1024).says(
        "header fields of one request or answer of wasi:http",
        "more than {} of header fields, the limit",
    ),
    // More than a person reads of one call.
    row(Limit::LogLines, "log-lines", Unit::Count, 1000)
        .says("log lines of a call", "the call has logged {} lines, the limit"),
    // A stack trace. What is longer is cut.
    row(Limit::LogLine, "log-line-kib", Unit::Kibibytes, 16)
        .most(1024)
        .says("a log line", "a line is longer than {}, the limit"),
    // A full log of a call, with room for some long lines.
    row(Limit::Log, "log-kib", Unit::Kibibytes, 1024)
        .says("log lines of a call together", "the call has logged {}, the limit"),
    // Four times what is on the wire at once.
    row(Limit::Started, "started", Unit::Count, 256).most(10_000).says(
        "requests and timers started and not taken",
        "more than {} requests and timers are started and not taken, the limit",
    ),
    // A call that pages through ten thousand items, a hundred at a time, takes a tenth of it.
    row(Limit::Requests, "requests", Unit::Count, 1000)
        .says("requests of a call", "more than {} requests in one call, the limit"),
    // What HTTP/2 servers commonly take on one connection is 100; two thirds of it.
    row(Limit::InFlight, "requests-at-once", Unit::Count, 64)
        .most(1024)
        .says("requests on the wire", "{} requests are on the wire, the limit"),
    // It is held in memory so that it can be sent again.
    row(Limit::RequestBody, "request-mib", Unit::Mebibytes, 32)
        .says("a request body that is not streamed", "a request body of more than {}, the limit"),
    // It is held in memory until the guest takes it.
    row(Limit::AnswerBody, "answer-mib", Unit::Mebibytes, 32)
        .says("an answer body that is not streamed", "an answer of more than {}, the limit"),
    // A backup goes through in pieces; a loop is stopped.
    row(Limit::Sent, "sent-mib", Unit::Mebibytes, 1024)
        .says("bytes that a call sends", "the call has sent {}, the limit"),
    row(Limit::Received, "received-mib", Unit::Mebibytes, 1024)
        .says("bytes that a call receives", "the call has received {}, the limit"),
    // Text shrinks to a tenth, but seldom in such amounts.
    row(Limit::Decoded, "decoded-mib", Unit::Mebibytes, 4096).says(
        "bytes that a call receives, after decompression",
        "the answers of the call have more than {} after decompression, the limit",
    ),
    // Eight of the largest bodies.
    row(Limit::Held, "held-mib", Unit::Mebibytes, 256).says(
        "bodies that the host holds for it at once",
        "more than {} of requests and answers are held for this connector, the limit; take or \
         cancel some before you make more",
    ),
    // A Python connector has 22 MB.
    row(Limit::Component, "component-mib", Unit::Mebibytes, 64)
        .most(1024)
        .says("a component file", "it has more than {}, the limit of a component file"),
    // A Python connector has some 30,000.
    row(Limit::Functions, "functions", Unit::Count, 200_000)
        .most(10_000_000)
        .says("functions of a component", "it has more than {} functions, the limit"),
    // A Python connector takes 20 seconds of two cores.
    row(Limit::CompileTime, "compile-seconds", Unit::Seconds, 120)
        .most(DAY)
        .says("time of compiling", "compiling it was stopped after {}, the limit"),
    // A Python connector takes half of it.
    row(Limit::CompileMemory, "compile-mib", Unit::Mebibytes, 2048)
        .says("memory of compiling", "compiling it takes more than {} of memory, the limit"),
];

/// The names in `[limits]`, in the order of [`Limit`].
pub const KEYS: &[&str] = &keys();

const fn keys() -> [&'static str; ROWS.len()] {
    let mut keys = [""; ROWS.len()];
    let mut at = 0;
    while at < ROWS.len() {
        keys[at] = ROWS[at].key;
        at += 1;
    }
    keys
}

impl Limit {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| row.limit)
    }

    /// The one of this name in `[limits]`.
    pub fn named(key: &str) -> Option<Self> {
        ROWS.iter().find(|row| row.key == key).map(|row| row.limit)
    }

    /// Its name in `[limits]`.
    pub fn key(self) -> &'static str {
        self.row().key
    }

    /// The flag that changes it, where there is one.
    pub fn flag(self) -> Option<&'static str> {
        self.row().flag
    }

    /// What it is about, for lists.
    pub fn what(self) -> &'static str {
        self.row().what
    }

    /// The values that it can have.
    pub fn range(self) -> RangeInclusive<u64> {
        self.row().range.clone()
    }

    /// What its value counts.
    pub fn unit(self) -> Unit {
        self.row().unit
    }

    /// Where it is raised, to put behind "raise it with".
    pub fn setting(self) -> String {
        let key = self.key();
        match self.flag() {
            Some(flag) => format!("{flag} or {key} in [limits]"),
            None => format!("{key} in [limits]"),
        }
    }

    fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }
}

/// What one connector may use up: a value for every limit.
#[derive(Clone, PartialEq, Eq)]
pub struct Limits([u64; ROWS.len()]);

impl Default for Limits {
    fn default() -> Self {
        Self(std::array::from_fn(|at| ROWS[at].default))
    }
}

impl Limits {
    /// With another value, which must be in the limit's range.
    #[must_use]
    pub fn with(mut self, limit: Limit, value: u64) -> Self {
        debug_assert!(limit.range().contains(&value), "{limit:?}: {value}");
        self.0[limit as usize] = value;
        self
    }

    /// The value, in the limit's unit.
    pub fn get(&self, limit: Limit) -> u64 {
        self.0[limit as usize]
    }

    /// A limit of time.
    pub fn time(&self, limit: Limit) -> Duration {
        debug_assert_eq!(limit.unit(), Unit::Seconds);
        Duration::from_secs(self.get(limit))
    }

    /// A limit of bytes, in bytes.
    pub fn bytes(&self, limit: Limit) -> usize {
        let shift = match limit.unit() {
            Unit::Mebibytes => 20,
            Unit::Kibibytes => 10,
            Unit::Seconds | Unit::Count => 0,
        };
        usize::try_from(self.get(limit)).unwrap_or(usize::MAX).saturating_mul(1 << shift)
    }

    /// A limit of a number of things.
    pub fn count(&self, limit: Limit) -> usize {
        debug_assert_eq!(limit.unit(), Unit::Count);
        usize::try_from(self.get(limit)).unwrap_or(usize::MAX)
    }

    /// The error for whoever goes beyond a limit.
    pub fn breach(&self, limit: Limit) -> Breach {
        Breach { limit, value: self.get(limit) }
    }

    /// The value with its unit, for people.
    pub fn shown(&self, limit: Limit) -> String {
        shown(limit, self.get(limit))
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changed = ROWS.iter().filter(|row| self.get(row.limit) != row.default);
        f.debug_map().entries(changed.map(|row| (row.key, self.get(row.limit)))).finish()
    }
}

/// Somebody went beyond a limit. The text names the limit, its value and the setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which one.
    pub limit: Limit,
    /// Its value, in its unit.
    pub value: u64,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.limit.row().breach.replace("{}", &shown(self.limit, self.value));
        f.write_str(&what)?;
        // Some limits are what the machine room can give.
        let can_be_raised = self.value < *self.limit.range().end();
        if can_be_raised { write!(f, "; raise it with {}", self.limit.setting()) } else { Ok(()) }
    }
}

impl std::error::Error for Breach {}

fn shown(limit: Limit, value: u64) -> String {
    match limit.unit() {
        Unit::Seconds => format!("{value} s"),
        Unit::Mebibytes => format!("{value} MiB"),
        Unit::Kibibytes => format!("{value} KiB"),
        Unit::Count => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_limit_once_and_in_order() {
        for (at, row) in ROWS.iter().enumerate() {
            assert_eq!(row.limit as usize, at, "{}", row.key);
            assert_eq!(Limit::named(row.key), Some(row.limit), "{}", row.key);
            assert!(row.range.contains(&row.default), "{}", row.key);
            assert!(!row.what.is_empty() && row.breach.contains("{}"), "{}", row.key);
        }
        assert_eq!(Limit::CompileMemory as usize + 1, ROWS.len(), "the last limit has a row");
        assert_eq!(Limit::named("no-such-key"), None);
    }

    #[test]
    fn a_breach_names_the_limit_its_value_and_the_setting() {
        let limits = Limits::default().with(Limit::Memory, 64);
        for (limit, says) in [
            (
                Limit::Memory,
                "the connector needs more than 64 MiB of memory, its limit; raise it with --memory or \
                 memory-mib in [limits]",
            ),
            (
                Limit::Requests,
                "more than 1000 requests in one call, the limit; raise it with requests in [limits]",
            ),
            (
                Limit::CpuTime,
                "the connector was stopped after 10 s of CPU time, its limit; raise it with \
                 cpu-seconds in [limits]",
            ),
        ] {
            assert_eq!(limits.breach(limit).to_string(), says);
        }
    }

    #[test]
    fn values_come_in_bytes_and_durations() {
        let limits = Limits::default().with(Limit::LogLine, 3).with(Limit::CallTime, 7);
        assert_eq!(limits.bytes(Limit::LogLine), 3 << 10);
        assert_eq!(limits.bytes(Limit::Memory), 128 << 20);
        assert_eq!(limits.time(Limit::CallTime), Duration::from_secs(7));
        assert_eq!(limits.count(Limit::Handles), 10_000);
        assert_eq!(format!("{limits:?}"), r#"{"call-seconds": 7, "log-line-kib": 3}"#);
    }
}
