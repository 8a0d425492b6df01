//! How one grant gets its tokens: what it asks for, and whose the answer is.

use std::time::SystemTime;

use aws_lc_rs::digest::{Context, SHA256};
use secrecy::{ExposeSecret, SecretString};

use super::super::request::{Error, Request};
use super::assertion::Assertion;
use super::endpoint::{Client, Code, request};
use super::settings::{ClientKeys, Token};
use super::tokens::Tokens;
use super::workspace::OnRefresh;
use crate::vault::Vault;

/// Everything that a token request needs, with every value filled in.
pub(super) struct Recipe {
    how: How,
    /// Whose tokens they are. Those of another identity are not used.
    pub identity: String,
    /// The identity and all secrets.
    pub digest: String,
}

enum How {
    ClientCredentials { client: Client, scope: Option<String>, audience: Option<String> },
    Refresh { client: Client, scope: Option<String>, first: SecretString },
    Assertion { token_url: String, scope: Option<String>, key: SecretString, assertion: Assertion },
    Workspace { client: Client, on_refresh: OnRefresh },
}

impl Recipe {
    /// The recipe of that credential under this configuration.
    pub fn new(name: &str, token: &Token, vault: &Vault) -> Result<Self, Error> {
        let secret = |text: &str| SecretString::from(text);
        Ok(match token {
            Token::ClientCredentials { client: keys, audience } => {
                let client = Client::new(name, keys, vault)?;
                Self::client_credentials(client, keys.scope.clone(), audience.clone())
            }
            Token::Refresh { client: keys, first } => {
                let client = Client::new(name, keys, vault)?;
                Self::refresh(client, keys.scope.clone(), secret(first.get(name, vault)?))
            }
            Token::Assertion { token_url, scope, key, assertion } => {
                let key = secret(key.get(name, vault)?);
                Self::assertion(token_url.clone(), scope.clone(), key, assertion.clone())
            }
        })
    }

    fn client_credentials(client: Client, scope: Option<String>, audience: Option<String>) -> Self {
        let (or_none, secret) =
            (|text: &Option<String>| text.clone().unwrap_or_default(), client.exposed());
        let whose = [&*client.token_url, &*client.id, &or_none(&scope), &or_none(&audience)];
        let identity = digest("client-credentials", &whose);
        let digest = digest(&identity, &[&secret]);
        Self { how: How::ClientCredentials { client, scope, audience }, identity, digest }
    }

    fn refresh(client: Client, scope: Option<String>, first: SecretString) -> Self {
        let secret = client.exposed();
        let asked = scope.clone().unwrap_or_default();
        // A refresh token that the operator sets anew takes the place of what the old one brought.
        let whose = [&*client.token_url, &*client.id, &asked, first.expose_secret()];
        let identity = digest("refresh-token", &whose);
        let digest = digest(&identity, &[&secret]);
        Self { how: How::Refresh { client, scope, first }, identity, digest }
    }

    fn assertion(
        token_url: String,
        scope: Option<String>,
        key: SecretString,
        assertion: Assertion,
    ) -> Self {
        let asked = scope.clone().unwrap_or_default();
        let claims = serde_json::Value::from(assertion.claims.clone()).to_string();
        let Assertion { issuer, subject, audience, .. } = &assertion;
        let whose = [&*token_url, issuer, subject, audience, &asked, &claims];
        let identity = digest("jwt-bearer", &whose);
        let digest = digest(&identity, &[key.expose_secret()]);
        Self { how: How::Assertion { token_url, scope, key, assertion }, identity, digest }
    }

    /// The recipe of the grant that the workspace makes.
    pub fn workspace(client: Client, on_refresh: OnRefresh) -> Self {
        let identity = digest("oauth", &[&client.token_url, &client.id]);
        let digest = digest(&identity, &[&client.exposed()]);
        Self { how: How::Workspace { client, on_refresh }, identity, digest }
    }

    /// Whether another access token can be had after these, or after none.
    pub fn can_renew(&self, tokens: Option<&Tokens>) -> bool {
        match self.how {
            How::Workspace { .. } => tokens.is_some_and(|tokens| tokens.refresh.is_some()),
            _ => true,
        }
    }

