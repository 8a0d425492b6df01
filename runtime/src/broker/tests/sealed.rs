//! What sealed secrets promise: the guest learns nothing of the canary, whatever it sends and
//! whatever comes back.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use url::form_urlencoded::byte_serialize;

use super::*;
use crate::vault::Placeholders;

/// Holds what every encoding has to escape.
const CANARY: &str = "canary/7Q +\"x\"&é~tail";
/// What is left of it in any spelling that nobody thought of.
const PIECES: [&str; 3] = ["canary", "7Q", "tail"];
const TOKEN: &str = "tok-0123456789";

pub(super) fn vault(values: &[(&str, &str)]) -> Arc<Vault> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).into());
    let values: BTreeMap<_, _> = values.iter().map(owned).collect();
    let placeholders = Placeholders::new(values.keys().cloned());
    Arc::new(Vault::new(values, &placeholders, &Default::default()))
}

impl Scene {
    /// A scene whose connector has a canary, a token, and a value that no header can hold.
    fn sealed(mut self) -> Self {
        self.vault = vault(&[("CANARY", CANARY), ("TOKEN", TOKEN), ("LINES", "one\r\nx-evil: 1")]);
        self
    }

    async fn echoing(echo: impl Fn(&Seen) -> Step + Send + Sync + 'static) -> Self {
        Self::new(echo).await.sealed()
    }

    fn placeholder(&self, key: &str) -> String {
        self.vault.visible(key).expect("a secret").to_owned()
    }

    fn with_header(&self, name: &str, value: impl AsRef<[u8]>) -> Request {
        let headers = vec![(name.into(), value.as_ref().to_vec())];
        Request { headers, ..self.request("GET") }
    }

    fn with_body(&self, media_type: &str, body: String) -> Request {
        let headers = vec![("content-type".into(), media_type.into())];
        Request { headers, body: Some(body.into()), ..self.request("POST") }
    }

    async fn sent(&self, request: Request) -> Seen {
        assert_eq!(status(&self.send(request).await), 200);
        self.server.seen.lock().pop().expect("a request")
    }

    /// The request is refused, nothing leaves, and no text tells the canary.
    async fn refused(&mut self, request: Request, says: &str) -> Error {
        let error = self.send(request).await.expect_err(says);
        let text = error.to_string();
        assert!(text.contains(says), "{text}");
        assert_eq!(self.server.connections(), 0);
        let record = format!("{:?}", self.record());
        assert!(
            PIECES.iter().all(|piece| !text.contains(piece) && !record.contains(piece)),
            "{record}"
        );
        error
    }
}

