//! Tasks and blobs: what a controller asks of its workspace.

use aloma_tests::{Scene, error_of, guest};
use serde_json::json;

#[tokio::test]
async fn a_task_is_made_and_updated() {
    let scene = Scene::connector("hooks").start().await;
    scene.workspace.respond("connector.task.new", |_| json!({"id": "task-1"}));
    scene.workspace.respond("connector.task.update", |_| json!({"ok": true}));
    let made = scene.query(&["newTask"], json!({"name": "n", "data": {"a": [1]}})).await;
    assert_eq!(made, json!({"id": "task-1"}));
    let updated = scene.query(&["updateTask"], json!({"id": "task-1", "data": {"b": 2}})).await;
    assert_eq!(updated, json!({"ok": true}));
    assert_eq!(
        scene.workspace.next("connector.task.new").await,
        json!({"name": "n", "a": {"a": [1]}})
    );
    let update = scene.workspace.next("connector.task.update").await;
    assert_eq!(update, json!({"id": "task-1", "a": {"b": 2}}));
}

#[tokio::test]
async fn a_file_is_stored_with_all_that_is_known_of_it() {
    let scene = Scene::connector("hooks").start().await;
    scene.workspace.respond("connector.blob.create", |_| json!({"id": "blob-1"}));
    let stored = scene.query(&["storeFile"], json!({"text": "hello", "name": "a.txt"})).await;
    assert_eq!(stored, json!({"id": "blob-1"}));
    let packet = scene.workspace.next("connector.blob.create").await;
    assert_eq!(packet["content"], "aGVsbG8=");
    assert_eq!(packet["name"], "a.txt");
    assert_eq!(packet["mimetype"], "text/plain");
    assert_eq!(packet["size"], 5);
}

#[tokio::test]
async fn a_file_that_the_host_has_no_room_for_is_not_stored() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("connector.toml");
    let component = guest("hooks");
    let settings = format!("component = '{}'\n[limits]\nheld-mib = 1\n", component.display());
    std::fs::write(&file, settings).expect("a file");
    let scene = Scene::file(&file).start().await;
    scene.workspace.respond("connector.blob.create", |_| json!({"id": "blob-1"}));
    let sized = |bytes: usize| json!({"text": "x".repeat(bytes), "name": "a.txt"});
    let refused = scene.query(&["storeFile"], sized(300 << 10)).await;
    assert!(error_of(&refused).contains("held-mib"), "{refused}");
    let stored = scene.query(&["storeFile"], sized(200 << 10)).await;
    assert_eq!(stored, json!({"id": "blob-1"}));
}

#[tokio::test]
async fn names_that_are_no_names_are_not_sent() {
    let scene = Scene::connector("hooks").start().await;
    scene.workspace.respond("connector.task.new", |_| json!({"id": "task-1"}));
    for (length, fits) in [(16 << 10, true), ((16 << 10) + 1, false)] {
        let task = json!({"name": "n".repeat(length), "data": {}});
        let answer = scene.query(&["newTask"], task).await;
        if fits {
            assert_eq!(answer, json!({"id": "task-1"}));
        } else {
            assert!(error_of(&answer).contains("name: it is longer than 16 KiB"), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_file_is_read() {
    let scene = Scene::connector("hooks").start().await;
    scene.workspace.respond("connector.blob.get", |arguments| {
        json!({"id": arguments["id"], "name": "a.txt", "size": 5, "mimetype": "text/plain"})
    });
    scene.workspace.respond("connector.blob.get-content", |_| json!({"content": "aGVsbG8="}));
    let file = scene.query(&["readFile"], json!({"id": "blob-1"})).await;
    assert_eq!(file, json!({"id": "blob-1", "name": "a.txt", "size": 5, "text": "hello"}));
}

#[tokio::test]
async fn a_refusal_of_the_workspace_is_the_actions_failure() {
    let scene = Scene::connector("hooks").start().await;
    scene.workspace.respond("connector.task.new", |_| json!({"error": "no such queue"}));
    let answer = scene.query(&["newTask"], json!({"name": "n", "data": {}})).await;
    assert!(error_of(&answer).contains("no such queue"), "{answer}");
}
