//! A name whose address changes between two look-ups, served by a real DNS server with TTL 0.

use std::net::SocketAddr;

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{Resolver, TokioResolver};
use hickory_server::Server as DnsServer;
use hickory_server::net::runtime::Time;
use hickory_server::proto::op::{Metadata, ResponseCode};
use hickory_server::proto::rr::{RData, Record, RecordType};
use hickory_server::server::{Request as Question, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::net::{TcpStream, UdpSocket};

use super::*;

const PUBLIC: &str = "93.184.216.34";

/// Gives every name the same answers, one after the other; the last one stays.
#[derive(Clone, Default)]
pub(super) struct Zone {
    answers: Arc<Vec<Vec<IpAddr>>>,
    asked: Arc<Mutex<Vec<(RecordType, String)>>>,
}

impl Zone {
    pub fn new(answers: &[&[&str]]) -> Self {
        let parse =
            |answer: &&[&str]| answer.iter().map(|text| text.parse().expect(text)).collect();
        Self { answers: Arc::new(answers.iter().map(parse).collect()), ..Self::default() }
    }

    fn answer(&self, kind: RecordType, name: &str) -> Vec<IpAddr> {
        let mut asked = self.asked.lock();
        let turn = asked.iter().filter(|(other, _)| *other == kind).count();
        asked.push((kind, name.into()));
        let answer = self.answers.get(turn).or(self.answers.last()).cloned().unwrap_or_default();
        let is_asked_for = |address: &IpAddr| address.is_ipv4() == (kind == RecordType::A);
        answer.into_iter().filter(is_asked_for).collect()
    }

    /// How often the name was looked up: each time for both families.
    pub fn look_ups(&self) -> usize {
        let asked = self.asked.lock();
        let of = |kind| asked.iter().filter(|(other, _)| *other == kind).count();
        assert_eq!(of(RecordType::A), of(RecordType::AAAA), "{asked:?}");
        of(RecordType::A)
    }
}

#[async_trait::async_trait]
impl RequestHandler for Zone {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        question: &Question,
        mut out: R,
    ) -> ResponseInfo {
        let query = question.request_info().expect("one question").query;
        let name = query.original().name().clone();
        let addresses = self.answer(query.query_type(), &name.to_string());
        let records: Vec<_> = addresses
            .into_iter()
            .map(|address| {
                let data = match address {
                    IpAddr::V4(address) => RData::A(address.into()),
                    IpAddr::V6(address) => RData::AAAA(address.into()),
                };
                Record::from_rdata(name.clone(), 0, data)
            })
            .collect();
        let mut metadata = Metadata::response_from_request(&question.metadata);
        metadata.response_code = ResponseCode::NoError;
        let answer = MessageResponseBuilder::from_message_request(question);
        let answer = answer.build(metadata, &records, [], [], []);
        out.send_response(answer).await.expect("it is sent")
    }
}

/// Looks names up in the zone. Every connection ends at the test's server, whatever address was
/// dialled, so that public addresses can be dialled, too.
pub(super) struct Dns {
    resolver: TokioResolver,
    leads_to: SocketAddr,
    /// Connections to this address fail.
    broken: Option<IpAddr>,
    dialled: Mutex<Vec<String>>,
}

impl Dns {
    /// Looks names up in the zone as long as the server is kept.
    pub async fn serve(zone: Zone, leads_to: SocketAddr) -> (Self, DnsServer<Zone>) {
        let (server, resolver) = serve(zone).await;
        (Self { resolver, leads_to, broken: None, dialled: Mutex::default() }, server)
    }
}

impl Resolve for Dns {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            // The dot at the end keeps the search list out of it.
            let name = format!("{}.", name.trim_end_matches('.'));
            let found = self.resolver.lookup_ip(name).await;
            Ok(found.map_err(io::Error::other)?.iter().collect())
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>> {
        self.dialled.lock().push(address.to_string());
        if self.broken == Some(address.ip()) {
            return Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) });
        }
        Box::pin(TcpStream::connect(self.leads_to))
    }
}

