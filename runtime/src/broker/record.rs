//! The one record that each request leaves, however it ends.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;
use url::Url;

use super::answer::{Answer, Watch, WireBytes};
use super::limits::{ATTEMPTS_TOLD, HOPS_TOLD, REFUSALS_TOLD, URL_BYTES};
use super::payload::Upload;
use super::request::{Error, Request, Scope};
use crate::events::{
    Attempt, Component, Connection, Decision, Event, Events, Outcome, Pause, RequestRecord,
};
use crate::printable::printable;
use crate::vault::Vault;

/// Tells the records of one connector.
pub(super) struct Teller {
    component: Component,
    events: Events,
    refusals: Refusals,
}

/// Counts along with a request, and tells the record when it is dropped: a request whose call was
/// cancelled leaves one, too. A body that is still to be read takes it along.
///
/// Where nobody watches, it does nothing but tell refusals to the operator.
pub(super) struct Tally {
    teller: Arc<Teller>,
    vault: Arc<Vault>,
    watched: Option<Watched>,
}

/// Counts along with the body of an answer, and ends with it.
pub(super) struct BodyTally {
    tally: Tally,
    status: u16,
    /// Counts what comes over the wire, where that is decoded.
    wire_bytes: Option<WireBytes>,
    received: u64,
}

impl BodyTally {
    pub fn new(tally: Tally, answer: &Answer) -> Self {
        let (status, wire_bytes) = (answer.status, answer.wire_bytes.clone());
        Self { tally, status, wire_bytes, received: 0 }
    }

    fn count(&mut self) {
        let received = self.wire_bytes.as_ref().map_or(0, WireBytes::get);
        self.tally.received(more(&mut self.received, received));
    }
}

/// How much a count has grown.
fn more(count: &mut u64, now: u64) -> usize {
    let more = now.saturating_sub(std::mem::replace(count, now));
    usize::try_from(more).unwrap_or(usize::MAX)
}

impl Watch for BodyTally {
    fn piece(&mut self, bytes: usize) {
        match &self.wire_bytes {
            Some(_) => self.tally.decoded(bytes),
            None => self.tally.received(bytes),
        }
        self.count();
    }

    fn end(mut self, outcome: Result<(), &Error>) {
        self.count();
        self.tally.end(outcome.map(|()| self.status));
    }
}

/// What is written down where somebody watches.
struct Watched {
    record: Box<RequestRecord>,
    since: Instant,
    /// The attempt under way.
    open: Option<Open>,
    /// The pause before the next one.
    pause: Option<Pause>,
    gave_up: Option<String>,
    /// A body that is sent while it is made, and how much of it was counted.
    upload: Option<(Upload, u64)>,
}

struct Open {
    since: Instant,
    attempt: Attempt,
}

/// Stands in a record until something better is known.
const NO_ANSWER: &str = "given up before the answer came";
const NO_END: &str = "given up before the whole answer came";
const GIVEN_UP: &str = "given-up";

impl Teller {
    /// For the requests of that connector.
    pub fn new(component: Component, events: Events) -> Self {
        Self { component, events, refusals: Refusals::default() }
    }

    /// Begins the record of a request.
    pub fn tally(self: &Arc<Self>, request: &Request, scope: &Scope) -> Tally {
        let is_watched = self.events.are_watched() || tracing::enabled!(tracing::Level::DEBUG);
        let watched = is_watched.then(|| Watched::new(self, request, scope));
        Tally { teller: self.clone(), vault: scope.vault.clone(), watched }
    }
}

impl Tally {
    /// Notes what the policy said. A refusal need not be noted: the error tells it.
    pub fn permitted(&mut self, mut decision: Decision) {
        if let Decision::Reported(text) = &mut decision {
            *text = self.vault.scrub(text.to_string()).into();
            self.teller.warn("would be refused", text);
        }
        self.note(|watched, _| watched.record.decision = Some(decision));
    }

    /// Notes the name of the credential that is added.
    pub fn credential(&mut self, name: &str) {
        self.note(|watched, vault| {
            watched.record.credential = Some(vault.scrub(printable(name)));
        });
    }

    /// Notes where a redirect leads. The server chose that, and it may know more secrets than the
    /// vault does: `scrub` takes those out.
    pub fn hop(&mut self, url: &Url, scrub: impl FnOnce(String) -> String) {
        self.note(|watched, vault| {
            let hops = &mut watched.record.hops;
            if hops.len() < HOPS_TOLD {
                hops.push(scrub(vault.scrub(shown(url))));
            }
        });
    }

