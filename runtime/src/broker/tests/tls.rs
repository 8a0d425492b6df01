//! TLS as the broker speaks it: whom it believes, what it shows of itself, and which HTTP is spoken.

use std::net::SocketAddr;

use http::Version;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::network::Network;
use super::proxy::{ConnectProxy, TestClient, Way, client, get};
use super::*;
use crate::broker::dial::{Dialled, Open, Profile};
use crate::broker::network::{Network as Ready, NetworkSettings};
use crate::tls::testdata::Folder;

/// Answers with the number of the certificate that the client showed, or `nobody`.
struct TlsServer {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl TlsServer {
    /// Speaks these protocols, and lets in who has a certificate, or everybody.
    async fn start(protocols: &[&str], lets_in_everybody: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let acceptor = TlsAcceptor::from(Arc::new(config(protocols, lets_in_everybody)));
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(acceptor.clone(), stream));
            }
        });
        Self { address, connections }
    }

    /// A client with the test's own authority, through this profile.
    fn client(&self, network: &Arc<Ready>, identity: Option<&str>) -> TestClient {
        let folder = Folder::new();
        let identity = identity.map(|name| Arc::new(folder.identity(name)));
        let profile = Profile {
            network: network.clone(),
            identity,
            private_only: false,
            open: Open::default(),
        };
        client([&["https://*"], &[]], Arc::new(leading_to(self.address)), profile)
    }
}

fn leading_to(address: SocketAddr) -> Network {
    let public = |text: &str| vec![text.parse().expect(text)];
    let names = [("api.example", "93.184.216.34"), ("other.example", "93.184.216.35")];
    Network {
        names: names.map(|(name, address)| (name.into(), public(address))).into(),
        leads_to: Some(address),
        ..Network::default()
    }
}

fn config(protocols: &[&str], lets_in_everybody: bool) -> ServerConfig {
    let folder = Folder::new();
    let certificate = |name| CertificateDer::from_pem_file(folder.file(name)).expect(name);
    let key = PrivateKeyDer::from_pem_file(folder.file("server.key")).expect("a key");
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca.pem")).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let verifier = if lets_in_everybody { verifier.allow_unauthenticated() } else { verifier };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_single_cert(vec![certificate("server.pem")], key)
        .expect("a certificate");
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let connection = stream.get_ref().1;
    let is_http2 = connection.alpn_protocol() == Some(b"h2");
    let folder = Folder::new();
    let known = ["client", "other-client"].into_iter().find(|name| {
        let of_file =
            CertificateDer::from_pem_file(folder.file(&format!("{name}.pem"))).expect("it");
        connection.peer_certificates().is_some_and(|shown| shown[0] == of_file)
    });
    let who = known.unwrap_or("nobody");
    let service = service_fn(move |_: http::Request<Incoming>| async move {
        Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(Bytes::from(who))))
    });
    let stream = TokioIo::new(stream);
    // The client ends the connection, well or not.
    let _ = if is_http2 {
        let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        http2.serve_connection(stream, service).await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await
    };
}

fn network(settings: &str) -> Arc<Ready> {
    let settings: NetworkSettings = toml::from_str(settings).expect(settings);
    let folder = Folder::new();
    Arc::new(settings.resolve(&folder.file(""), &|_| None).expect("a network"))
}

const OUR_CA: &str = "ca-file = 'ca.pem'\n";
const URL: &str = "https://api.example/";

/// The innermost error, which is what people are told.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let inner = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(held) => Some(held as &(dyn std::error::Error + 'static)),
        None => error.source(),
    };
    inner.map_or_else(|| error.to_string(), cause)
}

