//! What nothing gets around: redirects, answers that point elsewhere, token endpoints.

use std::net::SocketAddr;

use serde_json::json;

use super::network::Network;
use super::*;

fn broker(allow: &[&str], private: &[&str], network: &Arc<Network>) -> Broker {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.into()).collect::<Vec<_>>();
    let policy = Policy::parse(&owned(allow), &owned(private)).expect("grants");
    Broker::with_resolver(setup(policy, Events::default()), network.clone())
}

fn scope() -> Scope {
    Scope {
        call: None,
        deadline: Instant::now() + Duration::from_secs(600),
        vault: Arc::default(),
        allowance: Arc::default(),
    }
}

fn to(url: &str) -> Request {
    Request { method: "GET".into(), url: url.into(), ..Request::default() }
}

#[tokio::test(start_paused = true)]
async fn an_answer_leads_nowhere_else() {
    let elsewhere = [
        "location: http://other.example/",
        "location: //other.example/",
        "location: /again",
        "location: http://127.0.0.1/",
        "location: http://169.254.169.254/latest/",
        "content-location: http://other.example/",
        "refresh: 0; url=http://other.example/",
        "alt-svc: h2=\"other.example:80\"",
    ];
    for status in [200, 201, 300, 301, 302, 303, 305, 307, 308] {
        for field in elsewhere {
            let answer = move |_: &Seen| answer(status, &format!("{field}\r\n"), "");
            let server = Server::start(Box::new(answer)).await;
            let names: &[(&str, &[&str])] =
                &[("api.example", &["93.184.216.34"]), ("other.example", &["93.184.216.35"])];
            let network = Arc::new(Network::to(&server, names));
            let allow = ["http://api.example", "http://other.example"];
            let private = ["http://127.0.0.1", "http://169.254.169.254"];
            let answer = broker(&allow, &private, &network)
                .send(to("http://api.example/"), &scope())
                .await
                .expect("the answer itself");
            assert_eq!((answer.status, server.reads()), (status, 1), "{field}");
            assert_eq!(network.dialled(), ["93.184.216.34:80"], "{status} {field}");
            assert_eq!(*network.asked.lock(), ["api.example"], "{status} {field}");
        }
    }
}

fn client(token_url: &str) -> OAuthClient {
    OAuthClient {
        authorization_url: "https://id.example/authorize".into(),
        token_url: token_url.into(),
        client_id: "id".into(),
        client_secret: Some("hush".into()),
        scope: None,
        use_auth_header: false,
        use_code_challenge: false,
        additional_token_args: Vec::new(),
    }
}

/// Asks a token endpoint in both ways: for a call whose token was refused, and with a code.
async fn ask_for_tokens(broker: &Broker, token_url: &str) -> [Error; 2] {
    broker.set_oauth(Some(client(token_url)), Arc::new(|_| Box::pin(async {})));
    let tokens = json!({"access_token": "t1", "refresh_token": "r1"});
    broker.set_tokens(Some(tokens)).expect("tokens");
    let request = Request { credential: Some("oauth".into()), ..to("http://api.internal/") };
    let refreshed = broker.send(request, &scope()).await.expect_err("no token");
    let exchanged = broker.exchange_code("code", "https://x.example/back", None).await;
    [refreshed, exchanged.expect_err("no token")]
}

#[tokio::test(start_paused = true)]
async fn a_token_endpoint_passes_the_same_guard() {
    let names: &[(&str, &[&str])] = &[
        ("api.internal", &["10.0.0.1"]),
        ("id.example", &["10.0.0.7"]),
        ("mixed.example", &["93.184.216.34", "10.0.0.7"]),
        ("rebound.internal", &["169.254.169.254"]),
    ];
    for (token_url, text) in [
        (
            "https://id.example/token",
            "id.example (10.0.0.7) is a private address (RFC 1918); \
             allow it with --allow-private https://id.example",
        ),
        (
            "https://mixed.example/token",
            "mixed.example (10.0.0.7) is a private address (RFC 1918); \
             allow it with --allow-private https://mixed.example",
        ),
        (
            "https://2130706433/token",
            "127.0.0.1 is a loopback address; allow it with --allow-private https://127.0.0.1",
        ),
        (
            "https://[::ffff:169.254.169.254]/token",
            "[::ffff:a9fe:a9fe] is a cloud metadata address; \
             allow it with --allow-private https://[::ffff:a9fe:a9fe]",
        ),
        (
            "http://rebound.internal/token",
            "rebound.internal (169.254.169.254) is a cloud metadata address; name it by that \
             address and allow it with --allow-private http://169.254.169.254",
        ),
        (
            "https://id.example:8443/token",
            "https://id.example:8443 is not granted; \
             allow it with --allow https://id.example:8443",
        ),
    ] {
        let server = Server::start(Box::new(|_| answer(401, "", ""))).await;
        let network = Arc::new(Network::to(&server, names));
        let private = ["http://api.internal", "http://rebound.internal"];
        let broker = broker(&["https://*"], &private, &network);
        for error in ask_for_tokens(&broker, token_url).await {
            assert_eq!(error, Error::Denied(in_full(text)), "{token_url}");
        }
        let of_the_call: SocketAddr = "10.0.0.1:80".parse().expect("an address");
        assert_eq!(*network.dialled.lock(), [of_the_call], "{token_url}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_endpoint_that_redirects_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let server = Server::start(Box::new(move |seen| {
            let is_token = seen.head.starts_with("POST /token ");
            let field = "location: http://other.internal/token\r\n";
            answer(if is_token { status } else { 401 }, field, "")
        }))
        .await;
        let names: &[(&str, &[&str])] = &[
            ("api.internal", &["10.0.0.1"]),
            ("id.internal", &["10.0.0.7"]),
            ("other.internal", &["10.0.0.8"]),
        ];
        let network = Arc::new(Network::to(&server, names));
        let broker = broker(&[], &["http://*.internal"], &network);
        for error in ask_for_tokens(&broker, "http://id.internal/token").await {
            let text = format!("the token endpoint answered with status {status}");
            assert_eq!(error, Error::Credential(text));
        }
        assert_eq!(network.dialled(), ["10.0.0.1:80", "10.0.0.7:80"]);
    }
}
