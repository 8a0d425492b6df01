//! What the token cache promises, of a grant whose client is in the settings.
//!
//! The server is API and authorization server in one: the API takes the token that was given out
//! last.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::FutureExt;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::credentials::virtual_clock;
use super::*;
use crate::broker::credential::Clock;
use crate::broker::limits::{DEAD_PAUSE, TOKEN_AHEAD, TOKEN_LEEWAY};
use crate::vault::Placeholders;

/// The servers' common memory.
#[derive(Default)]
struct Issuer {
    /// The access token that the API takes; none takes all.
    current: Mutex<Option<String>>,
    requests: AtomicUsize,
}

const CLIENT: &str = r#"
[api]
type = "client-credentials"
token-url = "http://127.0.0.1:PORT/token"
client-id = "id"
client-secret = "the-client-secret"
scope = "a b"
audience = "us"
"#;

const REFRESH: &str = r#"
[api]
type = "refresh-token"
token-url = "http://127.0.0.1:PORT/token"
client-id = "id"
refresh-token = "refresh-0"
"#;

struct Stage {
    scene: Scene,
    issuer: Arc<Issuer>,
}

fn json_answer(body: Value) -> Step {
    answer(200, "content-type: application/json\r\n", &body.to_string())
}

/// Gives out `token-1`, `token-2` and so on, with so long a life.
fn issue(issuer: &Issuer, number: usize, more: Value) -> Step {
    let token = format!("token-{number}");
    *issuer.current.lock() = Some(token.clone());
    let mut body = json!({"access_token": token, "token_type": "Bearer"});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    json_answer(body)
}

impl Stage {
    /// `grant` answers the token request of that number, the first being 1.
    async fn new(
        settings: &str,
        grant: impl Fn(&Issuer, usize, &Seen) -> Step + Send + Sync + 'static,
    ) -> Self {
        Self::with_store(settings, Arc::new(MemoryStore::default()), virtual_clock(), grant).await
    }

    async fn with_store(
        settings: &str,
        store: Arc<dyn Store>,
        clock: Clock,
        grant: impl Fn(&Issuer, usize, &Seen) -> Step + Send + Sync + 'static,
    ) -> Self {
        let issuer = Arc::new(Issuer::default());
        let own = issuer.clone();
        let mut scene = Scene::new(move |seen| {
            if seen.head.starts_with("POST /token ") {
                let number = own.requests.fetch_add(1, Ordering::SeqCst) + 1;
                return grant(&own, number, seen);
            }
            let current = own.current.lock().clone();
            let wanted = current.map(|token| format!("Bearer {token}"));
            let is_good = wanted.is_none() || seen.header("authorization") == wanted.as_deref();
            answer(if is_good { 200 } else { 401 }, "", "")
        })
        .await;
        scene.give(settings, store, clock);
        Self { scene, issuer }
    }

    /// Another process with the same settings, against the same server.
    fn second(&self, settings: &str, store: Arc<dyn Store>, clock: Clock) -> Scene {
        let origin = format!("http://127.0.0.1:{}", self.scene.server.port);
        let mut scene = Scene::with(self.scene.server.clone(), &[], &[&origin], Names::default());
        scene.give(settings, store, clock);
        scene
    }

    async fn send(&self) -> Result<Response, Error> {
        self.scene.send_as("api").await
    }

    async fn works(&self) {
        assert_eq!(status(&self.send().await), 200);
    }

    fn requests(&self) -> usize {
        self.issuer.requests.load(Ordering::SeqCst)
    }

    fn forms(&self) -> Vec<String> {
        let seen = self.scene.server.seen.lock();
        let of_token = seen.iter().filter(|seen| seen.head.starts_with("POST /token "));
        of_token.map(|seen| seen.body.clone()).collect()
    }

    /// The tokens that the API saw.
    fn used(&self) -> Vec<String> {
        let seen = self.scene.server.seen.lock();
        let of_api = seen.iter().filter(|seen| !seen.head.starts_with("POST /token "));
        of_api.filter_map(|seen| seen.header("authorization").map(str::to_owned)).collect()
    }

