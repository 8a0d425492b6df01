//! Credentials that a connector declares: the guest says a name, and the operator only grants.

use std::ffi::OsString;
use std::path::PathBuf;

use aloma_tests::scene::Setting;
use aloma_tests::{Answer, FakeApi, Received, Scene, cli, error_of, guest};
use serde_json::{Value, json};
use tempfile::TempDir;

const KEY: &str = "canary-of-the-key";
const PASSWORD: &str = "canary-of-the-password";
const CLIENT_SECRET: &str = "canary-of-the-client";
const TOKEN: &str = "canary-of-the-token";

/// An API that answers with everything that it got, and gives out tokens.
fn echo() -> FakeApi {
    let api = FakeApi::start();
    api.on("GET", "/echo", |request: &Received| {
        let header = |name| request.header(name).unwrap_or_default();
        let told = [header("authorization"), header("x-api-key"), &request.query];
        Answer::json(200, &json!(told))
    });
    api.on("POST", "/v1/token", |_| {
        Answer::json(
            200,
            &json!({"access_token": TOKEN, "token_type": "bearer", "expires_in": 3600}),
        )
    });
    api
}

fn configured(setting: Setting, api: &FakeApi, without: &str) -> Setting {
    let base = api.url("/v1");
    let values = [
        ("API_KEY", KEY),
        ("USER", "me"),
        ("PASSWORD", PASSWORD),
        ("CLIENT_ID", "client-1"),
        ("CLIENT_SECRET", CLIENT_SECRET),
        ("BASE_URL", &base),
    ];
    let set = values.into_iter().filter(|(key, _)| *key != without);
    set.fold(setting, |setting, (key, value)| setting.config(key, value))
        .args(["--log-level", "trace"])
}

fn connector(api: &FakeApi) -> Setting {
    connector_without("", api)
}

fn connector_without(field: &str, api: &FakeApi) -> Setting {
    configured(Scene::connector("keyring"), api, field).allow_private(&api.origin())
}

/// The connector by a settings file.
fn settings(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("connector.toml");
    let component = format!("component = '{}'\nid = 'keyring'\n", guest("keyring").display());
    std::fs::write(&file, component + text).expect("a file");
    (folder, file)
}

fn grant(api: &FakeApi, more: &str) -> String {
    format!("[[grant]]\norigin = '{}'\nprivate = true\n{more}\n", api.origin())
}

async fn send(scene: &Scene, api: &FakeApi, credential: &str) -> Value {
    let credential = Some(credential).filter(|name| !name.is_empty());
    let request = json!({"url": api.url("/echo"), "credential": credential});
    scene.query(&["send"], request).await
}

fn authorization(api: &FakeApi) -> Option<String> {
    api.received().last()?.header("authorization").map(str::to_owned)
}

#[tokio::test]
async fn the_guest_names_it_the_api_gets_it_and_nobody_else_sees_it() {
    let api = echo();
    let scene = connector(&api).start().await;
    for (name, header, expected) in [
        ("users-api", "authorization", format!("Bearer {KEY}")),
        ("login", "authorization", "Basic bWU6Y2FuYXJ5LW9mLXRoZS1wYXNzd29yZA==".to_owned()),
        ("key-header", "x-api-key", KEY.to_owned()),
        ("client", "authorization", format!("Bearer {TOKEN}")),
    ] {
        let answer = send(&scene, &api, name).await;
        assert_eq!(answer["status"], 200, "{name}: {answer}");
        let received = api.received().pop().expect("a request");
        assert_eq!(received.header(header), Some(&*expected), "{name}");
        assert!(!answer.to_string().contains("canary"), "{name}: {answer}");
        assert!(!answer.to_string().contains(&expected[6..]), "{name}: {answer}");
    }
    let answer = send(&scene, &api, "key-query").await;
    assert_eq!(api.received().pop().expect("a request").query, format!("key={KEY}"));
    assert!(!answer.to_string().contains("canary"), "{answer}");
    let read = scene.query(&["readConfigBackwards"], json!({"key": "API_KEY"})).await;
    let read: String = read["value"].as_str().expect("a text").chars().rev().collect();
    assert!(read.starts_with("aloma-sealed-"), "{read}");
    assert!(!scene.process.log().holds("canary"), "{}", scene.process.log());
}

