//! The link comes back, and loses nothing on the way.

use std::time::Duration;

use aloma_tests::{Answer, FakeApi, Gate, Scene};
use serde_json::json;

/// A scene with a call that waits at an API until the gate opens.
struct Waiting {
    api: FakeApi,
    gate: Gate,
    scene: Scene,
}

impl Waiting {
    async fn start() -> Self {
        let (api, gate) = (FakeApi::start(), Gate::default());
        let answer = Answer::json(200, &json!({"late": true})).after(&gate);
        api.answers("GET", "/slow", [answer]);
        let scene = Scene::connector("hooks").allow_private(&api.origin()).start().await;
        Self { api, gate, scene }
    }
}

#[tokio::test]
async fn a_workspace_killed_during_a_call_gets_the_reply_when_it_is_back() {
    let Waiting { api, gate, mut scene } = Waiting::start().await;
    let asked = scene.workspace.ask_query(&["send"], json!({"url": api.url("/slow")})).await;
    api.wait_for(1, scene.process.log()).await;
    scene.workspace.stop().await;
    gate.open();
    scene.workspace.restart().await;
    let answer = asked.answer().await;
    assert_eq!(answer["status"], 200, "{answer}");
}

#[tokio::test]
async fn many_replies_survive_a_dropped_socket() {
    let Waiting { api, gate, scene } = Waiting::start().await;
    let query = json!({"query": ["send"], "variables": {"url": api.url("/slow")}});
    let asked = scene.workspace.ask_together("connector.query", &vec![query; 20]).await;
    api.wait_for(20, scene.process.log()).await;
    gate.open();
    scene.workspace.drop_socket().await;
    for asked in asked {
        assert_eq!(asked.answer().await["status"], 200);
    }
}

#[tokio::test]
async fn a_dropped_socket_is_opened_again_with_the_same_key() {
    let scene = Scene::connector("hello").start().await;
    scene.workspace.drop_socket().await;
    scene.workspace.connected().await;
    assert_eq!(scene.query(&["hello"], json!({})).await, json!({"hi": "world"}));
    assert_eq!(scene.workspace.requests("/register", 1).await.len(), 1);
    assert_eq!(scene.workspace.requests("/connect", 3).await.len(), 3);
}

#[tokio::test]
async fn a_socket_closed_in_the_polite_way_is_opened_again() {
    let scene = Scene::connector("hello").start().await;
    scene.workspace.close_socket().await;
    scene.workspace.connected().await;
    assert_eq!(scene.query(&["hello"], json!({})).await, json!({"hi": "world"}));
}

#[tokio::test]
async fn the_old_configuration_stays_in_force() {
    let scene = Scene::connector("hooks").config("TEXT", "kept").start().await;
    scene.workspace.health().await;
    scene.workspace.drop_socket().await;
    let answer = scene.query(&["readConfig"], json!({"key": "TEXT"})).await;
    assert_eq!(answer, json!({"value": "kept"}));
}

#[tokio::test]
async fn a_key_that_is_no_longer_known_leads_to_a_new_registration() {
    let scene = Scene::connector("hello").start().await;
    scene.workspace.forget_key();
    scene.workspace.drop_socket().await;
    assert_eq!(scene.workspace.requests("/register", 2).await.len(), 2);
    assert_eq!(scene.query(&["hello"], json!({})).await, json!({"hi": "world"}));
}

#[tokio::test]
async fn a_refused_token_is_said_and_tried_again_slower_and_slower() {
    let scene = Scene::connector("hello")
        .workspace(|workspace| workspace.behave(|rules| rules.refuse_tokens = true))
        .launch();
    scene.process.line_with("REGISTRATION_TOKEN").await;
    let tries = scene.workspace.requests("/register", 3).await;
    let pauses: Vec<_> = tries.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(pauses[0] >= Duration::from_millis(500), "{pauses:?}");
    assert!(pauses[1] > pauses[0], "{pauses:?}");
    scene.workspace.behave(|rules| rules.refuse_tokens = false);
    scene.workspace.connected().await;
}

#[tokio::test]
async fn a_workspace_that_is_not_there_yet_is_found_later() {
    let mut scene = Scene::connector("hello").without_workspace().await.launch();
    scene.process.line_with("not connected to the workspace").await;
    scene.workspace.restart().await;
    scene.workspace.connected().await;
}

#[tokio::test]
async fn a_socket_without_the_subprotocol_is_not_taken() {
    let scene = Scene::connector("hello")
        .workspace(|workspace| workspace.behave(|rules| rules.forget_subprotocol = true))
        .launch();
    scene.process.line_with("subprotocol").await;
    scene.workspace.behave(|rules| rules.forget_subprotocol = false);
    assert_eq!(scene.query(&["hello"], json!({})).await, json!({"hi": "world"}));
}
