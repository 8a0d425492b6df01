//! What is told of requests: `call --trace` for people, `--record` for programs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use aloma_tests::process::Invocation;
use aloma_tests::{Answer, FakeApi, Process, RawApi, Received, Scene, cli, guest};
use serde_json::{Value, json};

const CANARY: &str = "canary-9c1f-never-told";

fn call(action: &str, arguments: &Value, rest: &[&str]) -> Vec<std::ffi::OsString> {
    let arguments = arguments.to_string();
    let mut args = vec!["call".into(), guest("hooks").into(), action.into(), arguments.into()];
    args.extend(rest.iter().map(Into::into));
    args
}

/// The tree is all that stands on standard error: a call logs nothing below `warn`.
fn lines(stderr: &str) -> Vec<&str> {
    assert!(!stderr.contains('\u{1b}'), "colours, and no terminal: {stderr}");
    stderr.lines().collect()
}

fn records(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).expect("a recording");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test]
async fn a_trace_shows_what_was_tried() {
    let api = FakeApi::start();
    api.answers("GET", "/busy", [Answer::new(503, "busy"), Answer::new(200, "well")]);
    let (url, origin) = (api.url("/busy"), api.origin());
    let arguments = json!({ "url": format!("{url}?key={CANARY}") });
    let output = cli(call("send", &arguments, &["--trace", "--allow-private", &origin])).await;
    assert_eq!(output.json()["status"], 200);
    let lines = lines(&output.stderr);
    for (line, parts) in [
        (0, &["send  of ", "answered after ", ", 1 request"][..]),
        (1, &["└─ +", &format!("GET {url}  200 after ")]),
        (2, &["granted by", &origin]),
        (3, &["attempt", "503 after ", "0 B out, 4 B in"]),
        (4, &["attempt", "200 after ", "0 B out, 4 B in", "after a pause of 1", "status 503"]),
        (5, &["answer", "4 B"]),
    ] {
        for part in parts {
            assert!(lines[line].contains(part), "line {line} lacks {part:?}: {}", output.stderr);
        }
    }
    assert_eq!(lines.len(), 6, "{}", output.stderr);
    assert!(!output.stderr.contains("canary"), "{}", output.stderr);
}

#[tokio::test]
async fn a_call_that_is_interrupted_tells_what_it_did() {
    let silent = RawApi::silent().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("record.jsonl");
    let arguments = json!({"url": format!("{}/", silent.origin())});
    let rest = ["--trace", "--record", file.to_str().expect("text")];
    let mut args = call("send", &arguments, &rest);
    args.extend(["--allow-private".into(), silent.origin().into()]);
    let mut process = Process::start(&Invocation { args, ..Invocation::default() });
    silent.asked(process.log()).await;
    process.interrupt();
    assert_eq!(process.exit().await.code(), Some(1));
    for part in ["error: the call was cut off", "send  of ", "GET http://127.0.0.1"] {
        process.line_with(part).await;
    }
    assert_eq!(records(&file).len(), 1);
}

#[tokio::test]
async fn a_trace_shows_a_refusal_with_the_flag_that_would_allow_it() {
    let arguments = json!({"url": "https://api.example.com/x"});
    let output = cli(call("send", &arguments, &["--trace"])).await;
    output.failed(1, &[", 1 request", "GET https://api.example.com/x  refused"]);
    let flag = "--allow https://api.example.com";
    let line = output.stderr.lines().find(|line| line.starts_with("     refused"));
    assert!(line.is_some_and(|line| line.contains(flag)), "{}", output.stderr);
}

#[tokio::test]
async fn a_call_that_makes_no_request_has_a_trace_too() {
    let output = cli(call("nothing", &json!({}), &["--trace"])).await;
    assert_eq!(output.json(), json!(null));
    assert!(output.stderr.trim_end().ends_with(", 0 requests"), "{}", output.stderr);
}

#[tokio::test]
async fn the_log_tells_a_request_in_one_line() {
    let api = FakeApi::start();
    api.on("GET", "/me", |_| Answer::new(200, "yes"));
    let (url, origin) = (api.url("/me"), api.origin());
    let arguments = json!({ "url": format!("{url}?key={CANARY}") });
    let log = ["--log-level", "debug", "--allow-private", &origin];
    let output = cli(call("send", &arguments, &log)).await;
    assert_eq!(output.json()["status"], 200);
    let line = output.stderr.lines().find(|line| line.contains(&url));
    let line = line.unwrap_or_else(|| panic!("no line: {}", output.stderr));
    let decision = format!("decision=\"granted by --allow-private {origin}\"");
    for part in ["DEBUG", "request", &decision, "status=200", "attempts=\"200", "bytes_in=3"] {
        assert!(line.contains(part), "it lacks {part:?}: {line}");
    }
    assert!(!output.stderr.contains("canary"), "{}", output.stderr);
}

