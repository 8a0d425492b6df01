//! Connections: which requests share one, and what the records tell of them.

use std::path::Path;

use futures_util::{StreamExt as _, stream};

use super::stage::{SECRET, Stage, ask, with_header};
use super::*;
use crate::events::Outcome;
use crate::tls::testdata::Folder;

const GRANTS: &str = r#"
[[grant]]
origin = "http://a.internal"
private = true
[[grant]]
origin = "http://moved.internal"
private = true
[credentials.one]
type = "bearer"
token = "the-token-of-one"
[credentials.two]
type = "bearer"
token = "the-token-of-two"
"#;

const URL: &str = "http://a.internal/x";

/// Whether each request found a connection that was open.
fn reused(stage: &mut Stage, requests: usize) -> Vec<bool> {
    let one = |stage: &mut Stage| {
        let record = stage.scene.record();
        let connection = record.attempts[0].connection.expect("a connection");
        assert_eq!(connection.address.to_string(), "10.0.0.1:80");
        connection.reused
    };
    (0..requests).map(|_| one(stage)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_made_for_one_credential_is_for_no_other() {
    let mut stage = Stage::scripted(GRANTS, []).await.sealed();
    let plain = || ask("GET", URL);
    let named = |name: &str| Request { credential: Some(name.into()), ..plain() };
    for round in 0..2 {
        let key = stage.placeholder();
        for request in [plain(), named("one"), named("two"), with_header(plain(), "x-key", key)] {
            assert_eq!(status(&stage.send(request).await), 200);
        }
        assert_eq!(stage.scene.server.connections(), 4, "round {round}");
        assert_eq!(reused(&mut stage, 4), [round > 0; 4]);
    }
    assert_eq!(stage.last().header("x-key"), Some(SECRET));
}

#[tokio::test(start_paused = true)]
async fn a_client_certificate_has_connections_of_its_own() {
    let certificate = |name: &str| {
        let files = format!("{{ certificate = \"{name}.pem\", key = \"{name}.key\" }}");
        format!(
            "[[grant]]\norigin = \"http://a.internal\"\nprivate = true\npaths = [\"/{name}\"]\n\
            client-certificate = {files}\n"
        )
    };
    let names = ["client", "other-client"];
    let settings = [GRANTS, &certificate(names[0]), &certificate(names[1])].concat();
    let settings = settings.split_once("[credentials.one]").map(|(before, after)| {
        let (credentials, grants) = after.split_at(after.find("[[grant]]").expect("a grant"));
        format!("{before}{grants}\n[credentials.one]{credentials}")
    });
    let mut stage = Stage::scripted(&settings.expect("credentials"), []).await;
    let urls = ["http://a.internal/", "http://a.internal/client", "http://a.internal/other-client"];
    let missing = stage.send(ask("GET", urls[1])).await.expect_err("not loaded").to_string();
    assert!(missing.ends_with("client.pem was not loaded"), "{missing}");
    let folder = Folder::new();
    let identities = names.map(|name| {
        let file = |end: &str| Path::new(".").join(format!("{name}.{end}"));
        let files = ClientCertificate { certificate: file("pem"), key: file("key") };
        (files, Arc::new(folder.identity(name)))
    });
    let policy = stage.scene.broker.door.policy().clone();
    let setup = Setup { identities: identities.into(), ..setup(policy, Events::default()) };
    stage.scene.broker = Broker::with_resolver(setup, stage.network.clone());
    for _ in 0..2 {
        for url in urls {
            assert_eq!(status(&stage.send(ask("GET", url)).await), 200, "{url}");
        }
        assert_eq!(stage.scene.server.connections(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_leaves_the_private_network_by_no_connection() {
    let mut stage = Stage::scripted(GRANTS, []).await.sealed();
    let url = "http://moved.internal/";
    // This connection stays open, and is not for what comes.
    assert_eq!(status(&stage.send(ask("GET", url)).await), 200);
    let upload = || {
        let body = http_body_util::Full::new(Bytes::from(stage.placeholder()));
        Upload::new(http_body_util::BodyExt::map_err(body, |never| match never {}), None)
    };
    let text = "secrets are not sent to moved.internal (93.184.216.36) over plain http";
    for (request, body) in [
        (with_header(ask("GET", url), "x-key", stage.placeholder()), None),
        (Request { credential: Some("one".into()), ..ask("GET", url) }, None),
        (Request { body: None, ..ask("POST", url) }, Some(upload())),
    ] {
        let error = match body {
            None => stage.send(request).await.err(),
            body => stage.open(request, body).await.err(),
        };
        let error = error.expect("refused").to_string();
        assert!(error.starts_with(text), "{error}");
    }
    assert_eq!((stage.scene.server.reads(), stage.network.dialled().len()), (1, 1));
    assert_eq!(status(&stage.send(ask("GET", url)).await), 200);
    assert_eq!(stage.scene.server.connections(), 1);
    assert_eq!(stage.scene.record().url, url);
}

#[tokio::test(start_paused = true)]
async fn as_many_connections_are_opened_as_there_are_requests_at_once() {
    let stage = Stage::scripted(GRANTS, []).await;
    let sending = stream::iter(0..3000).map(|_| stage.send(ask("GET", URL)));
    let answered = sending.buffer_unordered(32).filter(|outcome| {
        let is_ok = outcome.as_ref().is_ok_and(|answer| answer.status == 200);
        std::future::ready(is_ok)
    });
    assert_eq!(answered.count().await, 3000);
    let connections = stage.scene.server.connections();
    assert!(connections <= 33, "{connections}");
}

#[tokio::test(start_paused = true)]
async fn a_record_tells_where_every_attempt_went_also_where_it_broke() {
    let steps = [answer(503, "", ""), Step::Cut(String::new()), Step::Hang];
    let mut stage = Stage::scripted(GRANTS, steps).await;
    let timeout = Some(Duration::from_secs(30));
    let error = stage.send(Request { timeout, attempts: Some(5), ..ask("GET", URL) }).await;
    assert!(matches!(error, Err(Error::Timeout(_))), "{error:?}");
    let record = stage.scene.record();
    let told = record.attempts.iter().map(|attempt| {
        let connection = attempt.connection.expect("a connection");
        (connection.address.to_string(), connection.reused, attempt.outcome.clone())
    });
    let address = || "10.0.0.1:80".to_owned();
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            (address(), false, Outcome::Status(503)),
            (address(), true, Outcome::Error("interrupted".into())),
            (address(), false, Outcome::Error("timeout".into())),
        ]
    );
    // Given up by the call.
    let mut stage = Stage::new(GRANTS, |_| Step::Hang).await;
    let sending = stage.send(ask("GET", URL));
    assert!(tokio::time::timeout(Duration::from_secs(1), sending).await.is_err());
    let attempts = stage.scene.record().attempts;
    let connection = attempts[0].connection.expect("a connection");
    assert_eq!((connection.address.to_string(), connection.reused), (address(), false));
}
