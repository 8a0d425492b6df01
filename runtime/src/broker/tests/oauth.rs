//! What the credential `oauth` promises.

use serde_json::{Value, json};

use super::*;

/// A server that is both API and authorization server: it accepts the token `t2` only, and gives
/// it out as `grant` says.
pub(super) async fn oauth_scene(grant: impl Fn(usize) -> Step + Send + Sync + 'static) -> Scene {
    let requests = AtomicUsize::new(0);
    let scene = Scene::new(move |seen| {
        if seen.head.starts_with("POST /token ") {
            return grant(requests.fetch_add(1, Ordering::SeqCst));
        }
        let is_good = seen.header("authorization") == Some("Bearer t2");
        answer(if is_good { 200 } else { 401 }, "", "")
    })
    .await;
    scene.broker.set_oauth(Some(scene.client()), Arc::new(|_| Box::pin(async {})));
    scene.configure(json!({"access_token": "t1", "refresh_token": "r1"}));
    scene
}

pub(super) fn token(answer_body: Value) -> Step {
    answer(200, "content-type: application/json\r\n", &answer_body.to_string())
}

impl Scene {
    pub(super) fn client(&self) -> OAuthClient {
        OAuthClient {
            authorization_url: "https://id.example/authorize".into(),
            token_url: format!("http://127.0.0.1:{}/token", self.server.port),
            client_id: "id".into(),
            client_secret: Some("hush".into()),
            scope: None,
            use_auth_header: false,
            use_code_challenge: false,
            additional_token_args: vec![("audience".into(), "a b".into())],
        }
    }

    fn configure(&self, tokens: Value) {
        self.broker.set_tokens(Some(tokens)).expect("tokens");
    }

    pub(super) async fn send_with_token(&self) -> Result<Response, Error> {
        let credential = Some("oauth".into());
        self.send(Request { credential, ..self.request("POST") }).await
    }