    /// Counts along with a body that is sent while it is made.
    pub fn uploads(&mut self, upload: &Upload) {
        self.note(|watched, _| watched.upload = Some((upload.clone(), 0)));
    }

    /// Adds time spent waiting for a place.
    pub fn queued(&mut self, time: Duration) {
        self.note(|watched, _| watched.record.queued += time);
    }

    /// Adds time spent on getting a token.
    pub fn token_took(&mut self, time: Duration) {
        self.note(|watched, _| watched.record.token += time);
    }

    /// Notes the pause before the next attempt.
    pub fn waits(&mut self, time: Duration, why: impl Into<Cow<'static, str>>) {
        self.note(|watched, _| watched.pause = Some(Pause { time, why: why.into() }));
    }

    /// Begins an attempt that sends so many bytes, as far as that is known. Ends the one before.
    pub fn begin_attempt(&mut self, bytes: usize) {
        self.note(|watched, _| {
            watched.close(None);
            watched.begin();
        });
        self.sent(bytes);
    }

    /// Notes the connection that the attempt uses.
    pub fn dialled(&mut self, connection: Connection) {
        self.in_attempt(|attempt| attempt.connection = Some(connection));
    }

    /// Counts bytes of the request's body beyond those that were known.
    pub fn sent(&mut self, bytes: usize) {
        self.note(|watched, _| watched.record.bytes_out += bytes as u64);
        self.in_attempt(|attempt| attempt.bytes_out += bytes as u64);
    }

    /// Counts bytes of the answer's body as they came over the wire.
    pub fn received(&mut self, bytes: usize) {
        self.note(|watched, _| watched.record.bytes_in += bytes as u64);
        self.in_attempt(|attempt| attempt.bytes_in += bytes as u64);
    }

    /// Counts bytes of the answer's body after decompression.
    pub fn decoded(&mut self, bytes: usize) {
        self.note(|watched, _| *watched.record.bytes_decoded.get_or_insert(0) += bytes as u64);
    }

    /// Ends the attempt.
    pub fn end_attempt(&mut self, outcome: impl Into<Outcome>) {
        self.note(|watched, _| watched.close(Some(outcome.into())));
    }

    /// Remembers why a bad answer was taken for good.
    pub fn gave_up(&mut self, why: String) {
        self.note(|watched, vault| watched.gave_up = Some(vault.scrub(why)));
    }

    /// Notes that the attempt has an answer, whose body is still to come.
    pub fn attempt_answered(&mut self, status: u16) {
        self.in_attempt(|attempt| attempt.outcome = Outcome::Status(status));
    }

    /// Notes that this is the answer. If the tally is dropped before [`Tally::end`], nobody read its
    /// body to the end.
    pub fn answering(&mut self, status: u16) {
        self.note(|watched, _| {
            watched.record.status = Some(status);
            watched.record.error = Some(NO_END.into());
        });
        self.attempt_answered(status);
    }

    /// Ends the request: its whole answer came, with this status, or the error is the answer.
    pub fn end(mut self, outcome: Result<u16, &Error>) {
        if let Err(Error::Denied(text)) = outcome {
            let text = self.vault.scrub(text.clone());
            self.note(|watched, _| {
                watched.record.decision = Some(Decision::Refused(text.as_str().into()));
            });
            self.teller.warn("refused", &text);
        }
        self.note(|watched, vault| {
            watched.close(Some(outcome.into()));
            let record = &mut watched.record;
            record.status = outcome.ok().or(record.status);
            record.error = match outcome {
                Ok(_) => watched.gave_up.take(),
                Err(error) => Some(vault.scrub(error.to_string())),
            };
        });
    }

    fn note(&mut self, note: impl FnOnce(&mut Watched, &Vault)) {
        if let Some(watched) = &mut self.watched {
            note(watched, &self.vault);
        }
    }