#[tokio::test]
async fn a_recording_holds_every_request_and_no_secret() {
    let api = FakeApi::start();
    api.on("GET", "/me", |request: &Received| {
        Answer::new(200, request.header("authorization").unwrap_or_default().to_owned())
    });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("requests.jsonl");
    let (path, origin) = (file.to_str().expect("a path that is text"), api.origin());
    let config = format!("API_KEY={CANARY}");
    let granted = ["--record", path, "--config", &config, "--allow-private", &origin, "--trace"];
    let arguments = json!({ "url": format!("{}?q={CANARY}", api.url("/me")) });
    let output = cli(call("sendKey", &arguments, &granted)).await;
    assert_eq!(output.json()["status"], 200);
    assert!(api.received()[0].header("authorization").is_some_and(|text| text.contains(CANARY)));
    let refused = json!({"url": "https://api.example.com/x"});
    cli(call("send", &refused, &["--record", path])).await.failed(1, &["--allow"]);

    let records = records(&file);
    let [first, second] = &records[..] else { panic!("{records:?}") };
    assert_eq!((&first["kind"], &first["url"]), (&json!("request"), &json!(api.url("/me"))));
    let grant = first["decision"]["granted"].as_str().unwrap_or_default();
    assert_eq!(grant, format!("--allow-private {origin}"), "{first}");
    assert_eq!((&first["status"], &first["sent"]), (&json!(200), &json!(1)));
    assert!(first["digest"].as_str().is_some_and(|digest| digest.len() == 12), "{first}");
    assert!(second["decision"]["refused"].to_string().contains("--allow"), "{second}");
    assert_eq!(second["sent"], 0);
    let text = std::fs::read_to_string(&file).expect("a recording");
    assert!(!text.contains("canary") && !text.contains("Bearer"), "{text}");
    assert!(!output.stderr.contains("canary"), "{}", output.stderr);
    let mode = std::fs::metadata(&file).expect("a recording").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_recording_of_run_tells_of_the_credential_and_never_the_token() {
    let api = FakeApi::start();
    api.on("GET", "/me", |request: &Received| match request.header("authorization") {
        Some("Bearer canary-new") => Answer::json(200, &json!({"name": "Ann"})),
        _ => Answer::new(401, "no such token"),
    });
    let fresh = json!({"access_token": "canary-new", "token_type": "bearer"});
    api.on("POST", "/token", move |_| Answer::json(200, &fresh));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("requests.jsonl");
    let mut scene = Scene::connector("oauth")
        .env("OAUTH_TOKEN_URL", &api.url("/token"))
        .env("OAUTH_CLIENT_ID", "client-1")
        .allow_private(&api.origin())
        .args(["--record", file.to_str().expect("a path that is text")])
        .config("oauthResult", json!({"access_token": CANARY, "refresh_token": "canary-r1"}))
        .start()
        .await;
    let answer = scene.query(&["me"], json!({"url": api.url("/me")})).await;
    assert_eq!(answer, json!({"name": "Ann"}));
    scene.process.terminate();
    assert_eq!(scene.process.exit().await.code(), Some(0));
    let records = records(&file);
    let record = records.iter().find(|record| record["url"] == api.url("/me"));
    let record = record.unwrap_or_else(|| panic!("{records:?}"));
    assert_eq!(record["credential"], "oauth");
    assert!(record["call"].is_string(), "{record}");
    let attempts = record["attempts"].as_array().expect("attempts");
    let statuses: Vec<_> = attempts.iter().map(|attempt| &attempt["status"]).collect();
    assert_eq!(statuses, [401, 200], "{record}");
    assert!(records.iter().any(|record| record["url"] == api.url("/token")), "{records:?}");
    assert!(!format!("{records:?}").contains("canary"), "{records:?}");
}

#[tokio::test]
async fn a_recording_that_cannot_be_written_is_said_before_anything_is_called() {
    let output = cli(call("nothing", &json!({}), &["--record", "/dev/null/requests.jsonl"])).await;
    output.failed(1, &["/dev/null/requests.jsonl"]);
}
