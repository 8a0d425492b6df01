//! Runs connectors: makes the rooms, connects them, and waits for the end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::broker::{self, Broker, MemoryStore, Policy, Traffic};
use crate::connector::{self, Cache, Configuration, Connector, Engine, Limits, Loaded, Services};
use crate::dispatch::{self, Dispatcher};
use crate::events::{Component, Events};
use crate::keyfile;
use crate::local::{Hosted, LocalSettings, LocalWorkspace};
use crate::manifest::Manifest;
use crate::oauth::Authorization;
use crate::printable::printable;
use crate::recording::Recording;
use crate::settings::{self, Assignment, Environment, Platform};
use crate::tasks::Tasks;
use crate::workspace::keys::KeyPair;
use crate::workspace::{self, Identity, LinkSettings};

/// What holds for every connector of a process.
pub struct Settings {
    /// The component files.
    pub files: Vec<PathBuf>,
    /// The environment over `.env`.
    pub environment: Environment,
    /// What may be reached.
    pub policy: Policy,
    /// The operator's word on configuration fields.
    pub fields: Fields,
    /// Where requests are recorded.
    pub record: Option<PathBuf>,
    /// The limits of each connector.
    pub limits: Limits,
    /// How long calls under way may go on after `shutdown`.
    pub grace: Duration,
    /// Where the embedded workspace listens, where there is one.
    pub listen: SocketAddr,
    /// The embedded workspace's folder.
    pub data: Option<PathBuf>,
}

/// What the operator says of configuration fields.
pub struct Fields {
    /// The values that it gives.
    pub values: Vec<Assignment>,
    /// The keys of secrets that connectors read as they are.
    pub revealed: Vec<String>,
}

