//! What a broker takes over from the one before it: a new version of a connector is the same client.

use serde_json::json;

use super::credentials::prepared;
use super::oauth::token;
use super::*;

impl Scene {
    /// The broker of the next version, under the same grants but for those that it leaves out.
    fn succeeded(&self, change: impl FnOnce(&mut Setup)) -> Broker {
        let origin = format!("http://127.0.0.1:{}", self.server.port);
        let policy = Policy::parse(&[], &[origin]).expect("a grant");
        let mut setup = setup(policy, Events::default());
        change(&mut setup);
        Broker::after(setup, &self.broker, true)
    }

    async fn send_by(&self, broker: &Broker, credential: Option<&str>) -> Result<Response, Error> {
        let credential = credential.map(str::to_owned);
        let request = Request { credential, ..self.request("POST") };
        let deadline = Instant::now() + Duration::from_secs(600);
        let (vault, allowance) = (self.vault.clone(), broker.allowance());
        broker.send(request, &Scope { call: None, deadline, vault, allowance }).await
    }

    fn reads_of(&self, path: &str) -> usize {
        let line = format!("POST {path} ");
        self.server.seen.lock().iter().filter(|seen| seen.head.starts_with(&line)).count()
    }
}

#[tokio::test(start_paused = true)]
async fn the_grant_of_the_workspace_goes_on_with_the_tokens_that_a_refresh_brought() {
    let grant = || token(json!({"access_token": "t2", "refresh_token": "r2"}));
    let scene = super::oauth::oauth_scene(move |_| grant()).await;
    assert_eq!(status(&scene.send_with_token().await), 200);
    let next = scene.succeeded(|_| {});
    next.set_oauth(Some(scene.client()), Arc::new(|_| Box::pin(async {})));
    // The workspace has sent these, and sends them again.
    next.set_tokens(Some(json!({"access_token": "t1", "refresh_token": "r1"}))).expect("tokens");
    assert_eq!(status(&scene.send_by(&next, Some("oauth")).await), 200);
    assert_eq!(status(&scene.send_with_token().await), 200, "calls under way have it, too");
    assert_eq!(scene.reads_of("/token"), 1);
}

#[tokio::test(start_paused = true)]
async fn token_requests_of_the_grant_go_by_the_new_policy() {
    let grant = || token(json!({"access_token": "t2", "refresh_token": "r2"}));
    let scene = super::oauth::oauth_scene(move |_| grant()).await;
    let next = scene.succeeded(|setup| setup.policy = Policy::default());
    next.set_oauth(Some(scene.client()), Arc::new(|_| Box::pin(async {})));
    let error = scene.send_with_token().await.expect_err("the API refused the old token");
    assert!(error.to_string().contains("is not granted"), "{error}");
    assert_eq!(scene.reads_of("/token"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_token_of_a_credential_comes_from_the_store_that_both_have() {
    const CLIENT: &str = "[api]\ntype = 'client-credentials'\n\
        token-url = 'http://127.0.0.1:PORT/token'\nclient-id = 'id'\nclient-secret = 'the-secret'\n";
    let mut scene = Scene::new(|seen| match seen.head.starts_with("POST /token ") {
        true => token(json!({"access_token": "a-token", "expires_in": 3600})),
        false => answer(200, "", ""),
    })
    .await;
    let store = Arc::new(MemoryStore::default());
    let credentials = || prepared(CLIENT, scene.server.port);
    let broker = scene.succeeded(|setup| {
        (setup.credentials, setup.store) = (credentials(), store.clone());
    });
    let next = scene.succeeded(|setup| {
        (setup.credentials, setup.store) = (credentials(), store.clone());
    });
    scene.broker = broker;
    // At once: both want a token, and one asks for it.
    let (one, other) =
        tokio::join!(scene.send_by(&scene.broker, Some("api")), scene.send_by(&next, Some("api")));
    assert_eq!((status(&one), status(&other)), (200, 200));
    assert_eq!(scene.reads_of("/token"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_server_asked_for_holds_for_the_next_version() {
    let spent = "x-ratelimit-remaining: 0\r\nx-ratelimit-reset-after: 30\r\n";
    let scene = Scene::scripted([answer(200, spent, "")]).await;
    assert_eq!(status(&scene.send(scene.request("POST")).await), 200);
    let next = scene.succeeded(|_| {});
    let before = Instant::now();
    assert_eq!(status(&scene.send_by(&next, None).await), 200);
    assert!(before.elapsed() >= Duration::from_secs(29), "{:?}", before.elapsed());
}
