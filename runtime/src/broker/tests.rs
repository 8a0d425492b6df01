//! What the broker promises, tried against a server that misbehaves on order.
//!
//! The clock is paused: a pause costs no time, and how long it was can be asserted.

mod allowance;
mod coded;
mod credentials;
mod decode;
mod destinations;
mod documented;
mod faults;
mod grants;
mod guard;
mod network;
mod oauth;
mod pools;
mod proxy;
mod rebinding;
mod redirects;
mod report;
mod review;
mod sealed;
mod server;
mod stage;
mod streaming;
mod terms;
mod tls;
mod trouble;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use tokio::net::TcpSocket;
use tokio::sync::broadcast::Receiver;
use tokio::time::Instant;

use super::dial::Resolve;
use super::limits::REFRESH_PAUSE;
use super::*;
use crate::events::{Event, RequestRecord};
use crate::vault::Vault;
use server::{Seen, Server, Step, answer};

/// Names and the answers of their look-ups, by turns.
#[derive(Default)]
struct Names {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    lookups: AtomicUsize,
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock();
        let answer = answers.pop_front().unwrap_or_default();
        answers.push_back(answer.clone());
        Box::pin(async move { Ok(answer) })
    }
}

fn names(answers: &[&[&str]]) -> Names {
    let parse = |answer: &&[&str]| answer.iter().map(|text| text.parse().expect(text)).collect();
    Names { answers: Mutex::new(answers.iter().map(parse).collect()), ..Names::default() }
}

/// An address that is public to the guard and that no machine has: its block is not given out.
const NOWHERE: &str = "2d00::1";

/// A limit that nobody changed: in bytes, or a count.
fn limit(limit: Limit) -> usize {
    Limits::default().bytes(limit)
}

fn setup(policy: Policy, events: Events) -> Setup {
    Setup {
        component: "test".into(),
        policy,
        limits: Arc::default(),
        credentials: BTreeMap::new(),
        store: Arc::new(MemoryStore::default()),
        network: Network::default(),
        identities: HashMap::new(),
        traffic: Traffic::default(),
        events,
    }
}

struct Scene {
    server: Arc<Server>,
    broker: Broker,
    vault: Arc<Vault>,
    records: Receiver<Event>,
}

impl Scene {
    /// A server that does these steps in turn and then answers 200 `ok`.
    async fn scripted(steps: impl IntoIterator<Item = Step>) -> Self {
        let steps = Mutex::new(steps.into_iter().collect::<VecDeque<_>>());
        Self::new(move |_| steps.lock().pop_front().unwrap_or_else(|| answer(200, "", "ok"))).await
    }

    async fn new(behaviour: impl Fn(&Seen) -> Step + Send + Sync + 'static) -> Self {
        let server = Server::start(Box::new(behaviour)).await;
        let origin = format!("http://127.0.0.1:{}", server.port);
        Self::with(server, &[], &[&origin], Names::default())
    }

    fn with(server: Arc<Server>, allow: &[&str], private: &[&str], names: Names) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.into()).collect::<Vec<_>>();
        let policy = Policy::parse(&owned(allow), &owned(private)).expect("grants");
        let events = Events::default();
        let records = events.watch();
        let broker = Broker::with_resolver(setup(policy, events), Arc::new(names));
        Self { server, broker, vault: Arc::default(), records }
    }

    fn request(&self, method: &str) -> Request {
        let url = format!("http://127.0.0.1:{}/path?query", self.server.port);
        let body = (method != "GET").then(|| Bytes::from_static(b"body"));
        Request { method: method.into(), url, body, ..Request::default() }
    }

    async fn send(&self, request: Request) -> Result<Response, Error> {
        let deadline = Instant::now() + Duration::from_secs(600);
        let call = Some("call".into());
        let (vault, allowance) = (self.vault.clone(), self.broker.allowance());
        self.broker.send(request, &Scope { call, deadline, vault, allowance }).await
    }

    async fn get(&self, url: &str) -> Result<Response, Error> {
        self.send(Request { method: "GET".into(), url: url.into(), ..Request::default() }).await
    }

    fn record(&mut self) -> RequestRecord {
        match self.records.try_recv() {
            Ok(Event::Request(record)) => *record,
            other => panic!("no record: {other:?}"),
        }
    }
}