    fn in_attempt(&mut self, note: impl FnOnce(&mut Attempt)) {
        if let Some(open) = self.watched.as_mut().and_then(|watched| watched.open.as_mut()) {
            note(&mut open.attempt);
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let Some(mut watched) = self.watched.take() else { return };
        watched.close(None);
        let mut record = watched.record;
        record.at = SystemTime::now();
        record.took = watched.since.elapsed();
        log(&record);
        self.teller.events.tell(Event::Request(record));
    }
}

impl Watched {
    fn new(teller: &Teller, request: &Request, scope: &Scope) -> Self {
        let vault = &scope.vault;
        let url = read_url(&request.url);
        // A secret that was revealed may be in the path, or anywhere.
        let told = |text: Option<String>| text.map(|text| vault.scrub(text));
        let record = RequestRecord {
            at: SystemTime::UNIX_EPOCH,
            connector: teller.component.connector.clone(),
            digest: teller.component.digest.clone(),
            call: scope.call.clone(),
            // Before it is cut, which could leave half a secret.
            method: shown_method(&vault.scrub(request.method.clone())),
            url: told(url.as_ref().map(shown)).unwrap_or_else(|| "(no URL)".into()),
            origin: told(url.as_ref().map(origin)).unwrap_or_default(),
            decision: None,
            credential: None,
            status: None,
            error: Some(NO_ANSWER.into()),
            sent: 0,
            attempts: Vec::new(),
            hops: Vec::new(),
            bytes_out: 0,
            bytes_in: 0,
            bytes_decoded: None,
            queued: Duration::ZERO,
            token: Duration::ZERO,
            took: Duration::ZERO,
        };
        let since = Instant::now();
        Self {
            record: Box::new(record),
            since,
            open: None,
            pause: None,
            gave_up: None,
            upload: None,
        }
    }

    fn begin(&mut self) {
        let now = Instant::now();
        self.record.sent += 1;
        let attempt = Attempt {
            started: now - self.since,
            took: Duration::ZERO,
            outcome: Outcome::Error(GIVEN_UP.into()),
            connection: None,
            bytes_out: 0,
            bytes_in: 0,
            pause: self.pause.take(),
        };
        self.open = Some(Open { since: now, attempt });
    }

