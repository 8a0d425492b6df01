//! What credentials by name promise.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use secrecy::SecretString;

use super::*;
use crate::broker::credential::{Clock, Credentials, Tools};
use crate::broker::policy::Permit;
use crate::broker::request::Parsed;
use crate::vault::Placeholders;

/// Reads a table of credentials. `PORT` stands for the server's port.
pub(super) fn prepared(text: &str, port: u16) -> BTreeMap<String, Prepared> {
    let text = text.replace("PORT", &port.to_string());
    let settings: BTreeMap<String, CredentialSettings> = toml::from_str(&text).expect("settings");
    let prepare = |(name, settings): (String, CredentialSettings)| {
        let prepared = settings.resolve(&name, Path::new("."), &|_| None).expect("a credential");
        (name, prepared)
    };
    settings.into_iter().map(prepare).collect()
}

/// The time of day on the paused clock.
pub(super) fn virtual_clock() -> Clock {
    let start = Instant::now();
    Arc::new(move || UNIX_EPOCH + Duration::from_secs(1_800_000_000) + start.elapsed())
}

impl Scene {
    pub(super) fn give(&mut self, settings: &str, store: Arc<dyn Store>, clock: Clock) {
        let tools = Tools { sender: self.broker.door.clone(), store, clock };
        let prepared = prepared(settings, self.server.port);
        self.broker.credentials = Credentials::new("test".into(), prepared, tools);
    }

    pub(super) async fn send_as(&self, credential: &str) -> Result<Response, Error> {
        let credential = Some(credential.into());
        self.send(Request { credential, ..self.request("POST") }).await
    }

    fn last_head(&self) -> String {
        self.server.seen.lock().last().expect("a request").head.clone()
    }
}

async fn scene_with(settings: &str) -> Scene {
    // An echo: what a curious guest would ask for.
    let mut scene = Scene::new(|seen| answer(200, "", &seen.head)).await;
    scene.give(settings, Arc::new(MemoryStore::default()), Arc::new(SystemTime::now));
    scene
}

const KINDS: &str = r#"
[bearer]
type = "bearer"
token = "the-bearer-token"
[basic]
type = "basic"
username = "me"
password = "pass:w"
[header]
type = "header"
name = "X-Api-Key"
value = "the-header-value"
[query]
type = "query"
name = "api key"
value = "the query/value"
[aws]
type = "aws-sigv4"
access-key-id = "AKIDEXAMPLE"
secret-access-key = "the-secret-access-key"
session-token = "the-session-token"
region = "eu-west-1"
service = "sqs"
[of-a-field]
type = "bearer"
token = { field = "KEY" }
"#;