#[tokio::test]
async fn a_client_gets_its_token_once() {
    let api = echo();
    let scene = connector(&api).start().await;
    for _ in 0..3 {
        assert_eq!(send(&scene, &api, "client").await["status"], 200);
    }
    assert_eq!(api.count("/v1/token"), 1);
    let request = &api.received()[0];
    for (name, value) in [
        ("grant_type", "client_credentials"),
        ("client_id", "client-1"),
        ("client_secret", CLIENT_SECRET),
        ("scope", "read"),
    ] {
        assert_eq!(request.form(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn declaring_grants_nothing() {
    let api = echo();
    let scene = configured(Scene::connector("keyring"), &api, "").start().await;
    let answer = send(&scene, &api, "users-api").await;
    let flag = format!("--allow-private {}", api.origin());
    assert!(error_of(&answer).contains(&flag), "{answer}");
    assert_eq!(api.received().len(), 0);
}

#[tokio::test]
async fn it_goes_nowhere_else_until_the_operator_says_so() {
    let (api, other) = (echo(), echo());
    let scene = connector(&api).allow_private(&other.origin()).start().await;
    let answer = send(&scene, &other, "users-api").await;
    let lines = format!(
        "[credentials.users-api] type = \"bearer\" token = {{ field = \"API_KEY\" }} origins = \
         [\"https://api.example.com\", \"{{{{BASE_URL}}}}\", \"{}\"]",
        other.origin()
    );
    let declared = format!("https://api.example.com, {{{{BASE_URL}}}} ({})", api.origin());
    assert!(error_of(&answer).ends_with(&lines), "{answer}");
    assert!(error_of(&answer).contains(&declared), "{answer}");
    assert_eq!(other.received().len(), 0);

    let table = lines.replace("] type", "]\ntype").replace(" token =", "\ntoken =");
    let table = table.replace(" origins =", "\norigins =");
    let (_folder, file) = settings(&format!("{}{}{table}", grant(&api, ""), grant(&other, "")));
    let scene = configured(Scene::file(&file), &api, "").start().await;
    for api in [&api, &other] {
        assert_eq!(send(&scene, api, "users-api").await["status"], 200);
        assert_eq!(authorization(api), Some(format!("Bearer {KEY}")));
    }
}

#[tokio::test]
async fn an_origin_in_a_field_is_none_until_it_is_set() {
    let api = echo();
    let scene = connector_without("BASE_URL", &api).start().await;
    let answer = send(&scene, &api, "users-api").await;
    assert!(error_of(&answer).contains("{{BASE_URL}} (no URL is set)"), "{answer}");
    assert_eq!(api.received().len(), 0);
}

#[tokio::test]
async fn the_operators_own_of_that_name_takes_its_place() {
    let api = echo();
    let own = "[credentials.users-api]\ntype = 'bearer'\ntoken = 'the-operators-own'\n";
    let (_folder, file) = settings(&format!("{}{own}", grant(&api, "")));
    let scene = configured(Scene::file(&file), &api, "").start().await;
    assert_eq!(send(&scene, &api, "users-api").await["status"], 200);
    assert_eq!(authorization(&api).as_deref(), Some("Bearer the-operators-own"));
    let output = cli(["inspect".into(), file]).await;
    assert!(output.stdout.contains("replaced by [credentials.users-api]"), "{output:#?}");
}

#[tokio::test]
async fn a_grant_attaches_it_and_the_guest_says_nothing() {
    let api = echo();
    let (_folder, file) = settings(&grant(&api, "credential = 'users-api'"));
    let scene = configured(Scene::file(&file), &api, "").start().await;
    assert_eq!(send(&scene, &api, "").await["status"], 200);
    assert_eq!(authorization(&api), Some(format!("Bearer {KEY}")));

    let (_folder, file) = settings(&grant(&api, "credential = 'user-api'"));
    let says = ["names the credential \"user-api\"", "client, key-header", "users-api"];
    cli(["call".into(), file, "send".into()]).await.failed(1, &says);
}

#[tokio::test]
async fn a_bound_secret_goes_to_no_token_endpoint_that_the_connector_declares() {
    let api = echo();
    for (key, name) in [("CLIENT_SECRET", "client"), ("API_KEY", "users-api")] {
        let bind = format!("{key}=https://id.example.com");
        let scene = connector(&api).args(["--bind", &bind]).start().await;
        let answer = send(&scene, &api, name).await;
        let flag = format!("--bind {key}={}", api.origin());
        assert!(error_of(&answer).contains(&flag), "{answer}");
    }
    assert_eq!(api.received().len(), 0);
}

#[tokio::test]
async fn a_field_that_is_not_set_is_named() {
    let api = echo();
    let scene = connector_without("USER", &api).start().await;
    let answer = send(&scene, &api, "login").await;
    assert!(error_of(&answer).contains("\"login\" needs the field USER"), "{answer}");
    let answer = send(&scene, &api, "logon").await;
    assert!(error_of(&answer).contains("there is no credential \"logon\""), "{answer}");
}

#[tokio::test]
async fn inspect_shows_what_is_declared() {
    let file = guest("keyring").into_os_string();
    let allow = ["--allow", "https://api.example.com"].map(Into::into);
    let output = cli(["inspect".into(), file.clone()].into_iter().chain(allow)).await;
    for part in [
        "Declares credentials (each goes only where you grant it, too)",
        "users-api                bearer of API_KEY  to show who we are\n",
        "    for https://api.example.com, granted\n    for {{BASE_URL}}\n",
        "login                    basic of USER and PASSWORD\n",
        "header \"X-API-Key\" of API_KEY",
        "{{BASE_URL}}/token  for tokens of client",
    ] {
        assert!(output.stdout.contains(part), "the text lacks {part:?}:\n{}", output.stdout);
    }
    let said = cli(["inspect".into(), file, "--json".into()]).await.json();
    let origins = ["https://api.example.com", "{{BASE_URL}}"];
    let kind = json!({"type": "bearer", "token": "API_KEY"});
    let first = json!({"name": "users-api", "kind": kind, "origins": origins,
        "reason": "to show who we are"});
    assert_eq!(said["manifest"]["credentials"][0], first, "{said:#}");
}

#[tokio::test]
async fn a_version_that_declares_more_than_was_accepted_does_not_start() {
    let (_folder, file) = settings("");
    let accept = || cli(["policy".into(), "accept".into(), file.clone()]);
    let more = "credential users-api (bearer of API_KEY) for https://api.example.com";
    let accepted = accept().await;
    assert!(accepted.stdout.contains(more), "{accepted:#?}");
    let text = std::fs::read_to_string(&file).expect("a file");
    let line = "    \"users-api (bearer of API_KEY) for https://api.example.com\",\n";
    assert!(text.contains(line), "{text}");
    std::fs::write(&file, text.replace(line, "")).expect("a file");
    let call = || cli(["call".into(), file.clone(), "nothing".into()]);
    call().await.failed(1, &["asks for more than version", more, "policy accept"]);
    let wider = line.replace("https://api.", "https://*.");
    std::fs::write(&file, text.replace(line, &wider)).expect("a file");
    call().await.failed(1, &["nothing"]);
    let files = [guest("hello"), guest("keyring")].map(OsString::from);
    let told = cli(["policy".into(), "diff".into()].into_iter().chain(files)).await;
    assert!(told.stdout.contains(more), "{told:#?}");
}
