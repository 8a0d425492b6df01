//! What retries may never do: carry out a write twice. Tried against a server that fails in every
//! way at every moment and counts what it carried out.

use std::collections::BTreeMap;
use std::time::SystemTime;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::*;

/// One way for a server to fail.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Drops the connection before it has read a byte.
    Unread,
    /// Carries the request out and drops the connection.
    Silent,
    /// Carries it out and drops the connection in the middle of the answer's head.
    InHead,
    /// Carries it out and drops the connection in the middle of the answer's body.
    InBody,
    /// Carries it out and says so with this status.
    Done(u16),
    /// Does not carry it out and says so with this status.
    Undone(u16),
}

use Fault::{Done, InBody, InHead, Silent, Undone, Unread};

/// All of them. A 429 is not sent for what was done.
const FAULTS: &[Fault] = &[
    Unread,
    Silent,
    InHead,
    InBody,
    Done(408),
    Done(425),
    Done(500),
    Done(502),
    Done(503),
    Done(504),
    Undone(408),
    Undone(425),
    Undone(429),
    Undone(500),
    Undone(502),
    Undone(503),
    Undone(504),
];

/// What a server did: how often for each request, which is known by its path, and for which keys.
#[derive(Default)]
struct Ledger {
    done: Mutex<BTreeMap<String, usize>>,
    keys: Mutex<BTreeMap<String, String>>,
    key_field: Option<&'static str>,
}

impl Ledger {
    /// Carries a request out, unless it knows its key.
    fn carry_out(&self, seen: &Seen) {
        let path = path(seen);
        if let Some(key) = self.key_field.and_then(|field| seen.header(field)) {
            let earlier = self.keys.lock().insert(key.into(), path.clone());
            if let Some(earlier) = earlier {
                assert_eq!(earlier, path, "a key belongs to one request");
                return;
            }
        }
        *self.done.lock().entry(path).or_default() += 1;
    }

    fn step(&self, seen: &Seen, fault: Option<Fault>) -> Step {
        if !matches!(fault, Some(Undone(_))) {
            self.carry_out(seen);
        }
        match fault {
            None => answer(200, "", "ok"),
            Some(Silent | Unread) => Step::Cut(String::new()),
            Some(InHead) => Step::Cut("HTTP/1.1 200 OK\r\ncontent-le".into()),
            Some(InBody) => Step::Cut("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".into()),
            Some(Done(status) | Undone(status)) => answer(status, "", ""),
        }
    }

    fn times(&self, path: &str) -> usize {
        self.done.lock().get(path).copied().unwrap_or_default()
    }
}

fn path(seen: &Seen) -> String {
    seen.head.split(' ').nth(1).expect("a target").into()
}

/// How a request went.
#[derive(Debug)]
struct Outcome {
    result: Result<u16, Error>,
    done: usize,
    read: usize,
}

impl Outcome {
    fn is_ok(&self) -> bool {
        self.result == Ok(200)
    }
}

/// Sends one request to a server that fails in these ways, one after the other, and then works.
async fn after(faults: &[Fault], method: &str, key: Option<&str>) -> Outcome {
    let ledger = Arc::new(Ledger { key_field: Some("idempotency-key"), ..Ledger::default() });
    let read = faults.iter().copied().filter(|fault| *fault != Unread).collect::<VecDeque<_>>();
    let (left, known) = (Mutex::new(read), ledger.clone());
    let scene = Scene::new(move |seen| known.step(seen, left.lock().pop_front())).await;
    let unread = faults.iter().filter(|fault| **fault == Unread).count();
    scene.server.drops.store(unread, Ordering::SeqCst);
    let request = Request { idempotency_key: key.map(Into::into), ..scene.request(method) };
    let result = scene.send(request).await.map(|answer| answer.status);
    let done = ledger.times("/path?query");
    Outcome { result, done, read: scene.server.reads() }
}

/// All sequences of so many faults.
fn sequences(length: usize) -> Vec<Vec<Fault>> {
    (0..length).fold(vec![vec![]], |shorter, _| {
        let longer = |faults: &Vec<Fault>| {
            let faults = faults.clone();
            FAULTS.iter().map(move |&fault| [&faults[..], &[fault]].concat())
        };
        shorter.iter().flat_map(longer).collect()
    })
}

