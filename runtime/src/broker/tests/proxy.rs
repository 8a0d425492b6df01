//! The way out through a proxy: the guard before it, and proxies that misbehave.

use std::net::SocketAddr;
use std::path::Path;

use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::network::Network;
use super::rebinding::{Dns, Zone};
use super::*;
use crate::broker::dial::{Connector, DialError, Dialled, Profile};
use crate::broker::network::NetworkSettings;
use crate::broker::policy::Mode;
use crate::broker::proxy::Proxy;

/// A proxy that tunnels, or does what a test orders.
pub(super) struct ConnectProxy {
    pub address: SocketAddr,
    heads: Mutex<Vec<String>>,
}

/// What the proxy does with a request for a tunnel.
#[derive(Clone)]
pub(super) enum Way {
    /// Opens one to this address, whatever was asked for.
    To(SocketAddr),
    Says(String),
    /// Answers with a head that goes on and on.
    Floods,
    Hangs,
}

impl ConnectProxy {
    /// Does these one after the other; the last one stays.
    pub async fn start(ways: Vec<Way>) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let proxy = Arc::new(Self { address, heads: Mutex::default() });
        let shared = proxy.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (proxy, ways) = (shared.clone(), ways.clone());
                tokio::spawn(async move { proxy.serve(stream, &ways).await });
            }
        });
        proxy
    }

    async fn serve(&self, mut stream: TcpStream, ways: &[Way]) -> io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let turn = {
            let mut heads = self.heads.lock();
            heads.push(String::from_utf8_lossy(&head).into_owned());
            heads.len() - 1
        };
        match ways.get(turn).or(ways.last()).expect("a way") {
            Way::To(target) => {
                stream.write_all(b"HTTP/1.1 200 Connection established\r\nvia: x\r\n\r\n").await?;
                let mut target = TcpStream::connect(target).await?;
                copy_bidirectional(&mut stream, &mut target).await.map(|_| ())
            }
            Way::Says(text) => stream.write_all(text.as_bytes()).await,
            Way::Floods => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
                for _ in 0..10 * 1024 {
                    stream.write_all(format!("x: {}\r\n", "y".repeat(1019)).as_bytes()).await?;
                }
                Ok(())
            }
            Way::Hangs => std::future::pending().await,
        }
    }

    /// What it was asked for: `CONNECT 1.2.3.4:80`.
    pub fn asked(&self) -> Vec<String> {
        let line = |head: &String| head.split(" HTTP/1.1\r\n").next().unwrap_or_default().into();
        self.heads.lock().iter().map(line).collect()
    }
}

pub(super) type TestClient = Client<Connector, Full<Bytes>>;

/// A client as the broker has it. The grants are the public ones and the private ones.
pub(super) fn client(
    grants: [&[&str]; 2],
    resolver: Arc<dyn Resolve>,
    profile: Profile,
) -> TestClient {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.into()).collect::<Vec<_>>();
    let [allow, private] = grants.map(owned);
    with_policy(Policy::parse(&allow, &private).expect("grants"), resolver, profile)
}

fn with_policy(policy: Policy, resolver: Arc<dyn Resolve>, profile: Profile) -> TestClient {
    let connector = Connector::new(Arc::new(policy), resolver, profile);
    Client::builder(TokioExecutor::new()).build(connector)
}

pub(super) async fn get(
    client: &TestClient,
    url: &str,
) -> Result<http::Response<Bytes>, legacy::Error> {
    let answer = client.get(url.parse().expect(url)).await?;
    let (head, body) = answer.into_parts();
    Ok(http::Response::from_parts(head, body.collect().await.expect("a body").to_bytes()))
}

/// Why there was no connection.
async fn refusal(client: &TestClient, url: &str) -> DialError {
    let error = get(client, url).await.expect_err(url);
    let mut link: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = link {
        if let Some(error) = error.downcast_ref::<DialError>() {
            return error.clone();
        }
        link = error.source();
    }
    panic!("no error of the guard: {error:?}")
}

#[track_caller]
fn assert_denied(error: DialError, text: &str) {
    match error {
        DialError::Denied(refusal) => assert!(refusal.to_string().contains(text), "{refusal}"),
        other => panic!("not refused: {other:?}"),
    }
}

