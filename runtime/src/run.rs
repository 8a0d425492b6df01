//! Runs connectors: makes the rooms, connects them, and waits for the end.

mod broker;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::broker::{CredentialSettings, Mode, NetworkSettings, Policy};
use crate::connector::{
    self, Cache, Configuration, Connector, Engine, Isolation, Loaded, Services,
};
use crate::dispatch::{self, Dispatcher};
use crate::envelope::Limits;
use crate::events::Component;
use crate::keyfile;
use crate::local::{Hosted, LocalSettings, LocalWorkspace};
use crate::manifest::{Credential, Manifest};
use crate::oauth::Authorization;
use crate::printable::printable;
use crate::recording::Recording;
use crate::settings::accepted::Accepted;
use crate::settings::file::Source;
use crate::settings::{self, Assignment, Environment, Platform};
use crate::tasks::Tasks;
use crate::workspace::keys::KeyPair;
use crate::workspace::{self, Identity, LinkSettings};

pub use broker::Shared;

/// What a process runs, and what holds for all of it.
pub struct Settings {
    /// The connectors.
    pub connectors: Vec<ConnectorSettings>,
    /// The environment over `.env`.
    pub environment: Environment,
    /// Where requests are recorded.
    pub record: Option<PathBuf>,
    /// How long calls under way may go on after `shutdown`.
    pub grace: Duration,
    /// Where the embedded workspace listens, where there is one.
    pub listen: SocketAddr,
    /// The embedded workspace's folder.
    pub data: Option<PathBuf>,
}

/// One connector, and what the operator says of it.
pub struct ConnectorSettings {
    /// The component file.
    pub component: PathBuf,
    /// The settings file, where there is one.
    pub file: Option<PathBuf>,
    /// The id that the settings file gives it.
    pub id: Option<String>,
    /// What may be reached.
    pub policy: Policy,
    /// The operator's word on configuration fields.
    pub fields: Fields,
    /// Limits.
    pub limits: Arc<Limits>,
    /// Whether calls share instances.
    pub isolation: Isolation,
    /// Credentials by name, as the settings file has them.
    pub credentials: BTreeMap<String, CredentialSettings>,
    /// The way to the network, as the settings file has it.
    pub network: Option<NetworkSettings>,
    /// What the operator has seen that it asks for.
    pub accepted: Option<Accepted>,
}

/// What the operator says of configuration fields.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// The values that flags give.
    pub values: Vec<Assignment>,
    /// Where the settings file takes values from, by key.
    pub sources: BTreeMap<String, Source>,
    /// The keys of secrets that connectors read as they are.
    pub revealed: Vec<String>,
    /// The keys of secrets that the settings file says something of.
    pub secrets: Vec<String>,
}

impl ConnectorSettings {
    /// Loads the connector.
    ///
    /// # Errors
    /// When the file is no connector, or asks for more than was accepted.
    pub async fn load(&self, engine: &Engine, cache: Option<Arc<Cache>>) -> anyhow::Result<Loaded> {
        if let Some(file) = &self.file {
            // The file may have been found without being named.
            tracing::info!("settings of {}: {}", self.component.display(), file.display());
        }
        let loaded = Loaded::from_file(&self.component, engine, cache, &self.limits).await?;
        if let (Some(accepted), Some(file)) = (&self.accepted, &self.file) {
            accepted.check(&loaded.manifest, &loaded.imports, &self.component, file)?;
        }
        Ok(loaded)
    }

    /// The id under which it joins: what the settings file says, else `CONNECTOR_ID`, else what the
    /// author says, else the name.
    pub fn id(&self, manifest: &Manifest, environment: &Environment) -> Arc<str> {
        let set = self.id.as_deref().or(environment.get("CONNECTOR_ID"));
        set.or(manifest.id.as_deref()).unwrap_or(&manifest.name).into()
    }

    /// The configuration that it begins with.
    ///
    /// # Errors
    /// When the operator names a field that the connector does not declare, or that is no secret
    /// where only a secret makes sense.
    pub fn configuration(
        &self,
        id: &str,
        manifest: &Manifest,
        environment: &Environment,
    ) -> anyhow::Result<Configuration> {
        let fields = &self.fields;
        let of_file = || self.read_configuration(id, manifest, environment);
        let values = match &self.file {
            Some(file) => of_file().with_context(|| file.display().to_string())?,
            None => of_file()?,
        };
        settings::check_secrets(manifest, "--reveal", fields.revealed.iter().map(String::as_str))?;
        settings::check_secrets(manifest, "--bind", self.policy.bound().map(|(key, _)| key))?;
        Ok(Configuration::new(manifest, values, &fields.revealed))
    }

