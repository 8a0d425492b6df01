//! The OAuth grant: made with the workspace, used and refreshed by the broker, unseen by the guest.

use aloma_tests::scene::Setting;
use aloma_tests::{Answer, FakeApi, KeyPair, Received, Scene, sealing};
use serde_json::{Value, json};

const REDIRECT: &str = "https://home.example.com/back";

fn connector(api: &FakeApi) -> Setting {
    Scene::connector("oauth")
        .env("OAUTH_TOKEN_URL", &api.url("/token"))
        .env("OAUTH_CLIENT_ID", "client-1")
        .env("OAUTH_CLIENT_SECRET", "client-secret")
        .allow_private(&api.origin())
}

fn opened(answer: &Value) -> Value {
    let sealed = answer["value"].as_str().unwrap_or_else(|| panic!("no value: {answer}"));
    sealing::open(&KeyPair::shared().private, sealed)["_data"].clone()
}

/// `/me` knows only the token `new`; `/token` gives it out.
fn refreshing_api() -> FakeApi {
    let api = FakeApi::start();
    api.on("GET", "/me", |request: &Received| match request.header("authorization") {
        Some("Bearer new") => Answer::json(200, &json!({"name": "Ann"})),
        _ => Answer::new(401, "no such token"),
    });
    api.on("POST", "/token", |_| {
        Answer::json(200, &json!({"access_token": "new", "token_type": "bearer"}))
    });
    api
}

#[tokio::test]
async fn start_oauth_gives_the_url_for_the_workspace_to_complete() {
    let api = FakeApi::start();
    let scene = connector(&api).start().await;
    let answer = scene.workspace.ask("connector.start-oauth", json!({})).await.answer().await;
    assert_eq!(answer["useCodeChallenge"], true, "{answer}");
    let url = answer["url"].as_str().expect("a url");
    for part in [
        "https://auth.example.com/authorize?",
        "client_id=client-1",
        "scope=read%20write",
        "redirect_uri={{redirectURI}}",
        "code_challenge={{codeChallenge}}",
    ] {
        assert!(url.contains(part), "{url} lacks {part}");
    }
}

#[tokio::test]
async fn finish_oauth_exchanges_the_code_and_seals_the_result() {
    let api = FakeApi::start();
    let tokens = json!({"access_token": "a1", "refresh_token": "r1", "expires_in": 3600});
    let answer = tokens.clone();
    api.on("POST", "/token", move |_| Answer::json(200, &answer));
    let scene = connector(&api).start().await;
    let arguments = json!({"code": "the-code", "redirectURI": REDIRECT, "codeVerifier": "v1"});
    let answer = scene.workspace.ask("connector.finish-oauth", arguments).await.answer().await;
    let result = opened(&answer);
    assert_eq!(result["access_token"], "a1", "{result}");
    assert_eq!(result["refresh_token"], "r1", "{result}");
    let request = &api.received()[0];
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", "the-code"),
        ("redirect_uri", REDIRECT),
        ("code_verifier", "v1"),
        ("client_id", "client-1"),
        ("client_secret", "client-secret"),
    ] {
        assert_eq!(request.form(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_revoked_token_is_refreshed_and_the_workspace_keeps_the_new_one() {
    let api = refreshing_api();
    let grant = json!({"access_token": "old", "refresh_token": "r1"});
    let scene = connector(&api).config("oauthResult", grant).start().await;
    let answer = scene.query(&["me"], json!({"url": api.url("/me")})).await;
    assert_eq!(answer, json!({"name": "Ann"}));
    let update = scene.workspace.next("connector.config-update").await;
    let kept = opened(&update);
    assert_eq!((&kept["access_token"], &kept["refresh_token"]), (&json!("new"), &json!("r1")));
    let request = api.received().into_iter().find(|request| request.path == "/token");
    let request = request.expect("a token request");
    assert_eq!(request.form("grant_type").as_deref(), Some("refresh_token"));
    assert_eq!(request.form("refresh_token").as_deref(), Some("r1"));
}

#[tokio::test]
async fn twenty_calls_with_a_revoked_token_make_one_token_request() {
    let api = refreshing_api();
    let grant = json!({"access_token": "old", "refresh_token": "r1"});
    let scene = connector(&api).config("oauthResult", grant).start().await;
    let query = json!({"query": ["me"], "variables": {"url": api.url("/me")}});
    for asked in scene.workspace.ask_together("connector.query", &vec![query; 20]).await {
        assert_eq!(asked.answer().await, json!({"name": "Ann"}));
    }
    assert_eq!(api.count("/token"), 1);
}

#[tokio::test]
async fn a_token_is_not_sent_where_nothing_is_granted() {
    let (api, other) = (refreshing_api(), FakeApi::start());
    let grant = json!({"access_token": "new", "refresh_token": "r1"});
    let scene = connector(&api).config("oauthResult", grant).start().await;
    let answer = scene.query(&["me"], json!({"url": other.url("/me")})).await;
    assert!(aloma_tests::error_of(&answer).contains("--allow-private"), "{answer}");
    assert_eq!(other.received().len(), 0);
}

#[tokio::test]
async fn a_connector_without_a_grant_declared_says_so() {
    let scene = Scene::connector("hello").start().await;
    let answer = scene.workspace.ask("connector.start-oauth", json!({})).await.answer().await;
    assert!(aloma_tests::error_of(&answer).contains("oauth"), "{answer}");
}
