//! What a grant says of a request counts, whoever makes it and however its body travels.

use std::collections::BTreeMap;

use http_body_util::{BodyExt as _, Full};

use super::decode::encoded;
use super::stage::{Stage, ask, with_header};
use super::*;

const URL: &str = "http://a.internal/x";
const MIB: usize = 1 << 20;

fn grant(terms: &str) -> String {
    format!("[[grant]]\norigin = \"http://a.internal\"\nprivate = true\n{terms}")
}

fn upload(size: usize, length: Option<u64>) -> Upload {
    let body = Full::new(Bytes::from(vec![b'x'; size])).map_err(|never| match never {});
    Upload::new(body, length)
}

/// Sends a body that passes through, and reads the answer.
async fn pass(stage: &Stage, size: usize, length: Option<u64>) -> Result<u16, Error> {
    let request = Request { body: None, ..ask("POST", URL) };
    let answer = stage.open(request, Some(upload(size, length))).await?;
    answer.body.collect().await?;
    Ok(answer.status)
}

#[tokio::test(start_paused = true)]
async fn neither_the_guest_nor_the_grant_gets_more_attempts_than_the_other_allows() {
    for (asked, granted, reads) in [
        (None, "", 3),
        (None, "attempts = 5", 5),
        (None, "attempts = 1", 1),
        (Some(2), "attempts = 5", 2),
        (Some(5), "attempts = 2", 2),
        (Some(5), "", 5),
    ] {
        let stage = Stage::new(&grant(granted), |_| answer(503, "", "")).await;
        let outcome = stage.send(Request { attempts: asked, ..ask("GET", URL) }).await;
        assert_eq!((status(&outcome), stage.scene.server.reads()), (503, reads), "{granted}");
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_as_the_grant_says() {
    for (terms, ranges) in [
        ("", [(1.0, 1.3), (2.0, 2.6), (4.0, 5.2)]),
        ("first-pause-seconds = 0.1", [(0.1, 0.13), (0.2, 0.26), (0.4, 0.52)]),
        (
            "first-pause-seconds = 2\njitter = \"decorrelated\"",
            [(2.0, 6.0), (2.0, 18.0), (2.0, 30.0)],
        ),
    ] {
        let terms = grant(&format!("attempts = 4\n{terms}"));
        let mut stage = Stage::new(&terms, |_| answer(503, "", "")).await;
        let started = Instant::now();
        assert_eq!(status(&stage.send(ask("GET", URL)).await), 503);
        let record = stage.scene.record();
        let pauses = record.attempts.iter().skip(1).map(|attempt| attempt.pause.clone());
        let pauses: Vec<_> = pauses.map(|pause| pause.expect("a pause").time).collect();
        assert_eq!(pauses.len(), 3, "{terms}");
        for (pause, (least, most)) in pauses.iter().zip(ranges) {
            assert!((least..=most).contains(&pause.as_secs_f64()), "{terms}: {pauses:?}");
        }
        assert!(started.elapsed() >= pauses.iter().sum::<Duration>(), "{terms}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_grant_can_only_make_the_time_shorter() {
    for (asked, expected) in [(None, 3), (Some(1), 1), (Some(10), 3)] {
        for is_streamed in [false, true] {
            let stage = Stage::new(&grant("timeout-seconds = 3"), |_| Step::Hang).await;
            let started = Instant::now();
            let timeout = asked.map(Duration::from_secs);
            let request = Request { timeout, ..ask("POST", URL) };
            let error = if is_streamed {
                stage.open(request, None).await.err()
            } else {
                stage.send(request).await.err()
            };
            assert!(matches!(error, Some(Error::Timeout(_))), "{asked:?}: {error:?}");
            let took = started.elapsed().as_secs_f64();
            assert!((took - f64::from(expected)).abs() < 0.1, "{asked:?}: {took}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_under_way_than_the_grant_allows() {
    let terms = grant("at-once = 2\nqueue-seconds = 1\nattempts = 1");
    let stage = Stage::new(&terms, |_| Step::Hang).await;
    let timeout = Some(Duration::from_secs(5));
    let send = || stage.send(Request { timeout, ..ask("GET", URL) });
    let started = Instant::now();
    let waits = async {
        let error = send().await.expect_err("no place");
        (error, started.elapsed().as_secs_f64())
    };
    let (first, second, (error, took)) = tokio::join!(send(), send(), waits);
    assert!(matches!((first, second), (Err(Error::Timeout(_)), Err(Error::Timeout(_)))));
    let text = "2 requests under the grant for http://a.internal were under way for 1 s; make fewer \
        at once, or raise its at-once or queue-seconds in connector.toml";
    assert_eq!(error, Error::Limit(text.into()));
    assert!((1.0..1.1).contains(&took), "{took}");
    assert_eq!(stage.scene.server.reads(), 2);
    // What is over has left its place.
    let error = send().await.expect_err("no answer");
    assert!(matches!(error, Error::Timeout(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_begin_no_faster_than_the_grant_allows() {
    let stage =
        Stage::new(&grant("requests-per-second = 2\nburst = 3"), |_| answer(200, "", "")).await;
    let started = Instant::now();
    let outcomes = join_all((0..7).map(|_| stage.send(ask("GET", URL)))).await;
    assert!(outcomes.iter().all(|outcome| status(outcome) == 200));
    let took = started.elapsed().as_secs_f64();
    assert!((2.0..2.1).contains(&took), "{took}");
    let terms = grant("requests-per-second = 2\nburst = 3\nqueue-seconds = 0.6");
    let mut stage = Stage::new(&terms, |_| answer(200, "", "")).await;
    let outcomes = join_all((0..5).map(|_| stage.send(ask("GET", URL)))).await;
    let (sent, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((sent.len(), refused.len()), (4, 1));
    let text = "the grant for http://a.internal allows 2 requests per second (burst 3), and this \
        one's turn would not come within 0.6 s; make fewer, or raise its requests-per-second or \
        queue-seconds in connector.toml";
    assert_eq!(refused[0].as_ref().expect_err("refused"), &Error::Limit(text.into()));
    let queued: Vec<_> = (0..5).map(|_| stage.scene.record().queued.as_millis()).collect();
    assert_eq!(queued.iter().filter(|time| (499..520).contains(*time)).count(), 1, "{queued:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_no_larger_than_the_grant_allows() {
    let terms = grant("request-mib = 1");
    let text = "the body is larger than the 1048576 bytes that http://a.internal is granted \
        (request-mib in connector.toml)";
    for (size, fits) in [(MIB, true), (MIB + 1, false)] {
        let stage = Stage::scripted(&terms, []).await;
        let body = Some(vec![b'x'; size].into());
        let outcome = stage.send(Request { body, ..ask("POST", URL) }).await;
        match outcome {
            Ok(answer) => assert!(fits && answer.status == 200),
            Err(error) => assert_eq!((error, fits), (Error::Limit(text.into()), false)),
        }
        assert_eq!(stage.scene.server.connections(), usize::from(fits));
        // Said beforehand, nothing of it is sent.
        let stage = Stage::scripted(&terms, []).await;
        let outcome = pass(&stage, size, Some(size as u64)).await;
        assert_eq!(outcome, if fits { Ok(200) } else { Err(Error::Limit(text.into())) });
        assert_eq!(stage.scene.server.connections(), usize::from(fits));
        if fits {
            assert_eq!(stage.last().header("content-length"), Some("1048576"));
        }
        let mut stage = Stage::scripted(&terms, []).await;
        let outcome = pass(&stage, size, None).await;
        assert_eq!(outcome, if fits { Ok(200) } else { Err(Error::Limit(text.into())) });
        assert_eq!(stage.scene.server.reads(), usize::from(fits), "not taken for a whole one");
        assert_eq!(stage.scene.record().sent, 1);
    }
}

async fn read(stage: &Stage, is_streamed: bool) -> Result<usize, Error> {
    if is_streamed {
        let answer = stage.open(ask("GET", URL), None).await?;
        return Ok(answer.body.collect().await?.to_bytes().len());
    }
    Ok(stage.send(ask("GET", URL)).await?.body.len())
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_no_larger_than_the_grant_allows() {
    let terms = grant("answer-mib = 1");
    let declared = |size: usize| answer(200, "", &"x".repeat(size));
    let packed = |size: usize| async move {
        let body = encoded("gzip", &vec![b'x'; size]).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ";
        Step::Bytes([format!("{head}{}\r\n\r\n", body.len()).as_bytes(), &body].concat())
    };
    for is_streamed in [false, true] {
        for (step, fits) in [
            (declared(MIB), true),
            (declared(MIB + 1), false),
            (Step::Flood, false),
            (packed(MIB).await, true),
            (packed(MIB + 1).await, false),
        ] {
            let stage = Stage::scripted(&terms, [step]).await;
            match read(&stage, is_streamed).await {
                Ok(size) => assert_eq!((size, fits), (MIB, true)),
                Err(Error::AnswerSize(text)) => {
                    assert!(!fits && text.contains("1048576 bytes"), "{text}");
                }
                Err(error) => panic!("{error:?}"),
            }
            assert_eq!(stage.scene.server.reads(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_grant_can_allow_a_larger_answer_than_usual() {
    let size = limit(Limit::AnswerBody) + 1;
    let large = "x".repeat(size);
    let stage = Stage::new(&grant("answer-mib = 33"), move |_| answer(200, "", &large)).await;
    assert_eq!(read(&stage, false).await, Ok(size));
}

const KEYED: &str = "idempotency-header = \"X-Request-Key\"\nattempts = 4";

/// Does a thing once for each key, and fails to say so as often as it is told.
async fn keeping_keys(failures: usize) -> (Stage, Arc<Mutex<BTreeMap<String, usize>>>) {
    let done = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
    let (known, calls) = (done.clone(), AtomicUsize::new(0));
    let stage = Stage::new(&grant(KEYED), move |seen| {
        let key = seen.header("x-request-key").unwrap_or("none").to_owned();
        *known.lock().entry(key).or_default() += 1;
        match calls.fetch_add(1, Ordering::SeqCst) {
            call if call >= failures => answer(200, "", "done"),
            call if call % 2 == 0 => Step::Cut(String::new()),
            _ => answer(503, "", ""),
        }
    })
    .await;
    (stage, done)
}

#[tokio::test(start_paused = true)]
async fn a_key_is_made_once_for_a_request_where_its_api_honours_one() {
    let (stage, done) = keeping_keys(3).await;
    assert_eq!(status(&stage.send(ask("POST", URL)).await), 200);
    assert_eq!(done.lock().values().copied().collect::<Vec<_>>(), [4], "one key, one effect");
    assert_eq!(done.lock().keys().next().map(String::len), Some(36));
    assert_eq!(status(&stage.send(ask("PATCH", URL)).await), 200);
    assert_eq!(done.lock().len(), 2, "another request is another thing");
    assert_eq!(status(&stage.send(ask("GET", URL)).await), 200);
    assert_eq!(stage.last().header("x-request-key"), None);
    let stage = Stage::scripted(&grant("attempts = 4"), [answer(503, "", "")]).await;
    assert_eq!(status(&stage.send(ask("POST", URL)).await), 503, "no key, no repeat");
}

#[tokio::test(start_paused = true)]
async fn the_guests_own_key_is_the_one_that_counts() {
    let own = |name| with_header(ask("POST", URL), name, "my-key");
    let given = Request { idempotency_key: Some("my-key".into()), ..ask("POST", URL) };
    for request in [given, own("idempotency-key"), own("X-Request-Key")] {
        let (stage, done) = keeping_keys(3).await;
        assert_eq!(status(&stage.send(request).await), 200);
        assert_eq!(*done.lock(), BTreeMap::from([("my-key".to_owned(), 4)]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_grant_attaches_its_credential_though_the_guest_says_nothing() {
    let terms = "credential = \"api\"\npaths = [\"/x\"]\n[credentials.api]\ntype = \"bearer\"\n\
        token = \"the-attached-token\"\n[[grant]]\norigin = \"http://a.internal\"\nprivate = true";
    let echo = |seen: &Seen| answer(200, "", seen.header("authorization").unwrap_or("nobody"));
    let mut stage = Stage::new(&grant(terms), echo).await;
    for is_streamed in [false, true] {
        let answer = stage.open(ask("GET", URL), None).await.expect("an answer");
        let body = match is_streamed {
            true => answer.body.collect().await.expect("a body").to_bytes(),
            false => stage.send(ask("GET", URL)).await.expect("an answer").body,
        };
        assert_eq!(body, "Bearer aloma-sealed-token");
        assert_eq!(stage.last().header("authorization"), Some("Bearer the-attached-token"));
    }
    assert_eq!(stage.scene.record().credential.as_deref(), Some("api"));
    let elsewhere = stage.send(ask("GET", "http://a.internal/y")).await.expect("an answer");
    assert_eq!(elsewhere.body, "nobody", "only where the grant is for it");
}
