//! The actions against a fake API.

use super::*;
use aloma_connector::http::Error;
use aloma_connector::testing::{Host, Reply, Request};
use serde_json::{Value, json};

const ADA: &str =
    r#"{"id":"u1","email":"ada@example.com","first_name":"Ada","created_at":"2026-01-02"}"#;

fn host(api: impl FnMut(&Request) -> Reply + 'static) -> Host {
    Host::new().config("API_KEY", "k").http(api)
}

fn ada(_: &Request) -> Reply {
    Reply::bytes(200, ADA)
}

fn the_request(host: &Host) -> Request {
    let [request] = &host.requests()[..] else { panic!("one request is expected") };
    assert_eq!(request.header("Authorization"), Some("Bearer k"));
    request.clone()
}

#[test]
fn a_user_is_created() {
    let host = host(|_| Reply::bytes(201, ADA));
    let user = json!({"email": "ada@example.com", "firstName": "Ada", "lastName": "Lovelace"});
    let answer = host.call::<Users>("createUser", user);

    let created = json!({
        "id": "u1", "email": "ada@example.com", "created": "2026-01-02", "status": "active",
    });
    assert_eq!(answer, Ok(created));
    let request = the_request(&host);
    assert_eq!(request.line(), "POST https://api.example.com/users");
    assert_eq!(request.header("Content-Type"), Some("application/json"));
    let sent = json!({
        "email": "ada@example.com", "firstName": "Ada", "lastName": "Lovelace", "role": "user",
    });
    assert_eq!(request.json(), sent);
}

#[test]
fn a_user_is_read_whole() {
    let host = host(ada);
    let answer = host.call::<Users>("getUser", json!({"userId": "u1"}));
    assert_eq!(answer, Ok(serde_json::from_str::<Value>(ADA).expect("JSON")));
    assert_eq!(the_request(&host).line(), "GET https://api.example.com/users/u1");
}

#[test]
fn only_what_is_given_is_changed() {
    let host = host(ada);
    let change = json!({"userId": "u1", "firstName": "Ada", "status": "inactive"});
    host.call::<Users>("updateUser", change).expect("a user");
    let request = the_request(&host);
    assert_eq!(request.line(), "PATCH https://api.example.com/users/u1");
    assert_eq!(request.json(), json!({"first_name": "Ada", "status": "inactive"}));
}

#[test]
fn filters_go_into_the_query() {
    let cases = [
        (json!({}), ""),
        (json!({"role": "admin", "limit": 2}), "?role=admin&limit=2"),
        (json!({"status": "on leave", "offset": 4}), "?status=on+leave&offset=4"),
    ];
    for (filter, query) in cases {
        let host = host(|_| Reply::bytes(200, format!("[{ADA}]")));
        let answer = host.call::<Users>("listUsers", filter).expect("a list");
        assert_eq!(answer[0]["id"], "u1");
        let expected = format!("GET https://api.example.com/users{query}");
        assert_eq!(the_request(&host).line(), expected);
    }
}

#[test]
fn a_missing_user_is_told() {
    for (action, arguments) in
        [("getUser", json!({"userId": "u9"})), ("updateUser", json!({"userId": "u9"}))]
    {
        let host = host(|_| Reply::json(404, json!({"error": "gone"})));
        let error = host.call::<Users>(action, arguments).expect_err("no such user");
        assert_eq!((error.code(), error.message()), ("user-not-found", "user not found: u9"));
    }
}

#[test]
fn an_id_cannot_lead_elsewhere() {
    let host = host(ada);
    host.call::<Users>("getUser", json!({"userId": "../admin?x"})).expect("a user");
    let expected = "GET https://api.example.com/users/..%2Fadmin%3Fx";
    assert_eq!(the_request(&host).line(), expected);
    let error = host.call::<Users>("getUser", json!({"userId": ".."})).expect_err("no id");
    assert_eq!(error.code(), "http-invalid-request");
}

#[test]
fn the_base_url_comes_from_the_configuration() {
    let host = host(ada).config("BASE_URL", "http://127.0.0.1:8080/v1/");
    host.call::<Users>("getUser", json!({"userId": "u1"})).expect("a user");
    assert_eq!(the_request(&host).url, "http://127.0.0.1:8080/v1/users/u1");
}

#[test]
fn without_a_key_nothing_is_sent() {
    let host = Host::new().http(ada);
    let error = host.call::<Users>("getUser", json!({"userId": "u1"})).expect_err("no key");
    assert_eq!(error.message(), "the configuration field `API_KEY` is not set");
    assert!(host.requests().is_empty());
}

#[test]
fn what_the_api_refuses_keeps_its_status() {
    let host = host(|_| Reply::json(422, json!({"error": "email is taken"})));
    let user = json!({"email": "ada@example.com", "firstName": "Ada", "lastName": "Lovelace"});
    let error = host.call::<Users>("createUser", user).expect_err("a refusal");
    assert_eq!(error.message(), "POST https://api.example.com/users answered 422");
    assert_eq!(error.details().map(|detail| &detail["status"]), Some(&json!(422)));
    assert!(!error.is_retryable());
}

#[test]
fn a_time_limit_may_be_tried_again() {
    let host = host(|_| Reply::error(Error::Timeout("no answer in 30 s".into())));
    let error = host.call::<Users>("listUsers", json!({})).expect_err("no answer");
    assert!(error.is_retryable());
}

#[test]
fn every_action_and_argument_is_documented() {
    let manifest = Host::new().describe::<Users>();
    let names: Vec<&str> = manifest.actions.iter().map(|action| &*action.name).collect();
    assert_eq!(names, ["createUser", "getUser", "updateUser", "listUsers", "hello"]);
    for action in &manifest.actions {
        assert!(!action.description.is_empty(), "{}", action.name);
        let properties = action.arguments["properties"].as_object().expect("an object's schema");
        for (name, schema) in properties {
            assert!(schema["description"].is_string(), "{}: {name}", action.name);
        }
    }
    let update = manifest.action("updateUser").expect("the action");
    assert!(update.arguments["properties"]["firstName"].is_object());
    assert_eq!(update.arguments["required"], json!(["userId"]));
    assert!(!manifest.field("API_KEY").expect("the key").plain);
    assert!(manifest.field("BASE_URL").expect("the base URL").plain);
}
