//! Health: whatever keeps a connector from working is told to the workspace.

use aloma_tests::{Answer, FakeApi, Gate, Scene, error_of};
use serde_json::json;

#[tokio::test]
async fn a_connector_that_is_well_says_so_after_each_configuration() {
    let scene = Scene::connector("hooks").start().await;
    assert_eq!(scene.workspace.health().await, json!({"ok": true, "error": null}));
    scene.workspace.configure(&[]).await;
    assert_eq!(scene.workspace.health().await, json!({"ok": true, "error": null}));
}

#[tokio::test]
async fn a_failed_start_is_reported_and_healed_by_the_next_configuration() {
    let scene = Scene::connector("hooks").config("FAIL_START", "the db is away").start().await;
    let health = scene.workspace.health_of(false).await;
    assert!(error_of(&health).contains("the db is away"), "{health}");
    let answer = scene.query(&["nothing"], json!({})).await;
    assert!(error_of(&answer).contains("the db is away"), "{answer}");
    scene.workspace.configure(&[]).await;
    scene.workspace.health_of(true).await;
    assert_eq!(scene.query(&["nothing"], json!({})).await, json!({}));
}

#[tokio::test]
async fn health_check_and_configuration_check_are_both_told() {
    let scene = Scene::connector("hooks")
        .config("UNWELL", "feeling poorly")
        .config("BAD_CONFIG", "the url is odd")
        .start()
        .await;
    let health = scene.workspace.health_of(false).await;
    let lines: Vec<_> = error_of(&health).lines().collect();
    assert!(lines.iter().any(|line| line.contains("feeling poorly")), "{health}");
    assert!(lines.iter().any(|line| line.contains("the url is odd")), "{health}");
}

#[tokio::test]
async fn a_required_field_without_a_value_is_named() {
    let scene = Scene::connector("users").start().await;
    let health = scene.workspace.health_of(false).await;
    assert!(error_of(&health).contains("Configuration: "), "{health}");
    assert!(error_of(&health).contains(" is required"), "{health}");
}

#[tokio::test]
async fn a_busy_connector_still_tells_its_health() {
    let (api, gate) = (FakeApi::start(), Gate::default());
    api.answers("GET", "/slow", [Answer::json(200, &json!({})).after(&gate)]);
    let scene = Scene::connector("hooks")
        .allow_private(&api.origin())
        .args(["--concurrency", "1"])
        .start()
        .await;
    scene.workspace.health_of(true).await;
    let asked = scene.workspace.ask_query(&["send"], json!({"url": api.url("/slow")})).await;
    api.wait_for(1, scene.process.log()).await;
    scene.workspace.configure(&[("UNWELL".into(), "feeling poorly".into())]).await;
    let health = scene.workspace.health_of(false).await;
    assert!(error_of(&health).contains("feeling poorly"), "{health}");
    gate.open();
    assert_eq!(asked.answer().await["status"], 200);
}
