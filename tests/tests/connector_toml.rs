//! `connector.toml`: everything that can be said of a connector, in one file.

use std::path::Path;

use aloma_tests::cli::{Output, run as run_to_end};
use aloma_tests::local::Local;
use aloma_tests::process::Invocation;
use aloma_tests::{Answer, FakeApi, Scene, guest};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with a `connector.toml`.
fn folder(settings: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("connector.toml"), settings).expect("a file");
    folder
}

/// The line that names a guest as the component.
fn component(name: &str) -> String {
    format!("component = '{}'\n", guest(name).display())
}

/// Runs the program in a folder.
async fn cli_in(folder: &Path, args: &[&str]) -> Output {
    let args = args.iter().map(Into::into).collect();
    run_to_end(Invocation { args, directory: Some(folder.into()), ..Default::default() }).await
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path that is text").to_owned()
}

#[tokio::test]
async fn a_connector_is_called_by_its_settings_alone() {
    let api = FakeApi::start();
    api.on("GET", "/me", |_| Answer::json(200, &json!({})));
    let settings = format!(
        "{}[config]\nAPI_KEY = {{ file = 'key' }}\n[[grant]]\norigin = '{}'\nprivate = true\n",
        component("hooks"),
        api.origin()
    );
    let folder = folder(&settings);
    std::fs::write(folder.path().join("key"), "from-a-file\n").expect("a file");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let file = text(&folder.path().join("connector.toml"));
    let arguments = json!({"url": api.url("/me")}).to_string();
    let output = cli_in(elsewhere.path(), &["call", &file, "sendKey", &arguments]).await;
    assert_eq!(output.status.code(), Some(0), "{output:#?}");
    assert!(api.received()[0].header("authorization").is_some_and(|h| h.contains("from-a-file")));
}

#[tokio::test]
async fn a_component_named_alone_has_the_settings_beside_which_it_is_started() {
    let api = FakeApi::start();
    api.on("GET", "/x", |_| Answer::new(200, "ok"));
    let folder = folder(&format!("[[grant]]\norigin = '{}'\nprivate = true\n", api.origin()));
    let hooks = text(&guest("hooks"));
    let arguments = json!({"url": api.url("/x")}).to_string();
    let call = ["call", &hooks, "send", &arguments];
    let output = cli_in(folder.path(), &call).await;
    assert_eq!(output.json()["status"], 200, "{output:#?}");
    let without = cli_in(folder.path(), &[&call[..], &["--no-settings"]].concat()).await;
    without.failed(1, &["--allow-private", &api.origin()]);
    let elsewhere = tempfile::tempdir().expect("a folder");
    let file = text(&folder.path().join("connector.toml"));
    let named = cli_in(elsewhere.path(), &[&call[..], &["--settings", &file]].concat()).await;
    assert_eq!(named.json()["status"], 200, "{named:#?}");
}

#[tokio::test]
async fn settings_are_never_taken_for_another_connector() {
    let settings = folder(&component("hello"));
    let (hooks, hello) = (text(&guest("hooks")), text(&guest("hello")));
    let other = cli_in(settings.path(), &["call", &hooks, "nothing"]).await;
    other.failed(1, &["connector.toml is for", "hello", "--settings", "--no-settings"]);
    let several = cli_in(settings.path(), &["run", &hello, &hooks]).await;
    several.failed(1, &["several are named", "--no-settings"]);
    let nameless = folder("");
    let output = cli_in(nameless.path(), &["run", "connector.toml"]).await;
    output.failed(1, &["names no component", "component = \"users.wasm\""]);
}

#[tokio::test]
async fn flags_go_before_the_file() {
    let settings = format!("{}[config]\nTEXT = 'of the file'\n", component("hooks"));
    let folder = folder(&settings);
    let read = |output: Output| output.json()["value"].clone();
    let arguments = json!({"key": "TEXT"}).to_string();
    let call = ["call", "connector.toml", "readConfig", &arguments];
    let of_file = read(cli_in(folder.path(), &call).await);
    assert_eq!(of_file, "of the file");
    let flag = [&call[..], &["--config", "TEXT=of the flag"]].concat();
    assert_eq!(read(cli_in(folder.path(), &flag).await), "of the flag");
}