    /// Waits until the server has read so many token requests.
    async fn until_asked(&self, times: usize) {
        while self.requests() < times {
            tokio::task::yield_now().await;
        }
        // Its answer is saved and taken into use.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }

    fn problems(&self) -> Vec<String> {
        self.scene.broker.credentials.health_problems()
    }
}

async fn pass(seconds: f64) {
    tokio::time::advance(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_calls_that_wait_make_one_token_request() {
    let stage =
        Stage::new(CLIENT, |issuer, number, _| issue(issuer, number, json!({"expires_in": 3600})))
            .await;
    for round in 1..=2 {
        let outcomes = join_all((0..1000).map(|_| stage.send())).await;
        assert!(outcomes.iter().all(|outcome| status(outcome) == 200));
        assert_eq!(stage.requests(), round);
        pass(3600.0).await;
    }
    let form = "grant_type=client_credentials&scope=a+b&audience=us";
    assert_eq!(stage.forms(), [form, form]);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_its_end_while_the_old_one_serves() {
    let stage = Stage::new(CLIENT, |issuer, number, _| match number {
        1 => issue(issuer, number, json!({"expires_in": 3600})),
        _ => Step::Hang,
    })
    .await;
    stage.works().await;
    pass(3600.0 - TOKEN_AHEAD.as_secs_f64() * 1.5 - 1.0).await;
    stage.works().await;
    assert_eq!(stage.requests(), 1, "it is good for long enough");
    pass(TOKEN_AHEAD.as_secs_f64() / 2.0 + 1.0).await;
    for _ in 0..3 {
        stage.works().await;
    }
    stage.until_asked(2).await;
    assert_eq!(stage.requests(), 2, "one request, though it hangs");
    assert_eq!(stage.used(), vec!["Bearer token-1"; 5]);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_renewed_in_the_background_is_used_next() {
    let stage = Stage::new(CLIENT, |_, number, _| {
        json_answer(json!({"access_token": format!("token-{number}"), "expires_in": 3600}))
    })
    .await;
    stage.works().await;
    pass(3600.0 - TOKEN_AHEAD.as_secs_f64()).await;
    stage.works().await;
    stage.until_asked(2).await;
    stage.works().await;
    assert_eq!(stage.used(), ["Bearer token-1", "Bearer token-1", "Bearer token-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_over_is_not_sent() {
    let stage =
        Stage::new(CLIENT, |issuer, number, _| issue(issuer, number, json!({"expires_in": 3600})))
            .await;
    stage.works().await;
    pass(3600.0 - TOKEN_LEEWAY.as_secs_f64()).await;
    stage.works().await;
    assert_eq!(stage.used(), ["Bearer token-1", "Bearer token-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_token_without_a_believable_life_is_used_until_it_is_refused() {
    for life in [
        json!({}),
        json!({"expires_in": 0}),
        json!({"expires_in": -5}),
        json!({"expires_in": "1e99"}),
    ] {
        let stage =
            Stage::new(CLIENT, move |issuer, number, _| issue(issuer, number, life.clone())).await;
        for _ in 0..3 {
            stage.works().await;
            pass(86_400.0).await;
        }
        assert_eq!(stage.requests(), 1);
        *stage.issuer.current.lock() = Some("another".into());
        stage.works().await;
        assert_eq!(stage.requests(), 2, "renewed once, by force");
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_that_refuses_every_token_is_no_reason_to_ask_on_and_on() {
    let stage = Stage::new(CLIENT, |issuer, number, _| {
        let step = issue(issuer, number, json!({"expires_in": 360_000}));
        *issuer.current.lock() = Some("none of them".into());
        step
    })
    .await;
    let sent = 2000;
    for _ in 0..sent {
        assert_eq!(status(&stage.send().await), 401);
        pass(1.0).await;
    }
    assert!((3..20).contains(&stage.requests()), "{} token requests", stage.requests());
}

#[tokio::test(start_paused = true)]
async fn a_token_whose_scope_is_too_small_is_not_renewed() {
    let challenge = "www-authenticate: Bearer realm=\"x\", error=\"insufficient_scope\"\r\n";
    for refusal in [401, 403] {
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = requests.clone();
        let mut scene = Scene::new(move |seen| {
            if seen.head.starts_with("POST /token ") {
                counted.fetch_add(1, Ordering::SeqCst);
                return json_answer(json!({"access_token": "token-1"}));
            }
            answer(refusal, challenge, "")
        })
        .await;
        scene.give(CLIENT, Arc::new(MemoryStore::default()), virtual_clock());
        for _ in 0..3 {
            assert_eq!(status(&scene.send_as("api").await), refusal);
            pass(60.0).await;
        }
        assert_eq!(requests.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_not_accepted_is_told_and_asked_for_more_and_more_rarely() {
    for error in ["invalid_client", "unauthorized_client"] {
        let stage = Stage::new(CLIENT, move |_, _, _| {
            answer(401, "", &json!({"error": error, "error_description": "SECRET"}).to_string())
        })
        .await;
        let text = "the token endpoint does not accept the client of the credential \"api\"; \
            check its client-id and client-secret";
        let second = Duration::from_secs(1);
        for (wait, requests) in [
            (Duration::ZERO, 1),
            (DEAD_PAUSE - second, 1),
            (second, 2),
            (DEAD_PAUSE * 2 - second, 2),
            (second, 3),
            (DEAD_PAUSE * 4 - second, 3),
            (second, 4),
        ] {
            tokio::time::advance(wait).await;
            let outcomes = join_all((0..5).map(|_| stage.send())).await;
            for outcome in outcomes {
                assert_eq!(outcome.unwrap_err(), Error::Credential(text.into()));
            }
            assert_eq!(stage.requests(), requests, "after {wait:?}");
            assert_eq!(stage.problems(), [text]);
        }
        assert_eq!(stage.used().len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_mended_is_healthy_again() {
    let stage = Stage::new(CLIENT, |issuer, number, _| match number {
        1 => answer(400, "", r#"{"error":"invalid_client"}"#),
        _ => issue(issuer, number, json!({})),
    })
    .await;
    assert!(stage.send().await.is_err());
    tokio::time::advance(DEAD_PAUSE).await;
    stage.works().await;
    assert_eq!(stage.problems(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_new_configuration_is_tried_at_once() {
    let settings = CLIENT.replace("\"the-client-secret\"", "{ field = \"SECRET\" }");
    let mut stage = Stage::new(&settings, |issuer, number, seen| {
        let basic = STANDARD.encode("id:the-right-secret");
        let is_right = seen.header("authorization") == Some(&format!("Basic {basic}"));
        if !is_right {
            return answer(401, "", r#"{"error":"invalid_client"}"#);
        }
        issue(issuer, number, json!({"expires_in": 3600}))
    })
    .await;
    let vault = |secret: &str| {
        let values = BTreeMap::from([("SECRET".to_owned(), SecretString::from(secret))]);
        Arc::new(Vault::new(values, &Placeholders::new(["SECRET".to_owned()]), &BTreeSet::new()))
    };
    stage.scene.vault = vault("the-wrong-secret");
    for _ in 0..2 {
        assert!(stage.send().await.is_err());
    }
    assert_eq!(stage.requests(), 1);
    stage.scene.vault = vault("the-right-secret");
    stage.works().await;
    assert_eq!((stage.requests(), stage.problems()), (2, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_a_while_leaves_the_old_token_in_use_and_costs_no_grant() {
    for (what, step) in [
        ("503", answer(503, "", "SECRET")),
        ("503 with a code", answer(503, "", r#"{"error":"invalid_client"}"#)),
        ("429", answer(429, "retry-after: 120\r\n", "")),
        ("HTML", answer(200, "content-type: text/html\r\n", "<html>SECRET</html>")),
        ("a redirect", answer(302, "location: http://127.0.0.1:1/\r\n", "")),
        ("10 MB", answer(200, "", &"x".repeat(10_000_000))),
        ("no end", Step::Flood),
        ("a broken connection", Step::Cut(String::new())),
    ] {
        let stage = Stage::new(CLIENT, move |issuer, number, _| match number {
            1 => issue(issuer, number, json!({"expires_in": 3600})),
            _ => step.clone(),
        })
        .await;
        stage.works().await;
        pass(3600.0 - TOKEN_AHEAD.as_secs_f64()).await;
        stage.works().await;
        stage.until_asked(2).await;
        stage.works().await;
        assert_eq!(stage.requests(), 2, "{what}: once, then a pause");
        pass(TOKEN_AHEAD.as_secs_f64() - 20.0).await;
        stage.works().await;
        stage.until_asked(3).await;
        // The token's end, within the next pause.
        pass(11.0).await;
        let outcomes = join_all((0..5).map(|_| stage.send())).await;
        for outcome in outcomes {
            let error = outcome.expect_err(what).to_string();
            assert!(!error.contains("SECRET"), "{what}: {error}");
        }
        assert!(stage.requests() <= 4, "{what}: {} token requests", stage.requests());
        assert_eq!(stage.problems(), [""; 0], "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_may_say_how_long_to_leave_it_alone() {
    let stage = Stage::new(CLIENT, |issuer, number, _| match number {
        1 => answer(429, "retry-after: 120\r\n", ""),
        _ => issue(issuer, number, json!({})),
    })
    .await;
    for (wait, requests) in [(0.0, 1), (119.0, 1), (1.0, 2)] {
        pass(wait).await;
        assert_eq!(stage.send().await.is_ok(), requests == 2);
        assert_eq!(stage.requests(), requests);
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_after_failures_grow() {
    let stage = Stage::new(CLIENT, |_, _, _| answer(500, "", "")).await;
    for _ in 0..3600 {
        assert!(stage.send().await.is_err());
        pass(1.0).await;
    }
    assert!((8..25).contains(&stage.requests()), "{} token requests", stage.requests());
    let text = "no token for the credential \"api\": the token endpoint answered with status 500";
    assert_eq!(stage.problems(), [text], "what lasts is told");
}

/// A server that rotates refresh tokens: one that was exchanged ends the grant.
fn rotating(issuer: &Issuer, number: usize, seen: &Seen) -> Step {
    let good = format!("refresh_token=refresh-{}&client_id=id", number - 1);
    if !seen.body.contains(&good) {
        return answer(400, "", r#"{"error":"invalid_grant"}"#);
    }
    issue(issuer, number, json!({"expires_in": 3600, "refresh_token": format!("refresh-{number}")}))
}

#[tokio::test(start_paused = true)]
async fn refresh_tokens_rotate_and_those_that_do_not_stay() {
    let stage = Stage::new(REFRESH, rotating).await;
    for _ in 0..3 {
        stage.works().await;
        pass(3600.0).await;
    }
    let form =
        |number| format!("grant_type=refresh_token&refresh_token=refresh-{number}&client_id=id");
    assert_eq!(stage.forms(), [form(0), form(1), form(2)]);
    let stage =
        Stage::new(REFRESH, |issuer, number, _| issue(issuer, number, json!({"expires_in": 3600})))
            .await;
    for _ in 0..2 {
        stage.works().await;
        pass(3600.0).await;
    }
    assert_eq!(stage.forms(), [form(0), form(0)]);
}

#[tokio::test(start_paused = true)]
async fn a_saved_token_is_good_for_the_next_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = || Arc::new(DiskStore::open(folder.path()).expect("a store"));
    let clock = virtual_clock();
    let stage = Stage::with_store(REFRESH, store(), clock.clone(), rotating).await;
    stage.works().await;
    let second = stage.second(REFRESH, store(), clock.clone());
    assert_eq!(status(&second.send_as("api").await), 200);
    assert_eq!(stage.requests(), 1, "the saved token serves");
    pass(3600.0).await;
    let third = stage.second(REFRESH, store(), clock.clone());
    assert_eq!(status(&third.send_as("api").await), 200);
    assert_eq!(stage.requests(), 2, "the saved refresh token serves");
    // The first process still holds the one that was exchanged.
    stage.works().await;
    assert_eq!(stage.requests(), 2, "what another process brought is used");
    for other in [REFRESH.replace("\"id\"", "\"other\""), REFRESH.replace("refresh-0", "refresh-x")]
    {
        let other = stage.second(&other, store(), clock.clone());
        assert!(other.send_as("api").await.is_err(), "the tokens of another grant are not used");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_makes_no_saved_token_live_longer() {
    let store = Arc::new(MemoryStore::default());
    let stage = Stage::with_store(CLIENT, store.clone(), virtual_clock(), |issuer, number, _| {
        issue(issuer, number, json!({"expires_in": 3600}))
    })
    .await;
    stage.works().await;
    let past: Clock = Arc::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let second = stage.second(CLIENT, store.clone(), past);
    assert_eq!(status(&second.send_as("api").await), 200);
    assert_eq!(stage.requests(), 1);
    pass(3600.0).await;
    assert_eq!(status(&second.send_as("api").await), 200);
    assert_eq!(stage.requests(), 2, "no longer than its whole life");
    let future: Clock = Arc::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(3_000_000_000));
    let third = stage.second(CLIENT, store, future);
    assert_eq!(status(&third.send_as("api").await), 200);
    assert_eq!(stage.requests(), 3, "over, by that clock");
}

/// A store that fails as a test orders.
#[derive(Default)]
struct Faulty {
    inner: MemoryStore,
    no_load: std::sync::atomic::AtomicBool,
    no_save: std::sync::atomic::AtomicBool,
    /// A save waits for it.
    gate: Option<Arc<tokio::sync::Semaphore>>,
}

fn broken() -> StoreError {
    StoreError("the disk is full".into())
}

impl Store for Faulty {
    fn load<'a>(&'a self, name: &'a EntryName) -> BoxFuture<'a, Result<Option<Entry>, StoreError>> {
        if self.no_load.load(Ordering::SeqCst) {
            return Box::pin(async { Err(broken()) });
        }
        self.inner.load(name)
    }

    fn save<'a>(
        &'a self,
        name: &'a EntryName,
        entry: &'a Entry,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            if let Some(gate) = &self.gate {
                gate.acquire().await.expect("open").forget();
            }
            if self.no_save.load(Ordering::SeqCst) {
                return Err(broken());
            }
            self.inner.save(name, entry).await
        })
    }

    fn remove<'a>(&'a self, name: &'a EntryName) -> BoxFuture<'a, Result<(), StoreError>> {
        self.inner.remove(name)
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_saved_before_it_is_used_and_a_caller_that_gives_up_loses_nothing() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let store = Arc::new(Faulty { gate: Some(gate.clone()), ..Faulty::default() });
    let stage = Stage::with_store(REFRESH, store, virtual_clock(), rotating).await;
    tokio::select! {
        _ = stage.send() => panic!("the token is not saved yet"),
        () = stage.until_asked(1) => {}
    }
    assert_eq!(stage.used().len(), 0);
    gate.add_permits(1);
    stage.works().await;
    assert_eq!((stage.requests(), stage.used().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_was_lost_by_a_crash_is_told_and_left_alone() {
    let store = Arc::new(Faulty::default());
    store.no_save.store(true, Ordering::SeqCst);
    let clock = virtual_clock();
    let stage = Stage::with_store(REFRESH, store.clone(), clock.clone(), rotating).await;
    stage.works().await;
    let unsaved = "the tokens of the credential \"api\" are not saved: the disk is full";
    assert_eq!(stage.problems(), [unsaved]);
    pass(3600.0).await;
    stage.works().await;
    assert_eq!(stage.requests(), 2, "this process goes on with what it has");
    // The next process knows nothing of it.
    let second = stage.second(REFRESH, store.clone(), clock.clone());
    let dead = "the grant of the credential \"api\" has ended (invalid_grant); set a new \
        refresh-token";
    for _ in 0..3 {
        let error = second.send_as("api").await.unwrap_err();
        assert_eq!(error, Error::Credential(dead.into()));
    }
    assert_eq!(stage.requests(), 3);
    assert_eq!(second.broker.health_problem().as_deref(), Some(dead));
    // The operator does as it says, and the disk has room again.
    store.no_save.store(false, Ordering::SeqCst);
    let settings = REFRESH.replace("refresh-0", "refresh-3");
    let third = stage.second(&settings, store, clock);
    assert_eq!(status(&third.send_as("api").await), 200);
    assert_eq!(third.broker.health_problem(), None);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_costs_no_grant() {
    let store = Arc::new(Faulty::default());
    let clock = virtual_clock();
    let stage = Stage::with_store(REFRESH, store.clone(), clock.clone(), rotating).await;
    stage.works().await;
    pass(3600.0).await;
    store.no_load.store(true, Ordering::SeqCst);
    let second = stage.second(REFRESH, store.clone(), clock);
    let error = second.send_as("api").await.unwrap_err();
    let text =
        "no token for the credential \"api\": its saved tokens cannot be read: the disk is full";
    assert_eq!(error, Error::Credential(text.into()));
    assert_eq!(stage.requests(), 1, "the first refresh token was exchanged long ago");
    store.no_load.store(false, Ordering::SeqCst);
    tokio::time::advance(REFRESH_PAUSE).await;
    assert_eq!(status(&second.send_as("api").await), 200);
    // Others need no old token to ask with.
    store.no_load.store(true, Ordering::SeqCst);
    let own = Stage::with_store(CLIENT, store, virtual_clock(), |issuer, number, _| {
        issue(issuer, number, json!({}))
    })
    .await;
    own.works().await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_does_not_bring_an_exchanged_refresh_token_back() {
    let store = Arc::new(MemoryStore::default());
    let clock = virtual_clock();
    let failing = AtomicUsize::new(0);
    let stage =
        Stage::with_store(REFRESH, store.clone(), clock.clone(), move |issuer, number, seen| {
            let is_failing = number == 2 && failing.fetch_add(1, Ordering::SeqCst) == 0;
            if is_failing {
                issuer.requests.store(1, Ordering::SeqCst);
                return answer(503, "", "");
            }
            rotating(issuer, number, seen)
        })
        .await;
    stage.works().await;
    pass(3600.0).await;
    let second = stage.second(REFRESH, store, clock);
    assert!(second.send_as("api").await.is_err());
    tokio::time::advance(REFRESH_PAUSE).await;
    assert_eq!(status(&second.send_as("api").await), 200);
    let form =
        |number| format!("grant_type=refresh_token&refresh_token=refresh-{number}&client_id=id");
    assert_eq!(stage.forms(), [form(0), form(1), form(1)]);
}

#[tokio::test(start_paused = true)]
async fn of_two_processes_that_exchange_at_once_the_second_takes_what_the_first_got() {
    let store = Arc::new(MemoryStore::default());
    let shared = store.clone();
    let name = EntryName { connector: "test".into(), credential: "api".into() };
    let stage =
        Stage::with_store(REFRESH, store.clone(), virtual_clock(), move |issuer, number, _| {
            if number == 1 {
                return issue(
                    issuer,
                    number,
                    json!({"expires_in": 60, "refresh_token": "refresh-1"}),
                );
            }
            // The other process was faster, and saves while we are told.
            let entry = shared.load(&name).now_or_never().expect("ready").expect("loaded");
            let entry = Entry {
                access: "token-of-the-other".into(),
                refresh: Some(SecretString::from("refresh-2")),
                ends: None,
                life: None,
                ..entry.expect("an entry")
            };
            assert_eq!(
                entry.refresh.as_ref().map(|token| token.expose_secret()),
                Some("refresh-2")
            );
            shared.save(&name, &entry).now_or_never().expect("ready").expect("saved");
            *issuer.current.lock() = Some("token-of-the-other".into());
            answer(400, "", r#"{"error":"invalid_grant"}"#)
        })
        .await;
    stage.works().await;
    pass(60.0).await;
    stage.works().await;
    assert_eq!(stage.requests(), 2);
    assert_eq!(stage.used(), ["Bearer token-1", "Bearer token-of-the-other"]);
    assert_eq!(stage.problems(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_signed_assertion_is_exchanged_and_every_one_is_new() {
    let key = include_str!("../credential/testdata/ec.pem");
    let settings = format!(
        "[api]\ntype = 'jwt-bearer'\ntoken-url = 'http://127.0.0.1:PORT/token'\nissuer = 'me'\n\
         scope = 'a'\nkey-id = 'k1'\nkey = '''{key}'''\nclaims = {{ tenant = 't' }}"
    );
    let stage = Stage::with_store(
        &settings,
        Arc::new(MemoryStore::default()),
        Arc::new(SystemTime::now),
        |issuer, number, _| issue(issuer, number, json!({"expires_in": 60})),
    )
    .await;
    for _ in 0..2 {
        stage.works().await;
        pass(60.0).await;
    }
    let public = include_bytes!("../credential/testdata/ec.pub");
    let public = DecodingKey::from_ec_pem(public).expect("a public key");
    let token_url = format!("http://127.0.0.1:{}/token", stage.scene.server.port);
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[token_url]);
    let mut ids = BTreeSet::new();
    for form in stage.forms() {
        let pairs: Vec<_> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        let of = |name: &str| &pairs.iter().find(|(key, _)| key == name).expect(name).1;
        assert_eq!(of("grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");
        assert_eq!(of("scope"), "a");
        let read = decode::<Value>(of("assertion"), &public, &validation).expect("verified");
        assert_eq!((&read.claims["iss"], &read.claims["sub"]), (&json!("me"), &json!("me")));
        assert_eq!(read.claims["tenant"], "t");
        ids.insert(read.claims["jti"].to_string());
    }
    assert_eq!(ids.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn tokens_are_taken_out_of_answers() {
    let mut scene = Scene::new(|seen| {
        if seen.head.starts_with("POST /token ") {
            return json_answer(json!({"access_token": "the-access-token"}));
        }
        answer(
            200,
            "x-echo: Bearer the-access-token\r\n",
            &format!("{} the-client-secret", seen.head),
        )
    })
    .await;
    scene.give(CLIENT, Arc::new(MemoryStore::default()), virtual_clock());
    let answer = scene.send_as("api").await.expect("an answer");
    let shown = format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body));
    for secret in ["the-access-token", "the-client-secret"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_endpoint_is_reached_by_the_same_guard_as_everything_else() {
    for (token_url, expected) in [
        ("https://id.example/token", "id.example (10.0.0.1) is a private address"),
        (
            "http://id.example/token",
            "the client's secret is not sent to http://id.example over plain http",
        ),
        ("https://other.example/token", "allow it with --allow https://other.example"),
    ] {
        let server = Server::start(Box::new(|_| Step::Hang)).await;
        let origin = format!("http://127.0.0.1:{}", server.port);
        let allow = ["https://id.example", "http://id.example"];
        let mut scene = Scene::with(server, &allow, &[&origin], names(&[&["10.0.0.1"]]));
        let settings = CLIENT.replace("http://127.0.0.1:PORT/token", token_url);
        scene.give(&settings, Arc::new(MemoryStore::default()), virtual_clock());
        let outcomes = join_all((0..5).map(|_| scene.send_as("api"))).await;
        for outcome in outcomes {
            let error = outcome.expect_err(token_url).to_string();
            assert!(error.contains(expected), "{token_url}: {error}");
        }
        assert_eq!(scene.server.connections(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_grant_of_the_workspace_may_have_another_name_and_origins_of_its_own() {
    let stage = Stage::new(
        "[api]\ntype = 'oauth'\norigins = ['http://127.0.0.1:PORT']\n\
         [elsewhere]\ntype = 'oauth'\norigins = ['https://api.example']",
        |issuer, number, _| issue(issuer, number, json!({})),
    )
    .await;
    let client = OAuthClient {
        authorization_url: "https://id.example/authorize".into(),
        token_url: format!("http://127.0.0.1:{}/token", stage.scene.server.port),
        client_id: "id".into(),
        client_secret: None,
        scope: None,
        use_auth_header: false,
        use_code_challenge: true,
        additional_token_args: Vec::new(),
    };
    stage.scene.broker.set_oauth(Some(client), Arc::new(|_| Box::pin(async {})));
    let tokens = json!({"access_token": "token-0", "refresh_token": "refresh-0"});
    stage.scene.broker.set_tokens(Some(tokens)).expect("tokens");
    *stage.issuer.current.lock() = Some("none yet".into());
    stage.works().await;
    assert_eq!(status(&stage.scene.send_as("oauth").await), 200);
    assert_eq!(stage.used(), ["Bearer token-0", "Bearer token-1", "Bearer token-1"]);
    assert!(matches!(stage.scene.send_as("elsewhere").await, Err(Error::Denied(_))));
}
