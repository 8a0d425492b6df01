//! The main job: `users` in a workspace that it has never seen, against a real users API.

use aloma_tests::{Scene, error_of};
use serde_json::{Value, json};
use users_api::Server;

const KEY: &str = "the-api-key";

/// The users API of the examples, at a free port. It ends with the test.
async fn users_api() -> String {
    let any_port = (std::net::Ipv4Addr::LOCALHOST, 0).into();
    let server = Server::bind(any_port, KEY.into()).await.expect("a free port");
    let origin = server.url();
    tokio::spawn(server.run());
    origin
}

async fn start(origin: &str) -> Scene {
    Scene::connector("users")
        .config("API_KEY", KEY)
        .config("BASE_URL", origin)
        .allow_private(origin)
        .start()
        .await
}

fn ann() -> Value {
    json!({"email": "ann@example.com", "firstName": "Ann", "lastName": "Lee"})
}

#[tokio::test]
async fn a_user_is_created_at_a_real_api_with_a_sealed_key() {
    let origin = users_api().await;
    let scene = start(&origin).await;
    let introspection = scene.workspace.introspect().await;
    let text = introspection["introspect"].as_str().expect("a text");
    for action in ["createUser", "getUser", "updateUser", "listUsers", "hello"] {
        assert!(text.contains(&format!("declare function {action}(")), "{text}");
    }
    let created = scene.query(&["createUser"], ann()).await;
    assert_eq!(created["email"], "ann@example.com", "{created}");
    assert_eq!(created["status"], "active", "{created}");
    let id = created["id"].as_str().expect("an id");
    let user = scene.query(&["getUser"], json!({"userId": id})).await;
    assert_eq!(user["email"], "ann@example.com", "{user}");
}

#[tokio::test]
async fn a_user_is_changed_and_found_in_the_list() {
    let origin = users_api().await;
    let scene = start(&origin).await;
    let id = scene.query(&["createUser"], ann()).await["id"].clone();
    let changed = scene.query(&["updateUser"], json!({"userId": id, "role": "admin"})).await;
    assert_eq!(changed["role"], "admin", "{changed}");
    let listed = scene.query(&["listUsers"], json!({"role": "admin"})).await;
    assert!(listed.to_string().contains("ann@example.com"), "{listed}");
    let listed = scene.query(&["listUsers"], json!({"role": "user"})).await;
    assert!(!listed.to_string().contains("ann@example.com"), "{listed}");
}

#[tokio::test]
async fn a_user_that_is_not_there_is_told() {
    let origin = users_api().await;
    let scene = start(&origin).await;
    let answer = scene.query(&["getUser"], json!({"userId": "nobody"})).await;
    assert!(error_of(&answer).to_lowercase().contains("user not found"), "{answer}");
}

#[tokio::test]
async fn a_missing_argument_is_named_and_nothing_is_sent() {
    let origin = users_api().await;
    let scene = start(&origin).await;
    let answer = scene.query(&["createUser"], json!({"firstName": "Ann", "lastName": "Lee"})).await;
    assert!(error_of(&answer).contains("email"), "{answer}");
}

#[tokio::test]
async fn a_wrong_key_is_the_apis_refusal() {
    let origin = users_api().await;
    let scene = Scene::connector("users")
        .config("API_KEY", "wrong")
        .config("BASE_URL", origin.as_str())
        .allow_private(&origin)
        .start()
        .await;
    let answer = scene.query(&["createUser"], ann()).await;
    assert!(error_of(&answer).contains("401"), "{answer}");
}
