//! Servers in trouble: they are waited for, left alone, and not flooded; and the guest learns what
//! may have happened.

use http_body_util::BodyExt as _;

use super::stage::{Stage, ask};
use super::*;
use crate::broker::limits::{BREAKER_FAILURES, BREAKER_FIRST_PAUSE, LONGEST_QUIET};
use crate::broker::traffic::budget::SPENT;

const GRANTS: &str = r#"
[[grant]]
origin = "http://a.internal"
private = true
[[grant]]
origin = "http://b.internal"
private = true
"#;

const URL: &str = "http://a.internal/x";

fn once(method: &str) -> Request {
    Request { attempts: Some(1), ..ask(method, URL) }
}

async fn took<T>(doing: impl Future<Output = T>) -> (T, f64) {
    let started = Instant::now();
    let done = doing.await;
    (done, started.elapsed().as_secs_f64())
}

#[tokio::test(start_paused = true)]
async fn a_server_says_when_to_come_back_in_many_ways() {
    for (status, fields, least, most) in [
        (429, "retry-after: 7", 7.0, 7.1),
        (429, "ratelimit-remaining: 0\r\nratelimit-reset: 20", 20.0, 20.1),
        (429, "x-ratelimit-remaining: 0\r\nx-ratelimit-reset-after: 5.5", 5.5, 5.6),
        (429, "ratelimit: \"default\";r=0;t=30", 30.0, 30.1),
        // More asked than the quota's end says.
        (429, "retry-after: 9\r\nratelimit-remaining: 0\r\nratelimit-reset: 4", 9.0, 9.1),
        (429, "ratelimit-remaining: 8\r\nratelimit-reset: 20", 1.0, 1.4),
    ] {
        let mut stage =
            Stage::scripted(GRANTS, [answer(status, &format!("{fields}\r\n"), "")]).await;
        let (outcome, took) = took(stage.send(ask("POST", URL))).await;
        assert_eq!(super::status(&outcome), 200, "{fields}");
        assert!((least..most).contains(&took), "{fields}: {took}");
        let pause = stage.scene.record().attempts[1].pause.clone().expect("a pause");
        let by_word = fields.starts_with("retry-after");
        let why = if by_word { "status 429, Retry-After" } else { "status 429" };
        assert_eq!(pause.why, why, "{fields}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_spent_holds_back_the_next_request_to_that_server_alone() {
    for is_streamed in [false, true] {
        let spent = answer(200, "ratelimit-remaining: 0\r\nratelimit-reset: 20\r\n", "ok");
        let mut stage = Stage::scripted(GRANTS, [spent]).await;
        if is_streamed {
            let answer = stage.open(ask("GET", URL), None).await.expect("an answer");
            answer.body.collect().await.expect("a body");
        } else {
            assert_eq!(status(&stage.send(ask("GET", URL)).await), 200);
        }
        let (other, at_once) = took(stage.send(ask("GET", "http://b.internal/"))).await;
        assert_eq!((status(&other), at_once < 1.0), (200, true));
        let timeout = Some(Duration::from_secs(5));
        let (late, at_once) = took(stage.send(Request { timeout, ..ask("GET", URL) })).await;
        let text = "http://a.internal said that nothing is left of this connector's quota and asked \
            to wait; not sent, because 20 s more would pass the time limit";
        assert_eq!(late.expect_err("late"), Error::Limit(text.into()));
        assert!(at_once < 1.0);
        let (next, waited) = took(stage.send(ask("POST", URL))).await;
        assert_eq!(status(&next), 200);
        assert!((19.0..20.1).contains(&waited), "{waited}");
        let records = [(); 4].map(|()| stage.scene.record());
        assert!(records[3].queued >= Duration::from_secs(19));
    }
    let spent = answer(200, "ratelimit-remaining: 0\r\nratelimit-reset: 3600\r\n", "ok");
    let stage = Stage::scripted(GRANTS, [spent]).await;
    assert_eq!(status(&stage.send(ask("GET", URL)).await), 200);
    let (next, waited) = took(stage.send(ask("GET", URL))).await;
    assert_eq!(status(&next), 200);
    assert!(waited <= LONGEST_QUIET.as_secs_f64() + 0.1, "{waited}");
}

/// Makes the server fail so often, each time in a request of its own.
async fn fail(stage: &Stage, times: u32) {
    for _ in 0..times {
        assert_eq!(status(&stage.send(once("GET")).await), 503);
    }
}

/// A server that fails as long as it is told to.
async fn failing() -> (Stage, Arc<AtomicUsize>) {
    let left = Arc::new(AtomicUsize::new(usize::MAX));
    let own = left.clone();
    let stage = Stage::new(GRANTS, move |seen| {
        let fails = seen.header("host") == Some("a.internal")
            && own
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                .is_ok();
        if fails { answer(503, "", "failed") } else { answer(200, "", "ok") }
    })
    .await;
    (stage, left)
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_and_fails_is_left_alone_until_one_request_gets_through() {
    let (stage, left) = failing().await;
    fail(&stage, BREAKER_FAILURES).await;
    let reads = BREAKER_FAILURES as usize;
    let text = "http://a.internal failed 10 times in a row, the last time with status 503; not \
        sent: the next try is in 2 s";
    assert_eq!(stage.send(ask("GET", URL)).await.expect_err("open"), Error::Connect(text.into()));
    assert!(matches!(stage.open(ask("GET", URL), None).await, Err(Error::Connect(_))));
    assert_eq!(stage.scene.server.reads(), reads);
    assert_eq!(status(&stage.send(ask("GET", "http://b.internal/")).await), 200);
    tokio::time::advance(BREAKER_FIRST_PAUSE).await;
    // One of many tries it, and it still fails: twice the pause.
    let many = join_all((0..5).map(|_| stage.send(once("GET")))).await;
    assert_eq!(many.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(stage.scene.server.reads(), reads + 2);
    tokio::time::advance(BREAKER_FIRST_PAUSE).await;
    assert!(stage.send(once("GET")).await.is_err());
    tokio::time::advance(BREAKER_FIRST_PAUSE).await;
    left.store(0, Ordering::SeqCst);
    assert_eq!(status(&stage.send(once("GET")).await), 200);
    let many = join_all((0..5).map(|_| stage.send(once("GET")))).await;
    assert!(many.iter().all(|outcome| status(outcome) == 200));
}

#[tokio::test(start_paused = true)]
async fn where_the_breaker_lets_no_repeat_through_the_answer_is_the_answer() {
    let (mut stage, _) = failing().await;
    fail(&stage, BREAKER_FAILURES - 1).await;
    let (answer, took) = took(stage.send(ask("GET", URL))).await;
    let answer = answer.expect("the earlier answer");
    assert_eq!((answer.status, &*answer.body), (503, &b"failed"[..]));
    assert!(took < 0.1, "{took}");
    for _ in 1..BREAKER_FAILURES {
        stage.scene.record();
    }
    let record = stage.scene.record();
    assert_eq!((record.status, record.sent), (Some(503), 1));
    let why = record.error.expect("a reason");
    assert!(why.starts_with("not sent again: http://a.internal failed 10 times"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_server_in_trouble_gets_few_repeats_however_many_requests_there_are() {
    let mut stage = Stage::new(GRANTS, |_| answer(500, "", "failed")).await;
    let outcomes = join_all((0..50).map(|_| stage.send(ask("GET", URL)))).await;
    assert!(outcomes.iter().all(|outcome| status(outcome) == 500));
    let most = 50 + limit(Limit::InFlight);
    let reads = stage.scene.server.reads();
    // Some seconds pass, which is not one more.
    assert!((most..=most + 1).contains(&reads), "{reads}");
    let records = (0..50).map(|_| stage.scene.record());
    let spent = records.filter(|record| record.error.as_deref() == Some(SPENT)).count();
    assert!(spent >= 18, "{spent}");
}

#[tokio::test(start_paused = true)]
async fn an_error_after_an_attempt_that_may_be_done_says_so() {
    for (first, expected) in [
        (Step::Cut(String::new()), true),
        (answer(503, "", ""), true),
        (answer(429, "connection: close\r\n", ""), false),
    ] {
        let closes = answer(503, "connection: close\r\n", "");
        let first = if matches!(first, Step::Answer(_)) && expected { closes } else { first };
        let steps = Mutex::new(VecDeque::from([first]));
        let behaviour = move |_: &Seen| steps.lock().pop_front().unwrap_or(Step::Hang);
        let server = Server::start(Box::new(behaviour)).await;
        let origin = format!("http://db.internal:{}", server.port);
        let names = names(&[&["127.0.0.1"], &[]]);
        let scene = Scene::with(server, &[], &[&origin], names);
        let request = Request {
            idempotency_key: Some("key".into()),
            attempts: Some(2),
            url: origin,
            ..scene.request("POST")
        };
        let error = scene.send(request).await.expect_err("no address");
        let text = "db.internal has no address";
        let told = if expected {
            Error::Interrupted(format!("{text}; an earlier attempt may have been carried out"))
        } else {
            Error::Dns(text.into())
        };
        assert_eq!(error, told);
    }
}

/// The API and its authorization server, with one place for both.
const ONE_PLACE: &str = r#"
[[grant]]
origin = "http://a.internal"
private = true
at-once = 1
[credentials.api]
type = "client-credentials"
token-url = "http://a.internal/token"
client-id = "id"
client-secret = "the-client-secret"
"#;

fn token(number: usize) -> Step {
    let body = format!("{{\"access_token\":\"token-number-{number}\",\"token_type\":\"Bearer\"}}");
    answer(200, "content-type: application/json\r\n", &body)
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_renewed_though_the_only_place_was_that_of_the_refusal() {
    for is_streamed in [false, true] {
        let tokens = AtomicUsize::new(0);
        let good = Arc::new(AtomicUsize::new(0));
        let takes = good.clone();
        let stage = Stage::new(ONE_PLACE, move |seen| {
            if seen.head.starts_with("POST /token ") {
                return token(tokens.fetch_add(1, Ordering::SeqCst));
            }
            let good = format!("Bearer token-number-{}", takes.load(Ordering::SeqCst));
            let is_good = seen.header("authorization") == Some(&*good);
            if is_good { answer(200, "", "in") } else { answer(401, "", "out") }
        })
        .await;
        let request = Request { credential: Some("api".into()), ..ask("POST", URL) };
        assert_eq!(status(&stage.send(request.clone()).await), 200);
        // What is refused just after it came is refused for another reason.
        tokio::time::advance(Duration::from_secs(60)).await;
        good.store(1, Ordering::SeqCst);
        let (status, took) = if is_streamed {
            let (answer, took) = took(stage.open(request, None)).await;
            (answer.expect("an answer").status, took)
        } else {
            let (answer, took) = took(stage.send(request)).await;
            (status(&answer), took)
        };
        assert_eq!(status, 200);
        assert!(took < 1.0, "{took}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_fails_does_not_hide_what_an_earlier_attempt_may_have_done() {
    let (tokens, calls) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let stage = Stage::new(ONE_PLACE, move |seen| {
        if seen.head.starts_with("POST /token ") {
            return match tokens.fetch_add(1, Ordering::SeqCst) {
                0 => token(0),
                _ => answer(400, "", "{\"error\":\"invalid_client\"}"),
            };
        }
        answer([200, 503, 401][calls.fetch_add(1, Ordering::SeqCst)], "", "")
    })
    .await;
    let request = Request { credential: Some("api".into()), ..ask("POST", URL) };
    assert_eq!(status(&stage.send(request).await), 200);
    tokio::time::advance(Duration::from_secs(60)).await;
    let key = Some("key".into());
    let request =
        Request { credential: Some("api".into()), idempotency_key: key, ..ask("POST", URL) };
    let outcome = stage.send(request).await;
    match outcome {
        Err(Error::Credential(text)) => {
            assert!(text.ends_with("; an earlier attempt may have been carried out"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}
