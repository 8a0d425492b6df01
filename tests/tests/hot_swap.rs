//! A new version takes over: the link stays, with configuration and tokens, and calls under way finish
//! on the old one.

use aloma_tests::scene::Setting;
use aloma_tests::{Answer, FakeApi, Folder, Gate, Received, Scene, cli, error_of};
use serde_json::{Value, json};

const TAKEN: &str = "replaced by version";
const REFUSED: &str = "the new version is not taken";

/// `run --watch` of `connector.toml` in a folder, for the guest `c.wasm`.
fn watched(folder: &Folder, guest: &str, settings: &str) -> Setting {
    folder.put_guest("c.wasm", guest);
    describe(folder, settings);
    Scene::file(&folder.at("connector.toml")).args(["--watch"])
}

fn describe(folder: &Folder, settings: &str) {
    folder.put("connector.toml", format!("component = 'c.wasm'\nid = 'swapped'\n{settings}"));
}

fn grant(api: &FakeApi) -> String {
    format!("[[grant]]\norigin = '{}'\nprivate = true\n", api.origin())
}

async fn greeting(scene: &Scene) -> Value {
    scene.query(&["hello"], json!({})).await
}

#[tokio::test]
async fn calls_under_way_finish_on_the_old_version_and_new_ones_go_to_the_new() {
    let (folder, api, gate) = (Folder::default(), FakeApi::start(), Gate::default());
    api.answers("GET", "/slow", [Answer::json(200, &json!({})).after(&gate)]);
    let scene = watched(&folder, "hooks", &grant(&api)).start().await;
    let asked = scene.workspace.ask_query(&["send"], json!({"url": api.url("/slow")})).await;
    api.wait_for(1, scene.process.log()).await;
    folder.put_guest("c.wasm", "hello");
    scene.process.line_with(TAKEN).await;
    scene.process.line_with("1 calls finish on the former version").await;
    assert_eq!(greeting(&scene).await, json!({"hi": "world"}));
    assert!(!asked.is_answered());
    gate.open();
    assert_eq!(asked.answer().await["status"], 200);
    scene.process.line_with("hooks: stopped, shutdown = false").await;
    assert_eq!(scene.workspace.sockets(), 1);
    assert_eq!(scene.workspace.requests("/register", 1).await.len(), 1);
}

#[tokio::test]
async fn calls_that_outlive_their_time_on_the_old_version_are_answered_all_the_same() {
    let (folder, api, gate) = (Folder::default(), FakeApi::start(), Gate::default());
    api.answers("GET", "/slow", [Answer::json(200, &json!({})).after(&gate)]);
    let setting = watched(&folder, "hooks", &grant(&api)).args(["--shutdown-timeout", "1"]);
    let scene = setting.start().await;
    let asked = scene.workspace.ask_query(&["send"], json!({"url": api.url("/slow")})).await;
    api.wait_for(1, scene.process.log()).await;
    folder.put_guest("c.wasm", "hello");
    let answer = asked.answer().await;
    assert!(error_of(&answer).contains("cut off"), "{answer}");
    assert_eq!(greeting(&scene).await, json!({"hi": "world"}));
}

#[tokio::test]
async fn the_configuration_is_carried_over() {
    let (folder, api) = (Folder::default(), FakeApi::start());
    api.on("GET", "/me", |_| Answer::json(200, &json!({})));
    // The key is sent to the old version, which has no such field.
    let scene = watched(&folder, "hello", &grant(&api)).config("API_KEY", "the-key").start().await;
    assert_eq!(greeting(&scene).await, json!({"hi": "world"}));
    folder.put_guest("c.wasm", "hooks");
    scene.process.line_with(TAKEN).await;
    scene.query(&["sendKey"], json!({"url": api.url("/me")})).await;
    let request = &api.received()[0];
    assert!(request.header("authorization").is_some_and(|header| header.contains("the-key")));
}

#[tokio::test]
async fn a_refreshed_grant_is_carried_over() {
    let (folder, api) = (Folder::default(), FakeApi::start());
    api.on("GET", "/me", |request: &Received| match request.header("authorization") {
        Some("Bearer new") => Answer::json(200, &json!({"name": "Ann"})),
        _ => Answer::new(401, "no such token"),
    });
    api.on("POST", "/token", |_| Answer::json(200, &json!({"access_token": "new"})));
    let scene = watched(&folder, "oauth", &grant(&api))
        .env("OAUTH_TOKEN_URL", &api.url("/token"))
        .env("OAUTH_CLIENT_ID", "client-1")
        .config("oauthResult", json!({"access_token": "old", "refresh_token": "r1"}))
        .start()
        .await;
    let me = json!({"url": api.url("/me")});
    assert_eq!(scene.query(&["me"], me.clone()).await, json!({"name": "Ann"}));
    describe(&folder, &format!("{}[limits]\nconcurrency = 3\n", grant(&api)));
    scene.process.line_with(TAKEN).await;
    // The configuration has the token that was refused; it is not used again.
    assert_eq!(scene.query(&["me"], me).await, json!({"name": "Ann"}));
    assert_eq!(api.count("/token"), 1);
}

