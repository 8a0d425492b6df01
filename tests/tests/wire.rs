//! The wire: what a workspace that knows the Node SDK sees of a connector.
//!
//! The fake workspace checks every request and packet beside; a breach fails the test at its end.

use aloma_tests::{KeyPair, Scene, error_of, workspace};
use serde_json::{Value, json};

#[tokio::test]
async fn a_connector_registers_as_the_node_sdk_does() {
    let scene = Scene::connector("hello")
        .env("CONNECTOR_ID", "1234")
        .env("HOSTNAME", "host-1")
        .env("DEPLOYMENT", "blue")
        .start()
        .await;
    let body = scene.workspace.registered().await.body;
    assert_eq!(body["id"], "1234");
    assert_eq!(body["name"], "host-1");
    assert_eq!(body["deployment"], "blue");
    assert_eq!(body["publicKey"], KeyPair::shared().public);
    assert_eq!(body["schema"]["configSchema"]["fields"], json!({}));
}

#[tokio::test]
async fn the_name_is_id_and_version_where_there_is_no_host_name() {
    let scene = Scene::connector("hello").env("CONNECTOR_ID", "1234").start().await;
    let body = scene.workspace.registered().await.body;
    let version = body["version"].as_str().expect("a version");
    assert_eq!(body["name"], format!("1234/{version}"));
}

