//! Limits: a guest that misbehaves gets a clear error, and nobody else notices.

use aloma_tests::{Scene, error_of};
use serde_json::{Value, json};

/// The call fails with these words, and the next one works.
async fn fails(scene: &Scene, action: &str, arguments: Value, says: &[&str]) {
    let answer = scene.query(&[action], arguments).await;
    for text in says {
        assert!(error_of(&answer).contains(text), "{action}: no {text:?} in {answer}");
    }
    assert_eq!(scene.query(&["behave"], json!({})).await, json!({"well": true}), "after {action}");
}

#[tokio::test]
async fn a_guest_that_spins_is_stopped() {
    let scene = Scene::connector("rude").args(["--call-timeout", "1"]).start().await;
    fails(&scene, "spin", json!({}), &["1s", "--call-timeout"]).await;
}

#[tokio::test]
async fn a_guest_that_spins_keeps_nobody_waiting() {
    let scene = Scene::connector("rude").start().await;
    let spinning: Vec<_> = vec![json!({"query": ["spin"], "variables": {}}); 4];
    let spinning = scene.workspace.ask_together("connector.query", &spinning).await;
    assert_eq!(scene.query(&["behave"], json!({})).await, json!({"well": true}));
    assert!(spinning.iter().all(|asked| !asked.is_answered()));
}

#[tokio::test]
async fn a_guest_that_waits_too_long_is_stopped() {
    let scene = Scene::connector("hooks").args(["--call-timeout", "1"]).start().await;
    let answer = scene.query(&["sleep"], json!({"milliseconds": 600_000})).await;
    assert!(error_of(&answer).contains("--call-timeout"), "{answer}");
}

#[tokio::test]
async fn a_guest_that_takes_all_memory_is_stopped() {
    let scene = Scene::connector("rude").start().await;
    fails(&scene, "hog", json!({}), &["memory", "128 MiB", "--memory"]).await;
}

#[tokio::test]
async fn a_guest_that_calls_itself_without_end_is_stopped() {
    let scene = Scene::connector("rude").start().await;
    fails(&scene, "recurse", json!({}), &["crashed", "recursion"]).await;
}

#[tokio::test]
async fn a_panic_is_told_to_the_caller_and_logged_for_the_operator() {
    let scene = Scene::connector("rude").start().await;
    fails(&scene, "panic", json!({}), &["crashed"]).await;
    scene.process.line_with("rude: on purpose").await;
}

#[tokio::test]
async fn a_guest_that_exits_ends_only_its_own_call() {
    let scene = Scene::connector("rude").start().await;
    fails(&scene, "exit", json!({}), &["crashed"]).await;
}

#[tokio::test]
async fn a_result_that_is_too_large_or_too_deep_is_refused() {
    let scene = Scene::connector("rude").start().await;
    fails(&scene, "large", json!({"count": 17 << 20}), &["16 MiB"]).await;
    fails(&scene, "nested", json!({"count": 200}), &["128"]).await;
}

#[tokio::test]
async fn a_flood_of_lines_is_cut_off_and_said_so() {
    let scene = Scene::connector("rude").start().await;
    for (action, last, beyond) in [
        ("flood", "rude: line 998", "rude: line 4999"),
        ("print", "rude: printed 998", "rude: printed 4999"),
    ] {
        assert_eq!(scene.query(&[action], json!({"count": 5000})).await, json!({}));
        scene.process.line_with(last).await;
        scene.process.line_with("suppressed").await;
        assert!(!scene.process.log().holds(beyond), "{action}");
    }
}

#[tokio::test]
async fn a_guest_sees_no_file_no_variable_and_no_socket() {
    let scene = Scene::connector("rude").start().await;
    let answer = scene.query(&["snoop"], json!({})).await;
    assert_eq!(answer, json!({"files": 0, "variables": [], "connected": false}));
}
