//! A connector that was loaded and checked and is not yet in a workspace, or not yet in the place of
//! the version before it. Everything that can be wrong with it is found here.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail, ensure};
use secrecy::ExposeSecret as _;

use super::embedded::Joining;
use super::process::{Contested, Process};
use super::settings::{ConnectorSettings, Origin};
use super::watch::Print;
use super::{tell_asks, tell_mode};
use crate::broker::Setup;
use crate::connector::{Configuration, Isolation, Loaded};
use crate::dispatch::{self, Prepared};
use crate::envelope::Limits;
use crate::events::Component;
use crate::local::{Hosted, Hosting};
use crate::manifest::{Manifest, OAUTH_CLIENT};
use crate::oauth::Overrides;
use crate::settings::Platform;
use crate::workspace::keys::KeyPair;
use crate::workspace::{Identity, LinkSettings};

/// A connector that can run.
pub(super) struct Candidate {
    pub standing: Standing,
    pub manifest: Arc<Manifest>,
    pub digest: Arc<str>,
    /// Whether it has a registration token of its own.
    has_token: bool,
    /// Whether its OAuth client, or a part of it, is set for it alone.
    has_client: bool,
    /// The file that names it.
    path: PathBuf,
    name: Option<String>,
    deployment: Option<String>,
    loaded: Loaded,
    configuration: Configuration,
    broker: Setup,
    limits: Arc<Limits>,
    isolation: Isolation,
}

/// As whom a connector joins which workspace. It stays as long as its link does.
#[derive(Clone)]
pub(super) struct Standing {
    pub id: Arc<str>,
    /// None for the embedded workspace.
    platform: Option<Platform>,
    keys: Option<Arc<KeyPair>>,
}

/// What a connector needs for its link.
pub(super) struct Membership {
    pub link: LinkSettings,
    pub keys: Option<Arc<KeyPair>>,
    /// The embedded workspace, where it is that one.
    pub hosting: Option<Hosting>,
}

/// Files with what was seen of them before they were read.
pub(super) type Seen = Vec<(PathBuf, Print)>;

/// Reads settings. What was seen of the files comes also where they are wrong.
pub(super) async fn read(origin: &Origin) -> (Seen, anyhow::Result<ConnectorSettings>) {
    let origin = origin.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let before = (origin.path.clone(), Print::of(&origin.path));
        let settings = (origin.read)();
        let others = settings.iter().flat_map(ConnectorSettings::files);
        let others = others.filter(|file| **file != before.0);
        let others: Vec<_> = others.map(|file| (file.clone(), Print::of(file))).collect();
        (std::iter::once(before).chain(others).collect(), settings)
    });
    match reading.await {
        Ok(read) => read,
        Err(error) => (Seen::new(), Err(anyhow::Error::new(error).context("reading its settings"))),
    }
}

impl Candidate {
    /// Loads a connector and checks all that is said of it.
    pub async fn load(
        path: PathBuf,
        mut settings: ConnectorSettings,
        process: Arc<Process>,
    ) -> anyhow::Result<Self> {
        let loaded = settings.load(&process.loader).await?;
        settings.fields.variables.append(&mut process.variables.all());
        // Values and keys may lie in files, and those on a slow network.
        let check = move || Self::check(path, settings, loaded, &process);
        tokio::task::spawn_blocking(check).await.context("checking its settings crashed")?
    }

    /// Takes what only one connector can have, and tells what it is about to run with. Nobody waits for
    /// this, so that whoever has claimed is there to give it back.
    pub fn claim(&self, origin: &Origin, process: &Process) -> anyhow::Result<()> {
        let Standing { id, platform, .. } = &self.standing;
        if platform.is_some() && !self.has_token {
            process.token.take(&origin.path).map_err(|Contested(many)| {
                anyhow!(
                    "{}: a registration token belongs to one connector, and the one of the environment \
                     is for {many}; give each its own with `token` in [workspace] of its settings file",
                    origin.path.display()
                )
            })?;
        }
        tell_asks(id, &self.manifest);
        tell_mode(id, &self.broker.policy);
        Ok(())
    }

    fn check(
        path: PathBuf,
        settings: ConnectorSettings,
        loaded: Loaded,
        process: &Process,
    ) -> anyhow::Result<Self> {
        let environment = &process.environment;
        let manifest = loaded.manifest.clone();
        let id = settings.id(&manifest, environment);
        let configuration = settings.configuration(&id, &manifest, environment)?;
        let component = Component { connector: id.clone(), digest: loaded.digest.clone() };
        let broker = settings.broker_setup(component, &manifest, environment, &process.shared)?;
        let own = &settings.workspace;
        let of_workspace = || -> anyhow::Result<_> {
            let platform = own.platform(environment)?;
            let (name, deployment) = (own.name(environment)?, own.deployment(environment)?);
            Ok((platform, own.keys(environment)?, name, deployment))
        };
        let shown = settings.file.as_deref().map(|file| file.display().to_string());
        let (platform, keys, name, deployment) = match shown {
            Some(shown) => of_workspace().context(shown)?,
            None => of_workspace()?,
        };
        if platform.is_some() {
            check_keys(&manifest, keys.as_deref())?;
        }
        Ok(Self {
            has_token: own.has_token(),
            has_client: OAUTH_CLIENT.iter().any(|key| configuration.value(key).is_some()),
            path,
            standing: Standing { id, platform, keys },
            digest: loaded.digest.clone(),
            manifest,
            name,
            deployment,
            loaded,
            configuration,
            broker,
            limits: settings.limits,
            isolation: settings.isolation,
        })
    }