#[tokio::test]
async fn connect_is_asked_first_and_the_key_replaces_the_token() {
    let scene = Scene::connector("hello").start().await;
    let history = scene.workspace.history();
    let seen: Vec<_> =
        history.iter().map(|r| (r.path.as_str(), r.authorization.as_str())).collect();
    let token = format!("Connector {}", workspace::TOKEN);
    let expected = [
        ("/connect", "Connector null"),
        ("/register", token.as_str()),
        ("/connect", "Connector key-1"),
        ("/transport/", "Connector key-1"),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn every_request_carries_id_and_version() {
    let scene = Scene::connector("hello").env("CONNECTOR_ID", "1234").start().await;
    let version = scene.workspace.registered().await.body["version"].clone();
    let agent = format!("1234/{}", version.as_str().expect("a version"));
    for request in scene.workspace.history() {
        assert_eq!(request.user_agent, agent, "{}", request.path);
    }
}

#[tokio::test]
async fn a_whole_session() {
    let scene = Scene::connector("hello").start().await;
    assert_eq!(scene.workspace.health().await, json!({"ok": true, "error": null}));
    let said = scene.workspace.introspect().await;
    assert_eq!(said["configSchema"]["fields"], json!({}));
    assert!(said["introspect"].as_str().expect("a text").contains("declare function hello("));
    assert_eq!(scene.query(&["hello"], json!({})).await, json!({"hi": "world"}));
}

#[tokio::test]
async fn introspection_tells_every_parameter_with_its_documentation() {
    let scene = Scene::connector("hooks").start().await;
    let said = scene.workspace.introspect().await;
    let text = said["introspect"].as_str().expect("a text");
    for part in [
        "makes a contact",
        "declare function crm.contacts.create(",
        "who the contact is",
        "name: string",
        "phone?: string",
    ] {
        assert!(text.contains(part), "the introspection lacks {part:?}: {text}");
    }
}

#[tokio::test]
async fn introspection_and_registration_say_the_same() {
    let scene = Scene::connector("users").start().await;
    let registered = scene.workspace.registered().await.body;
    assert_eq!(scene.workspace.introspect().await, registered["schema"]);
}

#[tokio::test]
async fn a_result_that_is_no_object_is_wrapped() {
    let scene = Scene::connector("hooks").start().await;
    for (value, expected) in [
        (json!({"a": 1}), json!({"a": 1})),
        (json!(42), json!({"echo": 42})),
        (json!("text"), json!({"echo": "text"})),
        (json!([1, 2]), json!({"echo": [1, 2]})),
        (json!(true), json!({"echo": true})),
    ] {
        assert_eq!(scene.query(&["echo"], json!({ "value": value })).await, expected);
    }
}

#[tokio::test]
async fn a_null_result_is_answered() {
    let scene = Scene::connector("hooks").start().await;
    assert_eq!(scene.query(&["nothing"], json!({})).await, json!({}));
}

#[tokio::test]
async fn a_dotted_name_is_found_by_its_parts_and_as_a_whole() {
    let scene = Scene::connector("hooks").start().await;
    let created = json!({"created": "Ann"});
    for path in [&["crm", "contacts", "create"][..], &["crm.contacts.create"]] {
        assert_eq!(scene.query(path, json!({"name": "Ann"})).await, created, "{path:?}");
    }
}

#[tokio::test]
async fn a_query_may_be_a_string() {
    let scene = Scene::connector("hello").start().await;
    let query = json!({"query": "hello", "variables": {}});
    let answer = scene.workspace.ask("connector.query", query).await.answer().await;
    assert_eq!(answer, json!({"hi": "world"}));
}

#[tokio::test]
async fn an_unknown_action_goes_to_the_fallback_with_its_path() {
    let scene = Scene::connector("hooks").start().await;
    let answer = scene.query(&["no", "such"], json!({"a": 1})).await;
    assert_eq!(answer["arguments"]["a"], 1, "{answer}");
    assert_eq!(answer["arguments"]["__method"], json!(["no", "such"]), "{answer}");
}

#[tokio::test]
async fn an_unknown_action_is_named_where_there_is_no_fallback() {
    let scene = Scene::connector("hello").start().await;
    let answer = scene.query(&["noSuch"], json!({})).await;
    assert!(error_of(&answer).contains("noSuch"), "{answer}");
}

#[tokio::test]
async fn the_names_that_the_platform_reserves_reach_their_hooks() {
    let scene = Scene::connector("hooks").start().await;
    for (name, hook) in [
        ("__autocomplete", "autocomplete"),
        ("__endpoint", "endpoint"),
        ("_endpoint", "endpoint"),
        ("__default", "fallback"),
    ] {
        let answer = scene.query(&[name], json!({"a": 1})).await;
        assert_eq!(answer["hook"], hook, "{name}: {answer}");
        assert_eq!(answer["arguments"]["a"], 1, "{name}: {answer}");
    }
}

#[tokio::test]
async fn a_failure_is_an_error_with_its_text() {
    let scene = Scene::connector("hooks").start().await;
    let answer = scene.query(&["fail"], json!({"message": "no \"such\" thing"})).await;
    assert_eq!(answer, json!({"error": "Error: no \"such\" thing"}));
}

#[tokio::test]
async fn arguments_that_do_not_fit_name_the_field() {
    let scene = Scene::connector("hooks").start().await;
    let answer = scene.query(&["crm", "contacts", "create"], json!({"name": 7})).await;
    assert!(error_of(&answer).contains("`name`"), "{answer}");
}

#[tokio::test]
async fn task_namespace_and_sticky_reach_the_action() {
    let scene = Scene::connector("hooks").start().await;
    let query = json!({
        "query": ["context"], "variables": {},
        "taskId": "task-1", "namespace": "ns", "sticky": "st",
    });
    let answer = scene.workspace.ask("connector.query", query).await.answer().await;
    assert_eq!(answer, json!({"taskId": "task-1", "namespace": "ns", "sticky": "st"}));
}

#[tokio::test]
async fn an_unknown_request_is_answered_with_an_error() {
    let scene = Scene::connector("hello").start().await;
    let answer = scene.workspace.ask("connector.unheard-of", json!({})).await.answer().await;
    assert_eq!(error_of(&answer), "Error: cannot handle packet");
}

#[tokio::test]
async fn garbage_is_survived_on_the_same_socket() {
    let scene = Scene::connector("hello").start().await;
    for garbage in [
        "",
        "not json",
        "null",
        "[]",
        "{}",
        r#"{"p":{}}"#,
        r#"{"p":[null,{},7,"x",[]]}"#,
        r#"{"p":[{"id":"x","m":"connector.unheard-of","a":{}}]}"#,
        r#"{"p":[{"id":"x","m":7,"c":"k"}]}"#,
        r#"{"p":[{"id":"x","m":"connector.query"}]}"#,
    ] {
        scene.workspace.send_raw(garbage).await;
    }
    assert_eq!(scene.query(&["hello"], json!({})).await, json!({"hi": "world"}));
    assert_eq!(scene.workspace.sockets(), 1);
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_not_answered() {
    let scene = Scene::connector("hello").start().await;
    scene.workspace.send_raw(r#"{"p":[{"id":"x","c":"_req-late","a":{"id":"1"}}]}"#).await;
    // Were it answered, then before this and with a key that was never asked: a breach.
    assert_eq!(scene.query(&["hello"], json!({})).await, json!({"hi": "world"}));
}

#[tokio::test]
async fn every_query_of_a_batch_is_answered() {
    let scene = Scene::connector("hooks").start().await;
    let queries: Vec<Value> =
        (0..50).map(|n| json!({"query": ["echo"], "variables": {"value": {"n": n}}})).collect();
    let asked = scene.workspace.ask_together("connector.query", &queries).await;
    for (n, asked) in asked.into_iter().enumerate() {
        assert_eq!(asked.answer().await, json!({ "n": n }));
    }
}

#[tokio::test]
async fn calls_run_side_by_side() {
    let scene = Scene::connector("hooks").start().await;
    let slow = scene.workspace.ask_query(&["sleep"], json!({"milliseconds": 600_000})).await;
    assert_eq!(scene.query(&["nothing"], json!({})).await, json!({}));
    assert!(!slow.is_answered());
}