#[tokio::test(start_paused = true)]
async fn every_kind_is_put_where_it_belongs_and_never_seen_by_the_guest() {
    let mut scene = scene_with(KINDS).await;
    for (name, expected, secret) in [
        ("bearer", "authorization: Bearer the-bearer-token\r\n", "the-bearer-token"),
        ("basic", "authorization: Basic bWU6cGFzczp3\r\n", "bWU6cGFzczp3"),
        ("header", "x-api-key: the-header-value\r\n", "the-header-value"),
        ("query", "/path?query&api%20key=the%20query%2Fvalue HTTP", "the%20query%2Fvalue"),
        ("aws", "x-amz-security-token: the-session-token\r\n", "the-session-token"),
        ("aws", "Credential=AKIDEXAMPLE/", "the-secret-access-key"),
    ] {
        let answer = scene.send_as(name).await.expect("an answer");
        let head = scene.last_head();
        assert!(head.contains(expected), "{name}: {head}");
        let echo = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!echo.contains(secret), "{name}: {echo}");
        let record = format!("{:?}", scene.record());
        assert!(!record.contains(secret), "{name}: {record}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_may_come_from_a_field_of_the_configuration() {
    let mut scene = scene_with(KINDS).await;
    let error = scene.send_as("of-a-field").await.expect_err("no field").to_string();
    assert!(error.contains("\"of-a-field\" needs the field KEY"), "{error}");
    let values = BTreeMap::from([("KEY".to_owned(), SecretString::from("the-field-value"))]);
    let placeholders = Placeholders::new(["KEY".to_owned()]);
    scene.vault = Arc::new(Vault::new(values, &placeholders, &Default::default()));
    let answer = scene.send_as("of-a-field").await.expect("an answer");
    assert!(scene.last_head().contains("authorization: Bearer the-field-value\r\n"));
    assert!(!String::from_utf8_lossy(&answer.body).contains("the-field-value"));
}

#[tokio::test(start_paused = true)]
async fn a_bound_field_goes_nowhere_else_in_a_credential_either() {
    let mut scene = scene_with(
        "[login]\ntype = 'basic'\nusername = { field = 'USER' }\npassword = { field = 'KEY' }",
    )
    .await;
    let values = [("USER", "somebody"), ("KEY", "the-field-value")];
    let values: BTreeMap<_, _> =
        values.map(|(key, value)| (key.to_owned(), SecretString::from(value))).into();
    let vault = |secret: &[&str]| {
        let placeholders = Placeholders::new(secret.iter().map(|key| (*key).to_owned()));
        Arc::new(Vault::new(values.clone(), &placeholders, &Default::default()))
    };
    let bound = |key: &str| [(key.to_owned(), "https://a.example".to_owned())];
    for (secret, key, is_sent) in [
        (&["USER", "KEY"][..], "USER", false),
        (&["USER", "KEY"], "KEY", false),
        (&["KEY"], "KEY", false),
        (&["KEY"], "OTHER", true),
    ] {
        scene.vault = vault(secret);
        let parsed = Parsed::new(scene.request("GET"), None, &Arc::default()).expect("a request");
        let origin = [parsed.url.origin().ascii_serialization()];
        let policy = Policy::parse(&[], &origin).and_then(|policy| policy.bind(&bound(key)));
        let policy = policy.expect("a policy");
        let permit = policy.check(&parsed.method, &parsed.url).expect("granted");
        let chosen = scene.broker.credentials.select(Some("login"), None, &permit);
        let credential = chosen.expect("chosen").expect("a credential");
        let outcome = credential.check_fields(&parsed, &policy, &permit, &scene.vault);
        assert_eq!(outcome.is_ok(), is_sent, "{secret:?} {key}: {outcome:?}");
    }
}

/// The choice for a request, and the permit that a policy gives it.
fn select(
    scene: &Scene,
    named: Option<&str>,
    attached: Option<&str>,
    url: &str,
    headers: &[(&str, &str)],
) -> Result<Option<String>, Error> {
    let own = |(name, value): &(&str, &str)| ((*name).into(), value.as_bytes().to_vec());
    let headers = headers.iter().map(own).collect();
    let request = Request { method: "GET".into(), url: url.into(), headers, ..Request::default() };
    let parsed = Parsed::new(request, None, &Arc::default()).expect("a request");
    let grants = ["https://*".to_owned(), "http://*".to_owned(), "https://*:444".to_owned()];
    let private = ["http://127.0.0.1".to_owned(), "https://10.0.0.1".to_owned()];
    let policy = Policy::parse(&grants, &private).expect("grants");
    let permit: Permit = policy.check(&parsed.method, &parsed.url).expect("granted");
    let chosen = scene.broker.credentials.select(named, attached, &permit)?;
    if let Some(chosen) = &chosen {
        chosen.check(&parsed, &permit, &scene.vault)?;
    }
    Ok(chosen.map(|credential| credential.name().to_owned()))
}

#[tokio::test(start_paused = true)]
async fn the_guest_names_a_credential_or_the_grant_attaches_it() {
    let scene = scene_with(KINDS).await;
    let url = "https://api.example/x?a=b&api+key=c";
    let choose = |named, attached, headers: &[_]| select(&scene, named, attached, url, headers);
    let name = |name: &str| Ok(Some(name.to_owned()));
    assert_eq!(choose(None, None, &[]), Ok(None));
    assert_eq!(choose(Some("bearer"), None, &[]), name("bearer"));
    assert_eq!(choose(None, Some("bearer"), &[]), name("bearer"));
    assert_eq!(choose(Some("bearer"), Some("bearer"), &[]), name("bearer"));
    assert_eq!(choose(Some("header"), None, &[("Authorization", "mine")]), name("header"));
    let own = [("Authorization", "mine"), ("x-API-key", "mine")];
    let there_are = "there is no credential \"x\"; there are \"aws\", \"basic\", \"bearer\", \
        \"header\", \"oauth\", \"of-a-field\" and \"query\"; ";
    for (named, attached, headers, expected) in [
        (Some("x"), None, &[][..], there_are.trim_end_matches("; ")),
        (None, Some("x"), &[], there_are.trim_end_matches("; ")),
        (
            Some("basic"),
            Some("bearer"),
            &[],
            "the request names the credential \"basic\", but what goes to https://api.example has \
             the credential \"bearer\"; name that one, or none",
        ),
        (
            Some("basic"),
            None,
            &own,
            "the request has both a credential and a header authorization; leave one out",
        ),
        (
            None,
            Some("aws"),
            &own,
            "the request has both a credential and a header authorization; leave one out",
        ),
        (
            None,
            Some("header"),
            &own,
            "the request has both a credential and a header x-api-key; leave one out",
        ),
        (
            Some("query"),
            None,
            &[],
            "the request has both a credential and the parameter \"api key\" in its query; leave \
             one out",
        ),
    ] {
        let error = choose(named, attached, headers).expect_err(expected);
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_goes_only_where_it_is_bound_and_never_in_the_clear() {
    let scene = scene_with(
        "[api]\ntype = 'bearer'\ntoken = 'secret'\n\
         origins = ['https://*.api.example', 'http://127.0.0.1', 'https://*:444']\n\
         [free]\ntype = 'bearer'\ntoken = 'secret'",
    )
    .await;
    let bound = "the credential \"api\" is not bound to ORIGIN; allow it with origins = \
        [\"https://*.api.example\", \"http://127.0.0.1\", \"https://*:444\", \"ORIGIN\"] in \
        [credentials.api] of connector.toml";
    let clear = "the credential \"NAME\" is not sent to ORIGIN over plain http, where anyone can \
        read it; use https, \
                     or, where that is a host of your own network, --allow-private \
                     ORIGIN, or in connector.toml: [[grant]] origin = \
                     \"ORIGIN\" private = true";
    for (name, origin, expected) in [
        ("api", "https://x.api.example", None),
        ("api", "http://127.0.0.1", None),
        ("api", "https://other.example:444", None),
        ("api", "https://api.example", Some(bound)),
        ("api", "https://x.api.example.evil.example", Some(bound)),
        ("api", "https://10.0.0.1", Some(bound)),
        ("api", "http://x.api.example", Some(clear)),
        ("free", "https://api.example", None),
        ("free", "https://10.0.0.1", None),
        ("free", "http://127.0.0.1", None),
        ("free", "http://api.example", Some(clear)),
    ] {
        let outcome = select(&scene, Some(name), None, &format!("{origin}/x"), &[]);
        let told = outcome.err().map(|error| error.to_string());
        let expected = expected.map(|text| text.replace("ORIGIN", origin).replace("NAME", name));
        assert_eq!(told, expected, "{name} {origin}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_static_credential_that_is_refused_is_not_sent_again() {
    let mut scene = Scene::new(|_| answer(401, "", "")).await;
    scene.give(KINDS, Arc::new(MemoryStore::default()), Arc::new(SystemTime::now));
    for name in ["bearer", "basic", "header", "query", "aws"] {
        assert_eq!(status(&scene.send_as(name).await), 401);
    }
    assert_eq!(scene.server.reads(), 5);
}