struct Rebinding {
    server: Arc<Server>,
    zone: Zone,
    dns: Arc<Dns>,
    broker: Broker,
    _dns_server: DnsServer<Zone>,
}

impl Rebinding {
    /// Any public host may be reached; names have these answers, one after the other.
    async fn new(answers: &[&[&str]], broken: Option<&str>, step: Step) -> Self {
        let zone = Zone::new(answers);
        let server = Server::start(Box::new(move |_| step.clone())).await;
        let leads_to = SocketAddr::from(([127, 0, 0, 1], server.port));
        let (dns, dns_server) = Dns::serve(zone.clone(), leads_to).await;
        let broken = broken.map(|text| text.parse().expect(text));
        let dns = Arc::new(Dns { broken, ..dns });
        let allow = ["http://*".into(), "http://*:8080".into()];
        let policy = Policy::parse(&allow, &[]).expect("grants");
        let broker = Broker::with_resolver(setup(policy, Events::default()), dns.clone());
        Self { server, zone, dns, broker, _dns_server: dns_server }
    }

    async fn get(&self, url: &str) -> Result<Response, Error> {
        let scope = Scope {
            call: None,
            deadline: Instant::now() + Duration::from_secs(600),
            vault: Arc::default(),
            allowance: Arc::default(),
        };
        let request = Request { method: "GET".into(), url: url.into(), ..Request::default() };
        self.broker.send(request, &scope).await
    }

    fn dialled(&self) -> Vec<String> {
        self.dns.dialled.lock().clone()
    }
}

/// A DNS server on loopback, and a resolver that asks it and nobody else.
async fn serve(zone: Zone) -> (DnsServer<Zone>, TokioResolver) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let address = socket.local_addr().expect("an address");
    let mut server = DnsServer::new(zone);
    server.register_socket(socket);
    let mut connection = ConnectionConfig::udp();
    connection.port = address.port();
    let name_server = NameServerConfig::new(address.ip(), true, vec![connection]);
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![name_server]);
    let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Never;
    (server, builder.build().expect("a resolver"))
}

fn kept() -> Step {
    answer(200, "", "ok")
}

