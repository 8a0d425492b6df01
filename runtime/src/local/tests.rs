//! The local workspace at its edge: a small connector on a real socket on one side, the API on the other.

mod scene;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use self::scene::{PATIENCE, Scene, said};
use crate::events::{Decision, Event, LogLine, RequestRecord};
use crate::manifest::{Action, Manifest};
use crate::workspace::keys::KeyPair;
use crate::workspace::sealing;

const CANARY: &str = "canary-7f3e-do-not-store-me";

fn manifest() -> Manifest {
    let action = Action {
        name: "createUser".into(),
        description: "Creates a user.".into(),
        arguments: json!({"type": "object", "properties": {"name": {"type": "string"}}}),
        result: None,
        hints: Default::default(),
    };
    Manifest {
        id: Some("hosted".into()),
        name: "users".into(),
        version: "1.0.0".into(),
        summary: Some("Users.".into()),
        description: None,
        icon: None,
        fields: vec![],
        oauth: None,
        endpoint: None,
        asks: vec![],
        credentials: vec![],
        actions: vec![action],
    }
}

fn no_fields() -> Value {
    json!({"fields": {}})
}

fn some_fields() -> Value {
    json!({"fields": {
        "host": {"name": "Host", "type": "line", "plain": true},
        "port": {"name": "Port", "type": "number", "plain": true, "optional": true},
        "apiKey": {"name": "API key", "type": "line"},
    }})
}

#[tokio::test]
async fn a_connector_registers_connects_and_is_configured_and_introspected() {
    let scene = Scene::start().await;
    let connector = scene.join("1234", no_fields(), None).await;
    assert_eq!(connector.key.len(), 32);
    let named = |shown: &Value| shown["actions"][0]["name"] == "hello";
    let shown = scene.until("api/connectors/1234", named).await;
    assert_eq!((&shown["connected"], &shown["health"]), (&json!(true), &Value::Null));
    assert_eq!(shown["actions"][0]["description"], "says hello");
}

