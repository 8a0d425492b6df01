//! The requests of one call as a tree for people: what was decided, what was tried, what it took.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::events::{
    Attempt, Component, Connection, Decision, Event, Events, Outcome, RequestRecord, Seen, Watcher,
};
use crate::printable::printable;

/// Requests that a trace shows: more than anybody reads.
const SHOWN: usize = 1000;

/// The time for requests that were given up with the call to end.
const LAST_REQUESTS: Duration = Duration::from_millis(250);

/// Watches what a call does.
pub(super) struct Trace {
    stop: CancellationToken,
    task: JoinHandle<Requests>,
}

/// What was seen, in the order in which it ended.
#[derive(Default)]
pub(super) struct Requests {
    shown: Vec<RequestRecord>,
    /// How many more there were.
    more: u64,
    /// Events that came too fast to be seen.
    lost: u64,
}

/// The call itself.
pub(super) struct Called<'a> {
    pub action: &'a str,
    pub component: &'a Component,
    pub failed: bool,
    pub began: SystemTime,
    pub took: Duration,
}

impl Trace {
    /// Watches from now on.
    pub fn begin(events: &Events) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(collect(Watcher::new(events, stop.clone())));
        Self { stop, task }
    }

    /// What was seen. Waits a moment for the last requests, if whoever makes them still lives.
    pub async fn end(mut self) -> Requests {
        let requests = match timeout(LAST_REQUESTS, &mut self.task).await {
            Ok(requests) => requests,
            Err(_) => {
                self.stop.cancel();
                self.task.await
            }
        };
        requests.unwrap_or_default()
    }
}

async fn collect(mut watcher: Watcher) -> Requests {
    let mut requests = Requests::default();
    while let Some(seen) = watcher.next().await {
        match seen {
            Seen::Event(Event::Request(record)) if requests.shown.len() < SHOWN => {
                requests.shown.push(*record);
            }
            Seen::Event(Event::Request(_)) => requests.more += 1,
            Seen::Event(Event::Log(_)) => {}
            Seen::Lost(count) => requests.lost += count,
        }
    }
    requests
}

/// The tree, in colour or not.
pub(super) fn tree(called: &Called<'_>, requests: &Requests, in_colour: bool) -> String {
    let paint = Paint(in_colour);
    let mut tree = headline(called, requests, paint);
    let mut shown: Vec<_> = requests.shown.iter().collect();
    shown.sort_by_key(|record| began(record));
    let notes = notes(requests);
    for (number, record) in shown.iter().enumerate() {
        let is_last = number + 1 == shown.len() && notes.is_empty();
        add(&mut tree, &request(called, record, paint), is_last, paint);
    }
    for (number, note) in notes.iter().enumerate() {
        add(&mut tree, std::slice::from_ref(note), number + 1 == notes.len(), paint);
    }
    tree
}

/// `getUser  of users (0123456789ab)  answered after 1.31 s, 2 requests`
fn headline(called: &Called<'_>, requests: &Requests, paint: Paint) -> String {
    let Called { action, component, failed, took, .. } = called;
    let (ended, colour) = if *failed { ("failed", BAD) } else { ("answered", GOOD) };
    let count = requests.shown.len() as u64 + requests.more;
    let requests = if count == 1 { "request" } else { "requests" };
    format!(
        "{}  of {} ({})  {} after {}, {count} {requests}\n",
        paint.with(STRONG, &printable(action)),
        printable(&component.connector),
        component.digest,
        paint.with(colour, ended),
        time(*took),
    )
}

fn notes(requests: &Requests) -> Vec<String> {
    let more = |count: u64| format!("and {count} more, not shown");
    let lost = |count: u64| format!("log lines or requests that came too fast to be seen: {count}");
    let some = |count: u64| (count > 0).then_some(count);
    some(requests.more).map(more).into_iter().chain(some(requests.lost).map(lost)).collect()
}

