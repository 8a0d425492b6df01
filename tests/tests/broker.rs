//! The broker: the one door from a guest to the network.

use aloma_tests::{Answer, Breaks, BrokenApi, FakeApi, Scene, error_of};
use serde_json::{Value, json};

async fn send(scene: &Scene, arguments: Value) -> Value {
    scene.query(&["send"], arguments).await
}

/// A scene whose guest may reach the origin.
async fn granted(origin: &str) -> Scene {
    Scene::connector("hooks").allow_private(origin).start().await
}

#[tokio::test]
async fn a_host_that_is_not_granted_is_refused_with_the_flag_that_allows_it() {
    let scene = Scene::connector("hooks").start().await;
    for (url, flag) in [
        ("https://api.example.com/x", "--allow https://api.example.com"),
        ("http://127.0.0.1:9/", "--allow-private http://127.0.0.1:9"),
    ] {
        let answer = send(&scene, json!({ "url": url })).await;
        assert!(error_of(&answer).contains(flag), "{answer}");
        scene.process.line_with(flag).await;
    }
}

#[tokio::test]
async fn a_private_address_needs_a_grant_of_its_own() {
    let api = FakeApi::start();
    let scene = Scene::connector("hooks").allow(&api.origin()).start().await;
    let answer = send(&scene, json!({"url": api.url("/")})).await;
    let flag = format!("--allow-private {}", api.origin());
    assert!(error_of(&answer).contains(&flag), "{answer}");
    assert_eq!(api.received().len(), 0);
}

#[tokio::test]
async fn a_request_arrives_as_the_guest_made_it() {
    let api = FakeApi::start();
    api.on("PUT", "/a b", |_| Answer::new(200, "never"));
    api.on("PUT", "/things", |_| Answer::new(201, "made").header("x-made", "yes"));
    let scene = granted(&api.origin()).await;
    let url = format!("{}?q=1", api.url("/things"));
    let answer = send(
        &scene,
        json!({
            "url": url, "method": "PUT", "headers": {"x-one": "1"}, "body": "the body",
        }),
    )
    .await;
    assert_eq!((&answer["status"], &answer["body"]), (&json!(201), &json!("made")), "{answer}");
    assert_eq!(answer["headers"]["x-made"], "yes", "{answer}");
    let received = &api.received()[0];
    assert_eq!((received.method.as_str(), received.query.as_str()), ("PUT", "q=1"));
    assert_eq!(received.header("x-one"), Some("1"));
    assert_eq!(received.body, "the body");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let api = FakeApi::start();
    let elsewhere = api.url("/elsewhere");
    api.on("GET", "/", move |_| Answer::new(302, "").header("location", &elsewhere));
    let scene = granted(&api.origin()).await;
    assert_eq!(send(&scene, json!({"url": api.url("/")})).await["status"], 302);
    assert_eq!(api.count("/elsewhere"), 0);
}

#[tokio::test]
async fn a_get_is_repeated_when_the_server_is_busy() {
    let api = FakeApi::start();
    api.answers("GET", "/", [Answer::new(503, "busy"), Answer::new(200, "well")]);
    let scene = granted(&api.origin()).await;
    assert_eq!(send(&scene, json!({"url": api.url("/")})).await["status"], 200);
    assert_eq!(api.received().len(), 2);
}

#[tokio::test]
async fn a_post_is_not_repeated() {
    let api = FakeApi::start();
    api.answers("POST", "/", [Answer::new(503, "busy"), Answer::new(200, "twice")]);
    let scene = granted(&api.origin()).await;
    let answer = send(&scene, json!({"url": api.url("/"), "method": "POST", "body": "x"})).await;
    assert_eq!(answer["status"], 503, "{answer}");
    assert_eq!(api.received().len(), 1);
}

