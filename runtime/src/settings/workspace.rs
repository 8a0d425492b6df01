//! `[workspace]`: the workspace that a connector joins, and as whom. What is not there comes from the
//! environment, as with the Node SDK.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use super::Environment;
use super::file::Source;
use crate::workspace::keys::KeyPair;

/// The platform's own endpoints, as the Node SDK has them.
const DEVICE_ENDPOINT: &str = "https://connect.aloma.io/";
const WEBSOCKET_ENDPOINT: &str = "wss://connect.aloma.io/transport/";

/// The table as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WorkspaceSettings {
    token: Option<Source>,
    device_endpoint: Option<Source>,
    websocket_endpoint: Option<Source>,
    name: Option<Source>,
    deployment: Option<Source>,
    private_key: Option<Source>,
    public_key: Option<Source>,
}

/// The workspace of the platform.
#[derive(Clone)]
pub struct Platform {
    /// Lets the connector in.
    pub token: SecretString,
    /// The base of the HTTP calls.
    pub device_endpoint: Url,
    /// The websocket.
    pub websocket_endpoint: Url,
}

impl WorkspaceSettings {
    /// The same with its files in a folder.
    pub(super) fn within(mut self, folder: &Path) -> Self {
        let Self {
            token,
            device_endpoint,
            websocket_endpoint,
            name,
            deployment,
            private_key,
            public_key,
        } = &mut self;
        let endpoints = [device_endpoint, websocket_endpoint];
        let texts = [token, name, deployment, private_key, public_key];
        for source in endpoints.into_iter().chain(texts) {
            *source = source.take().map(|source| source.within(folder));
        }
        self
    }

    /// Whether the connector has a registration token of its own.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The platform's workspace, when there is a registration token.
    ///
    /// # Errors
    /// When a value cannot be read, or an endpoint is no URL.
    pub fn platform(&self, environment: &Environment) -> anyhow::Result<Option<Platform>> {
        let of_environment =
            environment.secret("REGISTRATION_TOKEN").or(environment.secret("REGISTRATION_KEY"));
        let Some(token) = read(&self.token, "token", environment)?.or(of_environment.cloned())
        else {
            return Ok(None);
        };
        let device = read(&self.device_endpoint, "device-endpoint", environment)?;
        let websocket = read(&self.websocket_endpoint, "websocket-endpoint", environment)?;
        let device = Endpoint::new(device, "device-endpoint", "DEVICE_ENDPOINT", environment);
        let websocket =
            Endpoint::new(websocket, "websocket-endpoint", "WEBSOCKET_ENDPOINT", environment);
        Ok(Some(Platform {
            token,
            device_endpoint: device.url(DEVICE_ENDPOINT, ["http", "https"])?,
            websocket_endpoint: websocket.url(WEBSOCKET_ENDPOINT, ["ws", "wss"])?,
        }))
    }

    /// The keys that open what the workspace seals.
    ///
    /// # Errors
    /// When there is only half a pair, or they are no keys.
    pub fn keys(&self, environment: &Environment) -> anyhow::Result<Option<Arc<KeyPair>>> {
        let private = read(&self.private_key, "private-key", environment)?;
        let public = read(&self.public_key, "public-key", environment)?;
        match (private, public) {
            (None, None) => keys(environment),
            (Some(private), Some(public)) => pair(&private, public.expose_secret()).map(Some),
            _ => bail!(
                "[workspace] has one of private-key and public-key; set both, or none to take \
                 PRIVATE_KEY and PUBLIC_KEY"
            ),
        }
    }

    /// The name of this process, where one is set.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn name(&self, environment: &Environment) -> anyhow::Result<Option<String>> {
        text(&self.name, "name", "HOSTNAME", environment)
    }

    /// The deployment, where one is set.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn deployment(&self, environment: &Environment) -> anyhow::Result<Option<String>> {
        text(&self.deployment, "deployment", "DEPLOYMENT", environment)
    }
}

/// The keys of the environment.
///
/// # Errors
/// When there is only half a pair, or they are no keys.
pub fn keys(environment: &Environment) -> anyhow::Result<Option<Arc<KeyPair>>> {
    match (environment.secret("PRIVATE_KEY"), environment.get("PUBLIC_KEY")) {
        (None, None) => Ok(None),
        (Some(private), Some(public)) => pair(private, public).map(Some),
        (Some(_), None) => Err(half("PRIVATE_KEY", "PUBLIC_KEY")),
        (None, Some(_)) => Err(half("PUBLIC_KEY", "PRIVATE_KEY")),
    }
}