#[tokio::test]
async fn each_of_several_connectors_has_its_own_settings() {
    let api = FakeApi::start();
    api.on("GET", "/x", |_| Answer::new(200, "ok"));
    let grant = format!("[[grant]]\norigin = '{}'\nprivate = true\n", api.origin());
    let granted = folder(&format!("{}id = 'granted'\n{grant}", component("hooks")));
    let bare = folder(&format!("{}id = 'bare'\n", component("hooks")));
    let files = [&granted, &bare].map(|folder| folder.path().join("connector.toml"));
    let [first, second] = files.map(Into::into);
    let local = Local::start(["run".into(), first, second] as [std::ffi::OsString; 3]).await;
    for (id, status) in [("granted", 200), ("bare", 422)] {
        local.connected(id).await;
        let call = json!({"action": "send", "arguments": {"url": api.url("/x")}});
        let (answered, answer) = local.post(&format!("/api/connectors/{id}/call"), &call).await;
        assert_eq!(answered, status, "{id}: {answer}");
    }
}

#[tokio::test]
async fn secrets_are_bound_and_revealed_by_the_file() {
    let api = FakeApi::start();
    let settings = format!(
        "{}[secrets.API_KEY]\nreveal = true\nbind = ['https://api.example.com']\n[[grant]]\norigin = \
         '{}'\nprivate = true\n[config]\nAPI_KEY = 'k-canary'\n",
        component("hooks"),
        api.origin()
    );
    let folder = folder(&settings);
    let inspected = cli_in(folder.path(), &["inspect", "connector.toml", "--json"]).await.json();
    let settings = &inspected["settings"];
    assert_eq!(settings["revealed"], json!(["API_KEY"]), "{settings}");
    assert_eq!(settings["bound"], json!({"API_KEY": ["https://api.example.com"]}), "{settings}");
    let wrong = self::folder(&format!("{}[secrets.TEXT]\nreveal = true\n", component("hooks")));
    let output = cli_in(wrong.path(), &["call", "connector.toml", "nothing"]).await;
    output.failed(1, &["connector.toml", "[secrets] TEXT", "plain"]);
}

#[tokio::test]
async fn inspect_shows_what_is_granted_of_what_is_asked() {
    let settings = "[[grant]]\norigin = 'https://api.example.com'\npaths = ['/v1/']\n";
    let folder = folder(&format!("{}policy = 'report'\n{settings}", component("hooks")));
    let output = cli_in(folder.path(), &["inspect", "connector.toml"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:#?}");
    for part in ["granted in part", "paths = [\"/v1/\"]", "only reported", "connector.toml"] {
        assert!(output.stdout.contains(part), "the text lacks {part:?}:\n{}", output.stdout);
    }
    let whole = ["inspect", "connector.toml", "--allow", "https://api.example.com"];
    let output = cli_in(folder.path(), &whole).await;
    assert!(output.stdout.contains("    granted\n"), "{}", output.stdout);
}

#[tokio::test]
async fn a_mistake_names_its_line_and_never_a_value() {
    let text = format!("{}[config]\nAPI_KEY = ['canary']\n", component("hooks"));
    let folder = folder(&text);
    let output = cli_in(folder.path(), &["call", "connector.toml", "nothing"]).await;
    output.failed(1, &["connector.toml: line 3: write a text"]);
    assert!(!output.stderr.contains("canary"), "{output:#?}");
    std::fs::write(folder.path().join("connector.toml"), "[limit]\n").expect("a file");
    let output = cli_in(folder.path(), &["call", "connector.toml", "nothing"]).await;
    output.failed(1, &["line 1: there is no key `limit`; did you mean `limits`?"]);
}

#[tokio::test]
async fn what_is_only_reported_is_told_at_the_start() {
    let settings = folder(&format!("{}policy = 'report'\n", component("hooks")));
    let output = cli_in(settings.path(), &["call", "connector.toml", "nothing"]).await;
    assert!(output.stderr.contains("only reported"), "{output:#?}");
    assert_eq!(output.json(), Value::Null);
    let scene = Scene::connector("hooks").args(["--report"]).start().await;
    scene.process.line_with("only reported").await;
}

#[tokio::test]
async fn what_is_wrong_with_the_network_names_its_file_and_its_grant() {
    for (wrong, says) in [
        ("[network]\nproxy = 'socks5://x'\n", &["connector.toml: proxy of [network]: "][..]),
        (
            "[[grant]]\norigin = 'https://a.example'\n[[grant]]\norigin = 'https://b.example'\n\
             client-certificate = { certificate = 'a.pem', key = 'a.key' }\n",
            &["connector.toml: client-certificate of grant 2 (https://b.example): ", "a.pem"],
        ),
    ] {
        let folder = folder(&format!("{}{wrong}", component("hello")));
        cli_in(folder.path(), &["call", "connector.toml", "hello"]).await.failed(1, says);
    }
}
