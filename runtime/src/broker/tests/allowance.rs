//! What one call may use up: it is told when that is over, and another call knows nothing of it.

use std::convert::Infallible;

use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::decode::encoded;
use super::stage::{Stage, ask};
use super::*;

const URL: &str = "http://a.internal/x";
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn settings(terms: &str, limits: &str) -> String {
    let grant = "[[grant]]\norigin = \"http://a.internal\"\nprivate = true";
    format!("{grant}\n{terms}\n[limits]\n{limits}\n")
}

/// A call, whose requests share what it may use up.
struct Call<'a> {
    stage: &'a Stage,
    scope: Scope,
}

impl<'a> Call<'a> {
    fn of(stage: &'a Stage) -> Self {
        Self { stage, scope: stage.scope(600) }
    }

    /// The size of the answer's body.
    async fn send(&self, request: Request) -> Result<usize, Error> {
        let answer = self.stage.scene.broker.send(request, &self.scope).await?;
        assert_eq!(answer.status, 200);
        Ok(answer.body.len())
    }

    async fn open(&self, request: Request, upload: Option<Upload>) -> Result<Streamed, Error> {
        self.stage.scene.broker.open(request, upload, &self.scope).await
    }

    /// As [`Call::send`], piece by piece where that is wanted.
    async fn fetch(&self, request: Request, is_streamed: bool) -> Result<usize, Error> {
        if !is_streamed {
            return self.send(request).await;
        }
        let answer = self.open(request, None).await?;
        Ok(answer.body.collect().await?.to_bytes().len())
    }

    async fn get(&self) -> Result<usize, Error> {
        self.send(ask("GET", URL)).await
    }

    async fn post(&self, size: usize) -> Result<usize, Error> {
        self.send(posting(size)).await
    }
}

fn posting(size: usize) -> Request {
    Request { body: Some(vec![b'x'; size].into()), ..ask("POST", URL) }
}

/// Which limit was breached. The error says what it is, and where it is raised.
#[track_caller]
fn breached<T: std::fmt::Debug>(outcome: Result<T, Error>, limit: Limit) -> Error {
    let error = outcome.expect_err("a breach");
    let Error::Breach(breach, text) = &error else { panic!("{error:?}") };
    assert_eq!(breach.limit, limit, "{text}");
    assert!(text.contains(&breach.to_string()), "{text}");
    assert!(text.contains(&format!("{} in [limits]", limit.key())), "{text}");
    error
}

fn in_pieces(pieces: impl IntoIterator<Item = usize, IntoIter: Send + 'static>) -> Upload {
    let frame = |size| Ok(Frame::data(Bytes::from(vec![b'x'; size])));
    Upload::new(StreamBody::new(stream::iter(pieces.into_iter().map(frame))), None)
}

fn uploading() -> Request {
    Request { body: None, ..ask("POST", URL) }
}

async fn packed(size: usize) -> Step {
    let body = encoded("gzip", &vec![0; size]).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ";
    Step::Bytes([format!("{head}{}\r\n\r\n", body.len()).as_bytes(), &body].concat())
}

