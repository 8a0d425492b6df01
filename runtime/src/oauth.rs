//! The OAuth flow of one connector: the workspace asks, the broker does it, and the outcome goes
//! back sealed.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::broker::{Broker, OAuthClient};
use crate::connector::Configuration;
use crate::manifest::{Manifest, OAUTH_RESULT, OAuth};
use crate::settings::Environment;
use crate::workspace::Link;
use crate::workspace::keys::KeyPair;
use crate::workspace::sealing;

/// What the flow needs of everybody.
pub struct Authorization {
    id: Arc<str>,
    declared: Option<OAuth>,
    environment: Overrides,
    broker: Arc<Broker>,
    link: Option<Link>,
    keys: Option<Arc<KeyPair>>,
}

/// The `OAUTH_*` variables.
pub struct Overrides {
    client_id: Option<String>,
    client_secret: Option<SecretString>,
    authorization_url: Option<String>,
    token_url: Option<String>,
    scope: Option<String>,
}

/// What the workspace needs to send a user to the authorization server.
pub struct Started {
    /// With `{{redirectURI}}` and `{{codeChallenge}}` still to fill in.
    pub url: String,
    /// Whether there is a challenge to make.
    pub use_code_challenge: bool,
}

impl Authorization {
    /// The flow of the grant that `manifest` declares. Without one, every step says so. `workspace` is
    /// where refreshed tokens are kept, and the keys to seal them with; without one they are lost with
    /// the process.
    pub fn new(
        id: Arc<str>,
        manifest: &Manifest,
        environment: Overrides,
        broker: Arc<Broker>,
        workspace: Option<(Link, Option<Arc<KeyPair>>)>,
    ) -> Self {
        let (link, keys) = workspace.map_or((None, None), |(link, keys)| (Some(link), keys));
        Self { id, declared: manifest.oauth.clone(), environment, broker, link, keys }
    }

    /// Takes client and tokens from a new configuration.
    pub fn configure(&self, configuration: &Configuration) {
        let Some(declared) = &self.declared else { return };
        let client = self.environment.client(declared, configuration);
        self.broker.set_oauth(client, self.saver());
        let tokens = configuration.value(OAUTH_RESULT).map(|text| {
            // Tokens that are no JSON are refused by the broker like those without a token.
            serde_json::from_str(text.expose_secret()).unwrap_or(Value::Null)
        });
        if let Err(error) = self.broker.set_tokens(tokens) {
            tracing::warn!(connector = &*self.id, "OAuth: {error}");
        }
    }

    /// The URL for `start-oauth`.
    ///
    /// # Errors
    /// When the connector declares no OAuth, or its client has no id.
    pub fn start(&self) -> anyhow::Result<Started> {
        let declared = self.declared.as_ref().context("oauth not configured")?;
        let url = self
            .broker
            .authorization_url()
            .context("the OAuth client has no id; set the field clientId or OAUTH_CLIENT_ID")?;
        Ok(Started { url, use_code_challenge: declared.use_code_challenge })
    }

    /// Exchanges the code, and gives the token answer sealed. The workspace keeps it and sends it
    /// back with the next configuration.
    ///
    /// # Errors
    /// When the exchange fails, or there are no keys to seal with.
    pub async fn finish(
        &self,
        code: SecretString,
        redirect_uri: Option<String>,
        verifier: Option<SecretString>,
    ) -> anyhow::Result<String> {
        let Some(redirect_uri) = redirect_uri else {
            bail!("finish-oauth came without redirectURI")
        };
        let keys = self.keys.as_deref().context(NO_KEYS)?;
        let verifier = verifier.as_ref().map(|verifier| verifier.expose_secret());
        let tokens =
            self.broker.exchange_code(code.expose_secret(), &redirect_uri, verifier).await?;
        Ok(sealing::seal(&tokens, &self.id, keys.public())?)
    }

    /// Sends refreshed tokens to the workspace, which holds them for the next process.
    fn saver(&self) -> crate::broker::OnRefresh {
        let (id, link, keys) = (self.id.clone(), self.link.clone(), self.keys.clone());
        Arc::new(move |tokens| {
            let (id, link, keys) = (id.clone(), link.clone(), keys.clone());
            Box::pin(async move {
                if let Err(error) = save(&tokens, &id, link.as_ref(), keys.as_deref()).await {
                    tracing::warn!(connector = &*id, "refreshed tokens are not saved: {error:#}");
                }
            })
        })
    }
}

const NO_KEYS: &str =
    "there are no keys to seal the tokens with; make a pair with `aloma-wasm keys`";

async fn save(
    tokens: &Value,
    id: &str,
    link: Option<&Link>,
    keys: Option<&KeyPair>,
) -> anyhow::Result<()> {
    let link = link.context("there is no workspace to keep them")?;
    let keys = keys.context(NO_KEYS)?;
    link.config_update(sealing::seal(tokens, id, keys.public())?).await?;
    Ok(())
}

impl Overrides {
    /// Those of this environment.
    pub fn of(environment: &Environment) -> Self {
        let text = |name: &str| environment.get(name).map(str::to_owned);
        Self {
            client_id: text("OAUTH_CLIENT_ID"),
            client_secret: environment.secret("OAUTH_CLIENT_SECRET").cloned(),
            authorization_url: text("OAUTH_AUTHORIZATION_URL"),
            token_url: text("OAUTH_TOKEN_URL"),
            scope: text("OAUTH_SCOPE"),
        }
    }

    /// Whether they say who the client is.
    pub fn has_client(&self) -> bool {
        self.client_id.is_some() || self.client_secret.is_some()
    }

    /// The same for a connector that the client is not for.
    #[must_use]
    pub fn without_client(self) -> Self {
        Self { client_id: None, client_secret: None, ..self }
    }

    /// Who we are at the authorization server. Id and secret: configuration, environment, author;
    /// URLs and scope: environment, configuration, author. None without an id.
    fn client(&self, declared: &OAuth, configuration: &Configuration) -> Option<OAuthClient> {
        let field = |key: &str| configuration.value(key).cloned();
        let plain = |key: &str| field(key).map(|value| value.expose_secret().to_owned());
        let or = |first: Option<String>, second: &Option<String>| first.or_else(|| second.clone());
        let secret = field("clientSecret").or_else(|| self.client_secret.clone());
        let declared_secret = declared.client_secret.clone().map(SecretString::from);
        Some(OAuthClient {
            authorization_url: set_or(&self.authorization_url, &declared.authorization_url),
            token_url: set_or(&self.token_url, &declared.token_url),
            client_id: or(or(plain("clientId"), &self.client_id), &declared.client_id)?,
            client_secret: secret.or(declared_secret),
            scope: or(or(self.scope.clone(), &plain("scope")), &declared.scope),
            use_auth_header: declared.use_auth_header,
            use_code_challenge: declared.use_code_challenge,
            additional_token_args: declared.additional_token_args.clone(),
        })
    }
}

fn set_or(set: &Option<String>, default: &str) -> String {
    set.as_deref().unwrap_or(default).to_owned()
}
