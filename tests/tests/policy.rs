//! What an operator lets a connector do, finds out, and accepts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use aloma_tests::cli::{Output, run};
use aloma_tests::process::Invocation;
use aloma_tests::{Answer, FakeApi, Scene, cli, error_of, guest};
use serde_json::json;
use tempfile::TempDir;

/// A folder with a `connector.toml` for a guest.
fn settings(guest_name: &str, more: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("connector.toml");
    let text = format!("component = '{}'\n{more}", guest(guest_name).display());
    std::fs::write(&file, text).expect("a file");
    (folder, file)
}

async fn policy<const N: usize>(args: [&Path; N]) -> Output {
    cli(["policy".into()].into_iter().chain(args.map(OsString::from))).await
}

fn path(text: &str) -> &Path {
    Path::new(text)
}

/// A table of settings that grants a private origin.
fn grant(origin: &str, more: &str) -> String {
    format!("[[grant]]\norigin = '{origin}'\nprivate = true\n{more}\n")
}

#[tokio::test]
async fn a_grant_can_be_for_some_methods_and_paths() {
    let api = FakeApi::start();
    api.on("GET", "/v1/users", |_| Answer::new(200, "ok"));
    let narrow = grant(&api.origin(), "methods = ['GET']\npaths = ['/v1/']");
    let (_folder, file) = settings("hooks", &format!("id = 'hooks'\n{narrow}"));
    let scene = Scene::file(&file).start().await;
    let line = format!(
        "by grant 1 in connector.toml: [[grant]] origin = \"{}\" private = true methods = ",
        api.origin()
    );
    for (method, path, refused) in [
        ("GET", "/v1/users", None),
        ("POST", "/v1/users", Some(r#"methods = ["GET", "POST"]"#)),
        ("GET", "/v2/users", Some(r#"paths = ["/v1/", "/v2/users"]"#)),
        ("GET", "/v1/../v2/users", Some(r#"paths = ["/v1/", "/v2/users"]"#)),
        ("GET", "/v1/%2e%2e/v2/users", Some(r#"paths = ["/v1/", "/v2/users"]"#)),
        ("GET", "/v1/..%2Fv2/users", Some("a dot segment in disguise")),
        ("GET", "/v1x", Some(r#"paths = ["/v1/", "/v1x"]"#)),
    ] {
        let request = json!({"url": format!("{}{path}", api.origin()), "method": method});
        let answer = scene.query(&["send"], request).await;
        match refused {
            None => assert_eq!(answer["status"], 200, "{method} {path}: {answer}"),
            Some(says) => {
                let error = error_of(&answer);
                assert!(error.contains(says), "{method} {path}: {answer}");
                assert!(says.starts_with("a dot") || error.contains(&line), "{answer}");
            }
        }
    }
    assert_eq!(api.received().len(), 1);
}

#[tokio::test]
async fn a_report_reaches_no_private_address() {
    let api = FakeApi::start();
    let arguments = json!({"url": api.url("/x")}).to_string();
    let args = ["call".into(), guest("hooks"), "send".into(), arguments.into(), "--report".into()];
    cli(args).await.failed(1, &[&format!("--allow-private {}", api.origin()), "[[grant]]"]);
    assert_eq!(api.received().len(), 0);
}

#[tokio::test]
async fn what_is_suggested_lets_the_recorded_requests_through_and_no_others() {
    let api = FakeApi::start();
    api.on("GET", "/v1/users/17", |_| Answer::new(200, "ok"));
    let origin = api.origin();
    let record = json!({
        "kind": "request", "connector": "hooks", "method": "GET", "url": format!("{origin}/v1/users/4"),
        "decision": {"refused": format!("127.0.0.1 is a loopback address; allow it with --allow-private {origin}")},
    });
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("hooks.jsonl");
    std::fs::write(&recording, format!("{record}\n")).expect("a file");
    let output = policy([path("suggest"), &recording]).await;
    assert_eq!(output.status.code(), Some(0), "{output:#?}");
    assert!(output.stdout.contains("# A private address"), "{}", output.stdout);
    std::fs::write(folder.path().join("connector.toml"), &output.stdout).expect("a file");
    let send = async |path: &str| {
        let arguments = json!({"url": format!("{origin}{path}")}).to_string();
        run(Invocation {
            args: ["call".into(), guest("hooks").into(), "send".into(), arguments.into()].into(),
            directory: Some(folder.path().into()),
            ..Default::default()
        })
        .await
    };
    assert_eq!(send("/v1/users/17").await.json()["status"], 200);
    send("/v1/groups").await.failed(1, &["/v1/groups is not granted", "\"/v1/users/\""]);
}

#[tokio::test]
async fn a_recording_that_is_none_names_the_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("x.jsonl");
    std::fs::write(&recording, "{\"kind\":\"log\"}\nnot JSON\n").expect("a file");
    policy([path("suggest"), &recording]).await.failed(1, &["x.jsonl: line 2", "--record FILE"]);
    policy([path("suggest"), path("none.jsonl")]).await.failed(1, &["cannot read none.jsonl"]);
}

#[tokio::test]
async fn a_version_that_asks_for_more_is_told_from_one_that_does_not() {
    let (hello, hooks) = (guest("hello"), guest("hooks"));
    let more = policy([path("diff"), &hello, &hooks]).await;
    assert_eq!(more.status.code(), Some(1), "{more:#?}");
    for part in ["asks for more:", "origin https://api.example.com", "secret API_KEY"] {
        assert!(more.stdout.contains(part), "the text lacks {part:?}:\n{}", more.stdout);
    }
    let less = policy([path("diff"), &hooks, &hello]).await;
    assert_eq!(less.status.code(), Some(0), "{less:#?}");
    assert!(less.stdout.contains("asks for nothing more"), "{}", less.stdout);
    assert!(less.stdout.contains("no longer asks for:"), "{}", less.stdout);
    let same = policy([path("diff"), &hooks, &hooks, path("--json")]).await.json();
    assert_eq!((&same["more"], &same["less"]), (&same["less"], &same["more"]), "{same}");
    assert_eq!(same["more"]["origins"], json!([]), "{same}");
    assert_eq!(same["new"]["asks"]["origins"], json!(["https://api.example.com"]), "{same}");
}

#[tokio::test]
async fn a_version_that_asks_for_more_than_was_accepted_does_not_start() {
    let kept = "# about us\n[limits]\nconcurrency = 2   # enough\n";
    let (_folder, file) = settings("hello", kept);
    let before = std::fs::read_to_string(&file).expect("a file");
    let accepted = policy([path("accept"), &file]).await;
    assert!(accepted.stdout.contains("accepted hello"), "{accepted:#?}");
    let after = std::fs::read_to_string(&file).expect("a file");
    assert!(after.starts_with(&before) && after.contains("[accepted]\nversion = "), "{after}");
    let call = async |action: &str| cli(["call".into(), file.clone(), action.into()]).await;
    assert_eq!(call("hello").await.json(), json!({"hi": "world"}));

    let other = after
        .replace(guest("hello").to_str().expect("text"), guest("hooks").to_str().expect("text"));
    std::fs::write(&file, &other).expect("a file");
    let shown = file.display().to_string();
    let says = [
        "asks for more than version",
        "origin https://api.example.com",
        "secret API_KEY",
        &format!("aloma-wasm policy diff {shown}"),
        &format!("aloma-wasm policy accept {shown}"),
    ];
    call("nothing").await.failed(1, &says);
    cli(["run".into(), file.clone()]).await.failed(1, &says);
    let told = policy([path("diff"), &file, &guest("hooks")]).await;
    assert_eq!(told.status.code(), Some(1), "{told:#?}");
    let printed = policy([path("accept"), &file, path("--print")]).await;
    assert!(printed.stdout.starts_with("[accepted]\n"), "{printed:#?}");
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), other);

    let accepted = policy([path("accept"), &file]).await;
    assert!(accepted.stdout.contains("secret API_KEY"), "{accepted:#?}");
    assert_eq!(call("nothing").await.json(), json!(null));
    let again = policy([path("accept"), &file]).await;
    assert!(again.stdout.contains("nothing more than before"), "{again:#?}");
}
