//! What was found by looking again.

use std::path::Path;
use std::time::SystemTime;

use http_body_util::BodyExt as _;

use super::credentials::prepared;
use super::network::Network;
use super::*;
use crate::broker::credential::{Credentials, Tools};
use crate::broker::limits::CONNECTIONS;
use crate::vault::Placeholders;

fn tables(text: &str) -> Policy {
    #[derive(serde::Deserialize)]
    struct File {
        grant: Vec<GrantTable>,
    }
    let file: File = toml::from_str(text).expect("grants");
    Policy::default().with_tables(&file.grant, Path::new(""))
}

/// A server under these grants, in which `PORT` stands for its port.
async fn under(
    grants: &str,
    credentials: &str,
    behaviour: impl Fn(&Seen) -> Step + Send + Sync + 'static,
) -> Scene {
    let mut scene = Scene::new(behaviour).await;
    let port = scene.server.port;
    let policy = tables(&grants.replace("PORT", &port.to_string()));
    let broker =
        Broker::with_resolver(setup(policy, Events::default()), Arc::new(Names::default()));
    scene.broker = broker;
    let tools = Tools {
        sender: scene.broker.door.clone(),
        store: Arc::new(MemoryStore::default()),
        clock: Arc::new(SystemTime::now),
    };
    let prepared = prepared(credentials, port);
    scene.broker.credentials = Credentials::new("test".into(), prepared, tools);
    scene
}

fn scope(seconds: u64) -> Scope {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    Scope { call: None, deadline, vault: Arc::default(), allowance: Arc::default() }
}

const CLIENT: &str = r#"
[api]
type = "client-credentials"
token-url = "http://127.0.0.1:PORT/token"
client-id = "id"
client-secret = "the-client-secret"
"#;

#[tokio::test(start_paused = true)]
async fn a_later_token_is_scrubbed_from_an_answer_that_is_still_coming() {
    let grants = "[[grant]]\norigin = 'http://127.0.0.1:PORT'\nprivate = true";
    let tokens = AtomicUsize::new(0);
    let scene = under(grants, CLIENT, move |seen| {
        if seen.head.starts_with("POST /token ") {
            let number = tokens.fetch_add(1, Ordering::SeqCst);
            return answer(200, "", &format!("{{\"access_token\":\"the-token-{number}\"}}"));
        }
        answer(200, "", "it will be the-token-0, see")
    })
    .await;
    // No token yet, so there is nothing to look for.
    let open = scene.broker.open(scene.request("GET"), None, &scope(600)).await.expect("answer");
    scene.send_as("api").await.expect("an answer");
    let body = open.body.collect().await.expect("a body").to_bytes();
    assert!(!String::from_utf8_lossy(&body).contains("the-token-0"), "{body:?}");
}

#[tokio::test(start_paused = true)]
async fn an_upload_without_secrets_goes_over_plain_http_too() {
    let server = Server::start(Box::new(|_| answer(200, "", "ok"))).await;
    let network = Arc::new(Network::to(&server, &[("public.example", &["93.184.216.34"])]));
    let policy = Policy::parse(&["http://public.example".into()], &[]).expect("grants");
    let broker = Broker::with_resolver(setup(policy, Events::default()), network);
    let values = [("KEY".to_owned(), "the-secret".into())].into();
    let placeholders = Placeholders::new(["KEY".to_owned()]);
    let vault = Arc::new(Vault::new(values, &placeholders, &Default::default()));
    let body = http_body_util::Full::new(Bytes::from_static(b"hello"));
    let upload = Upload::new(body.map_err(|never| match never {}), None);
    let request = Request {
        method: "POST".into(),
        url: "http://public.example/".into(),
        ..Request::default()
    };
    let scope = Scope { vault, ..scope(600) };
    let outcome = broker.open(request, Some(upload), &scope).await;
    assert_eq!(outcome.map(|answer| answer.status), Ok(200));
}

#[tokio::test(start_paused = true)]
async fn a_method_is_as_long_as_methods_are() {
    let scene = Scene::scripted([]).await;
    let request = Request { method: "X".repeat(1 << 20), ..scene.request("GET") };
    let error = scene.send(request).await.expect_err("no method");
    assert!(matches!(error, Error::InvalidRequest(_)), "{error:.100}");
    assert_eq!(scene.server.reads(), 0);
}

#[tokio::test]
async fn origins_without_end_are_not_as_many_connections() {
    let server = Server::start(Box::new(|_| answer(200, "", "ok"))).await;
    let name = |number: usize| format!("x{number}.many.example");
    let names: BTreeMap<_, _> =
        (0..CONNECTIONS * 2).map(|number| (name(number), vec![[8, 8, 8, 8].into()])).collect();
    let network = Arc::new(Network { names, ..Network::to(&server, &[]) });
    let policy = Policy::parse(&["http://*.many.example".into()], &[]).expect("grants");
    let broker = Broker::with_resolver(setup(policy, Events::default()), network);
    for number in 0..CONNECTIONS * 2 {
        let url = format!("http://{}/", name(number));
        let request = Request { method: "GET".into(), url, ..Request::default() };
        let deadline = Instant::now() + Duration::from_secs(60);
        let scope =
            Scope { call: None, deadline, vault: Arc::default(), allowance: Arc::default() };
        assert_eq!(status(&broker.send(request, &scope).await), 200);
        assert!(broker.door.connections() <= CONNECTIONS + limit(Limit::InFlight), "{number}");
    }
}
