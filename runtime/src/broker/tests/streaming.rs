//! Bodies that pass through while they are made: nothing is held, and nothing is forgotten.

use std::net::SocketAddr;

use futures_util::stream;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;

use super::server::feed;
use super::stage::{SECRET, Stage, ask};
use super::*;

const GRANTS: &str = r#"
[[grant]]
origin = "http://a.internal"
private = true
[[grant]]
origin = "http://one.example"
"#;

const CREDENTIAL: &str = "[credentials.api]\ntype = \"bearer\"\ntoken = \"the-token-of-the-api\"\n";

const URL: &str = "http://a.internal/x";
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

/// A server whose first answer the test writes. It ends with the sender.
async fn fed(settings: &str) -> (Stage, UnboundedSender<Vec<u8>>) {
    let (sender, feed) = feed();
    (Stage::scripted(settings, [Step::Fed(feed)]).await, sender)
}

fn pieces(pieces: &[&str], length: Option<u64>) -> Upload {
    let frame = |piece: &&str| Ok(Frame::data(Bytes::copy_from_slice(piece.as_bytes())));
    let frames: Vec<_> = pieces.iter().map(frame).collect();
    Upload::new(StreamBody::new(stream::iter(frames)), length)
}

fn post() -> Request {
    Request { body: None, ..ask("POST", URL) }
}