fn half(set: &str, unset: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "{set} is set and {unset} is not; set both, or make a new pair with `aloma-wasm keys`"
    )
}

fn pair(private: &SecretString, public: &str) -> anyhow::Result<Arc<KeyPair>> {
    Ok(Arc::new(KeyPair::from_env(private, public)?))
}

/// The address of one of the two ends, and where it was read.
struct Endpoint<'a> {
    text: Option<String>,
    name: &'a str,
}

impl<'a> Endpoint<'a> {
    fn new(
        own: Option<SecretString>,
        key: &'a str,
        variable: &'a str,
        environment: &Environment,
    ) -> Self {
        match own {
            Some(own) => Self { text: Some(own.expose_secret().to_owned()), name: key },
            None => Self { text: environment.get(variable).map(str::to_owned), name: variable },
        }
    }

    fn url(&self, default: &str, schemes: [&str; 2]) -> anyhow::Result<Url> {
        let (name, text) = (self.name, self.text.as_deref().unwrap_or(default));
        // Not what stands there: it may hold a password.
        let url = Url::parse(text)
            .with_context(|| format!("{name} is no URL; write one like {default}"))?;
        let [plain, secure] = schemes;
        ensure!(
            schemes.contains(&url.scheme()),
            "{name} must begin with {secure}:// or {plain}://, not {}://",
            url.scheme()
        );
        Ok(url)
    }
}

fn text(
    own: &Option<Source>,
    key: &str,
    variable: &str,
    environment: &Environment,
) -> anyhow::Result<Option<String>> {
    let own = read(own, key, environment)?.map(|text| text.expose_secret().to_owned());
    Ok(own.or_else(|| environment.get(variable).map(str::to_owned)))
}

/// A value that is set and not empty.
fn read(
    source: &Option<Source>,
    key: &str,
    environment: &Environment,
) -> anyhow::Result<Option<SecretString>> {
    let Some(source) = source else { return Ok(None) };
    let value = source.read(environment).with_context(|| format!("[workspace] {key}"))?;
    ensure!(!value.expose_secret().is_empty(), "[workspace] {key} is empty; leave it out");
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(text: &str) -> Environment {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("env"), text).expect("a file");
        Environment::read_file(&folder.path().join("env")).expect("variables")
    }

    fn settings(text: &str) -> WorkspaceSettings {
        toml::from_str(text).expect("a table")
    }

    #[test]
    fn what_the_file_says_goes_before_the_environment() {
        const ALL: &str = "REGISTRATION_TOKEN=theirs\nDEVICE_ENDPOINT=http://device.example/\n\
                           OWN=ours\nHOSTNAME=host\n";
        for (table, token, device) in [
            ("", Some("theirs"), "http://device.example/"),
            ("token = 'mine'", Some("mine"), "http://device.example/"),
            (
                "token = { env = 'OWN' }\ndevice-endpoint = 'https://x.example/'",
                Some("ours"),
                "https://x.example/",
            ),
        ] {
            let platform = settings(table).platform(&environment(ALL)).expect(table);
            let platform = platform.expect("a token");
            assert_eq!(Some(platform.token.expose_secret()), token, "{table}");
            assert_eq!(platform.device_endpoint.as_str(), device, "{table}");
            assert_eq!(platform.websocket_endpoint.as_str(), WEBSOCKET_ENDPOINT);
        }
        assert!(settings("").platform(&environment("")).expect("nothing").is_none());
        let name = |table: &str| settings(table).name(&environment(ALL)).expect(table);
        assert_eq!(name("").as_deref(), Some("host"));
        assert_eq!(name("name = 'n'").as_deref(), Some("n"));
    }

    #[test]
    fn a_mistake_says_what_to_write() {
        let none = Environment::default();
        for (table, says) in [
            ("token = ''", "[workspace] token is empty; leave it out"),
            ("token = { env = 'NOT_SET' }", "[workspace] token: the variable NOT_SET is not set"),
            (
                "token = 'x'\ndevice-endpoint = 'http://me:hush@'",
                "device-endpoint is no URL; write one like https://connect.aloma.io/",
            ),
            (
                "token = 'x'\nwebsocket-endpoint = 'https://x.example'",
                "websocket-endpoint must begin with wss:// or ws://, not https://",
            ),
        ] {
            let error = settings(table).platform(&none).err().expect(table);
            let error = format!("{error:#}");
            assert!(error.starts_with(says) && !error.contains("hush"), "{table}: {error}");
        }
        let half = settings("private-key = 'x'").keys(&none).expect_err("half a pair");
        assert!(half.to_string().contains("set both"), "{half}");
    }
}
