//! The HTTP calls before and after a websocket: `connect`, `register` and `disconnect`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use reqwest::{Client, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::limits::{HTTP_ANSWER_BYTES, Timing};

/// The Node SDK's spelling of "no key yet".
const NO_KEY: &str = "null";

/// Where the workspace is and what lets us in.
#[derive(Clone, Debug)]
pub struct LinkSettings {
    /// The base of the HTTP calls.
    pub device_endpoint: Url,
    /// The websocket.
    pub websocket_endpoint: Url,
    /// The registration token.
    pub token: SecretString,
}

/// Who we are, as the workspace is told at registration.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The connector's id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// The name of this process.
    pub name: String,
    /// The deployment; empty for none.
    pub deployment: String,
    /// Base64 of the public key's PEM.
    pub public_key: Option<String>,
    /// The configuration fields.
    pub config_schema: Value,
    /// The declarations of the actions.
    pub introspect: String,
    /// A PNG.
    pub icon: Option<Vec<u8>>,
}

impl Identity {
    /// The `User-Agent`. Characters that no header may hold become `?`.
    pub(super) fn user_agent(&self) -> HeaderValue {
        let clean = |c: char| if (' '..='~').contains(&c) { c } else { '?' };
        let text: String = format!("{}/{}", self.id, self.version).chars().map(clean).collect();
        HeaderValue::try_from(text).expect("visible ASCII is a header value")
    }
}

/// The identity that holds now. Clones show the same one.
#[derive(Clone, Debug)]
pub(super) struct Nameplate(Arc<Mutex<Arc<Identity>>>);

impl Nameplate {
    pub fn new(identity: Identity) -> Self {
        Self(Arc::new(Mutex::new(Arc::new(identity))))
    }

    pub fn replace(&self, identity: Identity) {
        *self.0.lock() = Arc::new(identity);
    }

    pub fn read(&self) -> Arc<Identity> {
        self.0.lock().clone()
    }
}

/// Our standing with the workspace. The key lives in memory only.
pub struct Registration {
    client: Client,
    within: Duration,
    base: Url,
    token: SecretString,
    nameplate: Nameplate,
    standing: Option<Registered>,
    disconnect_within: Duration,
}

/// What a registration gave, and for whom.
struct Registered {
    key: SecretString,
    identity: Arc<Identity>,
}

enum Standing {
    Registered,
    Unknown,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RegisterBody<'a> {
    deployment: &'a str,
    name: &'a str,
    version: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<&'a str>,
    schema: Schema<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icon: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Schema<'a> {
    config_schema: &'a Value,
    introspect: &'a str,
}

impl Registration {
    /// Nothing is asked yet.
    pub(super) fn new(
        settings: &LinkSettings,
        nameplate: Nameplate,
        client: Client,
        timing: &Timing,
    ) -> Self {
        Self {
            client,
            within: timing.http,
            base: as_base(settings.device_endpoint.clone()),
            token: settings.token.clone(),
            nameplate,
            standing: None,
            disconnect_within: timing.disconnect,
        }
    }

    /// The `User-Agent` that goes with every call now.
    pub(super) fn user_agent(&self) -> HeaderValue {
        self.nameplate.read().user_agent()
    }

    /// Announces a websocket, registering first where the workspace does not know us. The answer is
    /// the key for the websocket.
    pub async fn connect(&mut self) -> anyhow::Result<SecretString> {
        if let Standing::Unknown = self.announce().await? {
            self.register().await?;
            if let Standing::Unknown = self.announce().await? {
                bail!("the workspace registered this connector and then did not know it");
            }
        }
        let key = self.standing.as_ref().map(|registered| registered.key.clone());
        Ok(key.unwrap_or_else(|| NO_KEY.into()))
    }

    /// Says good-bye. Nobody minds if it fails.
    pub async fn disconnect(&self) {
        let Some(Registered { key, identity }) = &self.standing else { return };
        let connector = &*identity.id;
        let nothing = Map::new();
        let call = self.post("disconnect", key.expose_secret(), &nothing);
        match tokio::time::timeout(self.disconnect_within, call).await {
            Ok(Ok(_)) => tracing::debug!(connector, "disconnected from the workspace"),
            Ok(Err(error)) => tracing::debug!(connector, "disconnect: {error:#}"),
            Err(_) => tracing::debug!(connector, "disconnect: no answer in time"),
        }
    }