    fn read_configuration(
        &self,
        id: &str,
        manifest: &Manifest,
        environment: &Environment,
    ) -> anyhow::Result<connector::Values> {
        let secrets = self.fields.secrets.iter().map(String::as_str);
        settings::check_secrets(manifest, "[secrets]", secrets)?;
        settings::operator_values(id, manifest, &self.fields, environment)
    }
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
    let Settings { connectors, environment, record, grace, listen, data } = settings;
    let ready = tokio::select! {
        ready = load_all(connectors, &environment) => ready?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let shared = Shared::default();
    let recording = record.map(|file| Recording::start(&file, &shared.events)).transpose()?;
    let process = Process { environment, grace, shared };
    let outcome = join_all(process, ready, LocalPlace { listen, data }, shutdown, announce).await;
    if let Some(recording) = recording {
        recording.finish().await;
    }
    outcome
}

async fn join_all(
    process: Process,
    ready: Vec<Ready>,
    place: LocalPlace,
    shutdown: CancellationToken,
    announce: impl FnOnce(&LocalWorkspace) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let Some(platform) = Platform::read(&process.environment)? else {
        return run_locally(process, ready, place, shutdown, announce).await;
    };
    let [ready] = <[_; 1]>::try_from(ready).map_err(|ready| {
        anyhow!(
            "a registration token belongs to one connector; run {} processes, each with its own",
            ready.len()
        )
    })?;
    let keys = settings::keys(&process.environment)?;
    check_keys(&ready.loaded.manifest, keys.as_deref())?;
    let link = LinkSettings {
        device_endpoint: platform.device_endpoint,
        websocket_endpoint: platform.websocket_endpoint,
        token: platform.token,
    };
    Member { ready, link, keys }.join(&process)?.run(shutdown).await;
    Ok(())
}

/// What all connectors of a process share.
struct Process {
    environment: Environment,
    grace: Duration,
    shared: Shared,
}

/// Where the embedded workspace is.
struct LocalPlace {
    listen: SocketAddr,
    data: Option<PathBuf>,
}

async fn run_locally(
    process: Process,
    all: Vec<Ready>,
    place: LocalPlace,
    shutdown: CancellationToken,
    announce: impl FnOnce(&LocalWorkspace) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let data = local_data(place.data, &process.environment)?;
    let hosted = |ready: &Ready| Hosted {
        id: ready.id.to_string(),
        manifest: ready.loaded.manifest.clone(),
    };
    let local = LocalWorkspace::bind(LocalSettings {
        listen: place.listen,
        data: data.clone(),
        events: process.shared.events.clone(),
        hosted: all.iter().map(hosted).collect(),
    })
    .await?;
    let keys = match settings::keys(&process.environment)? {
        Some(keys) => keys,
        None => keyfile::read_or_make(&data.join("keys"))?,
    };
    let mut joined = JoinSet::new();
    for ready in all {
        let link = LinkSettings {
            device_endpoint: local.device_endpoint(),
            websocket_endpoint: local.websocket_endpoint(),
            token: local.registration_token(),
        };
        let member = Member { ready, link, keys: Some(keys.clone()) };
        joined.spawn(member.join(&process)?.run(shutdown.clone()));
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

/// A connector that is loaded and not yet in a workspace.
struct Ready {
    id: Arc<str>,
    loaded: Loaded,
    settings: ConnectorSettings,
}

async fn load_all(
    connectors: Vec<ConnectorSettings>,
    environment: &Environment,
) -> anyhow::Result<Vec<Ready>> {
    let (engine, cache) = (Engine::new()?, cache(environment));
    let mut all = Vec::new();
    let mut ids = BTreeSet::new();
    for settings in connectors {
        let loaded = settings.load(&engine, cache.clone()).await?;
        let id = settings.id(&loaded.manifest, environment);
        if !ids.insert(id.clone()) {
            bail!(
                "two connectors have the id {id}; give each its own with `id` in its settings file \
                 (CONNECTOR_ID can only be set for one connector)"
            );
        }
        tell_asks(&id, &loaded.manifest);
        tell_mode(&id, &settings.policy);
        all.push(Ready { id, loaded, settings });
    }
    let described = all.iter().map(|ready| (&*ready.id, &*ready.loaded.manifest));
    let described: Vec<_> = described.collect();
    // Flags are the same for all.
    if let Some(first) = all.first() {
        settings::check_assignments(&first.settings.fields.values, &described)?;
    }
    Ok(all)
}

/// Nobody should take a report for a refusal.
pub fn tell_mode(id: &str, policy: &Policy) {
    if policy.mode() == Mode::Report {
        tracing::warn!(
            connector = id,
            "what is not granted is let through to public addresses and only reported"
        );
    }
}

fn tell_asks(id: &str, manifest: &Manifest) {
    for ask in &manifest.asks {
        let reason = ask.reason.as_deref().unwrap_or("no reason given");
        let ask = printable(&format!("asks to reach {}: {reason}", ask.origin));
        tracing::info!(connector = id, "{ask}");
    }
    for Credential { name, kind, origins, reason } in &manifest.credentials {
        let reason = reason.as_deref().unwrap_or("no reason given");
        let origins = origins.join(", ");
        let declared = format!("declares the credential {name} ({kind}) for {origins}: {reason}");
        tracing::info!(connector = id, "{}", printable(&declared));
    }
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
    ready: Ready,
    link: LinkSettings,
    keys: Option<Arc<KeyPair>>,
}

/// One connector in its workspace.
struct Joined {
    dispatcher: Dispatcher,
    incoming: tokio::sync::mpsc::Receiver<workspace::Incoming>,
    driver: workspace::Driver,
}

impl Member {
    fn join(self, process: &Process) -> anyhow::Result<Joined> {
        let Self { ready: Ready { id, loaded, settings }, link, keys } = self;
        let Process { environment, grace, shared } = process;
        let manifest = loaded.manifest.clone();
        let configuration = settings.configuration(&id, &manifest, environment)?;
        let component = Component { connector: id.clone(), digest: loaded.digest.clone() };
        let broker = Arc::new(settings.broker(component, &manifest, environment, shared)?);
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
                limits: settings.limits.clone(),
                isolation: settings.isolation,
                events: shared.events.clone(),
            },
        );
        let connector = Arc::new(connector);
        let dispatcher =
            Dispatcher { id, connector, broker, link, keys, authorization, grace: *grace };
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