#[tokio::test(start_paused = true)]
async fn secrets_are_taken_out_of_an_answer_wherever_it_is_cut() {
    let text = format!("before {SECRET} between the-token-of-the-api, {SECRET}");
    for size in [1, 2, 7, text.len()] {
        let (stage, sender) = fed(&format!("{GRANTS}{CREDENTIAL}")).await;
        let mut stage = stage.sealed();
        sender.send(HEAD.into()).expect("a server");
        for piece in text.as_bytes().chunks(size) {
            sender.send(piece.into()).expect("a server");
        }
        drop(sender);
        let answer = stage.open(ask("GET", URL), None).await.expect("an answer");
        let body = answer.body.collect().await.expect("a body").to_bytes();
        let placeholder = stage.placeholder();
        let clean = format!("before {placeholder} between aloma-sealed-token, {placeholder}");
        assert_eq!(body, clean, "{size}");
        let record = stage.scene.record();
        // Between the wire and the scrubbing nobody counts; the two differ by the placeholders.
        assert_eq!((record.status, record.error), (Some(200), None));
        assert_eq!(record.bytes_in, clean.len() as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_are_filled_into_an_upload_wherever_it_is_cut() {
    let mut stage = Stage::scripted(GRANTS, []).await.sealed();
    let placeholder = stage.placeholder();
    for at in [1, 5, placeholder.len() - 1] {
        let (first, last) = placeholder.split_at(at);
        let upload = pieces(&["k=", first, last, "&x"], None);
        let answer = stage.open(post(), Some(upload)).await.expect("an answer");
        answer.body.collect().await.expect("a body");
        let expected = format!("k={SECRET}&x");
        assert_eq!(stage.last().body, expected);
        let record = stage.scene.record();
        assert_eq!(record.bytes_out, expected.len() as u64);
        assert_eq!(record.attempts[0].bytes_out, expected.len() as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_in_an_upload_goes_only_where_it_may() {
    let url = "http://one.example/".to_owned();
    let mut stage = Stage::scripted(GRANTS, []).await.sealed();
    let upload = pieces(&["k=", &stage.placeholder()], None);
    let outcome = stage.open(Request { url: url.clone(), ..post() }, Some(upload)).await;
    let error = outcome.map(|_| ()).expect_err("refused");
    let text = "the secret KEY is not sent to http://one.example over plain http";
    assert!(matches!(&error, Error::Denied(told) if told.starts_with(text)), "{error:?}");
    assert_eq!(stage.scene.server.reads(), 0);
    assert_eq!(stage.scene.record().error, Some(error.to_string()));
    // What holds none goes everywhere.
    let upload = pieces(&["anything"], None);
    let answer = stage.open(Request { url, ..post() }, Some(upload)).await.expect("an answer");
    assert_eq!((answer.status, &*stage.last().body), (200, "anything"));
}

#[tokio::test(start_paused = true)]
async fn an_upload_says_its_length_where_it_is_known() {
    for (length, field, value) in
        [(Some(4), "content-length", "4"), (None, "transfer-encoding", "chunked")]
    {
        let stage = Stage::scripted(GRANTS, []).await;
        let upload = pieces(&["bo", "dy"], length);
        let answer = stage.open(post(), Some(upload)).await.expect("an answer");
        assert_eq!(answer.status, 200);
        let seen = stage.last();
        assert_eq!((seen.header(field), &*seen.body), (Some(value), "body"));
    }
}

/// Waits until the server has noticed that so many connections ended.
async fn until_ended(stage: &Stage, times: usize) {
    while stage.scene.server.ended.load(Ordering::SeqCst) < times {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_the_guest_breaks_off_is_no_request() {
    for length in [None, Some(100)] {
        let mut stage = Stage::scripted(GRANTS, []).await;
        let broken = Error::InvalidRequest("the guest stopped".into());
        let frames = [Ok(Frame::data(Bytes::from_static(b"half"))), Err(broken.clone())];
        let upload = Upload::new(StreamBody::new(stream::iter(frames)), length);
        let request = Request { attempts: Some(3), ..post() };
        let error = stage.open(request, Some(upload)).await.map(|_| ()).expect_err("broken");
        assert_eq!(error, broken);
        until_ended(&stage, 1).await;
        assert_eq!(stage.scene.server.reads(), 0);
        let record = stage.scene.record();
        assert_eq!((record.status, record.sent, record.bytes_out), (None, 1, 4));
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_was_sent_is_not_sent_again() {
    for (step, expected) in [(answer(503, "", ""), Some(503)), (Step::Cut(String::new()), None)] {
        let mut stage = Stage::scripted(GRANTS, [step]).await;
        let request = Request { idempotency_key: Some("key".into()), ..post() };
        let outcome = stage.open(request, Some(pieces(&["body"], None))).await;
        match (&outcome, expected) {
            (Ok(answer), Some(status)) => assert_eq!(answer.status, status),
            (Err(Error::Interrupted(text)), None) => {
                assert!(text.contains("may have been carried out"), "{text}");
            }
            (outcome, _) => panic!("{:?}", outcome.as_ref().map(|_| ())),
        }
        drop(outcome);
        assert_eq!(stage.scene.server.reads(), 1);
        let record = stage.scene.record();
        assert_eq!((record.sent, record.bytes_out), (1, 4));
        assert_eq!(record.attempts[0].bytes_out, 4);
    }
}

/// A network whose first connections go wrong.
struct Unsteady {
    server: SocketAddr,
    /// Connections that are refused first.
    refuses: AtomicUsize,
    /// Whether the others never come about.
    hangs: bool,
}

impl Resolve for Unsteady {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async { Ok(vec!["10.0.0.1".parse().expect("an address")]) })
    }

    fn connect(&self, _: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>> {
        let less = |left: usize| left.checked_sub(1);
        let refuses = self.refuses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok();
        let (server, hangs) = (self.server, self.hangs);
        Box::pin(async move {
            match (refuses, hangs) {
                (true, _) => Err(io::ErrorKind::ConnectionRefused.into()),
                (_, true) => std::future::pending().await,
                _ => TcpStream::connect(server).await,
            }
        })
    }
}

async fn unsteady(refuses: usize, hangs: bool) -> Stage {
    let mut stage = Stage::scripted(GRANTS, []).await;
    let server = SocketAddr::from(([127, 0, 0, 1], stage.scene.server.port));
    let network = Arc::new(Unsteady { server, refuses: AtomicUsize::new(refuses), hangs });
    let policy = Policy::parse(&[], &["http://a.internal".to_owned()]).expect("grants");
    let events = Events::default();
    stage.scene.records = events.watch();
    stage.scene.broker = Broker::with_resolver(setup(policy, events), network);
    stage
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_was_not_sent_is_sent_when_there_is_a_connection() {
    let mut stage = unsteady(1, false).await;
    let answer = stage.open(post(), Some(pieces(&["bo", "dy"], None))).await.expect("an answer");
    answer.body.collect().await.expect("a body");
    assert_eq!((stage.scene.server.reads(), &*stage.last().body), (1, "body"));
    let record = stage.scene.record();
    assert_eq!((record.sent, record.status, record.bytes_out), (2, Some(200), 4));
    assert_eq!(record.attempts[0].connection, None);
    assert_eq!((record.attempts[0].bytes_out, record.attempts[1].bytes_out), (0, 4));
    let mut stage = unsteady(2, false).await;
    let request = Request { attempts: Some(2), ..post() };
    let outcome = stage.open(request, Some(pieces(&["body"], None))).await;
    assert!(matches!(outcome.map(|_| ()), Err(Error::Connect(_))));
    assert_eq!((stage.scene.record().bytes_out, stage.scene.server.reads()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_must_come_about_in_the_time_that_the_guest_gives_it() {
    for (attempts, least, most) in [(1, 2.0, 2.1), (2, 5.0, 5.5)] {
        let mut stage = unsteady(0, true).await;
        let started = Instant::now();
        let connect_timeout = Some(Duration::from_secs(2));
        let request = Request { connect_timeout, attempts: Some(attempts), ..post() };
        let outcome = stage.open(request, Some(pieces(&["body"], None))).await;
        let text = "no connection to http://a.internal within 2 s";
        let error = outcome.map(|_| ()).expect_err("no connection");
        assert_eq!(error, Error::ConnectTimeout(text.into()));
        let took = started.elapsed().as_secs_f64();
        assert!((least..most).contains(&took), "{took}");
        assert_eq!(stage.scene.record().sent, attempts);
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_is_left_when_the_answer_is_over_however_it_ends() {
    // Read to its end.
    let (mut stage, sender) = fed(GRANTS).await;
    sender.send([HEAD, b"some"].concat()).expect("a server");
    let mut answer = stage.open(post(), Some(pieces(&["body"], None))).await.expect("an answer");
    assert!(answer.body.frame().await.expect("a piece").is_ok());
    assert!(stage.scene.records.try_recv().is_err(), "not before");
    sender.send(b" more".into()).expect("a server");
    drop(sender);
    assert_eq!(answer.body.collect().await.expect("the rest").to_bytes(), " more");
    let record = stage.scene.record();
    assert_eq!((record.status, record.error, record.sent), (Some(200), None, 1));
    assert_eq!((record.bytes_out, record.bytes_in), (4, 9));
    // Given up in the middle.
    let (mut stage, sender) = fed(GRANTS).await;
    sender.send([HEAD, b"some"].concat()).expect("a server");
    let mut answer = stage.open(post(), Some(pieces(&["body"], None))).await.expect("an answer");
    assert!(answer.body.frame().await.expect("a piece").is_ok());
    drop(answer);
    let record = stage.scene.record();
    let text = "given up before the whole answer came";
    assert_eq!((record.status, record.error.as_deref()), (Some(200), Some(text)));
    assert_eq!((record.bytes_out, record.bytes_in), (4, 4));
    // Broken off by the server.
    let (mut stage, sender) = fed(GRANTS).await;
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome".to_vec();
    sender.send(head).expect("a server");
    drop(sender);
    let answer = stage.open(post(), Some(pieces(&["body"], None))).await.expect("an answer");
    let error = answer.body.collect().await.map(|_| ()).expect_err("broken");
    assert!(matches!(error, Error::Interrupted(_)), "{error:?}");
    let record = stage.scene.record();
    assert_eq!((record.status, record.error), (Some(200), Some(error.to_string())));
    assert_eq!((record.bytes_out, record.bytes_in), (4, 4));
    assert_eq!(record.attempts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_record_tells_what_was_sent_where_no_answer_came() {
    let mut stage = Stage::new(GRANTS, |_| Step::Hang).await;
    let opening = stage.open(post(), Some(pieces(&["body"], None)));
    assert!(tokio::time::timeout(Duration::from_secs(1), opening).await.is_err());
    let record = stage.scene.record();
    assert_eq!(record.error.as_deref(), Some("given up before the answer came"));
    assert_eq!((record.status, record.sent, record.bytes_out), (None, 1, 4));
    // A first answer that was not taken for one does not stand in the record of an error.
    let calls = AtomicUsize::new(0);
    let mut stage = Stage::new(GRANTS, move |_| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => answer(503, "", ""),
        _ => Step::Cut(String::new()),
    })
    .await;
    let request = Request { attempts: Some(2), ..ask("GET", URL) };
    let error = stage.open(request, None).await.map(|_| ()).expect_err("broken");
    let record = stage.scene.record();
    assert_eq!((record.status, record.error), (None, Some(error.to_string())));
    assert_eq!(record.attempts[0].outcome, crate::events::Outcome::Status(503));
}

#[tokio::test(start_paused = true)]
async fn a_place_on_the_wire_is_kept_until_the_body_is_over() {
    let limited =
        GRANTS.replacen("private = true", "private = true\nat-once = 1\nqueue-seconds = 1", 1);
    for is_dropped in [false, true] {
        let (stage, sender) = fed(&limited).await;
        sender.send([HEAD, b"some"].concat()).expect("a server");
        let answer = stage.open(ask("GET", URL), None).await.expect("an answer");
        let error = stage.send(ask("GET", URL)).await.expect_err("no place");
        assert!(matches!(error, Error::Limit(_)), "{error:?}");
        if is_dropped {
            drop(answer);
        } else {
            drop(sender);
            answer.body.collect().await.expect("the rest");
        }
        assert_eq!(status(&stage.send(ask("GET", URL)).await), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_reads_keeps_its_place_no_longer_than_its_call() {
    let limited = GRANTS.replacen("private = true", "private = true\nat-once = 1", 1);
    let (stage, sender) = fed(&limited).await;
    sender.send([HEAD, b"some"].concat()).expect("a server");
    let scope = stage.scope(5);
    let unread = stage.scene.broker.open(ask("GET", URL), None, &scope).await.expect("an answer");
    let started = Instant::now();
    assert_eq!(status(&stage.send(ask("GET", URL)).await), 200);
    assert_eq!(started.elapsed().as_secs(), 6);
    let error = unread.body.collect().await.map(|_| ()).expect_err("the call is over");
    assert!(error.to_string().contains("the time of the call was over"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_within_its_pauses_and_the_time_of_the_call() {
    for (pause, call, expected, text) in [
        (Some(3), 600, 3, "no more of the answer came for 3 s"),
        (Some(30), 5, 5, "the time of the call was over before the whole answer had come"),
        (None, 600, 60, "no more of the answer came for 60 s"),
    ] {
        let (mut stage, sender) = fed(GRANTS).await;
        sender.send([HEAD, b"some"].concat()).expect("a server");
        let pause_timeout = pause.map(Duration::from_secs);
        let request = Request { pause_timeout, ..ask("GET", URL) };
        let started = Instant::now();
        let scope = stage.scope(call);
        let answer = stage.scene.broker.open(request, None, &scope).await.expect("an answer");
        let error = answer.body.collect().await.map(|_| ()).expect_err("late");
        assert_eq!(error, Error::Timeout(text.into()));
        let took = started.elapsed().as_secs_f64();
        assert!((took - f64::from(expected)).abs() < 0.1, "{text}: {took}");
        assert_eq!(stage.scene.record().error.as_deref(), Some(text));
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_body_is_answered_in_pieces_all_the_same() {
    let mut stage = Stage::scripted(GRANTS, []).await;
    let body = Full::new(Bytes::new()).map_err(|never| match never {});
    let answer = stage.open(post(), Some(Upload::new(body, Some(0)))).await.expect("an answer");
    assert_eq!(answer.body.collect().await.expect("a body").to_bytes(), "ok");
    assert_eq!(stage.last().header("content-length"), Some("0"));
    assert_eq!(stage.scene.record().bytes_out, 0);
}