#[tokio::test]
async fn the_token_of_a_credential_is_carried_over_also_without_a_disk() {
    let (folder, api) = (Folder::default(), FakeApi::start());
    api.on("GET", "/me", |_| Answer::json(200, &json!({})));
    api.on("POST", "/token", |_| {
        Answer::json(200, &json!({"access_token": "a-token", "expires_in": 3600}))
    });
    let settings = format!(
        "{}[credentials.api]\ntype = 'client-credentials'\ntoken-url = '{}'\nclient-id = 'id'\n\
         client-secret = 'the-secret'\n",
        grant(&api),
        api.url("/token")
    );
    let setting = watched(&folder, "hooks", &settings).without_env("XDG_DATA_HOME");
    let scene = setting.start().await;
    let sending = json!({"url": api.url("/me"), "credential": "api"});
    assert_eq!(scene.query(&["send"], sending.clone()).await["status"], 200);
    describe(&folder, &format!("{settings}[limits]\nconcurrency = 3\n"));
    scene.process.line_with(TAKEN).await;
    assert_eq!(scene.query(&["send"], sending).await["status"], 200);
    assert_eq!(api.count("/token"), 1);
}

#[tokio::test]
async fn a_component_that_does_not_load_leaves_the_old_one_in_place() {
    let folder = Folder::default();
    let scene = watched(&folder, "hello", "").start().await;
    folder.put("c.wasm", "no component at all");
    let line = scene.process.line_with(REFUSED).await;
    assert!(line.contains("swapped") && line.contains("it is no WebAssembly"), "{line}");
    assert_eq!(greeting(&scene).await, json!({"hi": "world"}));
    folder.put_guest("c.wasm", "hooks");
    scene.process.line_with(TAKEN).await;
    assert_eq!(scene.workspace.sockets(), 1);
}

#[tokio::test]
async fn a_version_that_asks_for_more_than_was_accepted_is_not_taken() {
    let folder = Folder::default();
    folder.put_guest("c.wasm", "hello");
    describe(&folder, "");
    let file = folder.at("connector.toml");
    let accepted = cli(["policy".into(), "accept".into(), file.clone().into_os_string()]).await;
    assert_eq!(accepted.status.code(), Some(0), "{accepted:#?}");
    let scene = Scene::file(&file).args(["--watch"]).start().await;
    folder.put_guest("c.wasm", "keyring");
    let line = scene.process.line_with(REFUSED).await;
    assert!(line.contains("policy accept"), "{line}");
    assert_eq!(greeting(&scene).await, json!({"hi": "world"}));
}

#[tokio::test]
async fn wrong_settings_leave_the_old_ones_in_force_and_right_ones_take_effect() {
    let (folder, api) = (Folder::default(), FakeApi::start());
    api.on("GET", "/x", |_| Answer::new(200, "ok"));
    let scene = watched(&folder, "hooks", "").start().await;
    let send = json!({"url": api.url("/x")});
    let refused = scene.query(&["send"], send.clone()).await;
    assert!(error_of(&refused).contains("--allow-private"), "{refused}");
    describe(&folder, "[[grant]]\norigins = 'x'\n");
    let line = scene.process.line_with(REFUSED).await;
    assert!(line.contains("connector.toml") && line.contains("line 4"), "{line}");
    assert!(error_of(&scene.query(&["send"], send.clone()).await).contains("--allow-private"));
    describe(&folder, &grant(&api));
    scene.process.line_with(TAKEN).await;
    assert_eq!(scene.query(&["send"], send).await["status"], 200);
}

#[tokio::test]
async fn a_file_that_a_value_comes_from_is_followed() {
    let (folder, api) = (Folder::default(), FakeApi::start());
    api.on("GET", "/me", |_| Answer::json(200, &json!({})));
    folder.put("key", "one");
    let settings = format!("[config]\nAPI_KEY = {{ file = 'key' }}\n{}", grant(&api));
    let scene = watched(&folder, "hooks", &settings).start().await;
    folder.put("key", "another-key");
    scene.process.line_with(TAKEN).await;
    scene.query(&["sendKey"], json!({"url": api.url("/me")})).await;
    let header = api.received()[0].header("authorization").map(str::to_owned);
    assert!(header.is_some_and(|header| header.contains("another-key")));
}

#[tokio::test]
async fn a_connector_stays_who_it_is_while_it_runs() {
    let folder = Folder::default();
    let scene = watched(&folder, "hello", "").start().await;
    folder.put("connector.toml", "component = 'c.wasm'\nid = 'another'\n");
    let line = scene.process.line_with(REFUSED).await;
    assert!(line.contains("another in place of swapped") && line.contains("restart"), "{line}");
    assert_eq!(greeting(&scene).await, json!({"hi": "world"}));
}

#[tokio::test]
async fn without_watch_a_new_version_waits_for_sighup() {
    let folder = Folder::default();
    folder.put_guest("c.wasm", "hello");
    describe(&folder, "");
    let scene = Scene::file(&folder.at("connector.toml")).start().await;
    scene.workspace.health().await;
    folder.put_guest("c.wasm", "hooks");
    scene.process.hang_up();
    scene.process.line_with(TAKEN).await;
    assert_eq!(scene.workspace.sockets(), 1);
}

#[tokio::test]
async fn the_workspace_is_told_what_a_new_version_is() {
    let folder = Folder::default();
    let scene = watched(&folder, "hello", "").start().await;
    folder.put_guest("c.wasm", "hooks");
    scene.process.line_with(TAKEN).await;
    let told = scene.workspace.introspect().await;
    assert!(told["introspect"].as_str().is_some_and(|text| text.contains("sendKey")), "{told}");
    // What was registered before belongs to the old version.
    scene.workspace.drop_socket().await;
    scene.workspace.connected().await;
    assert_eq!(scene.workspace.requests("/register", 2).await.len(), 2);
    let fields = &scene.workspace.registered().await.body["schema"]["configSchema"]["fields"];
    assert!(fields["API_KEY"].is_object(), "{fields}");
}