#[tokio::test(start_paused = true)]
async fn a_call_makes_so_many_requests_and_another_call_is_untouched() {
    for is_streamed in [false, true] {
        let mut stage = Stage::scripted(&settings("", "requests = 3"), []).await;
        let call = Call::of(&stage);
        for _ in 0..3 {
            assert_eq!(call.fetch(ask("GET", URL), is_streamed).await, Ok(2));
        }
        let mut told = Vec::new();
        for _ in 0..3 {
            let refused = call.fetch(ask("GET", URL), is_streamed).await;
            told.push(breached(refused, Limit::Requests).to_string());
        }
        let text =
            "more than 3 requests in one call, the limit; raise it with requests in [limits]";
        assert_eq!(told, [text; 3]);
        assert_eq!(stage.scene.server.reads(), 3);
        assert_eq!(Call::of(&stage).fetch(ask("GET", URL), is_streamed).await, Ok(2));
        let records = [(); 7].map(|()| stage.scene.record());
        let errors = records.each_ref().map(|record| (record.error.as_deref(), record.sent));
        let (done, refused) = ((None, 1), (Some(text), 0));
        assert_eq!(errors, [done, done, done, refused, refused, refused, done]);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_of_a_call_at_the_same_time_share_what_it_may_use_up() {
    let stage = Stage::scripted(&settings("", "requests = 5\nsent-mib = 1"), []).await;
    let call = Call::of(&stage);
    let outcomes = join_all((0..20).map(|_| call.get())).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 5);
    let call = Call::of(&stage);
    let outcomes = join_all((0..5).map(|_| call.post(300 * KIB))).await;
    let (sent, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((sent.len(), refused.len()), (3, 2));
    refused.into_iter().for_each(|outcome| drop(breached(outcome, Limit::Sent)));
    assert_eq!(stage.scene.server.reads(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_request_counts_once_however_often_it_is_repeated() {
    let failed = || answer(503, "", "");
    let settings = settings("", "requests = 1");
    let stage = Stage::scripted(&settings, [failed(), failed()]).await;
    let call = Call::of(&stage);
    assert_eq!(call.get().await, Ok(2));
    assert_eq!(stage.scene.server.reads(), 3);
    breached(call.get().await, Limit::Requests);
}

#[tokio::test(start_paused = true)]
async fn a_hop_of_a_redirect_is_a_request() {
    for (requests, reads) in [(2, 2), (1, 1)] {
        let moved = answer(302, "location: /y\r\n", "");
        let settings = settings("redirects = 5", &format!("requests = {requests}"));
        let stage = Stage::scripted(&settings, [moved]).await;
        let outcome = Call::of(&stage).get().await;
        assert_eq!(outcome.is_ok(), requests == 2);
        outcome
            .err()
            .into_iter()
            .for_each(|error| drop(breached(Err::<(), _>(error), Limit::Requests)));
        assert_eq!(stage.scene.server.reads(), reads);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_granted_uses_nothing_up() {
    let stage = Stage::scripted(&settings("", "requests = 1"), []).await;
    let call = Call::of(&stage);
    for _ in 0..3 {
        let refused = call.send(ask("GET", "http://b.internal/")).await;
        assert!(matches!(refused, Err(Error::Denied(_))), "{refused:?}");
    }
    assert_eq!(call.get().await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_request_for_a_token_counts_for_no_call() {
    let credential = "[credentials.api]\ntype = \"client-credentials\"\n\
        token-url = \"http://a.internal/token\"\nclient-id = \"id\"\nclient-secret = \"the-secret\"";
    let settings = settings("credential = \"api\"", &format!("requests = 1\n{credential}"));
    let stage = Stage::new(&settings, |seen| match seen.head.starts_with("POST /token ") {
        true => answer(200, "", r#"{"access_token": "the-token", "token_type": "Bearer"}"#),
        false => answer(200, "", seen.header("authorization").unwrap_or_default()),
    })
    .await;
    let call = Call::of(&stage);
    assert_eq!(call.get().await, Ok("Bearer aloma-sealed-token".len()));
    assert_eq!(stage.scene.server.reads(), 2);
    breached(call.get().await, Limit::Requests);
}

#[tokio::test(start_paused = true)]
async fn many_small_bodies_are_as_much_as_a_large_one() {
    let stage = Stage::scripted(&settings("", "sent-mib = 1"), []).await;
    let call = Call::of(&stage);
    for _ in 0..10 {
        assert_eq!(call.post(100 * KIB).await, Ok(2));
    }
    for _ in 0..2 {
        let error = breached(call.post(100 * KIB).await, Limit::Sent);
        let text = "the call has sent 1 MiB, the limit; raise it with sent-mib in [limits]";
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(stage.scene.server.reads(), 10, "not sent");
    assert_eq!(call.post(24 * KIB).await, Ok(2), "what fits still goes");
    breached(call.post(1).await, Limit::Sent);
    assert_eq!(call.get().await, Ok(2), "and what has no body");
    assert_eq!(Call::of(&stage).post(100 * KIB).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_body_counts_each_time_that_it_is_sent() {
    let mut stage = Stage::new(&settings("", "sent-mib = 1"), |_| answer(503, "", "")).await;
    let request = || Request { method: "PUT".into(), attempts: Some(5), ..posting(400 * KIB) };
    let scope = stage.scope(600);
    let outcome = stage.scene.broker.send(request(), &scope).await;
    assert_eq!(status(&outcome), 503, "what came is told");
    assert_eq!(stage.scene.server.reads(), 2, "a third does not fit");
    let record = stage.scene.record();
    let text =
        "not sent again: the call has sent 1 MiB, the limit; raise it with sent-mib in [limits]";
    assert_eq!((record.error.as_deref(), record.bytes_out), (Some(text), 800 * KIB as u64));
    breached(stage.scene.broker.send(request(), &scope).await, Limit::Sent);
    assert_eq!(stage.scene.record().sent, 0);
}

#[tokio::test(start_paused = true)]
async fn several_answers_together_are_no_more_than_a_call_may_receive() {
    for is_streamed in [false, true] {
        let large = "x".repeat(400 * KIB);
        let settings = settings("", "received-mib = 1");
        let mut stage = Stage::new(&settings, move |_| answer(200, "", &large)).await;
        let call = Call::of(&stage);
        let fetch = || call.fetch(ask("POST", URL), is_streamed);
        assert_eq!((fetch().await, fetch().await), (Ok(400 * KIB), Ok(400 * KIB)));
        let error = breached(fetch().await, Limit::Received);
        let text = "the call has received 1 MiB, the limit; raise it with received-mib in [limits]";
        assert_eq!(error.to_string(), text);
        assert_eq!(stage.scene.server.reads(), 3);
        // Its answer could not be read, and what it did would be lost.
        assert_eq!(breached(fetch().await, Limit::Received), error);
        assert_eq!(stage.scene.server.reads(), 3);
        assert_eq!(Call::of(&stage).fetch(ask("GET", URL), is_streamed).await, Ok(400 * KIB));
        let records = [(); 5].map(|()| stage.scene.record());
        assert_eq!(records[2].error.as_deref(), Some(text));
        assert_eq!((records[3].error.as_deref(), records[3].sent), (Some(text), 0));
        assert_eq!(records[4].error, None);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_asked_for_again_count_each_time() {
    let failed = || answer(503, "", &"x".repeat(400 * KIB));
    let stage = Stage::scripted(&settings("", "received-mib = 1"), [failed(), failed()]).await;
    let call = Call::of(&stage);
    assert_eq!(call.get().await, Ok(2));
    let stage = Stage::new(&settings("", "received-mib = 1"), move |_| failed()).await;
    let request = Request { attempts: Some(10), ..ask("GET", URL) };
    breached(Call::of(&stage).send(request).await, Limit::Received);
    assert_eq!(stage.scene.server.reads(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_bomb_is_cut_by_what_comes_out_of_it() {
    for is_streamed in [false, true] {
        let settings = settings("", "decoded-mib = 2");
        let steps = [packed(MIB).await, packed(3 * MIB).await];
        let mut stage = Stage::scripted(&settings, steps).await;
        let call = Call::of(&stage);
        let fetch = || call.fetch(ask("GET", URL), is_streamed);
        assert_eq!(fetch().await, Ok(MIB));
        let error = breached(fetch().await, Limit::Decoded);
        let text = "the answers of the call have more than 2 MiB after decompression, the limit; \
            raise it with decoded-mib in [limits]";
        assert_eq!(error.to_string(), text);
        assert_eq!(breached(fetch().await, Limit::Decoded), error);
        assert_eq!(stage.scene.server.reads(), 2);
        assert_eq!(Call::of(&stage).fetch(ask("GET", URL), is_streamed).await, Ok(2));
        let records = [(); 4].map(|()| stage.scene.record());
        assert_eq!(records[1].error.as_deref(), Some(text));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_compressed_counts_as_it_came() {
    let large = "x".repeat(400 * KIB);
    let stage =
        Stage::new(&settings("", "decoded-mib = 1"), move |_| answer(200, "", &large)).await;
    let call = Call::of(&stage);
    assert_eq!((call.get().await, call.get().await), (Ok(400 * KIB), Ok(400 * KIB)));
    breached(call.get().await, Limit::Decoded);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_ends_is_cut_and_leaves_its_place() {
    let settings = settings("at-once = 1", "received-mib = 2");
    let mut stage = Stage::scripted(&settings, [Step::Flood]).await;
    let call = Call::of(&stage);
    let mut answer = call.open(ask("GET", URL), None).await.expect("an answer");
    let mut came = 0;
    let error = loop {
        match answer.body.frame().await.expect("no end") {
            Ok(frame) => came += frame.data_ref().expect("data").len(),
            Err(error) => break error,
        }
    };
    let text = breached(Err::<(), _>(error), Limit::Received).to_string();
    assert!((MIB..=2 * MIB).contains(&came), "{came}");
    assert!(answer.body.frame().await.is_none(), "it has ended");
    drop(answer);
    assert_eq!(Call::of(&stage).get().await, Ok(2));
    let record = stage.scene.record();
    assert_eq!((record.status, record.error), (Some(200), Some(text)));
    assert!(record.bytes_in <= 2 * MIB as u64, "{}", record.bytes_in);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_never_ends_is_cut_and_is_no_request() {
    let mut stage = Stage::scripted(&settings("", "sent-mib = 1"), []).await;
    let call = Call::of(&stage);
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    let endless = std::iter::repeat(100 * KIB).inspect(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let refused = call.open(uploading(), Some(in_pieces(endless))).await.map(|_| ());
    let error = breached(refused, Limit::Sent);
    assert_eq!(taken.load(Ordering::SeqCst), 11, "no more was asked for");
    let scope = call.scope;
    let record = stage.scene.record();
    assert_eq!((record.status, record.sent, record.bytes_out), (None, 1, 1000 * KIB as u64));
    assert_eq!(record.error, Some(error.to_string()));
    // What could only fail is not begun.
    let call = Call { stage: &stage, scope };
    let connections = stage.scene.server.connections();
    let refused = call.open(uploading(), Some(in_pieces([1]))).await.map(|_| ());
    assert_eq!(breached(refused, Limit::Sent), error);
    assert_eq!((stage.scene.server.connections(), stage.scene.server.reads()), (connections, 0));
    assert_eq!(call.get().await, Ok(2));
    let other = Call::of(&stage);
    let answer = other.open(uploading(), Some(in_pieces([MIB]))).await.expect("an answer");
    assert_eq!(answer.status, 200);
}

#[tokio::test(start_paused = true)]
async fn an_upload_whose_length_does_not_fit_is_not_begun_and_uses_nothing_up() {
    let stage = Stage::scripted(&settings("", "sent-mib = 1"), []).await;
    let call = Call::of(&stage);
    for (size, fits) in [(MIB + 1, false), (MIB, true)] {
        let body = Full::new(Bytes::from(vec![b'x'; size]));
        let upload =
            Upload::new(body.map_err(|never: Infallible| match never {}), Some(size as u64));
        let outcome = call.open(uploading(), Some(upload)).await.map(|answer| answer.status);
        assert_eq!(stage.scene.server.connections(), usize::from(fits));
        match fits {
            true => assert_eq!(outcome, Ok(200)),
            false => drop(breached(outcome, Limit::Sent)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_limits_of_the_connector_are_those_that_are_set() {
    let large = "x".repeat(MIB + 1);
    let limits = "request-mib = 1\nanswer-mib = 1\nheld-mib = 2";
    let one = large.clone();
    let stage = Stage::new(&settings("", limits), move |_| answer(200, "", &one)).await;
    breached(Call::of(&stage).post(MIB + 1).await, Limit::RequestBody);
    assert_eq!(stage.scene.server.connections(), 0);
    let error = breached(Call::of(&stage).get().await, Limit::AnswerBody);
    let text = "an answer of more than 1 MiB, the limit; raise it with answer-mib in [limits]; it \
        came from http://a.internal";
    assert_eq!(error.to_string(), text);
    assert_eq!(Call::of(&stage).fetch(ask("GET", URL), true).await, Ok(MIB + 1), "not held");
    // A grant may say otherwise of the answers under it.
    let settings = settings("answer-mib = 3", limits);
    let stage = Stage::new(&settings, move |_| answer(200, "", &large)).await;
    let kept = stage.send(ask("GET", URL)).await.expect("an answer");
    breached(Call::of(&stage).get().await, Limit::Held);
    drop(kept);
    assert_eq!(Call::of(&stage).get().await, Ok(MIB + 1));
}

#[tokio::test(start_paused = true)]
async fn as_many_requests_are_on_the_wire_as_the_limit_says() {
    let settings = settings("queue-seconds = 1", "requests-at-once = 2");
    let stage = Stage::new(&settings, |_| Step::Hang).await;
    let within = |seconds| Request {
        timeout: Some(Duration::from_secs(seconds)),
        attempts: Some(1),
        ..ask("GET", URL)
    };
    let (first, second) = (Call::of(&stage), Call::of(&stage));
    let late = second.send(within(5));
    let (_, _, late) = tokio::join!(first.send(within(5)), second.send(within(5)), late);
    let text = "2 requests are on the wire, the limit; raise it with requests-at-once in [limits], \
        or make fewer at once, or raise queue-seconds of its grant in connector.toml; this one \
        waited for 1 s";
    assert_eq!(breached(late, Limit::InFlight).to_string(), text);
    assert_eq!(stage.scene.server.reads(), 2);
}

/// Answers before it has read the whole request, and ends the answer only when the connection ends.
async fn hasty() -> (Broker, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut read = vec![0; 64 * KIB];
        let head = stream.read(&mut read).await.expect("the head");
        assert!(head > 0);
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nsome\r\n";
        stream.write_all(head).await.expect("a client");
        while stream.read(&mut read).await.is_ok_and(|bytes| bytes > 0) {}
    });
    let policy = Policy::parse(&[], std::slice::from_ref(&origin)).expect("grants");
    let limits = Arc::new(Limits::default().with(Limit::Sent, 1));
    let setup = Setup { limits, ..setup(policy, Events::default()) };
    (Broker::new(setup), origin)
}

#[tokio::test]
async fn an_upload_that_is_cut_after_its_answer_began_says_so_in_the_answer() {
    let (broker, origin) = hasty().await;
    let deadline = Instant::now() + Duration::from_secs(60);
    let (vault, allowance) = (Arc::default(), broker.allowance());
    let scope = Scope { call: None, deadline, vault, allowance };
    // The rest comes when the answer has begun.
    let (begun, begins) = tokio::sync::oneshot::channel::<()>();
    let frame = |size| Ok::<_, Error>(Frame::data(Bytes::from(vec![b'x'; size])));
    let rest = stream::once(async move { begins.await.expect("an answer") })
        .flat_map(move |()| stream::repeat_with(move || frame(100 * KIB)));
    let upload = StreamBody::new(stream::iter([frame(1)]).chain(rest));
    let request = Request { url: origin, ..uploading() };
    let answer = broker.open(request, Some(Upload::new(upload, None)), &scope).await;
    let answer = answer.expect("an answer");
    begun.send(()).expect("an upload");
    let outcome = answer.body.collect().await.map(|_| ());
    breached(outcome, Limit::Sent);
}
