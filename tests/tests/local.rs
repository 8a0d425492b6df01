//! Local mode: no token, no platform, the same protocol.

use aloma_tests::local::Local;
use aloma_tests::{Answer, FakeApi, cli, guest};
use serde_json::{Value, json};

async fn run(guest_name: &str, more: &[&str]) -> Local {
    let mut args = vec!["run".into(), guest(guest_name).into_os_string()];
    args.extend(more.iter().map(Into::into));
    Local::start(args).await
}

#[tokio::test]
async fn a_connector_is_configured_and_called_from_the_page() {
    let api = FakeApi::start();
    api.on("GET", "/me", |_| Answer::json(200, &json!({})));
    let local = run("hooks", &["--allow-private", &api.origin()]).await;
    local.connected("hooks").await;
    let config = json!({"API_KEY": "the-secret", "TEXT": "plain"});
    let (status, answer) = local.put("/api/connectors/hooks/config", &config).await;
    assert_eq!(status, 200, "{answer}");
    assert!(!answer.to_string().contains("the-secret"), "{answer}");
    let call = json!({"action": "sendKey", "arguments": {"url": api.url("/me")}});
    let (status, answer) = local.post("/api/connectors/hooks/call", &call).await;
    assert_eq!((status, &answer["result"]["status"]), (200, &json!(200)), "{answer}");
    assert_eq!(api.received()[0].header("authorization"), Some("Bearer the-secret"));
}

#[tokio::test]
async fn a_call_shows_its_log_lines_and_its_requests() {
    let api = FakeApi::start();
    api.on("GET", "/seen", |_| Answer::new(200, "yes"));
    let local = run("hooks", &["--allow-private", &api.origin()]).await;
    local.connected("hooks").await;
    let kinds = |answer: &Value, kind: &str| -> Vec<Value> {
        let events = answer["events"].as_array().cloned().unwrap_or_default();
        events.into_iter().filter(|event| event["kind"] == kind).collect()
    };
    for (arguments, kind, part) in [
        (json!({"action": "log", "arguments": {"text": "a line"}}), "log", "a line"),
        (json!({"action": "send", "arguments": {"url": api.url("/seen")}}), "request", "/seen"),
    ] {
        let (_, answer) = local.post("/api/connectors/hooks/call", &arguments).await;
        let call = answer["call"].as_str().expect("the call's id");
        let path = format!("/api/connectors/hooks/events?call={call}");
        let events = local.until(&path, |answer| !kinds(answer, kind).is_empty()).await;
        assert!(kinds(&events, kind)[0].to_string().contains(part), "{events}");
    }
}

#[tokio::test]
async fn a_refusal_shows_the_flag_that_would_allow_it() {
    let local = run("hooks", &[]).await;
    local.connected("hooks").await;
    let call = json!({"action": "send", "arguments": {"url": "https://api.example.com/"}});
    let (status, answer) = local.post("/api/connectors/hooks/call", &call).await;
    assert_eq!(status, 422, "{answer}");
    assert!(answer.to_string().contains("--allow https://api.example.com"), "{answer}");
}

#[tokio::test]
async fn tasks_and_files_of_a_connector_are_kept() {
    let local = run("hooks", &[]).await;
    local.connected("hooks").await;
    let task = json!({"action": "newTask", "arguments": {"name": "a task", "data": {}}});
    let (status, answer) = local.post("/api/connectors/hooks/call", &task).await;
    assert_eq!(status, 200, "{answer}");
    assert!(local.get("/api/tasks").await.to_string().contains("a task"));
    let file = json!({"action": "storeFile", "arguments": {"text": "hello", "name": "a.txt"}});
    let (_, answer) = local.post("/api/connectors/hooks/call", &file).await;
    let read = json!({"action": "readFile", "arguments": {"id": answer["result"]["id"]}});
    let (_, answer) = local.post("/api/connectors/hooks/call", &read).await;
    assert_eq!(answer["result"]["text"], "hello", "{answer}");
}

#[tokio::test]
async fn the_configuration_outlives_the_process() {
    let data = tempfile::tempdir().expect("a folder");
    let data = ["--data", data.path().to_str().expect("a path that is text")];
    let mut local = run("hooks", &data).await;
    local.connected("hooks").await;
    let config = json!({"TEXT": "kept"});
    local.put("/api/connectors/hooks/config", &config).await;
    local.process.terminate();
    assert_eq!(local.process.exit().await.code(), Some(0));
    let local = run("hooks", &data).await;
    local.connected("hooks").await;
    let call = json!({"action": "readConfig", "arguments": {"key": "TEXT"}});
    let (_, answer) = local.post("/api/connectors/hooks/call", &call).await;
    assert_eq!(answer["result"], json!({"value": "kept"}), "{answer}");
}

#[tokio::test]
async fn nobody_gets_in_without_the_token() {
    let local = run("hello", &[]).await;
    assert_eq!(local.status_with(None, "/api/connectors").await, 401);
    assert_eq!(local.status_with(Some("wrong"), "/api/connectors").await, 401);
    assert!(local.text(&local.page).await.contains("<html"));
}

#[tokio::test]
async fn the_workspace_alone_takes_connectors_of_other_processes() {
    let workspace = Local::start(["workspace"]).await;
    assert_eq!(workspace.get("/api/connectors").await, json!({"connectors": []}));
}

#[tokio::test]
async fn several_connectors_run_in_one_process() {
    let args = ["run".into(), guest("hello"), guest("hooks")];
    let local = Local::start(args).await;
    local.connected("hello").await;
    local.connected("hooks").await;
}

#[tokio::test]
async fn two_workspaces_do_not_share_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = ["--data", folder.path().to_str().expect("a path that is text")];
    let local = run("hello", &data).await;
    local.connected("hello").await;
    let mut args = vec!["run".into(), guest("hello").into_os_string()];
    args.extend(data.iter().chain(&["--listen", "127.0.0.1:0"]).map(Into::into));
    let second = cli(args).await;
    second.failed(1, &["another workspace uses ", "name another folder with --data"]);
    drop(local);
    run("hello", &data).await.connected("hello").await;
}
