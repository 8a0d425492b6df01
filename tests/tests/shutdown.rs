//! The end: calls under way are finished, the workspace is told, and the exit code is 0.

use aloma_tests::{Answer, FakeApi, Gate, Scene, error_of};
use serde_json::json;

#[tokio::test]
async fn a_call_under_way_is_finished_before_the_end() {
    let (api, gate) = (FakeApi::start(), Gate::default());
    api.answers("GET", "/slow", [Answer::json(200, &json!({})).after(&gate)]);
    let mut scene = Scene::connector("hooks").allow_private(&api.origin()).start().await;
    let asked = scene.workspace.ask_query(&["send"], json!({"url": api.url("/slow")})).await;
    api.wait_for(1, scene.process.log()).await;
    scene.process.terminate();
    scene.process.line_with("finishing").await;
    gate.open();
    assert_eq!(asked.answer().await["status"], 200);
    assert_eq!(scene.process.exit().await.code(), Some(0));
    let last = scene.workspace.history().pop().expect("requests");
    assert_eq!(
        (last.path.as_str(), last.authorization.as_str()),
        ("/disconnect", "Connector key-1")
    );
}

#[tokio::test]
async fn the_workspace_is_told_on_sigterm_and_on_ctrl_c() {
    for interrupt in [false, true] {
        let mut scene = Scene::connector("hello").start().await;
        scene.workspace.health().await;
        if interrupt {
            scene.process.interrupt()
        } else {
            scene.process.terminate()
        }
        assert_eq!(scene.process.exit().await.code(), Some(0));
        assert_eq!(scene.workspace.requests("/disconnect", 1).await.len(), 1);
    }
}

#[tokio::test]
async fn a_workspace_that_is_gone_does_not_hold_up_the_end() {
    let mut scene = Scene::connector("hello").start().await;
    scene.workspace.health().await;
    scene.workspace.stop().await;
    scene.process.terminate();
    assert_eq!(scene.process.exit().await.code(), Some(0));
}

#[tokio::test]
async fn the_controller_is_told_to_stop() {
    let mut scene = Scene::connector("hooks").start().await;
    // Its instance waits for the next call then.
    scene.query(&["echo"], json!({"value": 1})).await;
    scene.process.terminate();
    scene.process.line_with("hooks: stopped, shutdown = true").await;
    assert_eq!(scene.process.exit().await.code(), Some(0));
}

#[tokio::test]
async fn calls_that_outlive_the_time_to_finish_are_answered_all_the_same() {
    let (api, gate) = (FakeApi::start(), Gate::default());
    api.answers("GET", "/slow", [Answer::json(200, &json!({})).after(&gate)]);
    let mut scene = Scene::connector("hooks")
        .allow_private(&api.origin())
        .args(["--shutdown-timeout", "1"])
        .start()
        .await;
    let query = json!({"query": ["send"], "variables": {"url": api.url("/slow")}});
    let asked = scene.workspace.ask_together("connector.query", &vec![query; 5]).await;
    api.wait_for(5, scene.process.log()).await;
    scene.process.terminate();
    scene.process.line_with("finishing").await;
    let late = scene.workspace.ask_query(&["hello"], json!({})).await;
    for asked in asked {
        let answer = asked.answer().await;
        assert!(error_of(&answer).contains("cut off"), "{answer}");
    }
    let answer = late.answer().await;
    assert!(error_of(&answer).contains("shutting down"), "{answer}");
    assert_eq!(scene.process.exit().await.code(), Some(0));
}
