//! The process gives up what it does not need, and does its whole job without it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use aloma_tests::cli::{Output, run as run_to_end};
use aloma_tests::local::Local;
use aloma_tests::process::{Invocation, Process};
use aloma_tests::{Answer, FakeApi, Scene, guest};
use serde_json::{Value, json};

/// How many lists of system calls hold for this test, as they do in many a container.
fn own_filters() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("our own status");
    let line = status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"));
    line.expect("a kernel since 5.9").trim().parse().expect("a number")
}

fn added_filters(process: &Process) -> u64 {
    let all: u64 = process.status("Seccomp_filters").parse().expect("a number");
    all - own_filters()
}

#[track_caller]
fn is_confined(process: &Process) {
    assert_eq!(added_filters(process), 1);
    assert_eq!(process.status("NoNewPrivs"), "1");
}

async fn doctor(args: &[&str], env: &[(&str, &str)]) -> Output {
    let args = [&["doctor", "--json"], args].concat().into_iter().map(Into::into).collect();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let env: BTreeMap<_, _> = env.collect();
    run_to_end(Invocation { args, env, ..Default::default() }).await
}

fn findings(output: &Output) -> Vec<Value> {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:#?}"))
}

/// The findings of that name: standing and text.
fn finding<'a>(findings: &'a [Value], what: &str) -> Vec<(&'a str, &'a str)> {
    let named = findings.iter().filter(|finding| finding["what"] == what);
    let read = |value: &'a Value| value.as_str().expect("a text");
    named.map(|finding| (read(&finding["standing"]), read(&finding["text"]))).collect()
}

#[tokio::test]
async fn the_doctor_tries_out_what_is_refused_and_finds_nothing_to_mend() {
    let output = doctor(&[], &[]).await;
    assert_eq!(output.status.code(), Some(0), "{output:#?}");
    let findings = findings(&output);
    for (what, refused) in [
        ("landlock", "refused: listing /, writing to the temporary folder, starting /bin/sh"),
        ("seccomp", "refused: ptrace, unshare, bpf, io_uring, perf_event_open, keyctl, sockets"),
    ] {
        let found = finding(&findings, what);
        let [(standing, text)] = found.as_slice() else { panic!("{found:?}") };
        // A kernel that lacks a part is no fault, and then it must be said.
        match *standing {
            "ok" => assert!(text.contains("in force (") && text.contains(refused), "{text}"),
            "note" => assert!(text.starts_with("not in force: "), "{text}"),
            other => panic!("{other}: {text}"),
        }
    }
    for what in ["cache", "tokens", "data", "engine", "names", "tls", "threads", "keys"] {
        let found = finding(&findings, what);
        assert!(!found.is_empty() && found.iter().all(|(it, _)| *it != "problem"), "{found:?}");
    }
}

#[tokio::test]
async fn the_doctor_says_what_to_mend() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = folder.path().join("aloma-wasm/compiled");
    std::fs::create_dir_all(&open).expect("a folder");
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o777)).expect("a mode");
    let cache = folder.path().to_str().expect("a path that is text");
    let env = [("XDG_CACHE_HOME", cache), ("PRIVATE_KEY", "half-a-pair"), ("LOG_LEVEL", "info")];
    let output = doctor(&[], &env).await;
    assert_eq!(output.status.code(), Some(1), "{output:#?}");
    let all = findings(&output);
    for (what, says) in
        [("cache", "can be written by other users"), ("keys", "PRIVATE_KEY is set and PUBLIC_KEY")]
    {
        let found = finding(&all, what);
        assert!(found[0].0 == "problem" && found[0].1.contains(says), "{found:?}");
    }
    assert!(!output.stdout.contains("half-a-pair"), "{output:#?}");
    let unread = doctor(&["--env-file", "none.env"], &[]).await;
    assert_eq!(unread.status.code(), Some(1), "{unread:#?}");
    assert!(finding(&findings(&unread), "settings")[0].1.contains("none.env"));
}