#[tokio::test]
async fn who_has_not_registered_is_told_401() {
    let scene = Scene::start().await;
    let body = json!({"id": "1234", "schema": {}});
    assert_eq!(scene.device("connect", "null", json!({})).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(scene.device("register", "wrong", body).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(scene.device("disconnect", "wrong", json!({})).await.0, StatusCode::UNAUTHORIZED);
    let refused = scene.socket("wrong", Some("connector")).await.expect_err("refused");
    assert!(refused.contains("401"), "{refused}");
}

#[tokio::test]
async fn a_socket_without_the_subprotocol_is_refused() {
    let scene = Scene::start().await;
    let key = scene.register("1234", no_fields(), None).await;
    let refused = scene.socket(&key, None).await.expect_err("refused");
    assert!(refused.contains("400"), "{refused}");
}

#[tokio::test]
async fn the_page_token_does_not_register() {
    let scene = Scene::start().await;
    let (status, _) = scene.device("register", &scene.token, json!({"id": "1234"})).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_newer_socket_replaces_the_older_one() {
    let scene = Scene::start().await;
    let mut older = scene.join("1234", no_fields(), None).await;
    let mut newer = scene.connect(older.key.clone()).await;
    newer.greeted(no_fields()).await;
    assert_eq!(tokio::time::timeout(PATIENCE, older.packet()).await.expect("closed"), None);
    assert_eq!(scene.get("api/connectors/1234").await["connected"], true);
}

#[tokio::test]
async fn who_disconnects_must_register_again() {
    let scene = Scene::start().await;
    let mut connector = scene.join("1234", no_fields(), None).await;
    assert_eq!(scene.device("disconnect", &connector.key, json!({})).await.0, StatusCode::OK);
    assert_eq!(tokio::time::timeout(PATIENCE, connector.packet()).await.expect("closed"), None);
    let (status, _) = scene.device("connect", &connector.key, json!({})).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    scene.until("api/connectors/1234", |shown| shown["connected"] == false).await;
}

#[tokio::test]
async fn a_secret_is_sealed_for_its_connector_and_never_stored_or_shown() {
    let scene = Scene::start().await;
    let keys = KeyPair::generate().expect("keys");
    let mut connector = scene.join("1234", some_fields(), Some(&keys)).await;
    let (status, shown) =
        scene.configure("1234", json!({"host": "example.com", "apiKey": CANARY})).await;
    assert_eq!(status, StatusCode::OK, "{shown}");
    assert!(!shown.to_string().contains(CANARY), "{shown}");
    assert_eq!(
        (&shown["fields"][0]["value"], &shown["fields"][2]["set"]),
        (&json!("example.com"), &json!(true))
    );

    let secrets = connector.secrets().await;
    assert_eq!(secrets["host"], "example.com");
    let sealed = secrets["apiKey"].as_str().expect("a JWE");
    let opened = open(&keys, sealed, "1234").expect("it opens");
    assert_eq!(opened, CANARY);
    assert!(!scene.holds(CANARY));
    assert!(scene.holds("example.com"), "the search finds what is stored");
}

fn open(keys: &KeyPair, sealed: &str, audience: &str) -> Option<String> {
    let unsealed = keys.open(sealed, audience, std::time::SystemTime::now()).ok()?;
    Some(unsealed.into_text()?.expose_secret().to_owned())
}

#[tokio::test]
async fn the_configuration_comes_again_with_every_socket_and_after_a_restart() {
    let scene = Scene::start().await;
    let mut connector = scene.join("1234", some_fields(), None).await;
    scene.configure("1234", json!({"host": "example.com", "port": 0})).await;
    let wanted = json!({"host": "example.com", "port": 0});
    assert_eq!(connector.secrets().await, wanted);
    let mut again = scene.connect(connector.key.clone()).await;
    assert_eq!(again.greeted(some_fields()).await, wanted);

    let scene = Scene::start_in(scene.stop().await).await;
    let (status, _) = scene.device("connect", &again.key, json!({})).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "a key lives as long as the process");
    let key = scene.register("1234", some_fields(), None).await;
    assert_eq!(scene.connect(key).await.greeted(some_fields()).await, wanted);
}

#[tokio::test]
async fn null_removes_a_value() {
    let scene = Scene::start().await;
    let mut connector = scene.join("1234", some_fields(), None).await;
    scene.configure("1234", json!({"host": "example.com", "port": 1})).await;
    connector.secrets().await;
    scene.configure("1234", json!({"host": null})).await;
    assert_eq!(connector.secrets().await, json!({"port": 1}));
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_refused_by_name() {
    let scene = Scene::start().await;
    scene.join("1234", some_fields(), None).await;
    for (values, field) in [
        (json!({"host": 1}), "host"),
        (json!({"port": "80"}), "port"),
        (json!({"host": "example.com", "hots": "x"}), "hots"),
    ] {
        let (status, answer) = scene.configure("1234", values.clone()).await;
        assert_eq!(
            (status, &answer["field"]),
            (StatusCode::BAD_REQUEST, &json!(field)),
            "{values}"
        );
        assert!(answer["error"].as_str().expect("a text").contains(field), "{answer}");
    }
    let shown = scene.get("api/connectors/1234").await;
    assert_eq!(shown["fields"][0]["set"], false, "nothing of a refused form is kept");
    assert_eq!(scene.configure("1234", json!(["x"])).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(scene.configure("4321", json!({})).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_secret_for_a_connector_without_a_key_is_refused() {
    let scene = Scene::start().await;
    scene.join("1234", some_fields(), None).await;
    let (status, answer) = scene.configure("1234", json!({"apiKey": CANARY})).await;
    assert_eq!((status, &answer["field"]), (StatusCode::CONFLICT, &json!("apiKey")));
    assert!(!scene.holds(CANARY));
}

#[tokio::test]
async fn a_changed_key_makes_sealed_values_to_be_entered_again() {
    let scene = Scene::start().await;
    let keys = KeyPair::generate().expect("keys");
    let mut connector = scene.join("1234", some_fields(), Some(&keys)).await;
    scene.configure("1234", json!({"host": "example.com", "apiKey": "x"})).await;
    connector.secrets().await;

    let other = KeyPair::generate().expect("keys");
    let key = scene.register("1234", some_fields(), Some(&other)).await;
    let secrets = scene.connect(key).await.greeted(some_fields()).await;
    assert_eq!(secrets, json!({"host": "example.com"}));
    let shown = scene.get("api/connectors/1234").await;
    assert_eq!(
        (&shown["fields"][2]["set"], &shown["fields"][2]["enterAgain"]),
        (&json!(false), &json!(true))
    );
}

#[tokio::test]
async fn a_field_that_becomes_secret_loses_its_plain_value() {
    let scene = Scene::start().await;
    let mut connector = scene.join("1234", some_fields(), None).await;
    scene.configure("1234", json!({"host": CANARY})).await;
    connector.secrets().await;
    let sealed = json!({"fields": {"host": {"type": "line"}}});
    let key = scene.register("1234", sealed.clone(), None).await;
    assert_eq!(scene.connect(key).await.greeted(sealed).await, json!({}));
    assert_eq!(scene.get("api/connectors/1234").await["fields"][0]["enterAgain"], true);
}

#[tokio::test]
async fn a_call_is_answered() {
    let scene = Scene::start().await;
    let mut connector = scene.join("1234", no_fields(), None).await;
    let order = json!({"action": "crm.hello", "arguments": {"name": "Ann"}, "taskId": "t"});
    let call = scene.call("1234", order);
    let query = connector.query().await;
    let wanted = json!({"query": ["crm.hello"], "variables": {"name": "Ann"}, "taskId": "t"});
    assert_eq!(query["a"], wanted);
    connector.answer(&query, json!({"hi": "Ann"})).await;
    let (status, answer) = call.await.expect("an answer");
    assert_eq!((status, &answer["result"]), (StatusCode::OK, &json!({"hi": "Ann"})));
    assert_eq!(answer["call"], query["c"], "the call's id is the key of its packet");

    let calls = scene.get("api/connectors/1234/calls").await;
    let latest = &calls["calls"][0];
    assert_eq!((&latest["call"], &latest["state"]), (&query["c"], &json!("ok")));
    assert_eq!(latest["arguments"], json!({"name": "Ann"}));
}

#[tokio::test]
async fn calls_under_way_do_not_wait_for_each_other() {
    let scene = Scene::start().await;
    let mut connector = scene.join("1234", no_fields(), None).await;
    let first = scene.call("1234", json!({"action": "first"}));
    let first_query = connector.query().await;
    let second = scene.call("1234", json!({"action": "second"}));
    let second_query = connector.query().await;
    connector.answer(&second_query, json!({"n": 2})).await;
    assert_eq!(second.await.expect("an answer").1["result"], json!({"n": 2}));
    connector.answer(&first_query, json!({"n": 1})).await;
    assert_eq!(first.await.expect("an answer").1["result"], json!({"n": 1}));
}

#[tokio::test]
async fn a_failed_call_tells_the_error() {
    let scene = Scene::start().await;
    let mut connector = scene.join("1234", no_fields(), None).await;
    let call = scene.call("1234", json!({"action": "hello"}));
    let query = connector.query().await;
    connector.answer(&query, json!({"error": format!("TypeError: {CANARY}")})).await;
    let (status, answer) = call.await.expect("an answer");
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer["error"], format!("TypeError: {CANARY}"));
    assert_eq!(answer["call"], query["c"]);
    let calls = scene.get("api/connectors/1234/calls").await;
    assert_eq!(calls["calls"][0]["error"], answer["error"]);
    assert!(!scene.holds(CANARY), "what was said in a call is not stored");
}

#[tokio::test]
async fn a_call_without_an_answer_ends_in_time() {
    let scene = Scene::start().await;
    let mut connector = scene.join("1234", no_fields(), None).await;
    let call = scene.call("1234", json!({"action": "hello", "timeoutMs": 30}));
    let query = connector.query().await;
    let (status, answer) = call.await.expect("an answer");
    assert_eq!((status, &answer["call"]), (StatusCode::GATEWAY_TIMEOUT, &query["c"]));
    // Nobody answers an answer, also a late one: the next packet is that of the next call.
    connector.answer(&query, json!({})).await;
    let call = scene.call("1234", json!({"action": "again"}));
    let query = connector.query().await;
    connector.answer(&query, json!({})).await;
    assert_eq!(call.await.expect("an answer").0, StatusCode::OK);
}

#[tokio::test]
async fn an_answer_may_come_on_a_later_socket() {
    let scene = Scene::start().await;
    let mut connector = scene.join("1234", no_fields(), None).await;
    let call = scene.call("1234", json!({"action": "hello"}));
    let query = connector.query().await;
    let key = connector.key.clone();
    drop(connector);
    scene.until("api/connectors/1234", |shown| shown["connected"] == false).await;
    let mut again = scene.connect(key).await;
    again.greeted(no_fields()).await;
    again.answer(&query, json!({"hi": "again"})).await;
    let (status, answer) = call.await.expect("an answer");
    assert_eq!((status, &answer["result"]), (StatusCode::OK, &json!({"hi": "again"})));
}

#[tokio::test]
async fn a_connector_cannot_answer_for_another() {
    let scene = Scene::start().await;
    let mut connector = scene.join("1234", no_fields(), None).await;
    let mut other = scene.join("4321", no_fields(), None).await;
    let call = scene.call("1234", json!({"action": "hello"}));
    let query = connector.query().await;
    other.answer(&query, json!({"forged": true})).await;
    // Its next request is answered after the forged answer was read.
    other.ask("connector.blob.get", json!({"id": "x"})).await;
    connector.answer(&query, json!({"hi": "world"})).await;
    assert_eq!(call.await.expect("an answer").1["result"], json!({"hi": "world"}));
}

#[tokio::test]
async fn what_cannot_be_called_says_why() {
    let scene = Scene::start().await;
    scene.register("away", no_fields(), None).await;
    let _here = scene.join("1234", no_fields(), None).await;
    for (id, order, status) in [
        ("4321", json!({"action": "hello"}), StatusCode::NOT_FOUND),
        ("away", json!({"action": "hello"}), StatusCode::CONFLICT),
        ("1234", json!({"action": ""}), StatusCode::BAD_REQUEST),
        ("1234", json!({"arguments": {}}), StatusCode::BAD_REQUEST),
        ("1234", json!({"action": "hello", "arguments": [1]}), StatusCode::BAD_REQUEST),
        ("1234", json!({"action": "hello", "argument": {}}), StatusCode::BAD_REQUEST),
    ] {
        let (got, answer) = scene.call(id, order.clone()).await.expect("an answer");
        assert_eq!(got, status, "{order}");
        assert!(answer["error"].is_string(), "{order}: {answer}");
    }
}

#[tokio::test]
async fn a_batch_with_strays_is_read_around_them() {
    let scene = Scene::start().await;
    let mut connector = scene.join("1234", no_fields(), None).await;
    connector.socket.send(Message::text("not json")).await.expect("sent");
    let health =
        json!({"m": "connector.health.check", "a": {"ok": false, "error": "unwell\nlines"}});
    connector.send(json!([null, {}, 7, {"c": "of nothing"}, health])).await;
    let shown = scene.until("api/connectors/1234", |shown| shown["health"] != Value::Null).await;
    assert_eq!(shown["health"], json!({"ok": false, "problems": ["unwell", "lines"]}));
    let answer = connector.ask("connector.unknown", json!({})).await;
    assert_eq!(answer, json!({"error": "there is no method `connector.unknown`"}));
}

#[tokio::test]
async fn tasks_are_kept() {
    let scene = Scene::start().await;
    let mut connector = scene.join("1234", no_fields(), None).await;
    let task = connector.ask("connector.task.new", json!({"name": "a task", "a": {"n": 1}})).await;
    let id = task["id"].as_str().expect("an id");
    let answer = connector.ask("connector.task.update", json!({"id": id, "a": {"n": 2}})).await;
    assert_eq!(answer["id"], id);
    let missing = connector.ask("connector.task.update", json!({"id": "x", "a": {}})).await;
    assert_eq!(missing["error"], "there is no task `x`");
    let tasks = scene.get("api/tasks").await;
    let task = &tasks["tasks"][0];
    assert_eq!(
        (&task["id"], &task["name"], &task["data"]),
        (&json!(id), &json!("a task"), &json!({"n": 2}))
    );
}

#[tokio::test]
async fn blobs_are_kept() {
    let scene = Scene::start().await;
    let mut connector = scene.join("1234", no_fields(), None).await;
    let new = json!({"content": "aGVsbG8=", "name": "a.txt", "size": 99, "mimetype": "text/html", "meta": {"k": 1}});
    let blob = connector.ask("connector.blob.create", new).await;
    let id = blob["id"].as_str().expect("an id");
    let known = connector.ask("connector.blob.get", json!({"id": id})).await;
    let wanted =
        json!({"id": id, "name": "a.txt", "size": 5, "mimetype": "text/html", "meta": {"k": 1}});
    assert_eq!(known, wanted);
    assert_eq!(scene.get(&format!("api/blobs/{id}")).await, wanted);
    let content = connector.ask("connector.blob.get-content", json!({"id": id})).await;
    assert_eq!(content, json!({"content": "aGVsbG8="}));
    let path = format!("api/blobs/{id}/content");
    let download = scene.request(Method::GET, &path).send().await.expect("an answer");
    assert_eq!(download.headers()["content-type"], "application/octet-stream");
    assert_eq!(download.text().await.expect("a body"), "hello");
    for request in ["connector.blob.get", "connector.blob.get-content"] {
        assert_eq!(
            connector.ask(request, json!({"id": "x"})).await["error"],
            "there is no blob `x`"
        );
    }
    let odd = connector.ask("connector.blob.create", json!({"content": "?"})).await;
    assert!(odd["error"].as_str().expect("an error").contains("base64"), "{odd}");
}

#[tokio::test]
async fn an_oauth_flow_ends_with_a_grant_that_only_the_connector_can_read() {
    let scene = Scene::start().await;
    let keys = KeyPair::generate().expect("keys");
    let schema = json!({"fields": {"oauthResult": {"type": "managed"}}, "oauth": true});
    let mut connector = scene.join("1234", schema, Some(&keys)).await;
    let request = scene.request(Method::POST, "api/connectors/1234/oauth/start");
    let start = tokio::spawn(said(request));
    let question = connector.next().await;
    assert_eq!(question["m"], "connector.start-oauth");
    let template = "https://a.example/?r={{redirectURI}}&code_challenge={{codeChallenge}}";
    connector.answer(&question, json!({"url": template, "useCodeChallenge": true})).await;
    let (_, started) = start.await.expect("an answer");
    let url: url::Url = started["url"].as_str().expect("a url").parse().expect("a url");
    let query: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(query["r"], format!("{}oauth/callback", scene.base));
    assert_eq!((query["code_challenge"].len(), &*query["code_challenge_method"]), (43, "S256"));

    // The person comes back without a token; the state is what counts.
    let back = format!("{}oauth/callback?code=abc&state={}", scene.base, query["state"]);
    let callback = tokio::spawn(scene.http.get(&back).send());
    let question = connector.next().await;
    assert_eq!(
        (&question["m"], &question["a"]["code"]),
        (&json!("connector.finish-oauth"), &json!("abc"))
    );
    assert_eq!(question["a"]["redirectURI"], query["r"]);
    assert_eq!(question["a"]["codeVerifier"].as_str().map(str::len), Some(64));
    let grant = json!({"access_token": CANARY});
    let sealed = sealing::seal(&grant, "1234", keys.public()).expect("sealed");
    connector.answer(&question, json!({"value": sealed})).await;
    let done = callback.await.expect("no panic").expect("an answer");
    assert_eq!(done.status(), StatusCode::OK);
    assert_eq!(connector.secrets().await, json!({"oauthResult": sealed}));
    let again = scene.http.get(&back).send().await.expect("an answer");
    assert_eq!(again.status(), StatusCode::BAD_REQUEST, "a flow ends once");

    connector.ask("connector.config-update", json!({"value": "in plain text"})).await;
    assert_eq!(scene.get("api/connectors/1234").await["fields"][0]["set"], true);
    assert!(!scene.holds("in plain text"), "only sealed values are kept");
}

#[tokio::test]
async fn a_refreshed_grant_replaces_the_old_one() {
    let scene = Scene::start().await;
    let schema = json!({"fields": {"oauthResult": {"type": "managed"}}, "oauth": true});
    let mut connector = scene.join("1234", schema, None).await;
    let update = json!({"m": "connector.config-update", "a": {"value": "eyJ.a.b.c.d"}});
    connector.send(json!([update])).await;
    assert_eq!(connector.secrets().await, json!({"oauthResult": "eyJ.a.b.c.d"}));
}

#[tokio::test]
async fn a_connector_of_this_process_shows_its_schemas_and_what_its_calls_did() {
    let scene = Scene::start().await;
    let _connector = scene.join("hosted", no_fields(), None).await;
    let shown = scene.get("api/connectors").await;
    let action = &shown["connectors"][0]["actions"][0];
    assert_eq!(action["name"], "createUser");
    assert_eq!(action["arguments"]["properties"]["name"]["type"], "string");
    for call in ["one", "two"] {
        scene.events.tell(Event::Log(LogLine {
            at: std::time::SystemTime::now(),
            connector: "hosted".into(),
            call: Some(call.into()),
            level: "info",
            message: format!("line of {call}"),
        }));
    }
    let two = |answer: &Value| answer["events"].as_array().is_some_and(|events| events.len() == 2);
    scene.until("api/connectors/hosted/events", two).await;
    let events = scene.get("api/connectors/hosted/events?call=two").await;
    assert_eq!(events["events"].as_array().map(Vec::len), Some(1));
    assert_eq!(events["events"][0]["message"], "line of two");
    let all = scene.get("api/events?after=0").await;
    assert_eq!(
        (&all["events"][0]["kind"], &all["events"][0]["number"]),
        (&json!("registered"), &json!(1))
    );
}

#[tokio::test]
async fn a_request_shows_what_was_decided_and_tried_and_is_not_too_long() {
    let scene = Scene::start().await;
    let _connector = scene.join("hosted", no_fields(), None).await;
    let long = "x".repeat(super::limits::LINE_BYTES * 2);
    let record = RequestRecord { connector: "hosted".into(), ..crate::events::sample() };
    let reported = Some(Decision::Reported(long.as_str().into()));
    let second = RequestRecord { decision: reported, hops: vec![long], ..record.clone() };
    for record in [record, second] {
        scene.events.tell(Event::Request(Box::new(record)));
    }
    let two = |answer: &Value| answer["events"].as_array().is_some_and(|events| events.len() == 2);
    let shown = scene.until("api/connectors/hosted/events?call=call", two).await;
    let [first, second] = [&shown["events"][0], &shown["events"][1]];
    assert_eq!(first["kind"], "request");
    assert_eq!(first["decision"], json!({"granted": "https://*.example.com"}));
    assert_eq!(first["credential"], "users-api");
    assert_eq!((&first["sent"], &first["tookMs"]), (&json!(2), &json!(1250.0)));
    assert_eq!(first["attempts"][0]["status"], 503);
    assert_eq!(first["attempts"][1]["pause"], json!({"ms": 1000.0, "why": "status 503"}));
    let connection = json!({"address": "192.0.2.1:443", "proxied": false, "reused": true});
    assert_eq!(first["attempts"][1]["connection"], connection);
    for text in [&second["decision"]["reported"], &second["hops"][0]] {
        assert!(text.as_str().is_some_and(|text| text.ends_with("… (cut)")), "{text}");
    }
}

#[tokio::test]
async fn events_are_streamed() {
    let scene = Scene::start().await;
    let mut stream = scene.request(Method::GET, "api/events").send().await.expect("a stream");
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    scene.register("1234", no_fields(), None).await;
    let chunk = tokio::time::timeout(PATIENCE, stream.chunk()).await.expect("in time");
    let text =
        String::from_utf8(chunk.expect("a chunk").expect("an event").to_vec()).expect("text");
    assert!(text.contains("\"kind\":\"registered\"") && text.contains("id: 1"), "{text}");
    // A stream that is open does not keep the workspace from stopping.
    scene.stop().await;
}

#[tokio::test]
async fn page_and_api_want_the_token() {
    let scene = Scene::start().await;
    for (path, authorization, status) in [
        ("", "", StatusCode::UNAUTHORIZED),
        ("?token=wrong", "", StatusCode::UNAUTHORIZED),
        ("api/connectors", "", StatusCode::UNAUTHORIZED),
        ("api/connectors", "Bearer wrong", StatusCode::UNAUTHORIZED),
        ("api/events", "", StatusCode::UNAUTHORIZED),
        ("api/blobs/x/content", "", StatusCode::UNAUTHORIZED),
        ("page/page.css", "", StatusCode::OK),
    ] {
        let request = scene.http.get(format!("{}{path}", scene.base));
        let answer =
            request.header("authorization", authorization).send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{path} {authorization}");
    }
    let bearer = format!("Bearer {}", scene.registration_token);
    let request =
        scene.http.get(format!("{}api/tasks", scene.base)).header("authorization", bearer);
    assert_eq!(request.send().await.expect("an answer").status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_address_with_the_token_gives_a_cookie_that_opens_the_api() {
    let scene = Scene::start().await;
    let page = format!("{}?token={}", scene.base, scene.token);
    let page = scene.http.get(page).send().await.expect("a page");
    assert_eq!(page.status(), StatusCode::OK);
    assert!(
        page.headers()["content-security-policy"]
            .to_str()
            .expect("text")
            .contains("default-src 'none'")
    );
    let cookie = page.headers()["set-cookie"].to_str().expect("text").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().expect("a cookie").to_owned();
    let api = scene.http.get(format!("{}api/tasks", scene.base)).header("cookie", cookie);
    assert_eq!(api.send().await.expect("an answer").status(), StatusCode::OK);
}

#[tokio::test]
async fn other_hosts_and_other_sites_are_kept_out() {
    let scene = Scene::start().await;
    let port = scene.base.rsplit(':').next().expect("a port").trim_matches('/').to_owned();
    for (host, origin, status) in [
        (format!("localhost:{port}"), None, StatusCode::OK),
        (format!("127.0.0.1:{port}"), Some(format!("http://127.0.0.1:{port}")), StatusCode::OK),
        (format!("evil.example:{port}"), None, StatusCode::MISDIRECTED_REQUEST),
        ("127.0.0.1".into(), None, StatusCode::MISDIRECTED_REQUEST),
        (format!("127.0.0.1:{port}"), Some("http://evil.example".into()), StatusCode::FORBIDDEN),
        (
            format!("127.0.0.1:{port}"),
            Some(format!("http://localhost:{port}")),
            StatusCode::FORBIDDEN,
        ),
        (format!("127.0.0.1:{port}"), Some("null".into()), StatusCode::FORBIDDEN),
    ] {
        let mut request = scene.request(Method::GET, "api/tasks").header("host", &host);
        if let Some(origin) = &origin {
            request = request.header("origin", origin);
        }
        let got = request.send().await.expect("an answer").status();
        assert_eq!(got, status, "{host} {origin:?}");
    }
}

#[tokio::test]
async fn tokens_are_kept_and_files_are_for_this_user_only() {
    let scene = Scene::start().await;
    let (token, registration) = (scene.token.clone(), scene.registration_token.clone());
    assert_ne!(token, registration);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let folder = scene.data.path().join("state");
        let mode = |path: &std::path::Path| path.metadata().expect("a file").mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        let files: Vec<_> = std::fs::read_dir(&folder).expect("a folder").flatten().collect();
        assert!(files.len() >= 3);
        for file in files {
            assert_eq!(mode(&file.path()), 0o600, "{:?}", file.path());
        }
    }
    let scene = Scene::start_in(scene.stop().await).await;
    assert_eq!((&scene.token, &scene.registration_token), (&token, &registration));
}

#[tokio::test]
async fn stopping_ends_sockets_and_calls() {
    let scene = Scene::start().await;
    let mut connector = scene.join("1234", no_fields(), None).await;
    let call = scene.call("1234", json!({"action": "hello"}));
    connector.query().await;
    scene.stop().await;
    assert_eq!(call.await.expect("an answer").0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(connector.packet().await, None);
}

#[tokio::test]
async fn the_workspace_pings_before_the_node_sdk_loses_patience() {
    let scene = Scene::start().await;
    let mut connector = scene.join("1234", no_fields(), None).await;
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    while !matches!(connector.socket.next().await, Some(Ok(Message::Ping(_)))) {}
    assert!(start.elapsed() < Duration::from_secs(45), "{:?}", start.elapsed());
}

#[tokio::test]
async fn refusals_are_json_also_for_what_does_not_exist_or_is_too_large() {
    let scene = Scene::start().await;
    let _connector = scene.join("1234", no_fields(), None).await;
    let large = "x".repeat(super::limits::API_BYTES + 1);
    let (status, answer) =
        said(scene.request(Method::POST, "api/connectors/1234/call").body(large)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer["error"].is_string(), "{answer}");
    let (status, answer) = scene.post("api/nothing", json!({})).await;
    assert_eq!(
        (status, &answer["error"]),
        (StatusCode::NOT_FOUND, &json!("there is nothing here"))
    );
}

#[tokio::test]
async fn a_connector_that_left_can_be_forgotten() {
    let scene = Scene::start().await;
    let mut connector = scene.join("1234", some_fields(), None).await;
    scene.configure("1234", json!({"host": CANARY})).await;
    connector.secrets().await;
    let forget = || said(scene.request(Method::DELETE, "api/connectors/1234"));
    assert_eq!(forget().await.0, StatusCode::CONFLICT);
    let key = connector.key.clone();
    drop(connector);
    scene.until("api/connectors/1234", |shown| shown["connected"] == false).await;
    assert_eq!(forget().await.0, StatusCode::OK);
    assert_eq!(forget().await.0, StatusCode::NOT_FOUND);
    assert_eq!(scene.device("connect", &key, json!({})).await.0, StatusCode::UNAUTHORIZED);
    let key = scene.register("1234", some_fields(), None).await;
    assert_eq!(scene.connect(key).await.greeted(some_fields()).await, json!({}));
}

#[tokio::test]
async fn more_calls_than_may_wait_are_refused() {
    let scene = Scene::start().await;
    let mut connector = scene.join("1234", no_fields(), None).await;
    let mut waiting = Vec::new();
    for _ in 0..super::limits::CALLS_UNDER_WAY {
        waiting.push(scene.call("1234", json!({"action": "hello"})));
        connector.query().await;
    }
    let (status, answer) = scene.call("1234", json!({"action": "hello"})).await.expect("an answer");
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert!(answer["error"].as_str().expect("a text").contains("too many calls"), "{answer}");
}
