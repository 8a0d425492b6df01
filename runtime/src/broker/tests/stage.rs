//! A broker with the grants and credentials that connector.toml would give it, in a network of
//! made-up names. All of them lead to one server, which tells them apart by `Host`.

use std::path::Path;

use serde::Deserialize;

use super::network::Network;
use super::sealed::vault;
use super::*;

/// Public and private ones, and one that was private once.
const NAMES: &[(&str, &[&str])] = &[
    ("a.internal", &["10.0.0.1"]),
    ("b.internal", &["10.0.0.2"]),
    ("one.example", &["93.184.216.34"]),
    ("two.example", &["93.184.216.35"]),
    ("hidden.example", &["10.0.0.7"]),
    ("moved.internal", &["93.184.216.36"]),
    ("metadata.google.internal", &["169.254.169.254"]),
];

/// What secrets the connector has.
pub(super) const SECRET: &str = "the-value-of-the-key";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    grant: Vec<GrantTable>,
    #[serde(default)]
    credentials: BTreeMap<String, CredentialSettings>,
    #[serde(default)]
    limits: BTreeMap<String, u64>,
}

pub(super) struct Stage {
    pub scene: Scene,
    pub network: Arc<Network>,
}

impl Stage {
    /// A connector with these settings and a server that does this.
    pub async fn new(
        settings: &str,
        behaviour: impl Fn(&Seen) -> Step + Send + Sync + 'static,
    ) -> Self {
        let settings: Settings = toml::from_str(settings).expect("settings");
        let server = Server::start(Box::new(behaviour)).await;
        let network = Arc::new(Network::to(&server, NAMES));
        let prepare = |(name, settings): (String, CredentialSettings)| {
            let prepared =
                settings.resolve(&name, Path::new("."), &|_| None).expect("a credential");
            (name, prepared)
        };
        let policy = Policy::default().with_tables(&settings.grant, Path::new("."));
        let events = Events::default();
        let records = events.watch();
        let credentials = settings.credentials.into_iter().map(prepare).collect();
        let changed =
            settings.limits.into_iter().fold(Limits::default(), |limits, (key, value)| {
                limits.with(Limit::named(&key).expect("a limit"), value)
            });
        let limits = Arc::new(changed);
        let setup = Setup { credentials, limits, ..setup(policy, events) };
        let broker = Broker::with_resolver(setup, network.clone());
        Self { scene: Scene { server, broker, vault: Arc::default(), records }, network }
    }

    /// A server that does these steps in turn and then answers 200 `ok`.
    pub async fn scripted(settings: &str, steps: impl IntoIterator<Item = Step>) -> Self {
        let steps = Mutex::new(steps.into_iter().collect::<VecDeque<_>>());
        let next =
            move |_: &Seen| steps.lock().pop_front().unwrap_or_else(|| answer(200, "", "ok"));
        Self::new(settings, next).await
    }

    /// The connector has the secret KEY.
    pub fn sealed(mut self) -> Self {
        self.scene.vault = vault(&[("KEY", SECRET)]);
        self
    }

    /// What the guest reads of it.
    pub fn placeholder(&self) -> String {
        self.scene.vault.visible("KEY").expect("a secret").to_owned()
    }

    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        self.scene.send(request).await
    }

    pub async fn open(&self, request: Request, upload: Option<Upload>) -> Result<Streamed, Error> {
        self.scene.broker.open(request, upload, &self.scope(600)).await
    }

    pub fn scope(&self, seconds: u64) -> Scope {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let (call, vault) = (Some("call".into()), self.scene.vault.clone());
        Scope { call, deadline, vault, allowance: self.scene.broker.allowance() }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.scene.server.seen.lock().clone()
    }

    pub fn last(&self) -> Seen {
        self.seen().pop().expect("a request")
    }

    /// The requests that the server read: `GET http://a.internal/path`.
    pub fn lines(&self) -> Vec<String> {
        self.seen().iter().map(line).collect()
    }
}

pub(super) fn line(seen: &Seen) -> String {
    let mut words = seen.head.split(' ');
    let (method, path) = (words.next().expect("a method"), words.next().expect("a path"));
    format!("{method} http://{}{path}", seen.header("host").expect("a host"))
}

pub(super) fn ask(method: &str, url: &str) -> Request {
    let body = (!matches!(method, "GET" | "HEAD")).then(|| Bytes::from_static(b"body"));
    Request { method: method.into(), url: url.into(), body, ..Request::default() }
}

pub(super) fn with_header(request: Request, name: &str, value: impl AsRef<[u8]>) -> Request {
    let mut headers = request.headers.clone();
    headers.push((name.into(), value.as_ref().to_vec()));
    Request { headers, ..request }
}
