//! `serve`: many connectors in one process, which come, change and go, and do not touch each other.

use std::path::Path;

use aloma_tests::local::Local;
use aloma_tests::serving::settings;
use aloma_tests::{Answer, FakeApi, FakeWorkspace, Folder, Gate, Serving, error_of};
use serde_json::{Value, json};

const TROUBLE: &str = "does not run";

async fn greeting(workspace: &FakeWorkspace) -> Value {
    workspace.query(&["hello"], json!({})).await
}

fn hello() -> Value {
    json!({"hi": "world"})
}

#[tokio::test]
async fn connectors_come_and_go_with_their_files() {
    let folder = Folder::default();
    let mut one = folder.put_connector("one", "hello", "");
    let serving = Serving::start(&[folder.path()]);
    serving.joined(&mut one).await;
    let mut two = folder.put_connector("two/connector", "hello", "");
    serving.joined(&mut two).await;
    folder.remove("one.toml");
    assert_eq!(one.requests("/disconnect", 1).await.len(), 1);
    serving.process.line_with("removed").await;
    let log = serving.process.log().to_string();
    assert!(!log.contains("not taken"), "it was no new version: {log}");
    assert_eq!(greeting(&two).await, hello());
    assert_eq!((one.sockets(), two.sockets()), (1, 1));
}

#[tokio::test]
async fn an_empty_folder_waits_for_connectors() {
    let folder = Folder::default();
    let mut serving = Serving::start(&[folder.path()]);
    serving.process.line_with("waiting for one").await;
    // What was not known at the start must lie in the folder: the process has confined itself to it.
    let mut one = FakeWorkspace::start();
    folder.put_guest("hello.wasm", "hello");
    let elsewhere = json!(aloma_tests::guest("hello")).to_string();
    folder.put("one.toml", settings("one", "hello", &one, "").replace(&elsewhere, "'hello.wasm'"));
    serving.joined(&mut one).await;
    serving.process.terminate();
    assert_eq!(serving.process.exit().await.code(), Some(0));
    assert_eq!(one.requests("/disconnect", 1).await.len(), 1);
}

#[tokio::test]
async fn a_connector_that_does_not_load_hurts_no_other_and_comes_up_when_it_is_mended() {
    let folder = Folder::default();
    let mut broken = folder.put_connector("broken", "hello", "limits = 7");
    let mut good = folder.put_connector("good", "hello", "");
    let serving = Serving::start(&[folder.path()]);
    serving.joined(&mut good).await;
    let line = serving.process.line_with(TROUBLE).await;
    assert!(line.contains("broken.toml") && line.contains("trying again in"), "{line}");
    folder.put("broken.toml", settings("broken", "hello", &broken, ""));
    serving.joined(&mut broken).await;
    assert_eq!((greeting(&broken).await, greeting(&good).await), (hello(), hello()));
    assert_eq!(good.sockets(), 1);
}

#[tokio::test]
async fn a_new_version_takes_over_and_a_wrong_one_does_not() {
    let folder = Folder::default();
    let mut one = folder.put_connector("one", "hello", "");
    let serving = Serving::start(&[folder.path()]);
    serving.joined(&mut one).await;
    folder.put("one.toml", settings("one", "hello", &one, "policy = 'of'"));
    serving.process.line_with("the new version is not taken").await;
    assert_eq!(greeting(&one).await, hello());
    folder.put("one.toml", settings("one", "hooks", &one, ""));
    serving.process.line_with("replaced by version").await;
    let answer = one.query(&["echo"], json!({"value": 7})).await;
    assert_eq!((error_of(&answer), one.sockets()), ("", 1));
}

#[tokio::test]
async fn a_settings_file_that_is_half_written_stops_nothing() {
    let folder = Folder::default();
    let mut one = folder.put_connector("one", "hello", "");
    let serving = Serving::start(&[folder.path()]);
    serving.joined(&mut one).await;
    folder.put("one.toml", "compon");
    serving.process.line_with("the new version is not taken").await;
    assert_eq!((greeting(&one).await, one.sockets()), (hello(), 1));
}