    /// Ends the attempt under way, if there is one. Without an outcome it ends as what is known.
    fn close(&mut self, outcome: Option<Outcome>) {
        let Some(Open { since, mut attempt }) = self.open.take() else { return };
        if let Some((upload, counted)) = &mut self.upload {
            let sent = upload.sent();
            let more = sent.saturating_sub(std::mem::replace(counted, sent));
            attempt.bytes_out += more;
            self.record.bytes_out += more;
        }
        attempt.took = since.elapsed();
        if let Some(outcome) = outcome {
            attempt.outcome = outcome;
        }
        if self.record.attempts.len() < ATTEMPTS_TOLD {
            self.record.attempts.push(attempt);
        }
    }
}

/// Puts refusals into the log, where the operator finds the flag that would allow them: each once,
/// for a guest can be refused as often as it likes.
#[derive(Default)]
struct Refusals(Mutex<BTreeSet<String>>);

impl Teller {
    fn warn(&self, what: &str, text: &str) {
        let connector = &*self.component.connector;
        let line = format!("{what}: {text}");
        if self.refusals.is_new(&line) {
            tracing::warn!(connector, "{line}");
        }
    }
}

impl Refusals {
    fn is_new(&self, line: &str) -> bool {
        let mut told = self.0.lock();
        told.len() < REFUSALS_TOLD && told.insert(line.to_owned())
    }
}

impl From<&Error> for Outcome {
    fn from(error: &Error) -> Self {
        let word = match error {
            Error::InvalidRequest(_) => "invalid-request",
            Error::Denied(_) => "denied",
            Error::Dns(_) => "dns",
            Error::Connect(_)
            | Error::ConnectTimeout(_)
            | Error::Certificate(_)
            | Error::Tls(_) => "connect",
            Error::Timeout(_) => "timeout",
            Error::Interrupted(_) | Error::Protocol(_) => "interrupted",
            Error::Limit(_) | Error::Breach(..) | Error::AnswerSize(_) => "limit",
            Error::Credential(_) => "credential",
        };
        Self::Error(word.into())
    }
}

impl From<Result<u16, &Error>> for Outcome {
    fn from(outcome: Result<u16, &Error>) -> Self {
        outcome.map_or_else(Self::from, Self::Status)
    }
}

/// The record as one line, for who has turned on `debug`.
fn log(record: &RequestRecord) {
    let millis = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    tracing::debug!(
        connector = &*record.connector,
        digest = &*record.digest,
        call = record.call.as_deref(),
        method = record.method,
        url = record.url,
        decision = record.decision.as_ref().map(in_words),
        credential = record.credential,
        status = record.status,
        error = record.error,
        attempts = attempts_in_words(&record.attempts),
        hops = record.hops.join(" "),
        sent = record.sent,
        bytes_out = record.bytes_out,
        bytes_in = record.bytes_in,
        bytes_decoded = record.bytes_decoded,
        queued_ms = millis(record.queued),
        token_ms = millis(record.token),
        took_ms = millis(record.took),
        "request"
    );
}

fn in_words(decision: &Decision) -> String {
    match decision {
        Decision::Granted(grant) => format!("granted by {grant}"),
        Decision::Reported(text) => format!("would be refused: {text}"),
        Decision::Refused(_) => "refused".into(),
    }
}

/// `503 by 127.0.0.1:80 after 12 ms, timeout …`
fn attempts_in_words(attempts: &[Attempt]) -> String {
    let one = |attempt: &Attempt| {
        let end = match &attempt.outcome {
            Outcome::Status(status) => status.to_string(),
            Outcome::Error(word) => word.to_string(),
        };
        let by = attempt.connection.map(|one| format!(" by {}", one.address)).unwrap_or_default();
        format!("{end}{by} after {} ms", attempt.took.as_millis())
    };
    attempts.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn shown_method(method: &str) -> String {
    printable(&method.chars().take(20).collect::<String>().to_ascii_uppercase())
}

fn read_url(text: &str) -> Option<Url> {
    let url = (text.len() <= URL_BYTES).then(|| Url::parse(text).ok()).flatten();
    url.filter(Url::has_host)
}

/// Scheme, host, port and path: people put secrets into all the rest.
fn shown(url: &Url) -> String {
    let mut shown = origin(url);
    shown.push_str(url.path());
    shown
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast::Receiver;
    use tokio::time::advance;

    use super::*;
    use crate::vault::Placeholders;

    const MS: Duration = Duration::from_millis(1);

    fn request() -> Request {
        let url = "https://a.example/things?key=s".into();
        Request { method: "get".into(), url, ..Request::default() }
    }

    fn vault() -> Arc<Vault> {
        let values = [("KEY".to_owned(), "the-secret".into())].into();
        Arc::new(Vault::new(values, &Placeholders::new(["KEY".to_owned()]), &[].into()))
    }

    fn begin(request: &Request) -> (Tally, Receiver<Event>) {
        let events = Events::default();
        let watcher = events.watch();
        let component = Component { connector: "users".into(), digest: "0123abcd".into() };
        let scope = Scope {
            call: Some("call".into()),
            deadline: Instant::now(),
            vault: vault(),
            allowance: Arc::default(),
        };
        (Arc::new(Teller::new(component, events)).tally(request, &scope), watcher)
    }

    fn told(watcher: &mut Receiver<Event>) -> RequestRecord {
        match watcher.try_recv() {
            Ok(Event::Request(record)) => *record,
            other => panic!("no record: {other:?}"),
        }
    }

    fn connection(reused: bool) -> Connection {
        Connection { address: ([192, 0, 2, 1], 443).into(), proxied: false, reused }
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_holds_the_whole_story_of_a_request() {
        let (mut tally, mut watcher) = begin(&request());
        tally.permitted(Decision::Granted("https://*.example".into()));
        tally.credential("users-api");
        tally.token_took(20 * MS);
        tally.queued(5 * MS);
        advance(25 * MS).await;
        tally.begin_attempt(7);
        tally.dialled(connection(false));
        advance(10 * MS).await;
        tally.received(3);
        tally.end_attempt(Ok(503));
        tally.waits(1000 * MS, "status 503");
        advance(1000 * MS).await;
        tally.queued(MS);
        tally.begin_attempt(7);
        tally.dialled(connection(true));
        tally.answering(200);
        advance(4 * MS).await;
        tally.received(100);
        tally.decoded(900);
        tally.end(Ok(200));
        let attempt = |started, took, status, reused, bytes_in, pause| Attempt {
            started,
            took,
            outcome: Outcome::Status(status),
            connection: Some(connection(reused)),
            bytes_out: 7,
            bytes_in,
            pause,
        };
        let pause = Pause { time: 1000 * MS, why: "status 503".into() };
        let record = told(&mut watcher);
        let expected = RequestRecord {
            at: record.at,
            connector: "users".into(),
            digest: "0123abcd".into(),
            call: Some("call".into()),
            method: "GET".into(),
            url: "https://a.example/things".into(),
            origin: "https://a.example".into(),
            decision: Some(Decision::Granted("https://*.example".into())),
            credential: Some("users-api".into()),
            status: Some(200),
            error: None,
            sent: 2,
            attempts: vec![
                attempt(25 * MS, 10 * MS, 503, false, 3, None),
                attempt(1035 * MS, 4 * MS, 200, true, 100, Some(pause)),
            ],
            hops: vec![],
            bytes_out: 14,
            bytes_in: 103,
            bytes_decoded: Some(900),
            queued: 6 * MS,
            token: 20 * MS,
            took: 1039 * MS,
        };
        assert_eq!(record, expected);
        let json = serde_json::to_string(&record).expect("JSON");
        let read: RequestRecord = serde_json::from_str(&json).expect("a record");
        assert_eq!(RequestRecord { at: record.at, ..read }, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_dropped_says_how_far_it_came() {
        type Step = fn(&mut Tally);
        let steps: [(Step, Option<u16>, &str, Option<Outcome>); 3] = [
            (|_| {}, None, NO_ANSWER, None),
            (
                |tally| tally.begin_attempt(0),
                None,
                NO_ANSWER,
                Some(Outcome::Error(GIVEN_UP.into())),
            ),
            (
                |tally| {
                    tally.begin_attempt(0);
                    tally.answering(200);
                },
                Some(200),
                NO_END,
                Some(Outcome::Status(200)),
            ),
        ];
        for (step, status, error, outcome) in steps {
            let (mut tally, mut watcher) = begin(&request());
            step(&mut tally);
            drop(tally);
            let record = told(&mut watcher);
            assert_eq!((record.status, record.error.as_deref()), (status, Some(error)));
            let ended = record.attempts.into_iter().map(|attempt| attempt.outcome).next();
            assert_eq!(ended, outcome);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_breaks_off_leaves_the_status_and_the_reason() {
        let (mut tally, mut watcher) = begin(&request());
        tally.begin_attempt(0);
        tally.answering(200);
        tally.end(Err(&Error::Interrupted("it broke".into())));
        let record = told(&mut watcher);
        assert_eq!((record.status, record.error.as_deref()), (Some(200), Some("it broke")));
        assert_eq!(record.attempts[0].outcome, Outcome::Error("interrupted".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_the_decision() {
        let (mut tally, mut watcher) = begin(&request());
        tally.permitted(Decision::Granted("https://a.example".into()));
        tally.end(Err(&Error::Denied("allow it with --allow x".into())));
        let refused = Decision::Refused("allow it with --allow x".into());
        assert_eq!(told(&mut watcher).decision, Some(refused));
    }

    #[tokio::test(start_paused = true)]
    async fn no_secret_gets_into_a_record() {
        let mut request = request();
        request.url = "https://the-secret.example/the-secret?the-secret".into();
        // Cut in the middle of it.
        request.method = "get-get-get-get-the-secret".into();
        let (mut tally, mut watcher) = begin(&request);
        tally.credential("the-secret");
        let hop = Url::parse("https://u:the-secret@b.example/the-secret/token?the-secret");
        tally.hop(&hop.expect("a URL"), |text| text.replace("token", "…"));
        tally.permitted(Decision::Reported("the-secret is not granted".into()));
        tally.gave_up("the-secret".into());
        tally.end(Ok(500));
        let record = told(&mut watcher);
        assert!(record.hops[0].starts_with("https://b.example/"), "{record:?}");
        assert!(!record.method.contains("THE"), "{record:?}");
        let all = format!("{record:?}");
        assert!(!all.to_lowercase().contains("the-secret") && !all.contains("token\""), "{all}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_stays_small_whatever_happens() {
        let (mut tally, mut watcher) = begin(&request());
        let hop = Url::parse("https://b.example/").expect("a URL");
        for _ in 0..1000 {
            tally.begin_attempt(1);
            tally.hop(&hop, |text| text);
        }
        tally.end(Ok(200));
        let record = told(&mut watcher);
        assert_eq!((record.attempts.len(), record.hops.len()), (ATTEMPTS_TOLD, HOPS_TOLD));
        assert_eq!((record.sent, record.bytes_out), (1000, 1000));
    }

    #[test]
    fn a_record_shows_no_more_of_a_url_than_its_path() {
        for (text, expected) in [
            ("https://a.example/x/y?key=s#f", "https://a.example/x/y"),
            ("https://user:s@a.example:8443/", "https://a.example:8443/"),
            ("http://2130706433", "http://127.0.0.1/"),
            ("data:text/plain,s", "(no URL)"),
            ("not a URL with s", "(no URL)"),
        ] {
            let request = Request { url: text.into(), ..request() };
            let scope = Scope {
                call: None,
                deadline: Instant::now(),
                vault: Arc::default(),
                allowance: Arc::default(),
            };
            let teller = Teller::new("test".into(), Events::default());
            assert_eq!(Watched::new(&teller, &request, &scope).record.url, expected, "{text}");
        }
    }
}
