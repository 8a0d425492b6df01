//! The link against a small workspace in the same process: what comes out of the socket, and when.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::limits::{BATCH_BYTES, INBOX};
use super::packet::raw;
use super::registration::{Nameplate, Registration};
use super::*;

/// A test that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: does not happen"))
}

/// One HTTP call that the workspace got.
#[derive(Debug)]
struct Call {
    path: String,
    authorization: String,
    headers: HeaderMap,
    body: String,
}

/// How the workspace answers HTTP calls.
type Rule = fn(&Call) -> (StatusCode, &'static str);

fn usual(call: &Call) -> (StatusCode, &'static str) {
    match (call.path.as_str(), call.authorization.as_str()) {
        ("/register", "Connector token") => (StatusCode::OK, r#"{"key":"key-1"}"#),
        ("/connect" | "/disconnect", "Connector key-1") => (StatusCode::OK, "{}"),
        _ => (StatusCode::UNAUTHORIZED, ""),
    }
}

#[derive(Clone)]
struct Workspace {
    rule: Rule,
    subprotocol: &'static str,
    calls: UnboundedSender<Call>,
    sockets: UnboundedSender<(HeaderMap, WebSocket)>,
}

async fn call(
    State(workspace): State<Workspace>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let authorization = headers["authorization"].to_str().unwrap().to_owned();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let call = Call { path: uri.path().to_owned(), authorization, headers, body };
    let answer = (workspace.rule)(&call);
    let _ = workspace.calls.send(call);
    answer
}

async fn upgrade(
    State(workspace): State<Workspace>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let upgrade = upgrade.protocols([workspace.subprotocol]);
    upgrade.on_upgrade(async move |socket| {
        let _ = workspace.sockets.send((headers, socket));
    })
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A workspace, and a link whose driver runs.
struct Scene {
    calls: UnboundedReceiver<Call>,
    sockets: UnboundedReceiver<(HeaderMap, WebSocket)>,
    link: Link,
    incoming: mpsc::Receiver<Incoming>,
    stop: CancellationToken,
    driver: JoinHandle<()>,
}

fn quick() -> Timing {
    Timing {
        first_retry: Duration::from_millis(10),
        longest_retry: Duration::from_millis(50),
        ..Timing::default()
    }
}

/// For tests whose workspace has stopped reading when the scene ends.
fn hasty() -> Timing {
    let short = Duration::from_millis(50);
    Timing { flush: short, close: short, ..quick() }
}

impl Scene {
    async fn new() -> Self {
        Self::with(hasty(), usual, "connector").await
    }

    async fn with(timing: Timing, rule: Rule, subprotocol: &'static str) -> Self {
        let (calls_in, calls) = mpsc::unbounded_channel();
        let (sockets_in, sockets) = mpsc::unbounded_channel();
        let workspace = Workspace { rule, subprotocol, calls: calls_in, sockets: sockets_in };
        let router =
            Router::new().route("/transport/", get(upgrade)).fallback(call).with_state(workspace);
        let address = serve(router).await;
        let settings = LinkSettings {
            device_endpoint: format!("http://{address}").parse().unwrap(),
            websocket_endpoint: format!("ws://{address}/transport/").parse().unwrap(),
            token: "token".into(),
        };
        let (link, incoming, driver) = open_with(settings, identity(), timing);
        let stop = CancellationToken::new();
        let driver = tokio::spawn(driver.run(stop.clone()));
        Self { calls, sockets, link, incoming, stop, driver }
    }

    async fn call(&mut self) -> Call {
        soon("a call", self.calls.recv()).await.unwrap()
    }

    async fn socket(&mut self) -> WebSocket {
        soon("a websocket", self.sockets.recv()).await.unwrap().1
    }

    async fn incoming(&mut self) -> Incoming {
        soon("a request", self.incoming.recv()).await.unwrap()
    }

    async fn lost(&self) -> String {
        let mut status = self.link.status();
        let lost = status.wait_for(|status| matches!(status, Status::Lost { .. }));
        match soon("a loss", lost).await.unwrap().clone() {
            Status::Lost { reason, .. } => reason.to_string(),
            other => panic!("{other:?}"),
        }
    }

    async fn end(self) {
        self.stop.cancel();
        soon("the end", self.driver).await.unwrap();
    }
}

fn identity() -> Identity {
    Identity {
        id: "1234".into(),
        version: "0.0.1".into(),
        name: "here".into(),
        deployment: String::new(),
        public_key: Some("UEVN".into()),
        config_schema: json!({"fields": {}}),
        introspect: "declare function hello();".into(),
        icon: Some(b"png".to_vec()),
    }
}

async fn send(socket: &mut WebSocket, packets: Value) {
    send_text(socket, json!({ "p": packets }).to_string()).await;
}

async fn send_text(socket: &mut WebSocket, text: String) {
    socket.send(Message::Text(text.into())).await.unwrap();
}

/// The packets of the next message. Reads no further, so a ping behind it stays unanswered.
async fn packets(socket: &mut WebSocket) -> Vec<Value> {
    loop {
        let message = soon("a message", socket.recv()).await.expect("open").expect("sound");
        if let Message::Text(text) = message {
            let mut message: Value = serde_json::from_str(&text).unwrap();
            return serde_json::from_value(message["p"].take()).unwrap();
        }
    }
}

async fn packet(socket: &mut WebSocket) -> Value {
    let mut packets = packets(socket).await;
    assert_eq!(packets.len(), 1, "{packets:?}");
    packets.remove(0)
}

fn query(key: &str) -> Value {
    json!({"id": "i", "c": key, "m": "connector.query", "a": {"query": ["hello"], "variables": {}}})
}

#[tokio::test]
async fn a_whole_session() {
    let mut scene = Scene::with(quick(), usual, "connector").await;
    let first = scene.call().await;
    assert_eq!((first.path.as_str(), first.authorization.as_str()), ("/connect", "Connector null"));
    assert_eq!(first.headers["user-agent"], "1234/0.0.1");
    assert_eq!(first.headers["content-type"], "application/json");
    assert_eq!(first.body, "{}");
    let register = scene.call().await;
    assert_eq!(register.authorization, "Connector token");
    assert_eq!(
        register.body,
        r#"{"deployment":"","name":"here","version":"0.0.1","id":"1234","publicKey":"UEVN","schema":{"configSchema":{"fields":{}},"introspect":"declare function hello();"},"icon":"cG5n"}"#
    );
    assert_eq!(scene.call().await.authorization, "Connector key-1");
    let (headers, mut socket) = soon("a websocket", scene.sockets.recv()).await.unwrap();
    assert_eq!(headers["authorization"], "Connector key-1");
    assert_eq!(headers["user-agent"], "1234/0.0.1");

    let config = json!({"id": "i", "m": "connector.set-config", "a": {"secrets": {"k": "v"}}});
    send(&mut socket, json!([config])).await;
    let config = scene.incoming().await;
    let Request::SetConfig(values) = &config.request else { panic!("no configuration") };
    let values = values.take().unwrap();
    let values: Vec<_> = values.iter().map(|(key, value)| (key, value.get())).collect();
    assert_eq!(values, [("k", r#""v""#)]);
    assert!(!config.reply.wants_answer());
    config.reply.answer(raw(&json!({}))).await;
    scene.link.health(&[]);
    let health = packet(&mut socket).await;
    assert_eq!(health["m"], "connector.health.check");
    assert_eq!(health["a"], json!({"ok": true, "error": null}));

    send(&mut socket, json!([query("_srv-1")])).await;
    let incoming = scene.incoming().await;
    let Request::Query(query) = incoming.request else { panic!("not a query") };
    assert_eq!(query.path, ["hello"]);
    assert_eq!(&*incoming.reply.call_id(), "_srv-1");
    incoming.reply.answer(wrap_result(&query.path, raw(&42))).await;
    let answer = packet(&mut socket).await;
    assert_eq!((&answer["c"], &answer["a"]), (&json!("_srv-1"), &json!({"hello": 42})));
    assert!(answer.get("m").is_none());

    let link = scene.link.clone();
    let task = raw(&json!({"name": "n", "a": 1}));
    let asked = tokio::spawn(async move { link.request("connector.task.new", task).await });
    let request = packet(&mut socket).await;
    assert_eq!(request["m"], "connector.task.new");
    assert!(request["c"].as_str().unwrap().starts_with("_req-"));
    send(&mut socket, json!([{"c": request["c"], "a": {"id": "t1"}}])).await;
    assert_eq!(soon("an answer", asked).await.unwrap().unwrap().get(), r#"{"id":"t1"}"#);

    scene.stop.cancel();
    soon("a close", async { while let Some(Ok(_)) = socket.recv().await {} }).await;
    let last = scene.call().await;
    assert_eq!(
        (last.path.as_str(), last.authorization.as_str()),
        ("/disconnect", "Connector key-1")
    );
    soon("the end", scene.driver).await.unwrap();
}

#[tokio::test]
async fn a_reconnect_asks_with_the_key_and_does_not_register_again() {
    let mut scene = Scene::new().await;
    drop(scene.socket().await);
    scene.socket().await;
    let mut seen = Vec::new();
    while let Ok(call) = scene.calls.try_recv() {
        seen.push(format!("{} {}", call.path, call.authorization));
    }
    let key = "/connect Connector key-1";
    assert_eq!(seen[..4], ["/connect Connector null", "/register Connector token", key, key]);
    scene.end().await;
}

#[tokio::test]
async fn a_reply_finished_while_offline_arrives_after_the_reconnect() {
    let mut scene = Scene::new().await;
    let mut socket = scene.socket().await;
    send(&mut socket, json!([query("k")])).await;
    let incoming = scene.incoming().await;
    drop(socket);
    scene.lost().await;
    incoming.reply.answer(raw(&json!({"late": true}))).await;
    let mut socket = scene.socket().await;
    let answer = packet(&mut socket).await;
    assert_eq!((&answer["c"], &answer["a"]["late"]), (&json!("k"), &json!(true)));
    scene.end().await;
}

#[tokio::test]
async fn a_reply_that_was_written_but_not_confirmed_is_repeated() {
    let mut scene = Scene::new().await;
    let mut socket = scene.socket().await;
    send(&mut socket, json!([query("k")])).await;
    scene.incoming().await.reply.answer(raw(&json!({"n": 1}))).await;
    assert_eq!(packet(&mut socket).await["c"], "k");
    drop(socket);
    let mut socket = scene.socket().await;
    let again = packet(&mut socket).await;
    assert_eq!((&again["c"], &again["a"]), (&json!("k"), &json!({"n": 1})));
    scene.end().await;
}

#[tokio::test]
async fn a_confirmed_reply_is_not_repeated() {
    let mut scene = Scene::new().await;
    let mut socket = scene.socket().await;
    send(&mut socket, json!([query("k")])).await;
    scene.incoming().await.reply.answer(raw(&json!({}))).await;
    packet(&mut socket).await;
    let ping = soon("a ping", socket.recv()).await.unwrap().unwrap();
    assert!(matches!(ping, Message::Ping(_)), "{ping:?}");
    // The pong goes out with this and is read before it.
    send(&mut socket, json!([query("k2")])).await;
    let second = scene.incoming().await;
    drop(socket);
    scene.lost().await;
    second.reply.answer(raw(&json!({}))).await;
    let mut socket = scene.socket().await;
    assert_eq!(packet(&mut socket).await["c"], "k2");
    scene.end().await;
}

#[tokio::test]
async fn a_written_request_is_not_repeated_and_a_queued_one_survives() {
    let mut scene = Scene::new().await;
    let mut socket = scene.socket().await;
    let ask = |name: &str| {
        let (link, arguments) = (scene.link.clone(), raw(&json!({ "name": name })));
        tokio::spawn(async move { link.request("connector.task.new", arguments).await })
    };
    let written = ask("written");
    assert_eq!(packet(&mut socket).await["a"]["name"], "written");
    drop(socket);
    let error = soon("an error", written).await.unwrap().unwrap_err();
    assert!(error.outcome_unknown(), "{error}");
    let queued = ask("queued");
    let mut socket = scene.socket().await;
    let request = packet(&mut socket).await;
    assert_eq!(request["a"]["name"], "queued");
    send(&mut socket, json!([{"c": request["c"], "a": {"error": "Error: no"}}])).await;
    let error = soon("an answer", queued).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the workspace answered: Error: no");
    scene.end().await;
}

#[tokio::test]
async fn a_request_has_a_time_limit_and_is_taken_back_if_unsent() {
    let timing = Timing { request: Duration::from_millis(50), ..hasty() };
    let mut scene = Scene::with(timing, usual, "connector").await;
    let mut socket = scene.socket().await;
    let error = scene.link.request("connector.task.new", raw(&json!({}))).await.unwrap_err();
    assert!(matches!(error, RequestError::NoAnswer(_)), "{error}");
    let key = packet(&mut socket).await["c"].clone();
    // Too late, and without a method: not answered, or two peers built alike would never stop.
    send(&mut socket, json!([{"c": key, "a": {}}, {"c": "u", "m": "unheard-of"}])).await;
    assert_eq!(packet(&mut socket).await["c"], "u");
    scene.end().await;

    let down: Rule = |_| (StatusCode::SERVICE_UNAVAILABLE, "");
    let timing = Timing { request: Duration::from_millis(50), ..hasty() };
    let scene = Scene::with(timing, down, "connector").await;
    let error = scene.link.request("connector.task.new", raw(&json!({}))).await.unwrap_err();
    assert!(matches!(error, RequestError::NotSent(_)), "{error}");
    // Nothing is left to tell, so the end does not wait for the workspace.
    scene.end().await;
}

#[tokio::test]
async fn a_workspace_that_sends_no_ping_is_dialled_again() {
    let timing = Timing { server_silence: Duration::from_millis(100), ..hasty() };
    let mut scene = Scene::with(timing, usual, "connector").await;
    let mut first = scene.socket().await;
    // Traffic and pongs do not count.
    let busy = async {
        while send_and_read(&mut first).await.is_some() {}
        pending().await
    };
    tokio::select! {
        () = busy => {}
        second = soon("a second websocket", scene.sockets.recv()) => drop(second),
    }
    scene.end().await;
}

async fn send_and_read(socket: &mut WebSocket) -> Option<()> {
    let nothing = Message::Text(r#"{"p":[]}"#.into());
    socket.send(nothing).await.ok()?;
    let pong = Message::Pong(Bytes::new());
    socket.send(pong).await.ok()?;
    // A task that never waits would keep the link from running.
    tokio::task::yield_now().await;
    Some(())
}

#[tokio::test]
async fn a_workspace_that_answers_no_ping_is_dialled_again() {
    let timing = Timing {
        ping_every: Duration::from_millis(20),
        pong_patience: Duration::from_millis(100),
        ..hasty()
    };
    let mut scene = Scene::with(timing, usual, "connector").await;
    let _never_read = scene.socket().await;
    assert_eq!(scene.lost().await, "the workspace did not answer a ping in time");
    scene.socket().await;
    scene.end().await;
}

#[tokio::test]
async fn a_workspace_that_stops_reading_is_dialled_again_and_heard_meanwhile() {
    let timing =
        Timing { write_patience: Duration::from_millis(500), slowest_link: usize::MAX, ..hasty() };
    let mut scene = Scene::with(timing, usual, "connector").await;
    let mut stuck = scene.socket().await;
    send(&mut stuck, json!([query("large")])).await;
    // More than the system buffers.
    let large = raw(&json!({"x": "y".repeat(32 * 1024 * 1024)}));
    scene.incoming().await.reply.answer(large).await;
    send(&mut stuck, json!([query("meanwhile")])).await;
    assert_eq!(&*scene.incoming().await.reply.call_id(), "meanwhile");
    assert_eq!(scene.lost().await, "the workspace does not read what is written");
    scene.end().await;
}

#[tokio::test]
async fn a_key_that_is_never_accepted_is_asked_for_slowly() {
    let rule: Rule = |call| match call.path.as_str() {
        "/register" => (StatusCode::OK, r#"{"key":"key-1"}"#),
        _ => (StatusCode::UNAUTHORIZED, ""),
    };
    let timing = Timing { first_retry: Duration::from_millis(100), ..Timing::default() };
    let started = Instant::now();
    let mut scene = Scene::with(timing, rule, "connector").await;
    for path in ["/connect", "/register", "/connect"].repeat(3) {
        assert_eq!(scene.call().await.path, path);
    }
    // The waits before the second and third round, less their jitter.
    assert!(started.elapsed() >= Duration::from_millis(225), "{:?}", started.elapsed());
    scene.end().await;
}

#[tokio::test]
async fn a_refused_token_says_what_to_do_and_is_not_printed() {
    let rule: Rule = |_| (StatusCode::UNAUTHORIZED, "token");
    let scene = Scene::with(hasty(), rule, "connector").await;
    let reason = scene.lost().await;
    assert!(reason.contains("refused the registration token"), "{reason}");
    assert!(reason.contains("REGISTRATION_TOKEN"), "{reason}");
    scene.end().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_workspace_is_named() {
    let html: Rule = |call| match call.path.as_str() {
        "/connect" => (StatusCode::OK, "<html>"),
        _ => (StatusCode::OK, r#"{"key":"key-1"}"#),
    };
    let no_key: Rule = |call| match call.path.as_str() {
        "/register" => (StatusCode::OK, r#"{"key":""}"#),
        _ => (StatusCode::UNAUTHORIZED, ""),
    };
    let down: Rule = |_| (StatusCode::BAD_GATEWAY, "");
    for (rule, subprotocol, expected) in [
        (usual as Rule, "other", "subprotocol"),
        (html, "connector", "connect: the answer is not the JSON that is expected"),
        (no_key, "connector", "answered register without a key"),
        (down, "connector", "answered connect with 502"),
    ] {
        let scene = Scene::with(hasty(), rule, subprotocol).await;
        let reason = scene.lost().await;
        assert!(reason.contains(expected), "{reason}");
        scene.end().await;
    }
}

#[tokio::test]
async fn a_redirect_is_followed_and_the_key_stays_behind() {
    let (seen_in, mut seen) = mpsc::unbounded_channel();
    let other = serve(Router::new().fallback(async move |uri: Uri, headers: HeaderMap| {
        let _ = seen_in.send((uri.path().to_owned(), headers.contains_key("authorization")));
        "{}"
    }))
    .await;
    let elsewhere = move |uri: Uri| async move {
        axum::response::Redirect::temporary(&format!("http://{other}/moved{}", uri.path()))
    };
    let address = serve(Router::new().fallback(elsewhere)).await;
    let settings = LinkSettings {
        device_endpoint: format!("http://{address}/").parse().unwrap(),
        websocket_endpoint: format!("ws://{address}/").parse().unwrap(),
        token: "token".into(),
    };
    let nameplate = Nameplate::new(identity());
    let http = Transport::default().http;
    let mut registration = Registration::new(&settings, nameplate, http, &hasty());
    soon("connect", registration.connect()).await.unwrap();
    assert_eq!(seen.recv().await.unwrap(), ("/moved/connect".to_owned(), false));
}

#[tokio::test]
async fn another_identity_keeps_the_socket_and_is_registered_with_the_next() {
    let mut scene = Scene::new().await;
    let mut socket = scene.socket().await;
    for _ in ["/connect", "/register", "/connect"] {
        scene.call().await;
    }
    scene.link.identify(Identity { version: "0.0.2".into(), ..identity() });
    send(&mut socket, json!([query("k")])).await;
    scene.incoming().await.reply.answer(raw(&json!({}))).await;
    assert_eq!(packet(&mut socket).await["c"], "k");
    drop(socket);
    let told = scene.call().await;
    assert_eq!((told.path.as_str(), told.authorization.as_str()), ("/connect", "Connector null"));
    assert_eq!(told.headers["user-agent"], "1234/0.0.2");
    assert!(scene.call().await.body.contains(r#""version":"0.0.2""#));
    assert_eq!(scene.call().await.authorization, "Connector key-1");
    // The next loss is none of that: the identity is known.
    drop(scene.socket().await);
    assert_eq!(scene.call().await.authorization, "Connector key-1");
    scene.end().await;
}

#[tokio::test]
async fn garbage_harms_nobody() {
    let mut scene = Scene::new().await;
    let mut socket = scene.socket().await;
    for text in ["", "not json", "null", "[]", "{}", r#"{"p":{}}"#, r#"{"p":[null,{},7]}"#] {
        send_text(&mut socket, text.into()).await;
    }
    socket.send(Message::Binary(Bytes::from_static(b"\0"))).await.unwrap();
    let no_method = json!({"c": "_req-late", "a": {"error": "Error: cannot handle packet"}});
    let no_key = json!({"m": "connector.unheard-of"});
    let unknown = json!({"c": "u", "m": "connector.unheard-of", "a": {}});
    let malformed = json!({"c": "v", "m": "connector.query", "a": {"query": "q", "variables": 1}});
    send(&mut socket, json!([no_method, no_key, unknown, malformed, query("k")])).await;
    let mut answers = packets(&mut socket).await;
    while answers.len() < 2 {
        answers.extend(packets(&mut socket).await);
    }
    assert_eq!(answers[0]["c"], "u");
    assert_eq!(answers[0]["a"], json!({"error": "Error: cannot handle packet"}));
    assert_eq!(answers[1]["c"], "v");
    let error = answers[1]["a"]["error"].as_str().unwrap();
    assert!(error.contains("`variables` must be an object"), "{error}");
    assert_eq!(&*scene.incoming().await.reply.call_id(), "k");
    scene.end().await;
}

#[tokio::test]
async fn configuration_is_answered_only_when_it_fails() {
    let mut scene = Scene::new().await;
    let mut socket = scene.socket().await;
    for key in ["good", "bad"] {
        let secrets = json!({"secrets": {}});
        send(&mut socket, json!([{"c": key, "m": "connector.set-config", "a": secrets}])).await;
        let Incoming { request, reply } = scene.incoming().await;
        // While it waits, the next one would take its place.
        let Request::SetConfig(values) = request else { panic!("no configuration") };
        assert!(values.take().is_some());
        match key {
            "good" => reply.answer(raw(&json!({}))).await,
            _ => reply.error("no").await,
        }
    }
    let answer = packet(&mut socket).await;
    assert_eq!((&answer["c"], &answer["a"]), (&json!("bad"), &json!({"error": "Error: no"})));
    scene.end().await;
}

#[tokio::test]
async fn too_many_calls_are_refused_and_not_dropped() {
    let mut scene = Scene::new().await;
    let mut socket = scene.socket().await;
    let calls: Vec<Value> = (0..INBOX + 1).map(|n| query(&format!("k{n}"))).collect();
    send(&mut socket, json!(calls)).await;
    let answer = packet(&mut socket).await;
    assert_eq!(answer["c"], format!("k{INBOX}"));
    let error = answer["a"]["error"].as_str().unwrap();
    assert!(error.starts_with("Error: overloaded: "), "{error}");
    scene.end().await;
}

#[tokio::test]
async fn an_answer_that_the_workspace_calls_too_large_becomes_an_error() {
    let mut scene = Scene::new().await;
    let mut socket = scene.socket().await;
    send(&mut socket, json!([query("k")])).await;
    let large = raw(&json!({"x": "y".repeat(BATCH_BYTES)}));
    scene.incoming().await.reply.answer(large).await;
    packet(&mut socket).await;
    let close = CloseFrame { code: 1009, reason: "".into() };
    socket.send(Message::Close(Some(close))).await.unwrap();
    let mut socket = scene.socket().await;
    let answer = packet(&mut socket).await;
    let error = answer["a"]["error"].as_str().unwrap();
    assert!(error.contains("refused the result as too large"), "{error}");
    scene.end().await;
}

#[tokio::test]
async fn a_shutdown_tells_what_is_left_and_says_goodbye() {
    let mut scene = Scene::with(quick(), usual, "connector").await;
    let mut socket = scene.socket().await;
    send(&mut socket, json!([query("k")])).await;
    let incoming = scene.incoming().await;
    drop(socket);
    scene.lost().await;
    incoming.reply.answer(raw(&json!({}))).await;
    scene.stop.cancel();
    // Even without a socket: what is left is worth one more.
    let mut socket = scene.socket().await;
    assert_eq!(packet(&mut socket).await["c"], "k");
    let mut closed = false;
    while let Some(Ok(message)) = soon("a close", socket.recv()).await {
        closed |= matches!(message, Message::Close(Some(frame)) if frame.code == 1000);
    }
    assert!(closed);
    while scene.call().await.path != "/disconnect" {}
    let mut status = scene.link.status();
    soon("closed", status.wait_for(|status| *status == Status::Closed)).await.unwrap();
    let error = scene.link.request("m", raw(&json!({}))).await.unwrap_err();
    assert!(matches!(error, RequestError::Closed), "{error}");
    soon("the end", scene.driver).await.unwrap();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_long_for_a_stuck_workspace() {
    let mut scene = Scene::new().await;
    let mut stuck = scene.socket().await;
    send(&mut stuck, json!([query("k")])).await;
    scene.incoming().await.reply.answer(raw(&json!({}))).await;
    let started = Instant::now();
    scene.end().await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_config_update_is_queued_and_arrives() {
    let mut scene = Scene::new().await;
    scene.link.config_update("e.y.J".into()).await.unwrap();
    let mut socket = scene.socket().await;
    let update = packet(&mut socket).await;
    assert_eq!(update["m"], "connector.config-update");
    assert_eq!(update["a"], json!({"value": "e.y.J"}));
    assert!(update.get("c").is_none());
    assert_eq!(*scene.link.status().borrow(), Status::Connected);
    scene.end().await;
}