    /// Where it joins.
    pub async fn settle(&self, process: &Process) -> anyhow::Result<Membership> {
        let Standing { platform, keys, .. } = &self.standing;
        if let Some(Platform { token, device_endpoint, websocket_endpoint }) = platform.clone() {
            let link = LinkSettings { device_endpoint, websocket_endpoint, token };
            return Ok(Membership { link, keys: keys.clone(), hosting: None });
        }
        let Joining { link, keys: theirs, hosting } =
            process.embedded.join(&process.environment).await?;
        let keys = Some(keys.clone().unwrap_or(theirs));
        Ok(Membership { link, keys, hosting: Some(hosting) })
    }

    /// As the embedded workspace knows it.
    pub fn hosted(&self) -> Hosted {
        Hosted { id: self.standing.id.to_string(), manifest: self.manifest.clone() }
    }

    /// Whether an OAuth client of the environment could be for it.
    pub fn may_want_client(&self) -> bool {
        self.manifest.oauth.is_some() && !self.has_client
    }

    /// What the environment says of its OAuth. Its client id and secret are for one connector: each
    /// chooses itself where it sends them.
    fn oauth(&self, process: &Process) -> Overrides {
        let overrides = Overrides::of(&process.environment);
        if self.manifest.oauth.is_none() || !overrides.has_client() {
            return overrides;
        }
        let Err(why) = process.check_client_is_for(&self.path, self.has_client) else {
            return overrides;
        };
        // A part that it lacks would have been another one's.
        if !self.has_client {
            tracing::warn!(
                connector = &*self.standing.id,
                "OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET of the environment are for one connector, and \
                 {why}, so this one does not get them; give it its own client in its connector.toml, as \
                 [config] clientId = \"…\" and clientSecret = {{ env = \"NAME\" }}"
            );
        }
        overrides.without_client()
    }

    /// What a dispatcher needs.
    pub fn prepared(self, keys: Option<&KeyPair>, process: &Process) -> Prepared {
        Prepared {
            oauth: self.oauth(process),
            identity: self.identity(keys),
            loaded: self.loaded,
            configuration: self.configuration,
            broker: self.broker,
            limits: self.limits,
            isolation: self.isolation,
            events: process.shared.events.clone(),
        }
    }

    fn identity(&self, keys: Option<&KeyPair>) -> Identity {
        let (id, manifest) = (&self.standing.id, &self.manifest);
        let introspection = dispatch::introspection(manifest);
        let name = self.name.clone();
        Identity {
            id: id.to_string(),
            version: manifest.version.clone(),
            name: name.unwrap_or_else(|| format!("{id}/{}", manifest.version)),
            deployment: self.deployment.clone().unwrap_or_default(),
            public_key: keys.map(|keys| keys.public_env().to_owned()),
            config_schema: introspection["configSchema"].clone(),
            introspect: introspection["introspect"].as_str().unwrap_or_default().to_owned(),
            icon: manifest.icon.clone(),
        }
    }
}

impl Standing {
    /// Whether a connector with that standing can go on with the link of this one.
    ///
    /// # Errors
    /// When it cannot: says what would change.
    pub fn check_same(&self, next: &Self) -> anyhow::Result<()> {
        if self.id != next.id {
            bail!("it would join as {} in place of {}", next.id, self.id);
        }
        ensure!(is_same_place(&self.platform, &next.platform), "it would join another workspace");
        let public =
            |standing: &Self| standing.keys.as_ref().map(|keys| keys.public_env().to_owned());
        ensure!(public(self) == public(next), "it would have another key pair");
        Ok(())
    }
}

fn is_same_place(one: &Option<Platform>, other: &Option<Platform>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            one.token.expose_secret() == other.token.expose_secret()
                && one.device_endpoint == other.device_endpoint
                && one.websocket_endpoint == other.websocket_endpoint
        }
        _ => false,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(id: &str, token: Option<&str>) -> Standing {
        let platform = token.map(|token| Platform {
            token: token.into(),
            device_endpoint: "https://a.example/".parse().expect("a URL"),
            websocket_endpoint: "wss://a.example/".parse().expect("a URL"),
        });
        Standing { id: id.into(), platform, keys: None }
    }

    #[test]
    fn a_link_is_for_one_id_at_one_workspace() {
        let current = standing("users", Some("t"));
        for (next, says) in [
            (standing("users", Some("t")), None),
            (standing("orders", Some("t")), Some("it would join as orders in place of users")),
            (standing("users", Some("u")), Some("it would join another workspace")),
            (standing("users", None), Some("it would join another workspace")),
        ] {
            let told = current.check_same(&next).err().map(|error| error.to_string());
            assert_eq!(told.as_deref(), says);
        }
    }
}