#[tokio::test]
async fn a_confined_connector_is_called_and_reaches_its_api_by_name() {
    let api = FakeApi::start();
    api.on("GET", "/me", |_| Answer::json(200, &json!({})));
    let by_name = api.url("/me").replace("127.0.0.1", "localhost");
    let scene = Scene::connector("hooks")
        .config("API_KEY", "k1")
        .allow_private(&api.origin().replace("127.0.0.1", "localhost"))
        .start()
        .await;
    let answer = scene.query(&["sendKey"], json!({"url": by_name})).await;
    assert_eq!(answer["status"], 200, "{answer}");
    is_confined(&scene.process);
    scene.process.line_with("this process confined itself with ").await;
    has_few_privileges(&scene.process);
}

/// Those over files, and low ports.
fn has_few_privileges(process: &Process) {
    const KEPT: u64 = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 10;
    for set in ["CapEff", "CapPrm", "CapInh"] {
        let set = u64::from_str_radix(&process.status(set), 16).expect("a number");
        assert_eq!(set & !KEPT, 0, "{set:x}");
    }
}

#[tokio::test]
async fn a_confined_process_compiles_and_keeps_what_it_makes() {
    let home = tempfile::tempdir().expect("a folder");
    let at = |name: &str| home.path().join(name);
    let text = |name: &str| at(name).to_str().expect("a path that is text").to_owned();
    let invocation = Invocation {
        args: ["call", "connector.toml", "log", r#"{"text":"a line"}"#, "--record", "record.jsonl"]
            .map(Into::into)
            .into(),
        env: [
            ("XDG_CACHE_HOME".to_owned(), text("cache")),
            ("XDG_DATA_HOME".to_owned(), text("data")),
            ("HOME".to_owned(), text("")),
        ]
        .into(),
        directory: Some(home.path().into()),
    };
    let settings = format!("component = '{}'\n", guest("hooks").display());
    std::fs::write(at("connector.toml"), settings).expect("a file");
    let output = run_to_end(invocation).await;
    assert_eq!(output.status.code(), Some(0), "{output:#?}");
    assert!(!output.stderr.contains("compiled at every start"), "{output:#?}");
    let compiled = at("cache/aloma-wasm/compiled");
    assert!(compiled.read_dir().expect("the cache").count() > 1, "a key and an entry");
    assert!(at("record.jsonl").exists() && at("data/aloma-wasm/tokens").exists());
}

async fn run_local(more: &[&str]) -> Local {
    let args = ["run".into(), guest("hooks").into_os_string()];
    let local = Local::start(args.into_iter().chain(more.iter().map(Into::into))).await;
    local.connected("hooks").await;
    local
}

async fn call(local: &Local, action: &str, arguments: Value) -> (u16, Value) {
    let call = json!({"action": action, "arguments": arguments});
    local.post("/api/connectors/hooks/call", &call).await
}

#[tokio::test]
async fn the_embedded_workspace_works_confined() {
    let local = run_local(&[]).await;
    let (_, answer) = call(&local, "storeFile", json!({"text": "hello", "name": "a.txt"})).await;
    let (_, read) = call(&local, "readFile", json!({"id": answer["result"]["id"]})).await;
    assert_eq!(read["result"]["text"], "hello", "{read}");
    is_confined(&local.process);
}

#[tokio::test]
async fn confinement_can_be_left_out_and_that_is_told() {
    let local = run_local(&["--no-confinement"]).await;
    let warning = local.process.line_with("--no-confinement").await;
    assert!(warning.contains("WARN"), "{warning}");
    assert_eq!(added_filters(&local.process), 0);
}

#[tokio::test]
async fn a_workspace_of_its_own_is_confined() {
    let local = Local::start(["workspace"]).await;
    local.get("/api/connectors").await;
    is_confined(&local.process);
}