    fn token_requests(&self) -> Vec<String> {
        let seen = self.server.seen.lock();
        let of_token = seen.iter().filter(|seen| seen.head.starts_with("POST /token "));
        of_token.map(|seen| seen.body.clone()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn twenty_calls_with_a_revoked_token_make_one_token_request() {
    let scene = oauth_scene(|_| token(json!({"access_token": "t2", "expires_in": "3600"}))).await;
    let saved = Arc::new(Mutex::new(Vec::new()));
    let save = saved.clone();
    let on_refresh: OnRefresh = Arc::new(move |tokens| {
        let save = save.clone();
        Box::pin(async move { save.lock().push(tokens) })
    });
    scene.broker.set_oauth(Some(scene.client()), on_refresh);
    let outcomes = join_all((0..20).map(|_| scene.send_with_token())).await;
    assert!(outcomes.iter().all(|outcome| status(outcome) == 200));
    let form = "grant_type=refresh_token&refresh_token=r1&client_id=id&client_secret=hush";
    assert_eq!(scene.token_requests(), [form]);
    let kept = json!({"access_token": "t2", "expires_in": "3600", "refresh_token": "r1"});
    assert_eq!(*saved.lock(), [kept], "the old refresh token stays where no new one came");
}

#[tokio::test(start_paused = true)]
async fn a_refreshed_token_is_saved_before_it_is_used() {
    let scene = oauth_scene(|_| token(json!({"access_token": "t2", "refresh_token": "r2"}))).await;
    let server = scene.server.clone();
    let reads_when_saved = Arc::new(AtomicUsize::new(0));
    let reads = reads_when_saved.clone();
    let on_refresh: OnRefresh = Arc::new(move |_| {
        reads.store(server.reads(), Ordering::SeqCst);
        Box::pin(async {})
    });
    scene.broker.set_oauth(Some(scene.client()), on_refresh);
    assert_eq!(status(&scene.send_with_token().await), 200);
    assert_eq!(reads_when_saved.load(Ordering::SeqCst), 2, "the refused request and the token's");
    assert_eq!(scene.server.reads(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_goes_on_when_the_call_that_wanted_it_is_given_up() {
    let scene = oauth_scene(|_| token(json!({"access_token": "t2", "refresh_token": "r2"}))).await;
    let (saving, mut is_saving) = tokio::sync::mpsc::channel(1);
    let go_on = Arc::new(tokio::sync::Notify::new());
    let gate = go_on.clone();
    let on_refresh: OnRefresh = Arc::new(move |_| {
        let (saving, gate) = (saving.clone(), gate.clone());
        Box::pin(async move {
            let _ = saving.send(()).await;
            gate.notified().await;
        })
    });
    scene.broker.set_oauth(Some(scene.client()), on_refresh);
    tokio::select! {
        _ = scene.send_with_token() => panic!("the token is not saved yet"),
        _ = is_saving.recv() => {}
    }
    go_on.notify_one();
    assert_eq!(status(&scene.send_with_token().await), 200);
    assert_eq!(scene.token_requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_has_ended_is_left_alone_until_new_tokens_come() {
    let scene = oauth_scene(|_| answer(400, "", r#"{"error":"invalid_grant"}"#)).await;
    assert_eq!(scene.broker.health_problem(), None);
    let outcomes = join_all((0..5).map(|_| scene.send_with_token())).await;
    let dead = "the OAuth grant has ended (invalid_grant); connect again";
    for outcome in outcomes {
        assert_eq!(outcome.unwrap_err(), Error::Credential(dead.into()));
    }
    let reads = scene.server.reads();
    assert!(scene.send_with_token().await.is_err());
    assert_eq!(scene.server.reads(), reads, "nothing is asked any more");
    assert_eq!(scene.broker.health_problem().as_deref(), Some(dead));
    assert_eq!(scene.token_requests().len(), 1);
    scene.configure(json!({"access_token": "t1", "refresh_token": "r1"}));
    assert!(scene.broker.health_problem().is_some(), "the same tokens are as dead as before");
    scene.configure(json!({"access_token": "t2"}));
    assert_eq!(status(&scene.send_with_token().await), 200);
    assert_eq!(scene.broker.health_problem(), None);
}

#[tokio::test(start_paused = true)]
async fn a_token_endpoint_that_fails_for_a_while_costs_no_grant() {
    let scene = oauth_scene(|request| match request {
        0 => answer(503, "", "secret"),
        _ => token(json!({"access_token": "t2"})),
    })
    .await;
    let outcomes = join_all((0..5).map(|_| scene.send_with_token())).await;
    for outcome in outcomes {
        let text = "the token endpoint answered with status 503";
        assert_eq!(outcome.unwrap_err(), Error::Credential(text.into()));
    }
    assert_eq!((scene.token_requests().len(), scene.broker.health_problem()), (1, None));
    tokio::time::advance(REFRESH_PAUSE).await;
    assert_eq!(status(&scene.send_with_token().await), 200);
}

#[tokio::test(start_paused = true)]
async fn a_new_token_that_is_refused_too_is_not_refreshed_again() {
    let scene = oauth_scene(|_| token(json!({"access_token": "t3"}))).await;
    for _ in 0..3 {
        assert_eq!(status(&scene.send_with_token().await), 401);
    }
    assert_eq!(scene.token_requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_a_refresh_token_is_the_answer() {
    let scene = oauth_scene(|_| Step::Hang).await;
    scene.configure(json!({"access_token": "t9"}));
    assert_eq!(status(&scene.send_with_token().await), 401);
    assert_eq!(scene.token_requests().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_old_configuration_does_not_undo_a_refresh() {
    let scene = oauth_scene(|_| token(json!({"access_token": "t2", "refresh_token": "r2"}))).await;
    assert_eq!(status(&scene.send_with_token().await), 200);
    for tokens in [
        json!({"access_token": "t1", "refresh_token": "r1"}),
        json!({"access_token": "t2", "refresh_token": "r2"}),
    ] {
        scene.broker.set_oauth(Some(scene.client()), Arc::new(|_| Box::pin(async {})));
        scene.configure(tokens);
        assert_eq!(status(&scene.send_with_token().await), 200);
    }
    assert_eq!(scene.token_requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_credential_is_added_only_where_it_may_be() {
    let server = Server::start(Box::new(|_| Step::Hang)).await;
    let scene = Scene::with(server, &["http://api.example"], &[], names(&[&[NOWHERE]]));
    let send = |credential: &str, headers: Vec<(String, Vec<u8>)>| {
        let url = "http://api.example/".into();
        let credential = Some(credential.into());
        scene.send(Request { url, credential, headers, ..scene.request("GET") })
    };
    let own = vec![("Authorization".to_owned(), b"mine".to_vec())];
    assert!(matches!(send("oauth", own).await, Err(Error::InvalidRequest(_))));
    let text = "there is no credential \"x\"; the only one is \"oauth\"";
    assert_eq!(send("x", vec![]).await.unwrap_err(), Error::Credential(text.into()));
    let error = send("oauth", vec![]).await.unwrap_err();
    assert!(error.to_string().contains("over plain http"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_not_there_says_what_is_missing() {
    let scene = Scene::scripted([]).await;
    let error = scene.send_with_token().await.unwrap_err();
    assert!(error.to_string().contains("no OAuth client"), "{error}");
    scene.broker.set_oauth(Some(scene.client()), Arc::new(|_| Box::pin(async {})));
    assert_eq!(scene.broker.health_problem(), None, "nobody has wanted a token yet");
    let error = scene.send_with_token().await.unwrap_err();
    assert!(error.to_string().starts_with("no access token"), "{error}");
    assert_eq!(scene.broker.health_problem(), Some(error.to_string()));
    assert!(scene.broker.set_tokens(Some(json!({"error": "x"}))).is_err());
    assert_eq!(scene.server.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_code_is_exchanged_as_the_client_says() {
    let scene = oauth_scene(|_| token(json!({"access_token": "t2", "id": 7}))).await;
    let form = "grant_type=authorization_code&audience=a+b&code=c%26d&redirect_uri=https%3A%2F%2Fr";
    let tokens = scene.broker.exchange_code("c&d", "https://r", None).await.expect("tokens");
    assert_eq!(tokens, json!({"access_token": "t2", "id": 7}));
    let client = OAuthClient { use_auth_header: true, ..scene.client() };
    scene.broker.set_oauth(Some(client), Arc::new(|_| Box::pin(async {})));
    scene.broker.exchange_code("c&d", "https://r", Some("v")).await.expect("tokens");
    let expected =
        [format!("{form}&client_id=id&client_secret=hush"), format!("{form}&code_verifier=v")];
    assert_eq!(scene.token_requests(), expected);
    let seen = scene.server.seen.lock();
    let basic = seen.iter().map(|seen| seen.header("authorization")).collect::<Vec<_>>();
    assert_eq!(basic, [None, Some("Basic aWQ6aHVzaA==")]);
}

#[tokio::test(start_paused = true)]
async fn a_token_endpoint_must_be_granted_and_never_redirects() {
    let scene = oauth_scene(|_| answer(307, "location: /token\r\n", "")).await;
    let error = scene.broker.exchange_code("c", "r", None).await.unwrap_err();
    assert_eq!(error, Error::Credential("the token endpoint answered with status 307".into()));
    let token_url = "https://id.example/token".into();
    let client = OAuthClient { token_url, ..scene.client() };
    scene.broker.set_oauth(Some(client), Arc::new(|_| Box::pin(async {})));
    let error = scene.broker.exchange_code("c", "r", None).await.unwrap_err();
    let text = "https://id.example is not granted; allow it with --allow https://id.example";
    assert_eq!(error, Error::Denied(in_full(text)));
}

#[tokio::test(start_paused = true)]
async fn a_code_is_not_exchanged_twice() {
    let scene = oauth_scene(|_| Step::Cut(String::new())).await;
    let error = scene.broker.exchange_code("c", "r", None).await.unwrap_err();
    assert!(matches!(error, Error::Interrupted(_)), "{error:?}");
    assert_eq!(scene.token_requests().len(), 1);
}
