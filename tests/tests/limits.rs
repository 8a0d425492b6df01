//! Limits at their edges. Guests that misbehave outright are in `misbehaving`.

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