fn profile(toml: &str) -> Profile {
    let settings: NetworkSettings = toml::from_str(toml).expect(toml);
    let network = settings.resolve(Path::new(""), &|_| None).expect("a network");
    Profile { network: Arc::new(network), ..Profile::default() }
}

const PROXY: &str = "proxy = 'http://user:hush@proxy.example:3128'\n";
const RESOLVES: &str = "proxy = 'http://user:hush@proxy.example:3128'\nproxy-resolves = true\nno-proxy = ['no.example']";

const NAMES: &[(&str, &[&str])] = &[
    ("proxy.example", &["10.0.0.9"]),
    ("api.example", &["93.184.216.34"]),
    ("both.example", &["93.184.216.34", "2606:4700::1"]),
    ("inside.example", &["10.0.0.7"]),
    ("mixed.example", &["93.184.216.34", "10.0.0.7"]),
    ("rebound.example", &["169.254.169.254"]),
    ("here.example", &["127.0.0.1"]),
    ("no.example", &["93.184.216.36"]),
];

/// A server, a proxy before it, and names. Every connection that is not the server's own ends at the
/// proxy.
struct Proxied {
    server: Arc<Server>,
    proxy: Arc<ConnectProxy>,
    network: Arc<Network>,
}

impl Proxied {
    async fn new() -> Self {
        let server = Server::start(Box::new(|_| answer(200, "", "ok"))).await;
        let target = SocketAddr::from(([127, 0, 0, 1], server.port));
        Self::through(server, vec![Way::To(target)]).await
    }

    async fn says(text: &str) -> Self {
        Self::does(vec![Way::Says(text.into())]).await
    }

    async fn does(ways: Vec<Way>) -> Self {
        let server = Server::start(Box::new(|_| answer(200, "", "ok"))).await;
        Self::through(server, ways).await
    }

    async fn through(server: Arc<Server>, ways: Vec<Way>) -> Self {
        let proxy = ConnectProxy::start(ways).await;
        let mut network = Network::to(&server, NAMES);
        network.leads_to = Some(proxy.address);
        Self { server, proxy, network: Arc::new(network) }
    }

    fn client(&self, allow: &[&str], private: &[&str], profile: Profile) -> TestClient {
        client([allow, private], self.network.clone(), profile)
    }

    /// Any public host, through the proxy.
    fn any(&self) -> TestClient {
        self.client(&["http://*"], &[], profile(PROXY))
    }
}

