//! Tokens of a real authorization server: asked for once, renewed ahead, rotated and kept, given up
//! when their grant has ended.

use std::path::Path;

use aloma_tests::authorization_server::{CHALLENGE, REDIRECT, VERIFIER};
use aloma_tests::process::within;
use aloma_tests::scene::Setting;
use aloma_tests::{AuthorizationServer, KeyPair, Scene, error_of, guest, sealing};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with the settings of `hooks` with a credential for the API, and for what it keeps.
fn folder(server: &AuthorizationServer, credential: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = format!(
        "component = '{}'\nid = 'hooks'\n\
         [[grant]]\norigin = '{}'\nprivate = true\ncredential = 'api'\n\
         [[grant]]\norigin = '{}'\nprivate = true\npaths = ['/token']\n\
         [credentials.api]\ntoken-url = '{}'\n{credential}",
        guest("hooks").display(),
        server.api(),
        server.issuer(),
        server.token_url(),
    );
    std::fs::write(folder.path().join("connector.toml"), settings).expect("a file");
    folder
}

fn client_credentials(server: &AuthorizationServer) -> TempDir {
    folder(
        server,
        "type = 'client-credentials'\nclient-id = 'service'\nclient-secret = 'service-secret'\n\
         scope = 'read'\n",
    )
}

async fn refresh_token(server: &AuthorizationServer) -> TempDir {
    let token = server.refresh_token().await;
    folder(
        server,
        &format!(
            "type = 'refresh-token'\nauth = 'body'\nclient-id = 'app'\n\
             client-secret = 'app-secret'\nrefresh-token = '{token}'\n"
        ),
    )
}

/// A process that keeps its tokens in that folder, where the next one finds them.
fn scene(folder: &Path) -> Setting {
    let data = folder.join("data");
    let data = data.to_str().expect("a path that is text");
    Scene::file(&folder.join("connector.toml")).env("XDG_DATA_HOME", data)
}

async fn call(scene: &Scene, server: &AuthorizationServer) -> Value {
    scene.query(&["send"], json!({"url": server.api()})).await
}

async fn many(scene: &Scene, server: &AuthorizationServer, count: usize) -> Value {
    scene.query(&["many"], json!({"url": server.api(), "count": count})).await
}

fn statuses(status: u16, count: usize) -> Value {
    json!({"statuses": vec![status; count]})
}

#[tokio::test]
async fn a_hundred_requests_at_once_make_one_token_request() {
    let Some(server) = AuthorizationServer::start(&[]).await else { return };
    let folder = client_credentials(&server);
    let scene = scene(folder.path()).start().await;
    assert_eq!(many(&scene, &server, 100).await, statuses(200, 100));
    let query = json!({"query": ["send"], "variables": {"url": server.api()}});
    for asked in scene.workspace.ask_together("connector.query", &vec![query; 20]).await {
        let answer = asked.answer().await;
        assert!(answer["body"].as_str().is_some_and(|body| body.contains("service")), "{answer}");
    }
    let counts = server.counts().await;
    assert_eq!(counts["requests"], json!({"client_credentials": 1}), "{counts}");
    assert_eq!(counts["api"], json!({"200": 120}), "{counts}");
}

#[tokio::test]
async fn a_short_lived_token_is_renewed_before_a_call_fails() {
    let Some(server) = AuthorizationServer::start(&["--token-seconds", "2"]).await else { return };
    let folder = client_credentials(&server);
    let scene = scene(folder.path()).start().await;
    let calls = async {
        while server.requests("client_credentials").await < 4 {
            let answer = call(&scene, &server).await;
            assert_eq!(answer["status"], 200, "{answer}");
        }
    };
    within("three tokens to be renewed", scene.process.log(), calls).await;
    let counts = server.counts().await;
    assert_eq!((&counts["api"]["401"], &counts["refused"]), (&Value::Null, &json!({})), "{counts}");
}