    /// What keeps refreshed tokens in place of the store.
    pub fn keeper(&self) -> Option<&OnRefresh> {
        match &self.how {
            How::Workspace { on_refresh, .. } => Some(on_refresh),
            _ => None,
        }
    }

    /// What a token request goes with, after these tokens or after none.
    pub fn refresh_token(&self, tokens: Option<&Tokens>) -> Option<SecretString> {
        let held = || tokens.and_then(|tokens| tokens.refresh.clone());
        match &self.how {
            How::Workspace { .. } => held(),
            How::Refresh { first, .. } => held().or_else(|| Some(first.clone())),
            How::ClientCredentials { .. } | How::Assertion { .. } => None,
        }
    }

    /// The token request.
    pub fn request(&self, with: Option<&SecretString>, now: SystemTime) -> Result<Request, Error> {
        let with = with.map(|token| token.expose_secret()).unwrap_or_default();
        let refresh = || vec![("grant_type", "refresh_token"), ("refresh_token", with)];
        match &self.how {
            How::Workspace { client, .. } => Ok(client.request(refresh())),
            How::Refresh { client, scope, .. } => {
                let mut form = refresh();
                form.extend(scope.as_deref().map(|scope| ("scope", scope)));
                Ok(client.request(form))
            }
            How::ClientCredentials { client, scope, audience } => {
                let mut form = vec![("grant_type", "client_credentials")];
                form.extend(scope.as_deref().map(|scope| ("scope", scope)));
                form.extend(audience.as_deref().map(|audience| ("audience", audience)));
                Ok(client.request(form))
            }
            How::Assertion { token_url, scope, key, assertion } => {
                let signed = assertion.sign(key.expose_secret(), now).map_err(Error::Credential)?;
                let kind = "urn:ietf:params:oauth:grant-type:jwt-bearer";
                let mut form = vec![("grant_type", kind), ("assertion", &signed)];
                form.extend(scope.as_deref().map(|scope| ("scope", scope)));
                Ok(request(token_url, form, |_| {}))
            }
        }
    }

    /// What to say where the endpoint does not accept this. None where that may pass by itself.
    pub fn dead(&self, name: &str, code: Code) -> Option<String> {
        let client = "the token endpoint does not accept the client of the credential";
        match (&self.how, code) {
            (How::Workspace { .. }, Code::Grant) => {
                Some("the OAuth grant has ended (invalid_grant); connect again".into())
            }
            // The workspace's client is set there, and mended there.
            (How::Workspace { .. }, Code::Client) => None,
            (How::Refresh { .. }, Code::Grant) => Some(format!(
                "the grant of the credential {name:?} has ended (invalid_grant); set a new \
                 refresh-token"
            )),
            (How::Assertion { .. }, _) => Some(format!(
                "the token endpoint does not accept the assertion of the credential {name:?}; \
                 check its issuer, subject, audience and key, and the clock"
            )),
            (How::ClientCredentials { .. }, Code::Grant) => None,
            (How::Refresh { .. } | How::ClientCredentials { .. }, Code::Client) => {
                Some(format!("{client} {name:?}; check its client-id and client-secret"))
            }
        }
    }

    /// Whether a grant that has ended can only be made again by somebody who brings other tokens.
    pub fn ends_for_good(&self) -> bool {
        matches!(self.how, How::Workspace { .. })
    }
}

impl Client {
    fn new(name: &str, keys: &ClientKeys, vault: &Vault) -> Result<Self, Error> {
        let secret = keys.secret.as_ref().map(|secret| secret.get(name, vault)).transpose()?;
        Ok(Self {
            token_url: keys.token_url.get(name, vault)?,
            id: keys.id.get(name, vault)?.to_owned(),
            secret: secret.map(SecretString::from),
            use_header: keys.use_header,
        })
    }

    fn exposed(&self) -> zeroize::Zeroizing<String> {
        let secret = self.secret.as_ref().map_or("", |secret| secret.expose_secret());
        zeroize::Zeroizing::new(secret.to_owned())
    }
}

/// The lengths stand before the parts, so that no two lists give the same.
fn digest(kind: &str, parts: &[&str]) -> String {
    let mut context = Context::new(&SHA256);
    for part in [&[kind], parts].concat() {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