fn status(outcome: &Result<Response, Error>) -> u16 {
    outcome.as_ref().unwrap_or_else(|error| panic!("{error}")).status
}

#[tokio::test(start_paused = true)]
async fn a_request_is_sent_as_given_and_its_answer_given_as_sent() {
    let mut scene = Scene::scripted([answer(201, "x-kind: new\r\n", "made")]).await;
    let mut request = scene.request("post");
    request.headers = vec![("X-One".into(), b"1".to_vec()), ("x-one".into(), b"2".to_vec())];
    let response = scene.send(request).await.expect("an answer");
    assert_eq!((response.status, &*response.body), (201, &b"made"[..]));
    assert_eq!(response.headers["x-kind"], "new");
    let seen = scene.server.seen.lock()[0].clone();
    assert!(seen.head.starts_with("POST /path?query HTTP/1.1\r\n"), "{}", seen.head);
    assert!(seen.head.contains("x-one: 1\r\nx-one: 2\r\n"), "{}", seen.head);
    assert_eq!(seen.header("host"), Some(&*format!("127.0.0.1:{}", scene.server.port)));
    assert!(seen.header("user-agent").is_some_and(|agent| agent.starts_with("aloma-wasm/")));
    assert_eq!(seen.body, "body");
    let record = scene.record();
    assert_eq!(record.url, format!("http://127.0.0.1:{}/path", scene.server.port));
    assert_eq!((record.status, record.error, record.sent), (Some(201), None, 1));
    assert_eq!((record.bytes_out, record.bytes_in, &*record.method), (4, 4, "POST"));
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_used_again() {
    let scene = Scene::scripted([]).await;
    for _ in 0..3 {
        assert_eq!(status(&scene.send(scene.request("GET")).await), 200);
    }
    assert_eq!(scene.server.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_empty_post_says_its_length() {
    let scene = Scene::scripted([]).await;
    let request = Request { body: None, ..scene.request("POST") };
    assert_eq!(status(&scene.send(request).await), 200);
    assert_eq!(scene.server.seen.lock()[0].header("content-length"), Some("0"));
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_an_answer() {
    let scene = Scene::scripted([answer(302, "location: /elsewhere\r\n", "")]).await;
    let response = scene.send(scene.request("GET")).await.expect("an answer");
    assert_eq!(
        (response.status, &response.headers["location"]),
        (302, &"/elsewhere".parse().unwrap())
    );
    assert_eq!(scene.server.reads(), 1);
}

/// A refusal that ends with a flag, and the lines of connector.toml that follow it.
fn in_full(text: &str) -> String {
    let mut words = text.rsplitn(3, ' ');
    let origin = words.next().expect("an origin");
    let key = if words.next() == Some("--allow-private") { " private = true" } else { "" };
    format!("{text}, or in connector.toml: [[grant]] origin = \"{origin}\"{key}")
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_opens_no_connection_and_leaves_a_record() {
    let server = Server::start(Box::new(|_| Step::Hang)).await;
    let port = server.port;
    let any = format!("http://*:{port}");
    let mut scene = Scene::with(server, &[&any], &[], names(&[&["127.0.0.1"]]));
    for (url, text) in [
        (
            format!("https://api.example:{port}/x?key=secret"),
            format!(
                "https://api.example:{port} is not granted; \
                 allow it with --allow https://api.example:{port}"
            ),
        ),
        (
            format!("http://2130706433:{port}/"),
            format!(
                "127.0.0.1 is a loopback address; allow it with --allow-private http://127.0.0.1:{port}"
            ),
        ),
        (
            format!("http://api.example:{port}/"),
            format!(
                "api.example (127.0.0.1) is a loopback address; \
                 allow it with --allow-private http://api.example:{port}"
            ),
        ),
    ] {
        let text = in_full(&text);
        assert_eq!(scene.get(&url).await.unwrap_err(), Error::Denied(text.clone()));
        let record = scene.record();
        assert_eq!((record.status, record.error), (None, Some(text)));
        assert!(!record.url.contains("secret"));
    }
    assert_eq!(scene.server.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_flips_between_addresses_gains_nothing() {
    let server = Server::start(Box::new(|_| Step::Hang)).await;
    let origin = format!("http://flip.example:{}", server.port);
    let names = names(&[&[NOWHERE], &["127.0.0.1"]]);
    let scene = Scene::with(server, &[&origin], &[], names);
    let error = scene.get(&origin).await.unwrap_err();
    assert!(matches!(error, Error::Denied(_)), "{error:?}");
    assert_eq!(scene.server.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_mixed_answer_is_refused() {
    for mixed in [[NOWHERE, "127.0.0.1"], ["127.0.0.1", NOWHERE]] {
        let server = Server::start(Box::new(|_| Step::Hang)).await;
        let origin = format!("http://mixed.example:{}", server.port);
        let scene = Scene::with(server, &[&origin], &[], names(&[&mixed]));
        let error = scene.get(&origin).await.unwrap_err();
        assert!(matches!(error, Error::Denied(_)), "{error:?}");
        assert_eq!(scene.server.connections(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_private_grant_reaches_its_name_by_any_of_its_addresses() {
    let server = Server::start(Box::new(|_| answer(200, "", ""))).await;
    let origin = format!("http://db.internal:{}", server.port);
    let scene = Scene::with(server, &[], &[&origin], names(&[&[NOWHERE, "127.0.0.1"]]));
    assert_eq!(status(&scene.get(&origin).await), 200);
}

#[tokio::test(start_paused = true)]
async fn a_name_without_an_address_is_said_so() {
    let server = Server::start(Box::new(|_| Step::Hang)).await;
    let scene = Scene::with(server, &["http://nobody.example"], &[], names(&[&[]]));
    let error = scene.get("http://nobody.example/").await.unwrap_err();
    assert_eq!(error, Error::Dns("nobody.example has no address".into()));
}

/// Sends a request to a server that first does `step` and then answers 200; gives what came back
/// and how often the server read it.
async fn after(step: Step, method: &str, key: Option<&str>) -> (Result<Response, Error>, usize) {
    let scene = Scene::scripted([step]).await;
    let request = Request { idempotency_key: key.map(Into::into), ..scene.request(method) };
    let outcome = scene.send(request).await;
    let seen = scene.server.seen.lock().clone();
    assert!(seen.iter().all(|one| one == &seen[0]), "every attempt is the same: {seen:?}");
    (outcome, seen.len())
}

#[tokio::test(start_paused = true)]
async fn what_is_transient_is_sent_again_where_that_is_safe() {
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let again = |method, key| after(answer(status, "", ""), method, key);
        let (outcome, reads) = again("GET", None).await;
        assert_eq!((outcome.unwrap().status, reads), (200, 2), "GET after {status}");
        let (outcome, reads) = again("POST", Some("key")).await;
        assert_eq!((outcome.unwrap().status, reads), (200, 2), "POST with key after {status}");
        let expected = if status == 429 { (200, 2) } else { (status, 1) };
        let (outcome, reads) = again("POST", None).await;
        assert_eq!((outcome.unwrap().status, reads), expected, "POST after {status}");
    }
    for status in [200, 204, 301, 400, 401, 403, 404, 409, 422, 501] {
        let (outcome, reads) = after(answer(status, "", ""), "GET", None).await;
        assert_eq!((outcome.unwrap().status, reads), (status, 1), "GET after {status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_that_may_have_been_carried_out_is_not_repeated() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    for cut in ["", "HTTP/1.1 200", half] {
        let (outcome, reads) = after(Step::Cut(cut.into()), "POST", None).await;
        assert!(matches!(outcome, Err(Error::Interrupted(_))), "{cut}: {outcome:?}");
        assert_eq!(reads, 1, "{cut}");
        for (method, key) in [("GET", None), ("PUT", None), ("DELETE", None), ("POST", Some("k"))] {
            let (outcome, reads) = after(Step::Cut(cut.into()), method, key).await;
            assert_eq!((outcome.unwrap().status, reads), (200, 2), "{method} after {cut}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_dropped_before_it_is_read_costs_a_get_nothing_and_a_post_at_most_an_error() {
    for method in ["GET", "POST"] {
        let scene = Scene::scripted([]).await;
        scene.server.drops.store(1, Ordering::SeqCst);
        let outcome = scene.send(scene.request(method)).await;
        match (method, &outcome) {
            (_, Ok(answer)) => assert_eq!((answer.status, scene.server.reads()), (200, 1)),
            ("POST", Err(Error::Interrupted(_))) => assert_eq!(scene.server.reads(), 0),
            _ => panic!("{method}: {outcome:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_not_sent_is_sent_again_whatever_its_method() {
    let mut scene = Scene::scripted([]).await;
    // Bound, so that no other test gets its port, and not listened to.
    let closed = TcpSocket::new_v4().expect("a socket");
    closed.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let origin = format!("http://127.0.0.1:{}", closed.local_addr().expect("an address").port());
    scene = Scene::with(scene.server, &[], &[&origin], Names::default());
    let request = Request { url: origin.clone(), ..scene.request("POST") };
    let error = scene.send(request).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
    assert!(text.starts_with(&format!("cannot connect to {origin}: ")), "{text}");
    assert_eq!(scene.record().sent, 3);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_sent_as_often_as_it_allows_with_growing_pauses() {
    for (attempts, reads, least, most) in [
        (None, 3, 3.0, 4.0),
        (Some(1), 1, 0.0, 0.1),
        (Some(4), 4, 7.0, 9.2),
        (Some(0), 1, 0.0, 0.1),
    ] {
        let scene = Scene::new(|_| answer(503, "", "")).await;
        let started = Instant::now();
        let outcome = scene.send(Request { attempts, ..scene.request("GET") }).await;
        let took = started.elapsed().as_secs_f64();
        assert_eq!((status(&outcome), scene.server.reads()), (503, reads), "{attempts:?}");
        assert!((least..most).contains(&took), "{attempts:?} took {took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_to_wait_is_waited_for() {
    let past = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (asked, least, most) in
        [("7", 7.0, 7.1), ("0", 1.0, 1.4), (past, 1.0, 1.4), ("soon", 1.0, 1.4)]
    {
        let scene = Scene::scripted([answer(503, &format!("retry-after: {asked}\r\n"), "")]).await;
        let started = Instant::now();
        assert_eq!(status(&scene.send(scene.request("GET")).await), 200);
        let took = started.elapsed().as_secs_f64();
        assert!((least..most).contains(&took), "{asked} took {took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_to_wait_too_long_has_its_answer_given_at_once() {
    let far = "Fri, 31 Dec 9999 23:59:59 GMT";
    for asked in ["86400", "99999999999999999999", far] {
        let mut scene =
            Scene::scripted([answer(429, &format!("retry-after: {asked}\r\n"), "no")]).await;
        let started = Instant::now();
        assert_eq!(status(&scene.send(scene.request("GET")).await), 429);
        assert!(started.elapsed() < Duration::from_millis(100), "{asked}");
        let record = scene.record();
        let error = record.error.expect("a reason");
        assert!(error.starts_with("not sent again: waiting "), "{error}");
        assert_eq!((record.status, record.sent), (Some(429), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_over_the_limit_is_refused_and_not_asked_for_again() {
    let declared =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", limit(Limit::AnswerBody) + 1);
    let long_head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(1024 * 1024));
    for step in [Step::Answer(declared), Step::Flood, Step::Answer(long_head)] {
        let (outcome, reads) = after(step, "GET", None).await;
        assert!(
            matches!(outcome, Err(Error::AnswerSize(_) | Error::Breach(..))),
            "{:?}",
            outcome.err()
        );
        assert_eq!(reads, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_ends_at_its_time_limit_or_that_of_the_call() {
    for (timeout, call, expected) in [
        (Some(2), 600, 2),
        (Some(2), 1, 1),
        (Some(u64::MAX), 5, 5),
        (None, 5, 5),
        // Three attempts of a minute would pass the total.
        (None, 600, 180),
    ] {
        let scene = Scene::new(|_| Step::Hang).await;
        let started = Instant::now();
        let request = Request { timeout: timeout.map(Duration::from_secs), ..scene.request("GET") };
        let deadline = started + Duration::from_secs(call);
        let scope =
            Scope { call: None, deadline, vault: Arc::default(), allowance: Arc::default() };
        let error = scene.broker.send(request, &scope).await.unwrap_err();
        assert!(matches!(error, Error::Timeout(_)), "{error:?}");
        let took = started.elapsed().as_secs_f64();
        assert!((took - expected as f64).abs() < 0.1, "{timeout:?} {call}: {took}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_that_times_out_is_not_repeated() {
    let scene = Scene::scripted([Step::Hang]).await;
    let error = scene.send(scene.request("POST")).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(_)), "{error:?}");
    assert_eq!(scene.server.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_time_is_not_sent() {
    let mut scene = Scene::scripted([]).await;
    let request = Request { timeout: Some(Duration::ZERO), ..scene.request("GET") };
    assert!(matches!(scene.send(request).await, Err(Error::Timeout(_))));
    assert_eq!((scene.record().sent, scene.server.connections()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn requests_at_the_same_time_are_limited() {
    let scene = Scene::new(|_| Step::Hang).await;
    let within =
        |seconds| Request { timeout: Some(Duration::from_secs(seconds)), ..scene.request("POST") };
    let in_flight = limit(Limit::InFlight);
    let first = join_all((0..in_flight).map(|_| scene.send(within(2))));
    let one_more = async {
        while scene.server.reads() < in_flight {
            tokio::task::yield_now().await;
        }
        scene.send(within(1)).await
    };
    let (first, one_more) = tokio::join!(first, one_more);
    assert!(first.iter().all(|outcome| matches!(outcome, Err(Error::Timeout(_)))));
    let error = one_more.expect_err("no place");
    let text = "64 requests are on the wire, the limit; raise it with requests-at-once in [limits], \
        or make fewer at once; this one waited until the time limit";
    let breach = Limits::default().breach(Limit::InFlight);
    assert_eq!(error, Error::Breach(breach, text.into()));
    assert_eq!(scene.server.reads(), in_flight);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_leaves_a_record() {
    let mut scene = Scene::new(|_| Step::Hang).await;
    let sending = scene.send(scene.request("GET"));
    assert!(tokio::time::timeout(Duration::from_secs(1), sending).await.is_err());
    let record = scene.record();
    assert_eq!((record.status, record.sent), (None, 1));
    assert_eq!(record.error.as_deref(), Some("given up before the answer came"));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_between_attempts_leaves_a_record_too() {
    let mut scene = Scene::new(|_| answer(503, "", "")).await;
    let sending = scene.send(scene.request("GET"));
    assert!(tokio::time::timeout(Duration::from_millis(500), sending).await.is_err());
    let record = scene.record();
    assert_eq!(record.error.as_deref(), Some("given up before the answer came"));
}

#[tokio::test(start_paused = true)]
async fn https_to_a_server_that_speaks_no_tls_is_no_connection() {
    let server = Server::start(Box::new(|_| Step::Hang)).await;
    let origin = format!("https://127.0.0.1:{}", server.port);
    let scene = Scene::with(server, &[], &[&origin], Names::default());
    scene.server.drops.store(3, Ordering::SeqCst);
    let error = scene.get(&origin).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
    assert!(text.starts_with(&format!("cannot connect to {origin}: ")), "{text}");
    assert_eq!(scene.server.reads(), 0);
}

#[tokio::test]
async fn answers_count_as_held_until_they_are_dropped() {
    let scene = Scene::new(|_| answer(200, "", &"x".repeat(limit(Limit::AnswerBody)))).await;
    let mut kept = Vec::new();
    let refused = loop {
        match scene.send(scene.request("GET")).await {
            Ok(answer) => kept.push(answer),
            Err(error) => break error,
        }
    };
    assert_eq!(kept.len(), limit(Limit::Held) / limit(Limit::AnswerBody));
    assert!(refused.to_string().contains("held for this connector"), "{refused}");
    kept.clear();
    assert_eq!(status(&scene.send(scene.request("GET")).await), 200);
}