/// Adds a branch: its first line hangs on the trunk, the others stand below it.
fn add(tree: &mut String, lines: &[String], is_last: bool, paint: Paint) {
    let (first, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
    for (number, line) in lines.iter().enumerate() {
        let edge = paint.with(SOFT, if number == 0 { first } else { below });
        // Writing to a text cannot fail.
        let _ = writeln!(tree, "{edge}{line}");
    }
}

/// One request: its first line, and what is known of it, under names.
fn request(called: &Called<'_>, record: &RequestRecord, paint: Paint) -> Vec<String> {
    let offset = since(began(record), called.began);
    let first = format!(
        "+{}  {} {}  {}",
        time(offset),
        paint.with(STRONG, &printable(&record.method)),
        printable(&record.url),
        end(record, paint),
    );
    let facts = [
        decision(record),
        named("credential", credential(record)),
        named("queued", some_time(record.queued)),
    ];
    let mut lines: Vec<_> = facts.into_iter().flatten().collect();
    lines.extend(attempts(record, offset));
    let left_out = (record.sent as usize).saturating_sub(record.attempts.len());
    lines.extend((left_out > 0).then(|| ("", format!("and {left_out} more"))));
    lines.extend(record.hops.iter().map(|hop| ("redirect", printable(hop))));
    lines.extend(named("answer", answer(record)));
    let refused = matches!(record.decision, Some(Decision::Refused(_)));
    let error = record.error.as_deref().filter(|_| !refused);
    lines.extend(named("error", error.map(printable)));
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let line = |(name, text): (&str, String)| {
        format!("  {}  {text}", paint.with(SOFT, &format!("{name:<width$}")))
    };
    std::iter::once(first).chain(lines.into_iter().map(line)).collect()
}

/// A name, and what stands beside it.
type Fact = (&'static str, String);

fn named(name: &'static str, text: Option<String>) -> Option<Fact> {
    text.map(|text| (name, text))
}

/// `200 after 1.25 s`
fn end(record: &RequestRecord, paint: Paint) -> String {
    let took = time(record.took);
    match (&record.decision, record.status) {
        (Some(Decision::Refused(_)), _) => paint.with(BAD, "refused"),
        (_, Some(status)) => {
            let is_good = status < 400 && record.error.is_none();
            let status = paint.with(if is_good { GOOD } else { BAD }, &status.to_string());
            format!("{status} after {took}")
        }
        (_, None) => format!("{} after {took}", paint.with(BAD, "no answer")),
    }
}

fn decision(record: &RequestRecord) -> Option<Fact> {
    record.decision.as_ref().map(|decision| match decision {
        Decision::Granted(grant) => ("granted by", printable(grant)),
        Decision::Reported(text) => ("would be refused", printable(text)),
        Decision::Refused(text) => ("refused", printable(text)),
    })
}

fn credential(record: &RequestRecord) -> Option<String> {
    let name = printable(record.credential.as_ref()?);
    let token = some_time(record.token).map(|took| format!(", token after {took}"));
    Some(name + &token.unwrap_or_default())
}

/// The attempts, one a line, in columns.
fn attempts(record: &RequestRecord, offset: Duration) -> Vec<Fact> {
    let row = |attempt: &Attempt| {
        [
            format!("+{}", time(offset + attempt.started)),
            format!("{} after {}", ended(&attempt.outcome), time(attempt.took)),
            attempt.connection.map(connection).unwrap_or_else(|| "no connection".into()),
            format!("{} out, {} in", bytes(attempt.bytes_out), bytes(attempt.bytes_in)),
            attempt.pause.as_ref().map_or_else(String::new, |pause| {
                format!("after a pause of {}: {}", time(pause.time), printable(&pause.why))
            }),
        ]
    };
    let rows: Vec<_> = record.attempts.iter().map(row).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; 5] = std::array::from_fn(|column| width(column).unwrap_or_default());
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(|row| ("attempt", line(row))).collect()
}

fn ended(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Status(status) => status.to_string(),
        Outcome::Error(word) => printable(word),
    }
}

fn connection(connection: Connection) -> String {
    let Connection { address, proxied, reused } = connection;
    let proxy = if proxied { "proxy " } else { "" };
    format!("{proxy}{address}, {} connection", if reused { "same" } else { "new" })
}

/// `1.2 KiB, 4.9 KiB decompressed`
fn answer(record: &RequestRecord) -> Option<String> {
    record.status?;
    let received = bytes(record.attempts.last().map_or(record.bytes_in, |last| last.bytes_in));
    let decoded = record.bytes_decoded.map(|count| format!(", {} decompressed", bytes(count)));
    Some(received + &decoded.unwrap_or_default())
}

fn some_time(span: Duration) -> Option<String> {
    (span >= Duration::from_millis(1)).then(|| time(span))
}

fn began(record: &RequestRecord) -> SystemTime {
    record.at.checked_sub(record.took).unwrap_or(record.at)
}

/// The clock may have been set back in between.
fn since(later: SystemTime, earlier: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}

/// `0.4 ms`, `12 ms`, `1.31 s`
fn time(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    match millis {
        small if small < 10.0 => format!("{small:.1} ms"),
        large if large >= 999.5 => format!("{:.2} s", large / 1e3),
        _ => format!("{millis:.0} ms"),
    }
}

fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{:.1} KiB", count as f64 / 1024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}

/// Colours, or none. What they say is said in words too.
#[derive(Clone, Copy)]
struct Paint(bool);