/// An answer after which the connection is gone.
fn closed(status: u16) -> Step {
    Step::Cut(format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"))
}

#[track_caller]
fn assert_denied(outcome: Result<Response, Error>, text: &str) {
    match outcome {
        Err(Error::Denied(told)) => assert!(told.contains(text), "{told}"),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_address_that_was_checked_is_the_address_dialled() {
    let scene = Rebinding::new(&[&[PUBLIC], &["127.0.0.1"]], None, kept()).await;
    assert_eq!(status(&scene.get("http://flip.example/").await), 200);
    assert_eq!(scene.dialled(), [format!("{PUBLIC}:80")]);
    assert_eq!(scene.zone.look_ups(), 1, "there is no second look-up between check and dial");
    let asked = scene.zone.asked.lock().clone();
    assert!(asked.iter().all(|(_, name)| name == "flip.example."), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flip_to_a_private_address_is_refused_at_the_next_connection() {
    for private in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1"] {
        let scene = Rebinding::new(&[&[PUBLIC], &[private]], None, closed(200)).await;
        assert_eq!(status(&scene.get("http://flip.example/").await), 200);
        assert_denied(scene.get("http://flip.example/").await, private);
        assert_denied(scene.get("http://flip.example/").await, private);
        assert_eq!(scene.dialled(), [format!("{PUBLIC}:80")], "{private}");
        assert_eq!((scene.zone.look_ups(), scene.server.reads()), (3, 1), "{private}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flip_to_a_public_address_opens_nothing_but_that_address() {
    let scene = Rebinding::new(&[&["127.0.0.1"], &[PUBLIC]], None, kept()).await;
    assert_denied(scene.get("http://flip.example/").await, "127.0.0.1");
    assert_eq!(scene.zone.look_ups(), 1, "a refusal is not tried again");
    assert_eq!(status(&scene.get("http://flip.example/").await), 200);
    assert_eq!(scene.dialled(), [format!("{PUBLIC}:80")]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_looks_up_and_checks_again() {
    // After a connection that failed, and after an answer that asks for another attempt.
    for (broken, step) in [(Some(PUBLIC), kept()), (None, closed(503))] {
        let scene = Rebinding::new(&[&[PUBLIC], &["127.0.0.1"]], broken, step).await;
        assert_denied(scene.get("http://flip.example/").await, "127.0.0.1");
        assert_eq!(scene.dialled(), [format!("{PUBLIC}:80")]);
        assert_eq!(scene.zone.look_ups(), 2, "the refusal ends it: no third attempt");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_dials_what_its_own_look_up_brought() {
    let other = "93.184.216.35";
    let scene = Rebinding::new(&[&[PUBLIC], &[other]], Some(PUBLIC), kept()).await;
    assert_eq!(status(&scene.get("http://flip.example/").await), 200);
    assert_eq!(scene.dialled(), [format!("{PUBLIC}:80"), format!("{other}:80")]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_used_again_by_its_own_origin_only() {
    let scene = Rebinding::new(&[&[PUBLIC]], None, kept()).await;
    for _ in 0..3 {
        for url in ["http://one.example/", "http://two.example/", "http://one.example:8080/"] {
            assert_eq!(status(&scene.get(url).await), 200);
        }
    }
    let one_each = [format!("{PUBLIC}:80"), format!("{PUBLIC}:80"), format!("{PUBLIC}:8080")];
    assert_eq!(scene.dialled(), one_each);
    assert_eq!((scene.zone.look_ups(), scene.server.connections()), (3, 3));
    assert_eq!(scene.server.reads(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_stays_with_its_address_when_the_name_flips() {
    let scene = Rebinding::new(&[&[PUBLIC], &["127.0.0.1"]], None, kept()).await;
    for url in ["http://flip.example/", "http://FLIP.example:80/", "http://flip.example/x"] {
        assert_eq!(status(&scene.get(url).await), 200);
    }
    assert_eq!((scene.dialled().len(), scene.zone.look_ups()), (1, 1));
    // Another origin does not get at the connection, and is judged by its own look-up.
    assert_denied(scene.get("http://flip.example:8080/").await, "127.0.0.1");
    assert_denied(scene.get("http://flip.example./").await, "127.0.0.1");
    assert_eq!(scene.dialled().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_mixed_answer_is_refused_whichever_family_is_private() {
    let public_v6 = "2606:2800:220:1::1";
    for (mixed, private) in [
        (&[PUBLIC, "127.0.0.1"][..], "127.0.0.1"),
        (&["10.0.0.1", PUBLIC], "10.0.0.1"),
        (&[PUBLIC, "::1"], "::1"),
        (&["127.0.0.1", public_v6], "127.0.0.1"),
        (&[PUBLIC, public_v6, "fd00::1"], "fd00::1"),
        (&[PUBLIC, public_v6, "64:ff9b::a9fe:a9fe"], "cloud metadata"),
    ] {
        let scene = Rebinding::new(&[mixed], None, kept()).await;
        assert_denied(scene.get("http://mixed.example/").await, private);
        assert!(scene.dialled().is_empty(), "{mixed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn both_families_of_a_public_answer_are_dialled_as_checked() {
    let public_v6 = "2606:2800:220:1::1";
    let scene = Rebinding::new(&[&[PUBLIC, public_v6]], Some(PUBLIC), kept()).await;
    assert_eq!(status(&scene.get("http://both.example/").await), 200);
    let dialled = scene.dialled();
    // The broken one may not have been tried: the resolver chooses which family comes first.
    assert!(dialled.contains(&format!("[{public_v6}]:80")), "{dialled:?}");
    assert_eq!((scene.server.connections(), scene.zone.look_ups()), (1, 1));
}
