//! Reads a credential's values, and checks what can be checked before a request.

use std::path::Path;
use std::time::Duration;

use http::HeaderName;
use serde_json::{Map, Value as Json};

use super::super::super::limits::{ASSERTION, CREDENTIAL_NAME, LONGEST_ASSERTION};
use super::super::assertion::{Assertion, check_key};
use super::super::source::{Lookup, Source, Value};
use super::super::template::{TokenUrl, check_url};
use super::{Auth, AwsKeys, ClientKeys, CredentialSettings, Kind, OAUTH, Token};

/// Reads the values of one credential.
pub(super) struct Reader<'a> {
    pub base: &'a Path,
    pub env: Lookup<'a>,
}

impl Reader<'_> {
    pub fn kind(&self, settings: &CredentialSettings) -> Result<Kind, String> {
        Ok(match settings {
            CredentialSettings::Bearer { token, .. } => Kind::Bearer(self.read("token", token)?),
            CredentialSettings::Basic { username, password, .. } => Kind::Basic {
                username: without_colon(self.read("username", username)?)?,
                password: self.read("password", password)?,
            },
            CredentialSettings::Header { name, value, .. } => {
                Kind::Header { name: header(name)?, value: self.read("value", value)? }
            }
            CredentialSettings::Query { name, value, .. } => {
                let name = filled("name", name)?;
                Kind::Query { name, value: self.read("value", value)? }
            }
            CredentialSettings::AwsSigv4 {
                access_key_id,
                secret_access_key,
                session_token,
                region,
                service,
                ..
            } => Kind::Aws(AwsKeys {
                id: self.read("access-key-id", access_key_id)?,
                secret: self.read("secret-access-key", secret_access_key)?,
                session: self.read_some("session-token", session_token.as_ref())?,
                region: filled("region", region)?,
                service: filled("service", service)?,
            }),
            CredentialSettings::OAuth { .. } => Kind::Workspace,
            token => Kind::Token(self.token(token)?),
        })
    }

    fn token(&self, settings: &CredentialSettings) -> Result<Token, String> {
        match settings {
            CredentialSettings::ClientCredentials {
                token_url,
                client_id,
                client_secret,
                scope,
                audience,
                auth,
                ..
            } => {
                let secret = Some(client_secret);
                let client = self.client(token_url, client_id, secret, scope.as_ref(), *auth)?;
                Ok(Token::ClientCredentials { client, audience: audience.clone() })
            }
            CredentialSettings::RefreshToken {
                token_url,
                client_id,
                client_secret,
                refresh_token,
                scope,
                auth,
                ..
            } => {
                let secret = client_secret.as_ref();
                let client = self.client(token_url, client_id, secret, scope.as_ref(), *auth)?;
                Ok(Token::Refresh { client, first: self.read("refresh-token", refresh_token)? })
            }
            other => self.assertion(other),
        }
    }

    fn assertion(&self, settings: &CredentialSettings) -> Result<Token, String> {
        let CredentialSettings::JwtBearer {
            token_url,
            issuer,
            subject,
            audience,
            key,
            key_id,
            algorithm,
            scope,
            lifetime_seconds,
            claims,
            ..
        } = settings
        else {
            return Err("it has no token".into());
        };
        check_url(token_url)?;
        let token_url = token_url.clone();
        let key = self.read("key", key)?;
        if let Some(pem) = key.known() {
            check_key(pem, *algorithm)?;
        }
        let assertion = Assertion {
            subject: subject.clone().unwrap_or_else(|| issuer.clone()),
            audience: audience.clone().unwrap_or_else(|| token_url.clone()),
            issuer: filled("issuer", issuer)?,
            key_id: key_id.clone(),
            algorithm: *algorithm,
            lifetime: lifetime(*lifetime_seconds)?,
            claims: check_claims(claims)?,
        };
        Ok(Token::Assertion { token_url, scope: scope.clone(), key, assertion })
    }

    fn client(
        &self,
        token_url: &str,
        id: &Source,
        secret: Option<&Source>,
        scope: Option<&String>,
        auth: Auth,
    ) -> Result<ClientKeys, String> {
        Ok(ClientKeys {
            token_url: TokenUrl::read(token_url)?,
            id: self.read("client-id", id)?,
            secret: self.read_some("client-secret", secret)?,
            scope: scope.cloned(),
            // A client without a secret has nothing to put into a header (RFC 6749, 3.2.1).
            use_header: auth == Auth::Header && secret.is_some(),
        })
    }

    fn read(&self, key: &str, source: &Source) -> Result<Value, String> {
        source.resolve(self.base, self.env).map_err(|text| format!("{key}: {text}"))
    }

    fn read_some(&self, key: &str, source: Option<&Source>) -> Result<Option<Value>, String> {
        source.map(|source| self.read(key, source)).transpose()
    }
}

/// Whether a credential can have that name.
pub fn is_credential_name(name: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=CREDENTIAL_NAME).contains(&name.len()) && name.bytes().all(is_fine)
}

pub(super) fn check_name(name: &str, settings: &CredentialSettings) -> Result<(), String> {
    if !is_credential_name(name) {
        return Err(format!(
            "a credential's name has 1 to {CREDENTIAL_NAME} letters, digits, -, _ and ."
        ));
    }
    if name == OAUTH && !matches!(settings, CredentialSettings::OAuth { .. }) {
        return Err("this name is for type = \"oauth\", the grant that the connector declares; \
                    give it another"
            .into());
    }
    Ok(())
}

/// What comes after a colon would be taken for the password (RFC 7617, 2). A field's value is looked at
/// when it is used.
fn without_colon(username: Value) -> Result<Value, String> {
    match username.known() {
        Some(text) if text.contains(':') => {
            Err("username holds a colon, which a user name of Basic cannot have".into())
        }
        _ => Ok(username),
    }
}

fn filled(key: &str, text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err(format!("{key} is empty")) } else { Ok(text.to_owned()) }
}

/// Fields that say how a message is to be read, or for whom it is.
const NO_CREDENTIALS: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

fn header(name: &str) -> Result<HeaderName, String> {
    let read: HeaderName =
        name.parse().map_err(|_| format!("{name:?} is no header name; write it like X-API-Key"))?;
    if NO_CREDENTIALS.contains(&read.as_str()) || read.as_str().starts_with("proxy-") {
        return Err(format!("the header {read} carries no credential"));
    }
    Ok(read)
}

fn lifetime(seconds: Option<u64>) -> Result<Duration, String> {
    let lifetime = seconds.map_or(ASSERTION, Duration::from_secs);
    if lifetime.is_zero() || lifetime > LONGEST_ASSERTION {
        return Err(format!("lifetime-seconds must be 1 to {}", LONGEST_ASSERTION.as_secs()));
    }
    Ok(lifetime)
}

fn check_claims(claims: &Map<String, Json>) -> Result<Map<String, Json>, String> {
    const OWN: &[(&str, &str)] = &[
        ("iss", "issuer"),
        ("sub", "subject"),
        ("aud", "audience"),
        ("exp", "lifetime-seconds"),
        ("iat", "lifetime-seconds"),
    ];
    match OWN.iter().find(|(claim, _)| claims.contains_key(*claim)) {
        Some((claim, key)) => Err(format!("claims holds {claim}; set {key} instead")),
        None => Ok(claims.clone()),
    }
}