const STRONG: &str = "1";
const SOFT: &str = "2";
const GOOD: &str = "32";
const BAD: &str = "31";

impl Paint {
    fn with(self, colour: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::sample;

    fn called<'a>(component: &'a Component, failed: bool) -> Called<'a> {
        let record = sample();
        // The request began 12 ms after the call.
        let began = record.at - record.took - Duration::from_millis(12);
        Called { action: "addUser", component, failed, began, took: Duration::from_millis(1312) }
    }

    fn component() -> Component {
        Component { connector: "users".into(), digest: "0123456789ab".into() }
    }

    fn shown(failed: bool, requests: &Requests) -> String {
        tree(&called(&component(), failed), requests, false)
    }

    #[test]
    fn a_request_that_was_tried_again() {
        let requests = Requests { shown: vec![sample()], ..Requests::default() };
        let expected = "\
addUser  of users (0123456789ab)  answered after 1.31 s, 1 request
└─ +12 ms  POST https://api.example.com/v1/users  200 after 1.25 s
     granted by  https://*.example.com
     credential  users-api, token after 110 ms
     queued      15 ms
     attempt     +137 ms  503 after 80 ms  192.0.2.1:443, new connection   8 B out, 12 B in
     attempt     +1.22 s  200 after 45 ms  192.0.2.1:443, same connection  8 B out, 1.2 KiB in  \
after a pause of 1.00 s: status 503
     answer      1.2 KiB, 4.9 KiB decompressed
";
        assert_eq!(shown(false, &requests), expected);
    }

    #[test]
    fn requests_stand_in_the_order_in_which_they_began() {
        let refusal = "b.example is not granted; allow it with --allow https://b.example";
        let refused = RequestRecord {
            method: "GET".into(),
            url: "https://b.example/x".into(),
            decision: Some(Decision::Refused(refusal.into())),
            error: Some(refusal.into()),
            status: None,
            credential: None,
            sent: 0,
            attempts: vec![],
            bytes_decoded: None,
            queued: Duration::ZERO,
            token: Duration::ZERO,
            took: Duration::from_micros(400),
            ..sample()
        };
        let first = Attempt {
            outcome: Outcome::Error("timeout".into()),
            connection: None,
            ..sample().attempts.remove(0)
        };
        let lost = RequestRecord {
            decision: Some(Decision::Reported("b.example is not granted".into())),
            status: None,
            error: Some("https://b.example did not answer\u{1b}[31m".into()),
            attempts: vec![first],
            sent: 40,
            hops: vec!["https://c.example/".into()],
            ..refused.clone()
        };
        let lost = RequestRecord { at: refused.at + Duration::from_secs(1), ..lost };
        let requests = Requests { shown: vec![lost, refused], more: 3, lost: 1 };
        let expected = "\
addUser  of users (0123456789ab)  failed after 1.31 s, 5 requests
├─ +1.26 s  GET https://b.example/x  refused
│    refused  b.example is not granted; allow it with --allow https://b.example
├─ +2.26 s  GET https://b.example/x  no answer after 0.4 ms
│    would be refused  b.example is not granted
│    attempt           +2.39 s  timeout after 80 ms  no connection  8 B out, 12 B in
│                      and 39 more
│    redirect          https://c.example/
│    error             https://b.example did not answer␊[31m
├─ and 3 more, not shown
└─ log lines or requests that came too fast to be seen: 1
";
        assert_eq!(shown(true, &requests), expected);
    }

    #[test]
    fn a_call_without_requests_says_so() {
        let expected = "addUser  of users (0123456789ab)  answered after 1.31 s, 0 requests\n";
        assert_eq!(shown(false, &Requests::default()), expected);
    }

    #[test]
    fn colours_change_no_letter() {
        let requests = Requests { shown: vec![sample()], ..Requests::default() };
        let component = component();
        let coloured = tree(&called(&component, false), &requests, true);
        assert!(coloured.contains("\u{1b}[32m200\u{1b}[0m"), "{coloured}");
        let mut plain = coloured;
        for colour in [STRONG, SOFT, GOOD, BAD, "0"] {
            plain = plain.replace(&format!("\u{1b}[{colour}m"), "");
        }
        assert_eq!(plain, shown(false, &requests));
    }

    #[tokio::test]
    async fn a_trace_ends_with_those_who_make_requests() {
        let events = Events::default();
        let trace = Trace::begin(&events);
        events.tell(Event::Request(Box::new(sample())));
        drop(events);
        assert_eq!(trace.end().await.shown, [sample()]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trace_does_not_wait_for_ever() {
        let events = Events::default();
        let trace = Trace::begin(&events);
        events.tell(Event::Request(Box::new(sample())));
        assert_eq!(trace.end().await.shown, [sample()]);
    }
}
