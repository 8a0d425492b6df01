//! What a policy that only reports lets through, and what it does not.

use url::Url;

use super::network::Network;
use super::*;
use crate::vault::Placeholders;

const NAMES: &[(&str, &[&str])] = &[
    ("public.example", &["93.184.216.34"]),
    ("private.example", &["10.0.0.1"]),
    ("mixed.example", &["93.184.216.34", "127.0.0.1"]),
    ("metadata.google.internal", &["169.254.169.254"]),
];

async fn reporting(allow: &[&str]) -> (Broker, Arc<Network>) {
    let server = Server::start(Box::new(|_| answer(200, "", "ok"))).await;
    let network = Arc::new(Network::to(&server, NAMES));
    let allow: Vec<_> = allow.iter().map(|&origin| origin.to_owned()).collect();
    let policy = Policy::parse(&allow, &[]).expect("grants").in_mode(Mode::Report);
    let broker = Broker::with_resolver(setup(policy, Events::default()), network.clone());
    (broker, network)
}

fn scope(vault: Arc<Vault>) -> Scope {
    Scope {
        call: None,
        deadline: Instant::now() + Duration::from_secs(600),
        vault,
        allowance: Arc::default(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_lets_through_to_public_addresses_alone() {
    let (broker, network) = reporting(&[]).await;
    for (url, dialled) in [
        ("http://public.example/x", Some("93.184.216.34:80")),
        ("http://8.8.8.8:8080/", Some("8.8.8.8:8080")),
        ("http://private.example/", None),
        ("http://mixed.example/", None),
        ("http://metadata.google.internal/", None),
        ("http://169.254.169.254/latest/", None),
        ("http://localhost/", None),
        ("http://127.1/", None),
        ("http://[::ffff:10.0.0.1]/", None),
    ] {
        let request = Request { method: "GET".into(), url: url.into(), ..Request::default() };
        let outcome = broker.send(request, &scope(Arc::default())).await;
        assert_eq!(outcome.is_ok(), dialled.is_some(), "{url}: {outcome:?}");
        let expected: Vec<_> = dialled.into_iter().map(str::to_owned).collect();
        assert_eq!(network.dialled(), expected, "{url}");
        network.dialled.lock().clear();
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_lets_no_secret_go_where_nothing_is_granted() {
    let values = [("KEY".to_owned(), "the-secret".into())].into();
    let placeholders = Placeholders::new(["KEY".to_owned()]);
    let vault = Arc::new(Vault::new(values, &placeholders, &Default::default()));
    let (broker, network) = reporting(&["https://granted.example"]).await;
    let key = vault.visible("KEY").expect("a placeholder").as_bytes().to_vec();
    let request = Request {
        method: "GET".into(),
        url: "https://public.example/".into(),
        headers: vec![("x-key".into(), key)],
        ..Request::default()
    };
    let error = broker.send(request, &scope(vault)).await.expect_err("a secret");
    let text = "the secret KEY is not sent where nothing is granted, also while the policy only \
        reports: https://public.example is not granted; allow it with --allow \
        https://public.example, or in connector.toml: [[grant]] origin = \"https://public.example\"";
    assert_eq!(error, Error::Denied(text.into()));
    assert!(network.dialled().is_empty());
}

#[test]
fn a_permit_of_a_report_says_what_would_have_been_refused() {
    let policy = Policy::default().in_mode(Mode::Report);
    let url = Url::parse("https://public.example/x").expect("a URL");
    let permit = policy.check(&http::Method::GET, &url).expect("let through");
    let would = permit.would_refuse().expect("a refusal").to_string();
    assert_eq!(
        would,
        in_full(
            "https://public.example is not granted; allow it with --allow https://public.example"
        )
    );
    assert_eq!(&**permit.grant_id(), "none");
}