#[tokio::test]
async fn rotated_refresh_tokens_survive_the_process() {
    let Some(server) = AuthorizationServer::start(&[]).await else { return };
    let folder = refresh_token(&server).await;
    for round in 1..=3 {
        let scene = scene(folder.path()).start().await;
        // The second process takes the access token that the first has saved; it is refused.
        assert_eq!(call(&scene, &server).await["status"], 200, "round {round}");
        assert_eq!(server.requests("refresh_token").await, round);
        server.end_access_tokens().await;
    }
    let counts = server.counts().await;
    assert_eq!((&counts["reused"], &counts["refused"]), (&json!(0), &json!({})), "{counts}");
}

#[tokio::test]
async fn a_saved_token_that_is_still_good_is_used_by_the_next_process() {
    let Some(server) = AuthorizationServer::start(&[]).await else { return };
    let folder = client_credentials(&server);
    for _ in 0..2 {
        let scene = scene(folder.path()).start().await;
        assert_eq!(call(&scene, &server).await["status"], 200);
    }
    assert_eq!(server.requests("client_credentials").await, 1);
}

#[tokio::test]
async fn a_revoked_token_is_renewed_once_for_all_who_wait() {
    let Some(server) = AuthorizationServer::start(&[]).await else { return };
    let folder = client_credentials(&server);
    let first = scene(folder.path()).start().await;
    assert_eq!(call(&first, &server).await["status"], 200);
    drop(first);
    server.end_access_tokens().await;
    let second = scene(folder.path()).start().await;
    assert_eq!(many(&second, &server, 20).await, statuses(200, 20));
    assert_eq!(server.requests("client_credentials").await, 2);
}

#[tokio::test]
async fn a_grant_that_was_ended_is_told_through_health_and_left_alone() {
    let Some(server) = AuthorizationServer::start(&[]).await else { return };
    let folder = refresh_token(&server).await;
    let first = scene(folder.path()).start().await;
    assert_eq!(call(&first, &server).await["status"], 200);
    drop(first);
    server.end_grants().await;
    let scene = scene(folder.path()).start().await;
    scene.workspace.health_of(true).await;
    for _ in 0..20 {
        let answer = call(&scene, &server).await;
        assert!(error_of(&answer).contains("\"api\" has ended (invalid_grant)"), "{answer}");
    }
    scene.workspace.configure(&[]).await;
    let health = scene.workspace.health_of(false).await;
    assert!(error_of(&health).contains("set a new refresh-token"), "{health}");
    let counts = server.counts().await;
    assert_eq!(counts["requests"]["refresh_token"], 2, "{counts}");
    assert_eq!(counts["api"]["401"], 1, "{counts}");
}

#[tokio::test]
async fn a_client_that_is_not_accepted_is_told_and_left_alone() {
    let Some(server) = AuthorizationServer::start(&[]).await else { return };
    let folder = folder(
        &server,
        "type = 'client-credentials'\nclient-id = 'service'\nclient-secret = 'wrong-secret'\n",
    );
    let scene = scene(folder.path()).start().await;
    for _ in 0..20 {
        let answer = call(&scene, &server).await;
        assert!(error_of(&answer).contains("check its client-id and client-secret"), "{answer}");
    }
    scene.workspace.configure(&[]).await;
    let health = scene.workspace.health_of(false).await;
    assert!(error_of(&health).contains("\"api\""), "{health}");
    assert!(!scene.process.log().holds("wrong-secret"));
    assert_eq!(server.requests("client_credentials").await, 1);
}

#[tokio::test]
async fn a_signed_assertion_brings_a_token() {
    let Some(server) = AuthorizationServer::start(&[]).await else { return };
    let folder = folder(
        &server,
        "type = 'jwt-bearer'\nissuer = 'robot'\nscope = 'read'\nkey = { file = 'robot.pem' }\n",
    );
    std::fs::write(folder.path().join("robot.pem"), server.robot_key().await).expect("a file");
    let scene = scene(folder.path()).start().await;
    let answer = call(&scene, &server).await;
    let body: Value = serde_json::from_str(answer["body"].as_str().expect("a text")).expect("JSON");
    assert_eq!(body, json!({"client": "robot", "scope": "read"}));
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    assert_eq!(server.requests(grant).await, 1);
}