/// Everything that a guest sees of an answer.
fn shown(answer: &Response) -> String {
    format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body))
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_filled_into_headers() {
    let scene = Scene::scripted([]).await.sealed();
    let (canary, token) = (scene.placeholder("CANARY"), scene.placeholder("TOKEN"));
    for (value, expected) in [
        (format!("Bearer {token}"), format!("Bearer {TOKEN}")),
        (format!("a={token}; b={canary}"), format!("a={TOKEN}; b={CANARY}")),
        (format!("{token}{token}"), format!("{TOKEN}{TOKEN}")),
        ("nothing".to_owned(), "nothing".to_owned()),
    ] {
        let seen = scene.sent(scene.with_header("x-auth", &value)).await;
        assert_eq!(seen.header("x-auth"), Some(&*expected), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_filled_into_a_basic_header_that_unmodified_code_built() {
    let scene = Scene::scripted([]).await.sealed();
    let pair = format!("user:{}", scene.placeholder("CANARY"));
    let expected = format!("Basic {}", STANDARD.encode(format!("user:{CANARY}")));
    for value in [
        format!("Basic {}", STANDARD.encode(&pair)),
        format!("Basic {}", STANDARD_NO_PAD.encode(&pair)),
    ] {
        let seen = scene.sent(scene.with_header("Authorization", &value)).await;
        assert_eq!(seen.header("authorization"), Some(&*expected), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_filled_into_the_query_and_no_record_shows_it() {
    let mut scene = Scene::scripted([]).await.sealed();
    let url = format!(
        "http://127.0.0.1:{}/p?a=1&key={}&b=2",
        scene.server.port,
        scene.placeholder("CANARY")
    );
    let seen = scene.sent(Request { url, ..scene.request("GET") }).await;
    let expected = "GET /p?a=1&key=canary%2F7Q%20%2B%22x%22%26%C3%A9%7Etail&b=2 HTTP/1.1\r\n";
    assert!(seen.head.starts_with(expected), "{}", seen.head);
    let record = scene.record();
    assert_eq!(record.url, format!("http://127.0.0.1:{}/p", scene.server.port));
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_filled_into_a_body_as_its_type_spells_it() {
    let scene = Scene::scripted([]).await.sealed();
    let key = scene.placeholder("CANARY");
    for (media_type, before, expected) in [
        ("application/json; charset=utf-8", r#"{"k":"{}"}"#, r#"{"k":"canary/7Q +\"x\"&é~tail"}"#),
        (
            "application/vnd.api+json",
            r#"["{}","{}"]"#,
            r#"["canary/7Q +\"x\"&é~tail","canary/7Q +\"x\"&é~tail"]"#,
        ),
        (
            "application/x-www-form-urlencoded",
            "a=b&k={}",
            "a=b&k=canary%2F7Q%20%2B%22x%22%26%C3%A9%7Etail",
        ),
        ("text/plain", "{}!", "canary/7Q +\"x\"&é~tail!"),
    ] {
        let seen = scene.sent(scene.with_body(media_type, before.replace("{}", &key))).await;
        assert_eq!(seen.body, expected, "{media_type}");
        assert_eq!(seen.header("content-length"), Some(&*expected.len().to_string()));
    }
}

#[tokio::test(start_paused = true)]
async fn every_attempt_carries_the_same_secret() {
    let scene = Scene::scripted([answer(503, "", "")]).await.sealed();
    let request = scene.with_header("x-auth", scene.placeholder("TOKEN"));
    assert_eq!(status(&scene.send(request).await), 200);
    let seen = scene.server.seen.lock();
    assert_eq!(seen.iter().filter(|seen| seen.header("x-auth") == Some(TOKEN)).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_echo_is_scrubbed_in_every_spelling() {
    let scene = Scene::echoing(|seen| {
        let secret = seen.header("x-auth").unwrap_or_default().to_owned();
        let json = serde_json::json!({ "echo": secret }).to_string();
        let percent = url::Url::parse("http://a/").map(|mut url| {
            url.query_pairs_mut().append_pair("q", &secret);
            url.to_string()
        });
        let spelled = [
            secret.clone(),
            json.replace('/', "\\/").replace('é', "\\u00E9"),
            json,
            percent.expect("a URL"),
            byte_serialize(secret.as_bytes())
                .collect::<String>()
                .replace('+', "%20")
                .to_lowercase(),
            STANDARD.encode(&secret),
            STANDARD.encode(format!("u:{secret}!")),
            URL_SAFE.encode(format!("us:{secret}")),
            byte_serialize(STANDARD.encode(format!("u:{secret}")).as_bytes()).collect(),
            secret.to_ascii_uppercase(),
        ];
        let fields = format!("x-echo: {secret}\r\nlocation: /?k={}\r\n", spelled[4]);
        answer(200, &fields, &spelled.join("\n"))
    })
    .await;
    let key = scene.placeholder("CANARY");
    let answer = scene.send(scene.with_header("x-auth", &key)).await.expect("an answer");
    let (text, lower) = (shown(&answer), shown(&answer).to_lowercase());
    assert!(PIECES.iter().all(|piece| !lower.contains(&piece.to_lowercase())), "{text}");
    for offset in 0..3 {
        let encoded = STANDARD.encode([&vec![0; offset], CANARY.as_bytes()].concat());
        assert!(!text.contains(&encoded[4..12]), "{text}");
    }
    assert_eq!(answer.headers["x-echo"].as_bytes(), key.as_bytes());
    assert_eq!(answer.body.split(|byte| *byte == b'\n').next(), Some(key.as_bytes()));
    assert_eq!(answer.headers["content-length"], answer.body.len().to_string());
}

#[tokio::test(start_paused = true)]
async fn what_one_request_stored_another_does_not_read() {
    let stored = Arc::new(Mutex::new(String::new()));
    let scene = Scene::echoing(move |seen| {
        let mut stored = stored.lock();
        if !seen.body.is_empty() {
            *stored = seen.body.clone();
        }
        answer(200, "", &stored)
    })
    .await;
    let body = scene.placeholder("CANARY");
    scene.send(scene.with_body("text/plain", body.clone())).await.expect("an answer");
    let request = scene.with_header("Accept-Encoding", "gzip");
    assert_eq!(scene.send(request).await.expect("an answer").body, body);
    let seen = scene.server.seen.lock()[1].clone();
    // It is the broker's to choose what it can read.
    assert_ne!(seen.header("accept-encoding"), Some("gzip"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_searched_is_kept_back() {
    let scene = Scene::echoing(|_| answer(200, "content-encoding: lzma\r\n", "packed")).await;
    let request = scene.with_header("x-auth", scene.placeholder("TOKEN"));
    let error = scene.send(request).await.expect_err("kept back").to_string();
    assert!(error.contains("--reveal KEY"), "{error}");
    assert_eq!(status(&scene.send(scene.request("GET")).await), 200);
}

#[tokio::test(start_paused = true)]
async fn an_echoed_oauth_token_is_scrubbed_too() {
    let scene = Scene::new(|seen| answer(200, "", seen.header("authorization").unwrap_or("none")));
    let scene = scene.await;
    let client = OAuthClient {
        authorization_url: "https://id.example/".into(),
        token_url: "https://id.example/token".into(),
        client_id: "id".into(),
        client_secret: None,
        scope: None,
        use_auth_header: false,
        use_code_challenge: false,
        additional_token_args: Vec::new(),
    };
    scene.broker.set_oauth(Some(client), Arc::new(|_| Box::pin(async {})));
    for token in ["first-token", "second-token"] {
        let tokens = serde_json::json!({ "access_token": token });
        scene.broker.set_tokens(Some(tokens)).expect("tokens");
        let request = Request { credential: Some("oauth".into()), ..scene.request("GET") };
        let answer = scene.send(request).await.expect("an answer");
        assert_eq!(answer.body, "Bearer aloma-sealed-token");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_not_sent_where_it_is_not_bound() {
    let mut scene = Scene::scripted([]).await.sealed();
    let origin = format!("http://127.0.0.1:{}", scene.server.port);
    let bindings = [("CANARY".to_owned(), "https://api.example".to_owned())];
    let policy =
        Policy::parse(&[], std::slice::from_ref(&origin)).and_then(|policy| policy.bind(&bindings));
    let events = Events::default();
    scene.records = events.watch();
    scene.broker = Broker::new(setup(policy.expect("grants"), events));
    let says = format!(
        "the secret CANARY is not bound to {origin}; allow it with --bind CANARY={origin}, or in \
         connector.toml: [secrets.CANARY] bind = [\"https://api.example\", \"{origin}\"]"
    );
    let (key, token) = (scene.placeholder("CANARY"), scene.placeholder("TOKEN"));
    let basic = format!("Basic {}", STANDARD.encode(format!(":{key}")));
    let url = format!("{origin}/?{key}");
    for request in [
        scene.with_header("x-auth", &key),
        scene.with_header("x-auth", format!("{token} {key}")),
        scene.with_header("authorization", basic),
        scene.with_body("text/plain", key),
        Request { url, ..scene.request("GET") },
    ] {
        let error = scene.refused(request, &says).await;
        assert!(matches!(error, Error::Denied(_)), "{error:?}");
    }
    assert_eq!(scene.sent(scene.with_header("x-auth", token)).await.header("x-auth"), Some(TOKEN));
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_not_sent_over_plain_http_to_a_public_host() {
    let server = Server::start(Box::new(|_| Step::Hang)).await;
    let mut scene =
        Scene::with(server, &["http://api.example"], &[], names(&[&[NOWHERE]])).sealed();
    let request = Request {
        url: "http://api.example/".into(),
        ..scene.with_header("x", scene.placeholder("TOKEN"))
    };
    scene
        .refused(request, "the secret TOKEN is not sent to http://api.example over plain http")
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_not_sent_in_an_address() {
    let mut scene = Scene::scripted([]).await.sealed();
    let (key, origin) =
        (scene.placeholder("CANARY"), format!("http://127.0.0.1:{}", scene.server.port));
    for url in [
        format!("{origin}/x/{key}"),
        format!("{origin}/{key}?{key}"),
        format!("https://{key}/"),
        format!("https://{key}@a.example/"),
        format!("{key}/users"),
    ] {
        let request = Request { url, ..scene.request("GET") };
        scene.refused(request, "--reveal CANARY").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_would_break_a_header_is_not_sent() {
    let mut scene = Scene::scripted([]).await.sealed();
    let request = scene.with_header("x-auth", scene.placeholder("LINES"));
    let error = scene.refused(request, "the header x-auth cannot hold the secret LINES").await;
    assert!(!error.to_string().contains("evil"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_body_of_placeholders_does_not_grow_past_the_limit() {
    let mut scene = Scene::scripted([]).await;
    scene.vault = vault(&[("LONG", &"x".repeat(4096))]);
    let body = scene.placeholder("LONG").repeat(16 * 1024);
    let error = scene.send(scene.with_body("text/plain", body)).await.expect_err("too long");
    assert!(
        matches!(&error, Error::Breach(breach, _) if breach.limit == Limit::RequestBody),
        "{error:?}"
    );
    assert_eq!(scene.server.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_placeholder_of_another_connector_is_worth_nothing() {
    let scene = Scene::scripted([]).await.sealed();
    let foreign = vault(&[("CANARY", CANARY)]).visible("CANARY").expect("a secret").to_owned();
    let seen = scene.sent(scene.with_header("x-auth", &foreign)).await;
    assert_eq!(seen.header("x-auth"), Some(&*foreign));
}

#[tokio::test(start_paused = true)]
async fn a_secret_in_an_upload_of_a_said_length_is_refused_and_without_one_the_length_is_kept() {
    let scene = Scene::scripted([]).await.sealed();
    let key = scene.placeholder("CANARY");
    let deadline = Instant::now() + Duration::from_secs(60);
    let scope =
        Scope { call: None, deadline, vault: scene.vault.clone(), allowance: Arc::default() };
    let post = |body: &str| {
        let pieces = http_body_util::Full::new(Bytes::from(body.to_owned()));
        let upload = Upload::new(pieces.map_err(|never| match never {}), Some(body.len() as u64));
        let request = Request { body: None, ..scene.request("POST") };
        scene.broker.open(request, Some(upload), &scope)
    };
    let error = post(&format!("a key: {key}")).await.err().expect("refused");
    assert!(error.to_string().contains("the secret CANARY cannot be put into a body"), "{error}");
    assert_eq!(post("no secret").await.expect("an answer").status, 200);
    let seen = scene.server.seen.lock().pop().expect("a request");
    assert_eq!((seen.header("content-length"), &*seen.body), (Some("9"), "no secret"));
}