#[tokio::test]
async fn a_connector_with_another_id_is_another_connector() {
    let folder = Folder::default();
    let mut one = folder.put_connector("one", "hello", "");
    let serving = Serving::start(&[folder.path()]);
    serving.joined(&mut one).await;
    let mut next = FakeWorkspace::start();
    folder.put("one.toml", settings("next", "hello", &next, ""));
    serving.joined(&mut next).await;
    assert_eq!(next.registered().await.id(), "next");
    assert_eq!(one.requests("/disconnect", 1).await.len(), 1);
}

#[tokio::test]
async fn an_id_that_is_taken_is_refused_until_it_is_free() {
    let folder = Folder::default();
    let mut first = folder.put_connector("first", "hello", "");
    let serving = Serving::start(&[folder.path()]);
    serving.joined(&mut first).await;
    let mut second = FakeWorkspace::start();
    folder.put("second.toml", settings("first", "hello", &second, ""));
    let line = serving.process.line_with(TROUBLE).await;
    assert!(line.contains("second.toml") && line.contains("its id first"), "{line}");
    assert_eq!(greeting(&first).await, hello());
    folder.remove("first.toml");
    serving.joined(&mut second).await;
}

#[tokio::test]
async fn a_workspace_that_goes_takes_nobody_elses_link_along() {
    let folder = Folder::default();
    let mut one = folder.put_connector("one", "hello", "");
    let mut two = folder.put_connector("two", "hello", "");
    let serving = Serving::start(&[folder.path()]);
    serving.joined(&mut one).await;
    serving.joined(&mut two).await;
    one.stop().await;
    serving.process.line_with("not connected to the workspace").await;
    assert_eq!(greeting(&two).await, hello());
    one.restart().await;
    one.connected().await;
    assert_eq!(greeting(&one).await, hello());
    assert_eq!(two.sockets(), 1);
}

#[tokio::test]
async fn calls_under_way_of_all_connectors_are_finished_before_the_end() {
    let (folder, api, gate) = (Folder::default(), FakeApi::start(), Gate::default());
    let slow = || Answer::json(200, &json!({})).after(&gate);
    api.answers("GET", "/slow", [slow(), slow()]);
    let grant = format!("grant = [{{ origin = '{}', private = true }}]", api.origin());
    let mut all = ["one", "two"].map(|name| folder.put_connector(name, "hooks", &grant));
    let mut serving = Serving::start(&[folder.path()]);
    let mut asked = Vec::new();
    for workspace in &mut all {
        serving.joined(workspace).await;
        asked.push(workspace.ask_query(&["send"], json!({"url": api.url("/slow")})).await);
    }
    api.wait_for(2, serving.process.log()).await;
    serving.process.terminate();
    serving.process.line_with("finishing").await;
    gate.open();
    for asked in asked {
        assert_eq!(asked.answer().await["status"], 200);
    }
    assert_eq!(serving.process.exit().await.code(), Some(0));
}

#[tokio::test]
async fn connectors_without_a_token_join_the_embedded_workspace() {
    let folder = Folder::default();
    for name in ["one", "two"] {
        let component = json!(aloma_tests::guest("hello"));
        folder.put(&format!("{name}.toml"), format!("id = '{name}'\ncomponent = {component}\n"));
    }
    let local = Local::start(["serve".into(), folder.path().as_os_str().to_owned()]).await;
    for name in ["one", "two"] {
        local.connected(name).await;
    }
    // What the page shows follows the file.
    let component = json!(aloma_tests::guest("hooks"));
    folder.put("one.toml", format!("id = 'one'\ncomponent = {component}\n"));
    let shown = |shown: &Value| shown["fields"].as_array().is_some_and(|all| !all.is_empty());
    let portrait = local.until("/api/connectors/one", shown).await;
    assert_eq!(portrait["connected"], true);
    let names = portrait["actions"].as_array().into_iter().flatten();
    assert!(names.into_iter().any(|action| action["name"] == "sendKey"), "{portrait}");
    folder.remove("two.toml");
    local.until("/api/connectors/two", |shown| shown["connected"] == false).await;
}