/// Joins every connector to its workspace and runs until `shutdown`. `announce` is called with the
/// address of the embedded workspace's page when there is one.
///
/// # Errors
/// When a file is no connector or a setting is wrong. Once connectors run, nothing ends them but
/// `shutdown`.
pub async fn run(
    settings: Settings,
    shutdown: CancellationToken,
    announce: impl FnOnce(&LocalWorkspace) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let loaded = tokio::select! {
        loaded = load_all(&settings) => loaded?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let events = Events::default();
    let recording = settings.record.as_deref().map(|file| Recording::start(file, &events));
    let recording = recording.transpose()?;
    let outcome = join_all(settings, loaded, events, shutdown, announce).await;
    if let Some(recording) = recording {
        recording.finish().await;
    }
    outcome
}

async fn join_all(
    settings: Settings,
    loaded: Vec<(Arc<str>, Loaded)>,
    events: Events,
    shutdown: CancellationToken,
    announce: impl FnOnce(&LocalWorkspace) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let Some(platform) = Platform::read(&settings.environment)? else {
        return run_locally(settings, loaded, events, shutdown, announce).await;
    };
    let [(id, loaded)] = <[_; 1]>::try_from(loaded).map_err(|loaded| {
        anyhow!(
            "a registration token belongs to one connector; run {} processes, each with its own",
            loaded.len()
        )
    })?;
    let keys = settings::keys(&settings.environment)?;
    check_keys(&loaded.manifest, keys.as_deref())?;
    let link = LinkSettings {
        device_endpoint: platform.device_endpoint,
        websocket_endpoint: platform.websocket_endpoint,
        token: platform.token,
    };
    let traffic = Traffic::default();
    Member { id, loaded, link, keys, traffic, events }.join(&settings)?.run(shutdown).await;
    Ok(())
}

async fn run_locally(
    settings: Settings,
    loaded: Vec<(Arc<str>, Loaded)>,
    events: Events,
    shutdown: CancellationToken,
    announce: impl FnOnce(&LocalWorkspace) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let data = local_data(settings.data.clone(), &settings.environment)?;
    let hosted = |(id, loaded): &(Arc<str>, Loaded)| Hosted {
        id: id.to_string(),
        manifest: loaded.manifest.clone(),
    };
    let local = LocalWorkspace::bind(LocalSettings {
        listen: settings.listen,
        data: data.clone(),
        events: events.clone(),
        hosted: loaded.iter().map(hosted).collect(),
    })
    .await?;
    let keys = match settings::keys(&settings.environment)? {
        Some(keys) => keys,
        None => keyfile::read_or_make(&data.join("keys"))?,
    };
    let traffic = Traffic::default();
    let mut joined = JoinSet::new();
    for (id, loaded) in loaded {
        let link = LinkSettings {
            device_endpoint: local.device_endpoint(),
            websocket_endpoint: local.websocket_endpoint(),
            token: local.registration_token(),
        };
        let keys = Some(keys.clone());
        let (traffic, events) = (traffic.clone(), events.clone());
        let member = Member { id, loaded, link, keys, traffic, events };
        joined.spawn(member.join(&settings)?.run(shutdown.clone()));
    }
    announce(&local)?;
    // The workspace outlives its connectors, so that their last replies arrive.
    let connectors_gone = CancellationToken::new();
    let serving = local.serve(connectors_gone.clone());
    let ending = async {
        joined.join_all().await;
        connectors_gone.cancel();
    };
    let (served, ()) = tokio::join!(serving, ending);
    served
}

/// The folder of the embedded workspace.
///
/// # Errors
/// When none was given and there is no home.
pub fn local_data(given: Option<PathBuf>, environment: &Environment) -> anyhow::Result<PathBuf> {
    given
        .or_else(|| settings::data_folder(environment))
        .context("no folder for the workspace's data: set --data, XDG_DATA_HOME or HOME")
}

/// Opens the cache of compiled code. Without one everything works, only slower.
pub fn cache(environment: &Environment) -> Option<Arc<Cache>> {
    let folder = settings::cache_folder(environment)?;
    match Cache::open(&folder) {
        Ok(cache) => Some(Arc::new(cache)),
        Err(error) => {
            tracing::warn!("connectors are compiled at every start: {error:#}");
            None
        }
    }
}

async fn load_all(settings: &Settings) -> anyhow::Result<Vec<(Arc<str>, Loaded)>> {
    let (engine, cache) = (Engine::new()?, cache(&settings.environment));
    let mut connectors = Vec::new();
    let mut ids = BTreeSet::new();
    for file in &settings.files {
        let loaded =
            Loaded::from_file(file, &engine, cache.clone(), settings.limits.memory).await?;
        let id = connector_id(&loaded.manifest, &settings.environment);
        if !ids.insert(id.clone()) {
            bail!(
                "two connectors have the id {id}; CONNECTOR_ID can only be set for one connector"
            );
        }
        tell_asks(&id, &loaded.manifest);
        connectors.push((id, loaded));
    }
    let described = connectors.iter().map(|(id, loaded)| (&**id, &*loaded.manifest));
    settings::check_assignments(&settings.fields.values, &described.collect::<Vec<_>>())?;
    Ok(connectors)
}

/// `CONNECTOR_ID`, else what the author says, else the name.
pub fn connector_id(manifest: &Manifest, environment: &Environment) -> Arc<str> {
    let set = environment.get("CONNECTOR_ID").or(manifest.id.as_deref());
    set.unwrap_or(&manifest.name).into()
}

fn tell_asks(id: &str, manifest: &Manifest) {
    for ask in &manifest.asks {
        let reason = ask.reason.as_deref().unwrap_or("no reason given");
        let ask = printable(&format!("asks to reach {}: {reason}", ask.origin));
        tracing::info!(connector = id, "{ask}");
    }
}

/// The configuration that a connector begins with.
///
/// # Errors
/// When the operator names a field that the connector does not declare, or that is no secret where
/// only a secret makes sense.
pub fn configuration(
    id: &str,
    manifest: &Manifest,
    fields: &Fields,
    policy: &Policy,
    environment: &Environment,
) -> anyhow::Result<Configuration> {
    let values = settings::operator_values(id, manifest, &fields.values, environment)?;
    settings::check_secrets(manifest, "--reveal", fields.revealed.iter().map(String::as_str))?;
    settings::check_secrets(manifest, "--bind", policy.bound_fields())?;
    Ok(Configuration::new(manifest, values, &fields.revealed))
}

/// Without keys a sealed value could never be opened; better to say so before anybody enters one.
fn check_keys(manifest: &Manifest, keys: Option<&KeyPair>) -> anyhow::Result<()> {
    let sealed: Vec<_> =
        manifest.all_fields().into_iter().filter(|f| !f.plain).map(|f| f.key).collect();
    ensure!(
        keys.is_some() || sealed.is_empty(),
        "{} has secret fields ({}), and there are no keys to open them; make a pair with \
         `aloma-wasm keys`, which writes PRIVATE_KEY and PUBLIC_KEY to .env",
        manifest.name,
        sealed.join(", ")
    );
    Ok(())
}

/// One connector on its way into a workspace.
struct Member {
    id: Arc<str>,
    loaded: Loaded,
    link: LinkSettings,
    keys: Option<Arc<KeyPair>>,
    traffic: Traffic,
    events: Events,
}

/// One connector in its workspace.
struct Joined {
    dispatcher: Dispatcher,
    incoming: tokio::sync::mpsc::Receiver<workspace::Incoming>,
    driver: workspace::Driver,
}

impl Member {
    fn join(self, settings: &Settings) -> anyhow::Result<Joined> {
        let Self { id, loaded, link, keys, traffic, events } = self;
        let environment = &settings.environment;
        let manifest = loaded.manifest.clone();
        let configuration =
            configuration(&id, &manifest, &settings.fields, &settings.policy, environment)?;
        let component = Component { connector: id.clone(), digest: loaded.digest.clone() };
        let broker = Arc::new(Broker::new(broker::Setup {
            component,
            policy: settings.policy.clone(),
            credentials: BTreeMap::new(),
            store: Arc::new(MemoryStore::default()),
            traffic,
            events: events.clone(),
        }));
        let identity = identity(&id, &manifest, keys.as_deref(), environment);
        let (link, incoming, driver) = workspace::open(link, identity);
        let services =
            Services { broker: broker.clone(), workspace: Arc::new(Tasks(link.clone())) };
        let authorization = Authorization::new(
            id.clone(),
            &manifest,
            environment,
            broker.clone(),
            Some((link.clone(), keys.clone())),
        );
        authorization.configure(&configuration);
        let connector = Connector::new(
            loaded,
            connector::Settings {
                id: id.clone(),
                services,
                configuration,
                limits: settings.limits,
                events,
            },
        );
        let connector = Arc::new(connector);
        let dispatcher =
            Dispatcher { id, connector, broker, link, keys, authorization, grace: settings.grace };
        Ok(Joined { dispatcher, incoming, driver })
    }
}

fn identity(
    id: &str,
    manifest: &Manifest,
    keys: Option<&KeyPair>,
    environment: &Environment,
) -> Identity {
    let introspection = dispatch::introspection(manifest);
    let text = |name: &str| environment.get(name).map(str::to_owned);
    Identity {
        id: id.to_owned(),
        version: manifest.version.clone(),
        name: text("HOSTNAME").unwrap_or_else(|| format!("{id}/{}", manifest.version)),
        deployment: text("DEPLOYMENT").unwrap_or_default(),
        public_key: keys.map(|keys| keys.public_env().to_owned()),
        config_schema: introspection["configSchema"].clone(),
        introspect: introspection["introspect"].as_str().unwrap_or_default().to_owned(),
        icon: manifest.icon.clone(),
    }
}

impl Joined {
    /// Runs until `shutdown`: first the calls end, then the link, so that every reply is sent.
    async fn run(self, shutdown: CancellationToken) {
        let Self { dispatcher, incoming, driver } = self;
        let calls_ended = CancellationToken::new();
        let calls = async {
            dispatcher.run(incoming, shutdown).await;
            calls_ended.cancel();
        };
        tokio::join!(calls, driver.run(calls_ended.clone()));
    }
}
