//! Sealed secrets: the controller works with a secret that it never sees.

use aloma_tests::{Answer, FakeApi, Received, Scene, cli, error_of, guest};
use serde_json::{Value, json};

const CANARY: &str = "canary/7 \"q\"+x";

/// An API that answers with everything that it got.
fn echo() -> FakeApi {
    let api = FakeApi::start();
    let answer = |request: &Received| {
        let authorization = request.header("authorization").unwrap_or_default();
        let body = String::from_utf8_lossy(&request.body);
        let all = json!({"authorization": authorization, "query": request.query, "body": body});
        Answer::json(200, &all).header("x-echo", authorization)
    };
    api.on("GET", "/echo", answer).on("POST", "/echo", answer);
    api
}

async fn start(api: &FakeApi, more: &[&str]) -> Scene {
    let mut setting = Scene::connector("hooks")
        .config("API_KEY", CANARY)
        .args(["--log-level", "trace"])
        .allow_private(&api.origin());
    for arg in more {
        setting = setting.args([*arg]);
    }
    setting.start().await
}

/// What the controller reads, told in a way that no scrubber recognises.
async fn read(scene: &Scene, key: &str) -> String {
    let answer = scene.query(&["readConfigBackwards"], json!({ "key": key })).await;
    answer["value"].as_str().unwrap_or_default().chars().rev().collect()
}

#[tokio::test]
async fn the_controller_never_holds_the_secret_and_the_api_gets_it() {
    let api = echo();
    let scene = start(&api, &[]).await;
    let placeholder = read(&scene, "API_KEY").await;
    assert!(placeholder.starts_with("aloma-sealed-"), "{placeholder}");
    let answer = scene.query(&["sendKey"], json!({"url": api.url("/echo")})).await;
    let authorization = api.received()[0].header("authorization").map(str::to_owned);
    assert_eq!(authorization, Some(format!("Bearer {CANARY}")));
    assert_eq!(answer["headers"]["x-echo"], format!("Bearer {placeholder}"));
    let body: Value = serde_json::from_str(answer["body"].as_str().expect("a text")).expect("JSON");
    assert_eq!(body["authorization"], format!("Bearer {placeholder}"));
    assert!(!answer.to_string().contains("canary"), "{answer}");
    assert!(!scene.process.log().holds("canary"), "{}", scene.process.log());
}

#[tokio::test]
async fn a_secret_is_filled_into_query_and_body_as_they_are_spelled() {
    let api = echo();
    let scene = start(&api, &[]).await;
    let key = read(&scene, "API_KEY").await;
    for (media_type, body, expected) in [
        ("application/json", json!({ "key": key }).to_string(), json!({"key": CANARY}).to_string()),
        (
            "application/x-www-form-urlencoded",
            format!("key={key}"),
            "key=canary%2F7%20%22q%22%2Bx".to_owned(),
        ),
    ] {
        let url = api.url(&format!("/echo?key={key}"));
        let headers = json!({ "content-type": media_type });
        let sending = json!({"url": url, "method": "POST", "headers": headers, "body": body});
        let answer = scene.query(&["send"], sending).await;
        assert_eq!(answer["status"], 200, "{answer}");
        assert!(!answer.to_string().contains("canary"), "{answer}");
        let received = api.received().pop().expect("a request");
        assert_eq!(received.query, "key=canary%2F7%20%22q%22%2Bx");
        assert_eq!(String::from_utf8_lossy(&received.body), expected);
    }
}

#[tokio::test]
async fn a_bound_secret_goes_nowhere_else() {
    let api = echo();
    let scene = start(&api, &["--bind", "API_KEY=https://api.example.com"]).await;
    let answer = scene.query(&["sendKey"], json!({"url": api.url("/echo")})).await;
    let flag = format!("--bind API_KEY={}", api.origin());
    assert!(error_of(&answer).contains(&flag), "{answer}");
    scene.process.line_with(&flag).await;
    assert_eq!(api.count("/echo"), 0);
}

#[tokio::test]
async fn a_secret_in_a_path_is_refused() {
    let api = echo();
    let scene = start(&api, &[]).await;
    let key = read(&scene, "API_KEY").await;
    let answer = scene.query(&["send"], json!({"url": api.url(&format!("/{key}"))})).await;
    assert!(error_of(&answer).contains("--reveal API_KEY"), "{answer}");
    assert_eq!(api.received().len(), 0);
}

#[tokio::test]
async fn a_revealed_secret_is_read_as_it_is_and_still_never_leaves_by_log_failure_or_result() {
    let api = echo();
    let scene = start(&api, &["--reveal", "API_KEY"]).await;
    assert_eq!(read(&scene, "API_KEY").await, CANARY);
    let key = json!({"key": "API_KEY"});
    let result = scene.query(&["readConfig"], key.clone()).await;
    assert!(
        result["value"].as_str().is_some_and(|text| text.starts_with("aloma-sealed-")),
        "{result}"
    );
    let failure = scene.query(&["leakConfig"], key).await;
    assert!(error_of(&failure).contains("the value is aloma-sealed-"), "{failure}");
    scene.process.line_with("hooks: the value is aloma-sealed-").await;
    assert!(!scene.process.log().holds("canary"), "{}", scene.process.log());
}

#[tokio::test]
async fn only_a_secret_can_be_revealed_or_bound() {
    let call = |flag: &str, value: &str| {
        let file = guest("hooks").into_os_string().into_string().expect("a path that is text");
        cli(["call".to_owned(), file, "nothing".into(), flag.to_owned(), value.to_owned()])
    };
    call("--reveal", "TEXT").await.failed(1, &["--reveal TEXT", "plain"]);
    call("--reveal", "APIKEY").await.failed(1, &["--reveal APIKEY", "API_KEY"]);
    call("--bind", "TEXT=https://a.example").await.failed(1, &["--bind TEXT", "plain"]);
    call("--bind", "API_KEY=a.example").await.failed(2, &["API_KEY=https://a.example"]);
    call("--bind", "API_KEY").await.failed(2, &["KEY=https://api.example.com"]);
}
