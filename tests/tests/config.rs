//! Configuration: what the workspace sends reaches the controller, and nobody else.

use std::time::{Duration, SystemTime};

use aloma_tests::{Answer, FakeApi, KeyPair, Scene, Seal, error_of};
use serde_json::{Value, json};

async fn read(scene: &Scene, key: &str) -> Value {
    scene.query(&["readConfig"], json!({ "key": key })).await["value"].clone()
}

#[tokio::test]
async fn a_sealed_key_reaches_the_api_that_it_is_for() {
    let api = FakeApi::start();
    api.on("GET", "/me", |_| Answer::json(200, &json!({"me": true})));
    let scene = Scene::connector("hooks")
        .config("API_KEY", "the-secret")
        .allow_private(&api.origin())
        .start()
        .await;
    let answer = scene.query(&["sendKey"], json!({"url": api.url("/me")})).await;
    assert_eq!(answer["status"], 200, "{answer}");
    assert_eq!(api.received()[0].header("authorization"), Some("Bearer the-secret"));
}

#[tokio::test]
async fn plain_values_arrive_also_when_they_are_false_or_nothing() {
    let scene = Scene::connector("hooks")
        .config("NUMBER", 0)
        .config("FLAG", false)
        .config("TEXT", "0")
        .start()
        .await;
    assert_eq!(read(&scene, "NUMBER").await, "0");
    assert_eq!(read(&scene, "FLAG").await, "false");
    assert_eq!(read(&scene, "TEXT").await, "0");
}

#[tokio::test]
async fn however_many_configurations_come_each_call_has_none_from_before_it_and_the_newest_wins() {
    let scene = Scene::connector("hooks").start().await;
    let mut asked = Vec::new();
    for round in 0..100 {
        scene.workspace.configure(&[("TEXT".into(), json!(round.to_string()))]).await;
        asked.push(scene.workspace.ask_query(&["readConfig"], json!({"key": "TEXT"})).await);
    }
    for (round, asked) in asked.into_iter().enumerate() {
        let answer = asked.answer().await;
        let read: usize =
            answer["value"].as_str().and_then(|text| text.parse().ok()).expect("a number");
        assert!(read >= round, "{read} after {round}");
    }
    assert_eq!(read(&scene, "TEXT").await, "99");
}

#[tokio::test]
async fn a_value_past_the_limit_is_told_and_the_others_are_in_force() {
    let scene = Scene::connector("hooks").start().await;
    let values = [("NUMBER", json!(vec![0; 1 << 20])), ("TEXT", json!("in force"))];
    scene.workspace.configure(&values.map(|(key, value)| (key.into(), value))).await;
    let health = scene.workspace.health_of(false).await;
    assert!(error_of(&health).contains("one value may have 1048576"), "{health}");
    assert_eq!(read(&scene, "TEXT").await, "in force");
}

#[tokio::test]
async fn a_field_that_is_not_declared_cannot_be_read() {
    let scene =
        Scene::connector("hooks").config("UNDECLARED", "x").env("UNDECLARED", "y").start().await;
    assert_eq!(read(&scene, "UNDECLARED").await, Value::Null);
    assert_eq!(read(&scene, "PRIVATE_KEY").await, Value::Null);
    assert_eq!(read(&scene, "REGISTRATION_TOKEN").await, Value::Null);
}

#[tokio::test]
async fn the_workspace_goes_before_the_operator() {
    let scene = Scene::connector("hooks")
        .args(["--config", "TEXT=from the operator"])
        .unconfigured()
        .start()
        .await;
    assert_eq!(read(&scene, "TEXT").await, "from the operator");
    scene.workspace.configure(&[("TEXT".into(), "from the workspace".into())]).await;
    assert_eq!(read(&scene, "TEXT").await, "from the workspace");
}

#[tokio::test]
async fn the_environment_fills_a_field_only_where_the_operator_names_it() {
    let hidden = Scene::connector("hooks").env("TEXT", "from the environment").start().await;
    assert_eq!(read(&hidden, "TEXT").await, Value::Null);
    let named = Scene::connector("hooks")
        .env("TEXT", "from the environment")
        .args(["--config", "TEXT"])
        .start()
        .await;
    assert_eq!(read(&named, "TEXT").await, "from the environment");
}