#[tokio::test(start_paused = true)]
async fn a_write_without_a_key_is_carried_out_at_most_once_in_every_fault() {
    for faults in (0..=2).flat_map(sequences) {
        for method in ["POST", "PATCH"] {
            let outcome = after(&faults, method, None).await;
            assert!(outcome.done <= 1, "{method} after {faults:?}: {outcome:?}");
            if outcome.is_ok() {
                assert_eq!(outcome.done, 1, "{method} after {faults:?}: {outcome:?}");
            }
            // Read more than once only where the server said that it had not taken it.
            let refused = faults.iter().filter(|fault| **fault == Undone(429)).count();
            assert!(outcome.read <= 1 + refused, "{method} after {faults:?}: {outcome:?}");
            if let Err(Error::Connect(_) | Error::Dns(_)) = outcome.result {
                assert_eq!(outcome.done, 0, "not sent: {method} after {faults:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_with_a_key_is_carried_out_exactly_once_though_it_is_sent_several_times() {
    for faults in (0..=2).flat_map(sequences) {
        let outcome = after(&faults, "POST", Some("key")).await;
        assert_eq!(outcome.result, Ok(200), "{faults:?}: {outcome:?}");
        assert_eq!(outcome.done, 1, "{faults:?}: {outcome:?}");
        let read = faults.iter().filter(|fault| **fault != Unread).count();
        assert_eq!(outcome.read, 1 + read, "{faults:?}: {outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_is_repeated_after_every_fault() {
    for faults in (0..=2).flat_map(sequences) {
        let outcome = after(&faults, "GET", None).await;
        assert_eq!(outcome.result, Ok(200), "{faults:?}: {outcome:?}");
        let read = faults.iter().filter(|fault| **fault != Unread).count();
        assert_eq!(outcome.read, 1 + read, "{faults:?}: {outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_stays_ends_after_the_last_attempt() {
    for &fault in FAULTS {
        for (method, key) in [("GET", None), ("POST", Some("key"))] {
            let outcome = after(&[fault; 9], method, key).await;
            let expected = match fault {
                Done(status) | Undone(status) => Ok(status),
                _ => Err(()),
            };
            assert_eq!(outcome.result.clone().map_err(drop), expected, "{fault:?}: {outcome:?}");
            assert_eq!(outcome.read, if fault == Unread { 0 } else { 3 }, "{fault:?}: {outcome:?}");
            assert!(outcome.done <= 1 || method == "GET", "{fault:?}: {outcome:?}");
        }
    }
}

/// Many requests at once on shared connections, at a server that fails as chance has it.
async fn chaos(seed: u64, keyed: bool) -> (usize, usize) {
    let key_field = Some("idempotency-key");
    let ledger = Arc::new(Ledger { key_field, ..Ledger::default() });
    let (random, known) = (Mutex::new(StdRng::seed_from_u64(seed)), ledger.clone());
    let scene = Scene::new(move |seen| {
        let mut random = random.lock();
        let fails = random.random_bool(0.4);
        let fault = fails.then(|| FAULTS[random.random_range(0..FAULTS.len())]);
        match known.step(seen, fault) {
            // Closed without a word: the next request finds a connection that has ended.
            Step::Answer(text) if random.random_bool(0.3) => Step::Cut(text),
            step => step,
        }
    })
    .await;
    scene.server.drops.store(5, Ordering::SeqCst);
    let send = |number: usize| {
        let (request, url) =
            (scene.request("POST"), format!("http://127.0.0.1:{}", scene.server.port));
        let idempotency_key = keyed.then(|| format!("key-{number}"));
        scene.send(Request { url: format!("{url}/{number}"), idempotency_key, ..request })
    };
    let results = join_all((0..40).map(send)).await;
    let mut succeeded = 0;
    for (number, result) in results.iter().enumerate() {
        let done = ledger.times(&format!("/{number}"));
        assert!(done <= 1, "seed {seed}: request {number} was carried out {done} times");
        if result.as_ref().is_ok_and(|answer| answer.status == 200) {
            assert_eq!(done, 1, "seed {seed}: request {number}");
            succeeded += 1;
        }
    }
    (succeeded, scene.server.reads())
}

#[tokio::test(start_paused = true)]
async fn no_write_is_carried_out_twice_however_the_faults_fall() {
    for seed in 0..20 {
        let (succeeded, _) = chaos(seed, false).await;
        assert!(succeeded > 0, "seed {seed}");
        let (succeeded, read) = chaos(seed, true).await;
        assert!(succeeded > 0 && read > 40, "seed {seed}: {read}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_read_in_part_is_not_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let origin = format!("http://127.0.0.1:{}", listener.local_addr().expect("an address").port());
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = begun.clone();
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut some = [0; 1024];
            stream.read_exact(&mut some).await.expect("a head and the start of a body");
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let other = Server::start(Box::new(|_| Step::Hang)).await;
    let scene = Scene::with(other, &[], &[&origin], Names::default());
    for (key, times) in [(None, 1), (Some("key"), 3)] {
        begun.store(0, Ordering::SeqCst);
        let body = Some(Bytes::from(vec![b'x'; 8 * 1024 * 1024]));
        let idempotency_key = key.map(Into::into);
        let request =
            Request { url: origin.clone(), body, idempotency_key, ..scene.request("POST") };
        let error = scene.send(request).await.expect_err("no answer");
        assert!(matches!(error, Error::Interrupted(_)), "{error:?}");
        assert!(error.to_string().contains("may have been carried out"), "{error}");
        assert_eq!(begun.load(Ordering::SeqCst), times, "{key:?}");
    }
    server.abort();
}

#[tokio::test(start_paused = true)]
async fn a_write_on_a_connection_that_has_ended_is_carried_out_at_most_once() {
    for _ in 0..20 {
        let ledger = Arc::new(Ledger::default());
        let known = ledger.clone();
        let scene = Scene::new(move |seen| match known.step(seen, None) {
            Step::Answer(text) => Step::Cut(text),
            step => step,
        })
        .await;
        for number in 0..5 {
            let url = format!("http://127.0.0.1:{}/{number}", scene.server.port);
            let result = scene.send(Request { url, ..scene.request("POST") }).await;
            let done = ledger.times(&format!("/{number}"));
            let expected = if result.is_ok() { 1..=1 } else { 0..=1 };
            assert!(expected.contains(&done), "{done}: {:?}", result.err());
        }
    }
}

/// A date as servers write it, so many seconds from now.
fn date(seconds: i64) -> String {
    let time = Duration::from_secs(seconds.unsigned_abs());
    let now = SystemTime::now();
    httpdate::fmt_http_date(if seconds < 0 { now - time } else { now + time })
}

#[tokio::test(start_paused = true)]
async fn a_write_with_a_key_waits_as_asked_and_is_carried_out_once() {
    for (asked, least, most) in [
        ("7".into(), 7.0, 7.1),
        ("0".into(), 1.0, 1.4),
        (date(-3600), 1.0, 1.4),
        (date(-1_000_000_000), 1.0, 1.4),
        // The date has whole seconds, and the test takes real time.
        (date(60), 50.0, 61.0),
    ] {
        let ledger = Arc::new(Ledger { key_field: Some("idempotency-key"), ..Ledger::default() });
        let (known, calls) = (ledger.clone(), AtomicUsize::new(0));
        let field = format!("retry-after: {asked}\r\n");
        let scene = Scene::new(move |seen| {
            let is_first = calls.fetch_add(1, Ordering::SeqCst) == 0;
            let works = known.step(seen, None);
            if is_first { answer(503, &field, "") } else { works }
        })
        .await;
        let started = Instant::now();
        let key = Some("key".into());
        let result = scene.send(Request { idempotency_key: key, ..scene.request("POST") }).await;
        let took = started.elapsed().as_secs_f64();
        assert_eq!((status(&result), ledger.times("/path?query")), (200, 1), "{asked}");
        assert_eq!(scene.server.reads(), 2, "{asked}");
        assert!((least..most).contains(&took), "{asked} took {took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_to_wait_past_the_time_limit_is_not_asked_again() {
    let far = ["301".into(), "18446744073709551616".into(), date(3600), date(200_000_000_000)];
    for asked in far {
        for (status, key) in [(429, None), (429, Some("key")), (503, Some("key"))] {
            let field = format!("retry-after: {asked}\r\n");
            let mut scene = Scene::new(move |_| answer(status, &field, "")).await;
            let started = Instant::now();
            let idempotency_key = key.map(Into::into);
            let timeout = Some(Duration::from_secs(300));
            let request = Request { idempotency_key, timeout, ..scene.request("POST") };
            let answer = scene.send(request).await.expect("the answer");
            assert_eq!((answer.status, scene.server.reads()), (status, 1), "{asked}");
            assert!(started.elapsed() < Duration::from_secs(1), "{asked}");
            let why = scene.record().error.expect("a reason");
            assert!(why.starts_with("not sent again: waiting "), "{why}");
        }
    }
}
