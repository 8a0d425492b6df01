//! Small promises at the edges.

use http_body_util::BodyExt as _;

use super::network::Network;
use super::*;
use crate::vault::Placeholders;

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
    let deadline = Instant::now() + Duration::from_secs(600);
    let scope = Scope { call: None, deadline, vault };
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