#[tokio::test]
async fn an_env_file_fills_a_declared_field_and_keeps_what_is_ours() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("my.env");
    std::fs::write(&file, "TEXT=pa$word # as Node reads it\nUNDECLARED=x\n").expect("written");
    let file = file.to_str().expect("a path that is text").to_owned();
    let scene = Scene::connector("hooks").args(["--env-file", &file]).start().await;
    assert_eq!(read(&scene, "TEXT").await, "pa$word");
    assert_eq!(read(&scene, "UNDECLARED").await, Value::Null);
}

#[tokio::test]
async fn a_value_that_was_sealed_wrongly_is_dropped_and_health_says_so() {
    let scene = Scene::connector("hooks").unconfigured().start().await;
    let right = scene.workspace.seal().await;
    let mut wrong_issuer = right.clone();
    wrong_issuer.issuer = "elsewhere.example".into();
    let mut wrong_audience = right.clone();
    wrong_audience.audience = "another-connector".into();
    let mut weak = right.clone();
    weak.algorithm = "RSA-OAEP";
    let mut expired = right.clone();
    expired.expires = Some(SystemTime::now() - Duration::from_secs(3600));
    for seal in [wrong_issuer, wrong_audience, weak, expired] {
        let sealed = seal.seal(&json!("the-secret"));
        scene.workspace.configure_raw(json!({ "API_KEY": sealed })).await;
        let health = scene.workspace.health_of(false).await;
        assert!(error_of(&health).contains("API_KEY"), "{seal:?}: {health}");
        assert_eq!(read(&scene, "API_KEY").await, Value::Null, "{seal:?}");
    }
    scene.workspace.configure(&[("API_KEY".into(), "the-secret".into())]).await;
    scene.workspace.health_of(true).await;
    assert_ne!(read(&scene, "API_KEY").await, Value::Null);
}

#[tokio::test]
async fn one_wrong_value_does_not_take_the_others_with_it() {
    let scene = Scene::connector("hooks").unconfigured().start().await;
    let secrets = json!({"API_KEY": "no jwe", "TEXT": "plain", "NUMBER": 7});
    scene.workspace.configure_raw(secrets).await;
    assert_eq!(read(&scene, "TEXT").await, "plain");
    assert_eq!(read(&scene, "NUMBER").await, "7");
}

#[tokio::test]
async fn without_keys_a_connector_with_secrets_does_not_start_and_says_how_to_make_them() {
    let mut scene = Scene::connector("hooks").without_keys().launch();
    assert_eq!(scene.process.exit().await.code(), Some(1));
    let said = scene.process.line_with("aloma-wasm keys").await;
    assert!(said.contains("API_KEY"), "{said}");
    assert!(!scene.process.log().holds("BEGIN"), "a key was printed");
}

#[tokio::test]
async fn a_secret_that_comes_where_there_are_no_keys_is_told_by_health() {
    let scene = Scene::connector("hello").without_keys().unconfigured().start().await;
    let sealed = Seal::new(&KeyPair::shared().public, "hello").seal(&json!("the-secret"));
    scene.workspace.configure_raw(json!({ "API_KEY": sealed })).await;
    let health = scene.workspace.health_of(false).await;
    assert!(error_of(&health).contains("aloma-wasm keys"), "{health}");
    assert_eq!(scene.query(&["hello"], json!({})).await, json!({"hi": "world"}));
}

#[tokio::test]
async fn no_secret_is_ever_printed() {
    let scene = Scene::connector("hooks")
        .config("API_KEY", "the-secret")
        .args(["--log-level", "trace"])
        .start()
        .await;
    scene.workspace.health().await;
    scene.query(&["readConfig"], json!({"key": "API_KEY"})).await;
    assert!(!scene.process.log().holds("the-secret"), "{}", scene.process.log());
    assert!(!scene.process.log().holds(KeyPair::shared().private.as_str()));
}