    async fn announce(&mut self) -> anyhow::Result<Standing> {
        // Another identity is told like that of a new process: under the old key, nobody asks for it.
        let identity = self.nameplate.read();
        let standing = self.standing.as_ref().filter(|registered| registered.identity == identity);
        let key = standing.map_or(NO_KEY, |registered| registered.key.expose_secret());
        let response = self.post("connect", key, &Map::new()).await?;
        match response.status() {
            StatusCode::OK => {
                let _: IgnoredAny = read_json(response).await.context("connect")?;
                Ok(Standing::Registered)
            }
            StatusCode::UNAUTHORIZED => {
                self.standing = None;
                Ok(Standing::Unknown)
            }
            other => bail!("the workspace answered connect with {other}"),
        }
    }

    async fn register(&mut self) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Answer {
            key: String,
        }
        let identity = self.nameplate.read();
        let response = self.post("register", self.token.expose_secret(), &body(&identity)).await?;
        match response.status() {
            StatusCode::OK => {}
            refusal @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => bail!(
                "the workspace refused the registration token ({refusal}); check that `token` in \
                 [workspace] of the settings file, or else REGISTRATION_TOKEN, is the one that the \
                 workspace shows for this connector"
            ),
            other => bail!("the workspace answered register with {other}"),
        }
        let Answer { key } = read_json(response).await.context("register")?;
        ensure!(!key.is_empty(), "the workspace answered register without a key");
        tracing::info!(connector = identity.id, "registered with the workspace");
        self.standing = Some(Registered { key: key.into(), identity });
        Ok(())
    }

    async fn post(&self, call: &str, key: &str, body: &impl Serialize) -> anyhow::Result<Response> {
        let url = self.base.join(call).expect("a word is a relative URL");
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .timeout(self.within)
            .header(USER_AGENT, self.user_agent())
            .header(AUTHORIZATION, authorization(key)?)
            .body(super::packet::raw(body).get().to_owned());
        // The URL may hold a user's password, and the endpoint is known from the settings.
        let unreachable = || format!("{call} at {}", self.base.host_str().unwrap_or_default());
        request.send().await.map_err(reqwest::Error::without_url).with_context(unreachable)
    }
}

fn body(identity: &Identity) -> RegisterBody<'_> {
    let Identity { id, version, name, deployment, public_key, config_schema, introspect, icon } =
        identity;
    let schema = Schema { config_schema, introspect };
    let icon = icon.as_ref().map(|png| STANDARD.encode(png));
    let public_key = public_key.as_deref();
    RegisterBody { deployment, name, version, id, public_key, schema, icon }
}

/// The header that both HTTP and websocket carry. Debug output hides it.
pub(super) fn authorization(key: &str) -> anyhow::Result<HeaderValue> {
    let header = HeaderValue::try_from(format!("Connector {key}"));
    let mut header = header.map_err(|_| {
        anyhow!(
            "the token or key has characters that no header may hold; check `token` in [workspace] of \
             the settings file, or else REGISTRATION_TOKEN"
        )
    })?;
    header.set_sensitive(true);
    Ok(header)
}

/// Calls are appended to the endpoint, whether or not it was written with a slash at its end.
fn as_base(mut endpoint: Url) -> Url {
    endpoint.set_query(None);
    endpoint.set_fragment(None);
    if !endpoint.path().ends_with('/') {
        endpoint.set_path(&format!("{}/", endpoint.path()));
    }
    endpoint
}

async fn read_json<T: serde::de::DeserializeOwned>(mut response: Response) -> anyhow::Result<T> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        body.extend_from_slice(&chunk);
        ensure!(body.len() <= HTTP_ANSWER_BYTES, "the answer is larger than {HTTP_ANSWER_BYTES}");
    }
    // What serde would say may quote the body, which may hold the key.
    serde_json::from_slice(&body)
        .map_err(|_| anyhow!("the answer is not the JSON that is expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_base() {
        for (given, expected) in [
            ("https://connect.aloma.io/", "https://connect.aloma.io/connect"),
            ("https://connect.aloma.io", "https://connect.aloma.io/connect"),
            ("http://127.0.0.1:9/a/b", "http://127.0.0.1:9/a/b/connect"),
            ("http://127.0.0.1:9/a/b/?x#y", "http://127.0.0.1:9/a/b/connect"),
        ] {
            let base = as_base(given.parse().unwrap());
            assert_eq!(base.join("connect").unwrap().as_str(), expected);
        }
    }

    #[test]
    fn the_key_cannot_be_printed_and_must_fit_a_header() {
        let header = authorization("s3cret").unwrap();
        assert!(!format!("{header:?}").contains("s3cret"));
        let error = authorization("s3cret\n").unwrap_err().to_string();
        assert!(error.contains("REGISTRATION_TOKEN") && !error.contains("s3cret"), "{error}");
    }
}