/// `oauth` at the real server, with the fake workspace as the platform.
fn granted(server: &AuthorizationServer) -> Setting {
    let authorize = format!(
        "{}/auth?response_type=code&client_id={{{{clientId}}}}&redirect_uri={{{{redirectURI}}}}\
         &scope={{{{scope}}}}&code_challenge={{{{codeChallenge}}}}&code_challenge_method=S256",
        server.issuer()
    );
    Scene::connector("oauth")
        .env("OAUTH_AUTHORIZATION_URL", &authorize)
        .env("OAUTH_TOKEN_URL", &server.token_url())
        .env("OAUTH_CLIENT_ID", "app")
        .env("OAUTH_CLIENT_SECRET", "app-secret")
        .env("OAUTH_SCOPE", "openid read")
        .allow_private(server.issuer())
        .allow_private(server.api())
}

/// What the platform does when a user connects: gives the sealed tokens that it keeps.
async fn connect(scene: &Scene, server: &AuthorizationServer) -> Value {
    let started = scene.workspace.ask("connector.start-oauth", json!({})).await.answer().await;
    let url = started["url"].as_str().unwrap_or_else(|| panic!("no URL: {started}"));
    let url = url.replace("{{redirectURI}}", REDIRECT).replace("{{codeChallenge}}", CHALLENGE);
    let code = server.agree(&url).await;
    let arguments = json!({"code": code, "redirectURI": REDIRECT, "codeVerifier": VERIFIER});
    scene.workspace.ask("connector.finish-oauth", arguments).await.answer().await["value"].clone()
}

fn opened(sealed: &Value) -> Value {
    let sealed = sealed.as_str().unwrap_or_else(|| panic!("not sealed: {sealed}"));
    sealing::open(&KeyPair::shared().private, sealed)["_data"].clone()
}

async fn me(scene: &Scene, server: &AuthorizationServer) -> Value {
    scene.query(&["me"], json!({"url": server.api()})).await
}

#[tokio::test]
async fn a_user_connects_and_the_workspace_keeps_what_a_refresh_brings() {
    let Some(server) = AuthorizationServer::start(&[]).await else { return };
    let scene = granted(&server).start().await;
    let sealed = connect(&scene, &server).await;
    scene.workspace.configure_raw(json!({ "oauthResult": sealed })).await;
    let ann = json!({"client": "app", "sub": "ann", "scope": "openid read"});
    assert_eq!(me(&scene, &server).await, ann);
    server.end_access_tokens().await;
    assert_eq!(me(&scene, &server).await, ann);
    let kept = scene.workspace.next("connector.config-update").await["value"].clone();
    assert_ne!(opened(&kept)["refresh_token"], opened(&sealed)["refresh_token"]);
    drop(scene);
    // The next process knows what the workspace kept, and nothing else.
    let scene = granted(&server).start().await;
    scene.workspace.configure_raw(json!({ "oauthResult": kept })).await;
    server.end_access_tokens().await;
    assert_eq!(me(&scene, &server).await, ann);
    let counts = server.counts().await;
    assert_eq!(counts["requests"], json!({"authorization_code": 1, "refresh_token": 2}));
    assert_eq!((&counts["reused"], &counts["refused"]), (&json!(0), &json!({})), "{counts}");
}

#[tokio::test]
async fn a_user_who_disconnects_is_told_of_and_can_connect_again() {
    let Some(server) = AuthorizationServer::start(&[]).await else { return };
    let scene = granted(&server).start().await;
    let sealed = json!({"oauthResult": connect(&scene, &server).await});
    scene.workspace.configure_raw(sealed.clone()).await;
    scene.workspace.health_of(true).await;
    server.end_grants().await;
    for _ in 0..10 {
        let answer = me(&scene, &server).await;
        assert!(error_of(&answer).contains("connect again"), "{answer}");
    }
    // The same tokens once more are no reason to ask again.
    scene.workspace.configure_raw(sealed).await;
    let health = scene.workspace.health_of(false).await;
    assert!(error_of(&health).contains("the OAuth grant has ended"), "{health}");
    assert_eq!(server.requests("refresh_token").await, 1);
    let again = connect(&scene, &server).await;
    scene.workspace.configure_raw(json!({ "oauthResult": again })).await;
    assert_eq!(me(&scene, &server).await["sub"], "ann");
    scene.workspace.health_of(true).await;
}