#[tokio::test]
async fn a_post_with_an_idempotency_key_is_repeated_with_the_same_key() {
    let api = FakeApi::start();
    api.answers("POST", "/", [Answer::new(503, "busy"), Answer::new(200, "once")]);
    let scene = granted(&api.origin()).await;
    let arguments = json!({"url": api.url("/"), "method": "POST", "idempotencyKey": "key-1"});
    assert_eq!(send(&scene, arguments).await["status"], 200);
    let keys: Vec<_> =
        api.received().iter().map(|r| r.header("idempotency-key").map(String::from)).collect();
    assert_eq!(keys, [Some("key-1".to_owned()), Some("key-1".to_owned())]);
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_again_for_a_get_only() {
    for (breaks, method, requests) in [
        (Breaks::AfterReading, "GET", 2),
        (Breaks::AfterReading, "POST", 1),
        (Breaks::MidAnswer, "GET", 2),
        (Breaks::MidAnswer, "POST", 1),
    ] {
        let api = BrokenApi::start(breaks).await;
        let scene = granted(&api.origin()).await;
        let arguments = json!({"url": api.origin(), "method": method, "body": "x", "attempts": 2});
        let answer = send(&scene, arguments).await;
        assert!(!error_of(&answer).is_empty(), "{answer}");
        assert_eq!(api.requests(), requests, "{breaks:?} {method}");
    }
}

#[tokio::test]
async fn a_connection_closed_at_once_is_tried_again() {
    let api = BrokenApi::start(Breaks::BeforeReading).await;
    let scene = granted(&api.origin()).await;
    let answer = send(&scene, json!({"url": api.origin(), "attempts": 2})).await;
    assert!(!error_of(&answer).is_empty(), "{answer}");
    assert_eq!(api.connections(), 2);
}

#[tokio::test]
async fn a_retry_after_is_waited_for_only_within_the_time_limit() {
    let api = FakeApi::start();
    api.answers("GET", "/", [Answer::new(503, "later").header("retry-after", "3600")]);
    let scene = granted(&api.origin()).await;
    let answer = send(&scene, json!({"url": api.url("/"), "timeoutMs": 5000})).await;
    assert_eq!(answer["status"], 503, "{answer}");
    assert_eq!(api.received().len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused() {
    let api = FakeApi::start();
    api.on("GET", "/", |_| Answer::new(200, vec![b'x'; 33 * 1024 * 1024]));
    let scene = granted(&api.origin()).await;
    let answer = send(&scene, json!({"url": api.url("/")})).await;
    assert!(error_of(&answer).contains("answer-mib in [limits]"), "{answer}");
    let answer = scene.query(&["nothing"], json!({})).await;
    assert_eq!(answer, json!({}));
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up() {
    let (api, gate) = (FakeApi::start(), aloma_tests::Gate::default());
    api.answers("GET", "/", [Answer::new(200, "late").after(&gate)]);
    let scene = granted(&api.origin()).await;
    let arguments = json!({"url": api.url("/"), "timeoutMs": 300, "attempts": 1});
    let answer = send(&scene, arguments).await;
    assert!(!error_of(&answer).is_empty(), "{answer}");
    gate.open();
}

#[tokio::test]
async fn ten_requests_run_at_once() {
    let (api, gate) = (FakeApi::start(), aloma_tests::Gate::default());
    api.answers("GET", "/", [Answer::new(200, "together").after(&gate)]);
    let scene = granted(&api.origin()).await;
    let asked =
        scene.workspace.ask_query(&["many"], json!({"url": api.url("/"), "count": 10})).await;
    api.wait_for(10, scene.process.log()).await;
    gate.open();
    assert_eq!(asked.answer().await, json!({"statuses": vec![200; 10]}));
}

#[tokio::test]
async fn a_url_that_hides_its_host_is_still_judged_by_its_address() {
    let api = FakeApi::start();
    let scene = Scene::connector("hooks").allow("http://*").start().await;
    let port = api.address().port();
    for host in
        ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]", "localhost"]
    {
        let answer = send(&scene, json!({"url": format!("http://{host}:{port}/")})).await;
        assert!(error_of(&answer).contains("--allow-private"), "{host}: {answer}");
    }
    assert_eq!(api.received().len(), 0);
}

#[tokio::test]
async fn a_request_by_wasi_http_goes_through_the_same_door() {
    let api = FakeApi::start();
    api.on("GET", "/page", |_| Answer::new(200, "by another way"));
    let place = json!({"authority": api.address().to_string(), "path": "/page"});

    let closed = Scene::connector("outsider").start().await;
    let answer = closed.query(&["get"], place.clone()).await;
    assert!(error_of(&answer).contains("HttpRequestDenied"), "{answer}");
    closed.process.line_with(&format!("--allow-private {}", api.origin())).await;
    assert_eq!(api.received().len(), 0);

    let open = Scene::connector("outsider").allow_private(&api.origin()).start().await;
    let answer = open.query(&["get"], place).await;
    assert_eq!(answer, json!({"status": 200, "body": "by another way"}));
}

#[tokio::test]
async fn the_fetch_example_passes_a_request_on_and_answers_all_of_it() {
    let api = FakeApi::start();
    api.answers("POST", "/x", [Answer::json(201, &json!({"made": 1})).header("x-kind", "new")]);
    let scene = Scene::connector("fetch").allow_private(&api.origin()).start().await;
    let request = json!({"url": api.url("/x"), "method": "POST", "body": "hi"});
    let answer = scene.query(&["get"], request).await;
    assert_eq!(answer["status"], 201, "{answer}");
    assert_eq!(answer["headers"]["x-kind"], "new", "{answer}");
    assert!(answer["body"].to_string().contains("made"), "{answer}");
    assert_eq!(String::from_utf8_lossy(&api.received()[0].body), "hi");
}