#[tokio::test]
async fn the_servers_certificate_must_be_one_that_the_operator_believes() {
    let server = TlsServer::start(&[], true).await;
    for (settings, url, expected) in [
        (OUR_CA, URL, Ok("nobody")),
        ("", URL, Err("invalid peer certificate: UnknownIssuer")),
        ("ca-file = 'other-ca.pem'", URL, Err("invalid peer certificate: UnknownIssuer")),
        (OUR_CA, "https://other.example/", Err("not valid for name \"other.example\"")),
    ] {
        let outcome = get(&server.client(&network(settings), None), url).await;
        match (outcome, expected) {
            (Ok(answer), Ok(body)) => assert_eq!(answer.body(), body, "{settings}"),
            (Err(error), Err(text)) => {
                assert!(error.is_connect(), "{error:?}");
                assert!(cause(&error).contains(text), "{settings}: {}", cause(&error));
            }
            (outcome, expected) => panic!("{settings} {url}: {outcome:?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn the_newest_http_that_the_server_speaks_is_spoken() {
    for (protocols, version) in [
        (&["h2", "http/1.1"][..], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let server = TlsServer::start(protocols, true).await;
        let client = server.client(&network(OUR_CA), None);
        for _ in 0..3 {
            let answer = get(&client, URL).await.expect("an answer");
            assert_eq!(answer.version(), version, "{protocols:?}");
            let dialled = answer.extensions().get::<Dialled>().expect("an address");
            assert_eq!(dialled.address.to_string(), "93.184.216.34:443");
        }
        assert_eq!(server.connections.load(Ordering::SeqCst), 1, "{protocols:?}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_by_its_own_connections_only() {
    for protocols in [&["h2"][..], &["http/1.1"]] {
        let server = TlsServer::start(protocols, true).await;
        let network = network(OUR_CA);
        let identities = [None, Some("client"), Some("other-client")];
        let clients = identities.map(|identity| server.client(&network, identity));
        // Twice, so that a session that is resumed is seen, too.
        for _ in 0..2 {
            for (client, identity) in clients.iter().zip(identities) {
                let answer = get(client, URL).await.expect("an answer");
                assert_eq!(answer.body(), identity.unwrap_or("nobody"));
            }
        }
        assert_eq!(server.connections.load(Ordering::SeqCst), 3, "{protocols:?}");
        for identity in identities {
            let answer = get(&server.client(&network, identity), URL).await.expect("an answer");
            assert_eq!(answer.body(), identity.unwrap_or("nobody"), "resumed");
        }
    }
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_lets_nobody_else_in() {
    let server = TlsServer::start(&["http/1.1"], false).await;
    let network = network(OUR_CA);
    let answer = get(&server.client(&network, Some("client")), URL).await.expect("an answer");
    assert_eq!(answer.body(), "client");
    let error = get(&server.client(&network, None), URL).await.expect_err("no certificate");
    assert!(cause(&error).contains("CertificateRequired"), "{}", cause(&error));
}

#[tokio::test]
async fn tls_through_a_proxy_is_with_the_server() {
    for protocols in [&["h2"][..], &["http/1.1"]] {
        let server = TlsServer::start(protocols, false).await;
        let proxy = ConnectProxy::start(vec![Way::To(server.address)]).await;
        for (more, asked) in [
            ("", "CONNECT 93.184.216.34:443"),
            ("proxy-resolves = true", "CONNECT api.example:443"),
        ] {
            let network = network(&format!("proxy = 'http://10.0.0.9:3128'\n{OUR_CA}{more}"));
            let folder = Folder::new();
            let identity = Some(Arc::new(folder.identity("client")));
            let profile = Profile { network, identity, private_only: false, open: Open::default() };
            let leads = Arc::new(leading_to(proxy.address));
            let client = client([&["https://*"], &[]], leads.clone(), profile);
            let answer = get(&client, URL).await.expect("an answer");
            assert_eq!(answer.body(), "client");
            assert_eq!(proxy.asked().last().map(String::as_str), Some(asked));
            assert_eq!(leads.dialled(), ["10.0.0.9:3128"]);
        }
    }
}

#[test]
fn a_configuration_is_made_once_for_each_certificate() {
    let (network, folder) = (Ready::default(), Folder::new());
    let identities = ["client", "client", "other-client"];
    let identities = identities.map(|name| Arc::new(folder.identity(name)));
    let [one, same, other] = identities.each_ref().map(|identity| network.tls(Some(identity)));
    assert!(Arc::ptr_eq(&one, &same));
    assert!(!Arc::ptr_eq(&one, &other) && !Arc::ptr_eq(&one, &network.tls(None)));
    assert!(Arc::ptr_eq(&network.tls(None), &network.tls(None)));
}