#[tokio::test(start_paused = true)]
async fn the_proxy_is_asked_for_the_address_that_was_checked() {
    let scene = Proxied::new().await;
    let response = get(&scene.any(), "http://api.example/path").await.expect("an answer");
    assert_eq!(&response.body()[..], b"ok");
    assert_eq!(scene.network.dialled(), ["10.0.0.9:3128"]);
    let head = "CONNECT 93.184.216.34:80 HTTP/1.1\r\nhost: 93.184.216.34:80\r\n\
        proxy-authorization: Basic dXNlcjpodXNo\r\n\r\n";
    assert_eq!(*scene.proxy.heads.lock(), [head]);
    let address = "93.184.216.34:80".parse().expect("an address");
    let dialled = response.extensions().get::<Dialled>();
    assert_eq!(dialled, Some(&Dialled { address, proxied: true }));
    // The server gets the request as without a proxy.
    let seen = scene.server.seen.lock()[0].clone();
    assert!(seen.head.starts_with("GET /path HTTP/1.1\r\n"), "{}", seen.head);
    assert_eq!(seen.header("host"), Some("api.example"));
    assert_eq!(seen.header("proxy-authorization"), None);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_may_not_be_dialled_may_not_be_asked_for_either() {
    let scene = Proxied::new().await;
    for (url, text) in [
        ("http://inside.example/", "inside.example (10.0.0.7) is a private address"),
        ("http://mixed.example/", "mixed.example (10.0.0.7) is a private address"),
        ("http://rebound.example/", "rebound.example (169.254.169.254) is a cloud metadata"),
        ("http://10.0.0.7/", "10.0.0.7 is a private address"),
        ("http://127.0.0.1/", "127.0.0.1 is a loopback address"),
        ("http://localhost/", "localhost (127.0.0.1) is a loopback address"),
        ("http://api.example:81/", "http://api.example:81 is not granted"),
        // The proxy's own origin is an origin like any other.
        ("http://proxy.example:3128/", "http://proxy.example:3128 is not granted"),
        ("http://proxy.example/", "proxy.example (10.0.0.9) is a private address"),
    ] {
        let mut network = Network::to(&scene.server, NAMES);
        network.names.insert("localhost".into(), vec!["127.0.0.1".parse().expect("an address")]);
        for settings in ["", PROXY, RESOLVES] {
            // What leaves names to the proxy judges only what it knows: the next test.
            if settings == RESOLVES && url.contains(".example") && !text.contains("not granted") {
                continue;
            }
            let network = Arc::new(Network { names: network.names.clone(), ..Network::default() });
            let client = client([&["http://*"], &[]], network.clone(), profile(settings));
            assert_denied(refusal(&client, url).await, text);
            assert!(network.dialled().is_empty(), "{url}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn names_are_left_to_a_proxy_that_resolves() {
    let scene = Proxied::new().await;
    let client = scene.client(&["http://*", "http://*:8080"], &[], profile(RESOLVES));
    let response = get(&client, "http://api.example:8080/").await.expect("an answer");
    assert_eq!(scene.proxy.asked(), ["CONNECT api.example:8080"]);
    assert_eq!(*scene.network.asked.lock(), ["proxy.example"]);
    let address = "10.0.0.9:3128".parse().expect("an address");
    let dialled = response.extensions().get::<Dialled>();
    assert_eq!(dialled, Some(&Dialled { address, proxied: true }));
    get(&client, "http://93.184.216.34/").await.expect("an answer");
    assert_eq!(scene.proxy.asked()[1..], ["CONNECT 93.184.216.34:80"]);
}

#[tokio::test(start_paused = true)]
async fn metadata_is_not_left_to_a_proxy_that_resolves() {
    let scene = Proxied::new().await;
    let client = scene.client(&["http://*"], &["http://*.goog"], profile(RESOLVES));
    for host in ["metadata.google.internal", "metadata.google.internal.", "metadata.goog"] {
        let error = refusal(&client, &format!("http://{host}/")).await;
        assert_denied(error, "(169.254.169.254) is a cloud metadata address");
    }
    let origin = "http://metadata.google.internal";
    let client = scene.client(&[], &[origin], profile(RESOLVES));
    get(&client, origin).await.expect("granted by name");
    assert_eq!(scene.proxy.asked(), ["CONNECT metadata.google.internal:80"]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_only_reports_leaves_no_name_to_a_proxy() {
    let scene = Proxied::new().await;
    let policy = || Policy::default().in_mode(Mode::Report);
    let client = with_policy(policy(), scene.network.clone(), profile(RESOLVES));
    // It may lead anywhere.
    let error = refusal(&client, "http://api.example/").await;
    assert_denied(error, "http://api.example is not granted");
    let client = with_policy(policy(), scene.network.clone(), profile(PROXY));
    get(&client, "http://api.example/").await.expect("a public address");
    assert_denied(refusal(&client, "http://inside.example/").await, "is a private address");
    assert_eq!(scene.proxy.asked(), ["CONNECT 93.184.216.34:80"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_for_the_proxy_is_dialled() {
    for (entries, url, dialled, proxied) in [
        ("'no.example'", "http://no.example/", "93.184.216.36:80", false),
        ("'no.example'", "http://api.example/", "10.0.0.9:3128", true),
        ("'10.0.0.0/8'", "http://inside.example/", "10.0.0.7:80", false),
        ("'93.0.0.0/8'", "http://both.example/", "10.0.0.9:3128", true),
        ("'93.0.0.0/8', '2606::/16'", "http://both.example/", "93.184.216.34:80", false),
        ("'*'", "http://api.example/", "93.184.216.34:80", false),
        // This host as the proxy sees it is another one.
        ("", "http://here.example/", "127.0.0.1:80", false),
        ("", "http://127.0.0.1/", "127.0.0.1:80", false),
    ] {
        let scene = Proxied::new().await;
        let mut network = Network::to(&scene.server, NAMES);
        if proxied {
            network.leads_to = Some(scene.proxy.address);
        }
        let network = Arc::new(network);
        let private = ["http://inside.example", "http://here.example", "http://127.0.0.1"];
        let profile = profile(&format!("{PROXY}no-proxy = [{entries}]"));
        let client = client([&["http://*"], &private], network.clone(), profile);
        let response = get(&client, url).await.expect("an answer");
        assert_eq!(network.dialled(), [dialled], "{entries} {url}");
        let told = response.extensions().get::<Dialled>().expect("an address");
        assert_eq!(told.proxied, proxied, "{entries} {url}");
        assert!(proxied || told.address.to_string() == dialled, "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_gives_no_tunnel_is_told_of_without_its_password() {
    let no_tunnel = "no tunnel to 93.184.216.34:80 by the proxy proxy.example:3128: ";
    for (says, text, lasts) in [
        ("HTTP/1.1 407 X\r\n\r\n", "status 407: it refused the user and password in its URL", true),
        ("HTTP/1.1 403 X\r\n\r\n", "status 403: the proxy's own policy is against it", true),
        ("HTTP/1.1 302 X\r\nlocation: http://elsewhere.example/\r\n\r\n", "status 302", true),
        ("SSH-2.0-x\r\n\r\n", "what it answered is no HTTP", true),
        ("HTTP/1.1 429 X\r\n\r\n", "status 429", false),
        ("HTTP/1.1 500 X\r\n\r\n", "status 500", false),
        ("HTTP/1.1 503 X\r\n\r\n", "status 503", false),
        ("HTTP/1.1 200 OK\r\n", "it closed the connection", false),
        ("", "it closed the connection", false),
    ] {
        let scene = Proxied::says(says).await;
        let error = refusal(&scene.any(), "http://api.example/").await;
        assert_eq!(matches!(error, DialError::Proxy(_)), lasts, "{error:?}");
        assert_eq!(matches!(error, DialError::Connect(_)), !lasts, "{error:?}");
        assert_eq!(error.to_string(), format!("{no_tunnel}{text}"));
        assert_eq!(scene.proxy.asked().len(), 1, "{says}");
        assert_eq!(scene.server.connections(), 0);
    }
    for (way, text) in
        [(Way::Hangs, "no answer in 10 seconds"), (Way::Floods, "its answer is over 8192 bytes")]
    {
        let scene = Proxied::does(vec![way]).await;
        let error = refusal(&scene.any(), "http://api.example/").await;
        assert_eq!(error.to_string(), format!("{no_tunnel}{text}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_wants_credentials_is_told_of() {
    let scene = Proxied::says("HTTP/1.1 407 X\r\n\r\n").await;
    let client = scene.client(&["http://*"], &[], profile("proxy = 'proxy.example:3128'"));
    let told = refusal(&client, "http://api.example/").await.to_string();
    let text = "it wants a user and password; write them into its URL, \
        http://USER:PASSWORD@proxy.example:3128";
    assert!(told.ends_with(text), "{told}");
    assert!(!scene.proxy.heads.lock()[0].contains("proxy-authorization"));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_the_proxy_does_not_reach_gives_way_to_the_next() {
    let server = Server::start(Box::new(|_| answer(200, "", "ok"))).await;
    let target = SocketAddr::from(([127, 0, 0, 1], server.port));
    let ways = vec![Way::Says("HTTP/1.1 502 X\r\n\r\n".into()), Way::To(target)];
    let scene = Proxied::through(server, ways).await;
    let response = get(&scene.any(), "http://both.example/").await.expect("an answer");
    assert_eq!(scene.proxy.asked(), ["CONNECT 93.184.216.34:80", "CONNECT [2606:4700::1]:80"]);
    let told = response.extensions().get::<Dialled>().expect("an address");
    assert_eq!(told.address.to_string(), "[2606:4700::1]:80");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_is_no_cloud_metadata_and_is_there() {
    for (address, text) in [
        (&["169.254.169.254"][..], "169.254.169.254 is a cloud metadata address and no proxy"),
        (&["10.0.0.9", "fd00:ec2::254"], "fd00:ec2::254 is a cloud metadata address and no proxy"),
        (&[], "proxy.example has no address"),
    ] {
        let scene = Proxied::new().await;
        let mut network = Network::to(&scene.server, &[("proxy.example", address)]);
        network.names.insert("api.example".into(), vec!["93.184.216.34".parse().expect("public")]);
        let network = Arc::new(network);
        for settings in [PROXY, RESOLVES] {
            let client = client([&["http://*"], &[]], network.clone(), profile(settings));
            let told = refusal(&client, "http://api.example/").await.to_string();
            let text = format!("cannot connect to the proxy proxy.example:3128: {text}");
            assert_eq!(told, text, "{address:?}");
        }
        assert!(network.dialled().is_empty(), "{address:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_the_proxys_answer_is_not_lost() {
    for head in [40, 1024, 1025, 5000, 8192] {
        let start = "HTTP/1.1 200 OK\r\nx: \r\n\r\n";
        let filler = "y".repeat(head - start.len());
        let text = format!("HTTP/1.1 200 OK\r\nx: {filler}\r\n\r\nfirst words");
        let scene = ConnectProxy::start(vec![Way::Says(text)]).await;
        let mut stream = TcpStream::connect(scene.address).await.expect("a connection");
        let proxy = Proxy::parse("proxy.example").expect("a proxy");
        proxy.tunnel(&mut stream, "api.example:80").await.expect("a tunnel");
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.expect("the rest");
        assert_eq!(rest, "first words", "after {head} bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_flips_gains_nothing_behind_a_proxy() {
    let scene = Proxied::new().await;
    let public = "93.184.216.34";
    let answers: &[&[&str]] = &[&["10.0.0.9"], &[public], &["127.0.0.1"], &[public, "10.0.0.1"]];
    let zone = Zone::new(answers);
    let (dns, _server) = Dns::serve(zone.clone(), scene.proxy.address).await;
    // By its address, so that all look-ups are the target's.
    let profile = profile("proxy = 'http://10.9.9.9:3128'");
    let client = client([&["http://*"], &[]], Arc::new(dns), profile);
    assert_denied(refusal(&client, "http://flip.example/").await, "10.0.0.9");
    get(&client, "http://flip.example/").await.expect("an answer");
    assert_eq!(zone.look_ups(), 2, "there is no second look-up between check and tunnel");
    assert_denied(refusal(&client, "http://other.example/").await, "127.0.0.1");
    assert_denied(refusal(&client, "http://other.example/").await, "10.0.0.1");
    assert_eq!(scene.proxy.asked(), [format!("CONNECT {public}:80")]);
}

#[tokio::test(start_paused = true)]
async fn secrets_go_over_plain_http_to_private_addresses_only() {
    let names: &[(&str, &[&str])] = &[
        ("private.example", &["10.0.0.7", "fd00::7"]),
        ("turned.example", &["93.184.216.34"]),
        ("mixed.example", &["10.0.0.7", "93.184.216.34"]),
        ("nat.example", &["64:ff9b::5db8:d822"]),
        ("proxy.example", &["10.0.0.9"]),
    ];
    let private = ["http://*.example", "http://93.184.216.34", "http://[fd00::7]"];
    for (settings, url, expected) in [
        ("", "http://private.example/", Ok("10.0.0.7:80")),
        ("", "http://[fd00::7]/", Ok("[fd00::7]:80")),
        ("", "http://turned.example/", Err("turned.example (93.184.216.34)")),
        ("", "http://mixed.example/", Err("mixed.example (93.184.216.34)")),
        ("", "http://nat.example/", Err("nat.example (64:ff9b::5db8:d822)")),
        ("", "http://93.184.216.34/", Err("93.184.216.34")),
        (PROXY, "http://turned.example/", Err("turned.example (93.184.216.34)")),
        (RESOLVES, "http://private.example/", Err("private.example (looked up by the proxy)")),
    ] {
        let server = Server::start(Box::new(|_| answer(200, "", "ok"))).await;
        let network = Arc::new(Network::to(&server, names));
        let profile = Profile { private_only: true, ..profile(settings) };
        let client = client([&[], &private], network.clone(), profile.clone());
        match expected {
            Ok(dialled) => {
                let response = get(&client, url).await.expect("an answer");
                let told = response.extensions().get::<Dialled>().expect("an address");
                assert_eq!(told.address.to_string(), dialled);
            }
            Err(who) => {
                let text = format!(
                    "secrets are not sent to {who} over plain http, where anyone can read them: it \
                     is not known to be in a private network; use https"
                );
                let error = refusal(&client, url).await;
                assert!(matches!(error, DialError::Denied(_)), "{error:?}");
                assert_eq!(error.to_string(), text);
                assert!(network.dialled().is_empty(), "{url}");
            }
        }
    }
}