#[tokio::test]
async fn a_token_of_the_environment_is_not_shared() {
    let folder = Folder::default();
    let mut own = folder.put_connector("own", "hello", "");
    let component = json!(aloma_tests::guest("hello"));
    for name in ["one", "two"] {
        folder.put(&format!("{name}.toml"), format!("id = '{name}'\ncomponent = {component}\n"));
    }
    let theirs = FakeWorkspace::start();
    let serving = Serving::with_environment(&[folder.path()], &theirs.environment());
    serving.joined(&mut own).await;
    for name in ["one.toml", "two.toml"] {
        let line = serving.process.line_with(&format!("{name}: a registration token")).await;
        assert!(line.contains(TROUBLE) && line.contains("[workspace]"), "{line}");
    }
    assert!(theirs.history().is_empty());
}

#[tokio::test]
async fn a_single_connector_takes_the_token_of_the_environment() {
    let folder = Folder::default();
    let component = json!(aloma_tests::guest("hello"));
    folder.put("one/connector.toml", format!("id = 'one'\ncomponent = {component}\n"));
    let mut workspace = FakeWorkspace::start();
    let environment = workspace.environment();
    let serving = Serving::with_environment(&[folder.path()], &environment);
    serving.joined(&mut workspace).await;
    assert_eq!(greeting(&workspace).await, hello());
}

/// It went to every connector of the process, and each says itself where it sends its client's secret.
#[tokio::test]
async fn an_oauth_client_of_the_environment_is_not_shared() {
    let folder = Folder::default();
    let own = "config = { clientId = 'own-client', clientSecret = { env = 'OWN' } }";
    let mut all = [("own", own), ("one", ""), ("two", "")]
        .map(|(name, more)| folder.put_connector(name, "oauth", more));
    let environment = [("OAUTH_CLIENT_ID", "theirs"), ("OAUTH_CLIENT_SECRET", "x"), ("OWN", "y")];
    let environment = environment.map(|(name, value)| (name, value.to_owned()));
    let serving = Serving::with_environment(&[folder.path()], &environment);
    let mut answers = Vec::new();
    for workspace in &mut all {
        serving.joined(workspace).await;
        let asked = workspace.ask("connector.start-oauth", json!({})).await;
        answers.push(asked.answer().await);
    }
    let url = answers[0]["url"].as_str().expect("a url");
    assert!(url.contains("client_id=own-client"), "{url}");
    for answer in &answers[1..] {
        assert!(error_of(answer).contains("has no id"), "{answer}");
    }
    let line = serving.process.line_with("are for one connector").await;
    assert!(line.contains("2 connectors") && line.contains("[config]"), "{line}");
}

#[tokio::test]
async fn a_line_of_env_that_another_connector_names_fills_no_field() {
    let folder = Folder::default();
    folder.put(".variables", "TEXT=the-token\n");
    let names = "credentials = { x = { type = 'bearer', token = { env = 'TEXT' } } }";
    let mut reader = folder.put_connector("a-reader", "hooks", "");
    let mut owner = folder.put_connector("owner", "hello", names);
    let file = folder.at(".variables");
    let serving = Serving::start(&[folder.path(), Path::new("--env-file"), &file]);
    serving.joined(&mut reader).await;
    serving.joined(&mut owner).await;
    let read = reader.query(&["readConfig"], json!({"key": "TEXT"})).await;
    assert_eq!(read["value"], Value::Null, "{read}");
    serving.process.line_with("the line TEXT of .env does not fill").await;
}

#[tokio::test]
async fn files_are_served_beside_folders() {
    let (folder, elsewhere) = (Folder::default(), Folder::default());
    let mut one = folder.put_connector("one", "hello", "");
    let mut two = elsewhere.put_connector("two", "hello", "");
    let serving = Serving::start(&[folder.path(), &elsewhere.at("two.toml")]);
    serving.joined(&mut one).await;
    serving.joined(&mut two).await;
}
