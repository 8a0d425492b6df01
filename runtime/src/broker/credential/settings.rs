//! The credentials of `connector.toml`: what an operator writes, and its reading.

mod reader;

use std::collections::BTreeSet;
use std::path::Path;

use http::HeaderName;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use url::Url;

pub use self::reader::is_credential_name;
use self::reader::{Reader, check_name};
use super::super::policy::Policy;
use super::assertion::{Assertion, Signing};
use super::source::{Lookup, Source, Value};
use super::template::{TokenUrl, origin_in, whole_field};
use crate::vault::Vault;

/// One credential, as the operator writes it. `origins`: where it may go; without, anywhere that a
/// secret may. `{{KEY}}` stands for the origin of the URL in a plain field of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are documented in docs/connector-toml.md")]
pub enum CredentialSettings {
    /// `authorization: Bearer TOKEN`.
    Bearer { token: Source, origins: Option<Vec<String>> },
    /// `authorization: Basic …`.
    Basic { username: Source, password: Source, origins: Option<Vec<String>> },
    /// A header field of any name.
    Header { name: String, value: Source, origins: Option<Vec<String>> },
    /// A parameter of the query.
    Query { name: String, value: Source, origins: Option<Vec<String>> },
    /// A token of an OAuth 2 client of its own (RFC 6749, 4.4).
    ClientCredentials {
        token_url: String,
        client_id: Source,
        client_secret: Source,
        scope: Option<String>,
        audience: Option<String>,
        #[serde(default)]
        auth: Auth,
        origins: Option<Vec<String>>,
    },
    /// Tokens by a refresh token (RFC 6749, 6) that was made elsewhere.
    RefreshToken {
        token_url: String,
        client_id: Source,
        client_secret: Option<Source>,
        refresh_token: Source,
        scope: Option<String>,
        #[serde(default)]
        auth: Auth,
        origins: Option<Vec<String>>,
    },
    /// Tokens for a signed assertion (RFC 7523, 2.1). `key` is a private key in PEM.
    JwtBearer {
        token_url: String,
        issuer: String,
        subject: Option<String>,
        audience: Option<String>,
        key: Source,
        key_id: Option<String>,
        algorithm: Option<Signing>,
        scope: Option<String>,
        lifetime_seconds: Option<u64>,
        #[serde(default)]
        claims: Map<String, Json>,
        origins: Option<Vec<String>>,
    },
    /// A signature of Amazon's kind over the whole request.
    AwsSigv4 {
        access_key_id: Source,
        secret_access_key: Source,
        session_token: Option<Source>,
        region: String,
        service: String,
        origins: Option<Vec<String>>,
    },
    /// The grant that the connector declares and the workspace makes.
    #[serde(rename = "oauth")]
    OAuth { origins: Option<Vec<String>> },
}

/// How a client tells its id and secret.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// In a Basic header.
    #[default]
    Header,
    /// In the form.
    Body,
}

/// What is wrong with a credential's settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[credentials.{name}]: {text}")]
pub struct CredentialError {
    name: String,
    /// The same without the name.
    pub text: String,
}

/// A credential whose settings were read and are in order.
#[derive(Debug)]
pub struct Prepared {
    pub(super) kind: Kind,
    pub(super) origins: Option<Origins>,
    /// The lines by which the operator would write it, where the connector declares it.
    pub(super) declared: Option<String>,
}

/// The origins that a credential is bound to.
#[derive(Debug)]
pub(super) struct Origins {
    pub written: Vec<String>,
    pub policy: Policy,
    /// The plain fields whose URLs have such an origin.
    pub fields: Vec<String>,
}

/// What is added to a request, with its values as far as they are known.
#[derive(Debug)]
pub(super) enum Kind {
    Bearer(Value),
    Basic { username: Value, password: Value },
    Header { name: HeaderName, value: Value },
    Query { name: String, value: Value },
    Token(Token),
    Aws(AwsKeys),
    Workspace,
}

/// A token that is asked for at a token endpoint.
#[derive(Debug)]
pub(super) enum Token {
    ClientCredentials { client: ClientKeys, audience: Option<String> },
    Refresh { client: ClientKeys, first: Value },
    Assertion { token_url: String, scope: Option<String>, key: Value, assertion: Assertion },
}

#[derive(Debug)]
pub(super) struct ClientKeys {
    pub token_url: TokenUrl,
    pub id: Value,
    pub secret: Option<Value>,
    pub scope: Option<String>,
    pub use_header: bool,
}

#[derive(Debug)]
pub(super) struct AwsKeys {
    pub id: Value,
    pub secret: Value,
    pub session: Option<Value>,
    pub region: String,
    pub service: String,
}

/// The name of the grant that the connector declares.
pub(super) const OAUTH: &str = "oauth";

impl CredentialSettings {
    /// Reads variables and files, and checks everything that can be checked before a request. A
    /// file's path is relative to `base`.
    pub fn resolve(
        &self,
        name: &str,
        base: &Path,
        env: Lookup<'_>,
    ) -> Result<Prepared, CredentialError> {
        let error = |text| CredentialError { name: name.to_owned(), text };
        check_name(name, self).map_err(error)?;
        let origins = self.origins().map(Origins::read).transpose().map_err(error)?;
        let kind = Reader { base, env }.kind(self).map_err(error)?;
        Ok(Prepared { kind, origins, declared: None })
    }

    fn origins(&self) -> Option<&[String]> {
        match self {
            Self::Bearer { origins, .. }
            | Self::Basic { origins, .. }
            | Self::Header { origins, .. }
            | Self::Query { origins, .. }
            | Self::ClientCredentials { origins, .. }
            | Self::RefreshToken { origins, .. }
            | Self::JwtBearer { origins, .. }
            | Self::AwsSigv4 { origins, .. }
            | Self::OAuth { origins } => origins.as_deref(),
        }
    }
}

impl Prepared {
    /// The same, declared by the connector. The operator would write it with these lines.
    #[must_use]
    pub fn declared(self, lines: String) -> Self {
        Self { declared: Some(lines), ..self }
    }

    /// The fields of the connector's configuration that it takes values from.
    pub fn fields(&self) -> BTreeSet<&str> {
        self.kind.values().into_iter().filter_map(Value::field).collect()
    }

    /// Those of them that the connector must describe as secrets.
    pub fn secret_fields(&self) -> BTreeSet<&str> {
        self.kind.secret_values().filter_map(Value::field).collect()
    }

    /// The fields with the URLs that it is sent to, which the connector must describe as plain.
    pub fn url_fields(&self) -> BTreeSet<&str> {
        let origins = self.origins.iter().flat_map(|origins| &origins.fields);
        origins.map(String::as_str).chain(self.kind.token_url().and_then(TokenUrl::field)).collect()
    }

    /// Whether it has tokens that are worth keeping.
    pub fn has_tokens(&self) -> bool {
        matches!(self.kind, Kind::Token(_))
    }

    /// The parts that nobody may see, as far as they are known.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.kind.secret_values().filter_map(Value::known)
    }
}

impl Kind {
    pub fn values(&self) -> Vec<&Value> {
        match self {
            Kind::Bearer(value) | Kind::Header { value, .. } | Kind::Query { value, .. } => {
                vec![value]
            }
            Kind::Basic { username, password } => vec![username, password],
            Kind::Token(Token::ClientCredentials { client, .. }) => client.values().collect(),
            Kind::Token(Token::Refresh { client, first }) => {
                client.values().chain([first]).collect()
            }
            Kind::Token(Token::Assertion { key, .. }) => vec![key],
            Kind::Aws(keys) => {
                [&keys.id, &keys.secret].into_iter().chain(keys.session.as_ref()).collect()
            }
            Kind::Workspace => Vec::new(),
        }
    }

    /// The values that nobody may see.
    pub fn secret_values(&self) -> impl Iterator<Item = &Value> {
        let public = match self {
            Kind::Basic { username, .. } => Some(username),
            Kind::Aws(keys) => Some(&keys.id),
            Kind::Token(
                Token::ClientCredentials { client, .. } | Token::Refresh { client, .. },
            ) => Some(&client.id),
            _ => None,
        };
        let is_secret = move |value: &&Value| !public.is_some_and(|one| std::ptr::eq(one, *value));
        self.values().into_iter().filter(is_secret)
    }

    /// Where it gets its tokens, for a client's id and secret.
    pub fn token_url(&self) -> Option<&TokenUrl> {
        match self {
            Kind::Token(
                Token::ClientCredentials { client, .. } | Token::Refresh { client, .. },
            ) => Some(&client.token_url),
            _ => None,
        }
    }
}

impl ClientKeys {
    fn values(&self) -> impl Iterator<Item = &Value> {
        [&self.id].into_iter().chain(self.secret.as_ref())
    }
}

impl Origins {
    fn read(written: &[String]) -> Result<Self, String> {
        if written.is_empty() {
            return Err(
                "origins is empty, so it could go nowhere; name one, or leave it out".into()
            );
        }
        // Whether the origin is granted is asked elsewhere; this only compares.
        let is_pattern = |one: &&String| whole_field(one).is_none();
        let patterns: Vec<_> = written.iter().filter(is_pattern).cloned().collect();
        let all = Policy::parse(&patterns, &[])
            .map_err(|error| format!("origins: {}", error.to_string().replace("--allow ", "")))?;
        let by_name = patterns.iter().filter(|one| Policy::parse(&[], &[(*one).clone()]).is_ok());
        let by_name: Vec<_> = by_name.cloned().collect();
        // Private addresses match only where they are granted as such.
        let policy = Policy::parse(&patterns, &by_name).unwrap_or(all);
        let fields = written.iter().filter_map(|one| whole_field(one)).map(str::to_owned).collect();
        Ok(Self { written: written.to_vec(), policy, fields })
    }

    /// Whether it may go to a URL of this origin under this configuration.
    pub fn hold(&self, url: &Url, vault: &Vault) -> bool {
        let is_of = |field: &String| origin_in(field, vault).is_some_and(|it| it == url.origin());
        self.policy.check_origin(url).is_ok() || self.fields.iter().any(is_of)
    }

    /// All of them, with what stands in their fields.
    pub fn shown(&self, vault: &Vault) -> String {
        let shown = |one: &String| match whole_field(one) {
            None => one.clone(),
            Some(field) => match origin_in(field, vault) {
                Some(origin) => format!("{one} ({})", origin.ascii_serialization()),
                None => format!("{one} (no URL is set)"),
            },
        };
        self.written.iter().map(shown).collect::<Vec<_>>().join(", ")
    }

    /// The line that would allow one more.
    pub fn line_with(&self, origin: &str) -> String {
        let all: Vec<_> = self
            .written
            .iter()
            .map(String::as_str)
            .chain([origin])
            .map(|one| format!("{one:?}"))
            .collect();
        format!("origins = [{}]", all.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::limits::CREDENTIAL_NAME;
    use super::super::assertion::tests::ED25519;
    use super::*;

    fn read(text: &str) -> Result<Prepared, String> {
        let settings: CredentialSettings =
            toml::from_str(text).map_err(|error| error.message().to_owned())?;
        settings
            .resolve("api", Path::new("."), &|name| Some(format!("${name}").into()))
            .map_err(|error| error.to_string())
    }

    fn shown(text: &str) -> String {
        match read(text) {
            Ok(prepared) => {
                let fields: Vec<_> = prepared.fields().into_iter().collect();
                let secrets: Vec<_> = prepared.secrets().collect();
                format!("fields {} secrets {}", fields.join(","), secrets.join(","))
            }
            Err(text) => text,
        }
    }

    const CLIENT: &str = "token-url = 'https://id.example/token'\nclient-id = 'me'\n";

    #[test]
    fn every_kind_is_read_and_what_is_wrong_is_explained() {
        let jwt = |more: &str| {
            format!(
                "type = 'jwt-bearer'\ntoken-url = 'https://id.example/token'\nissuer = 'me'\n\
                 key = '''{ED25519}'''\n{more}"
            )
        };
        for (text, expected) in [
            ("type = 'bearer'\ntoken = 'secret'".into(), "fields  secrets secret"),
            ("type = 'bearer'\ntoken = { field = 'KEY' }".into(), "fields KEY secrets "),
            (
                "type = 'basic'\nusername = 'me'\npassword = { env = 'PASS' }".into(),
                "fields  secrets $PASS",
            ),
            (
                "type = 'basic'\nusername = 'a:b'\npassword = 'x'".into(),
                "[credentials.api]: username holds a colon",
            ),
            (
                "type = 'basic'\nusername = { field = 'USER' }\npassword = 'x'".into(),
                "fields USER secrets x",
            ),
            ("type = 'header'\nname = 'X-Key'\nvalue = 'secret'".into(), "fields  secrets secret"),
            ("type = 'query'\nname = 'key'\nvalue = 'secret'".into(), "fields  secrets secret"),
            (
                format!("type = 'client-credentials'\n{CLIENT}client-secret = 'secret'"),
                "fields  secrets secret",
            ),
            (
                format!("type = 'refresh-token'\n{CLIENT}refresh-token = 'secret'\nauth = 'body'"),
                "fields  secrets secret",
            ),
            (jwt("claims = { scope = 'a' }"), "fields  secrets -----BEGIN"),
            (
                "type = 'aws-sigv4'\naccess-key-id = 'me'\nsecret-access-key = 'secret'\n\
                 session-token = { field = 'S' }\nregion = 'r'\nservice = 's3'"
                    .into(),
                "fields S secrets secret",
            ),
            ("type = 'oauth'\norigins = ['https://a.example']".into(), "fields  secrets "),
            ("type = 'digest'".into(), "unknown variant `digest`, expected one of `bearer`"),
            ("token = 'x'".into(), "missing field `type`"),
            ("type = 'bearer'".into(), "missing field `token`"),
            ("type = 'bearer'\ntoken = 'x'\nuser = 'y'".into(), "unknown field `user`"),
            ("type = 'bearer'\ntoken = ''".into(), "[credentials.api]: token: the text is empty"),
            (
                "type = 'bearer'\ntoken = 'x'\norigins = []".into(),
                "[credentials.api]: origins is empty",
            ),
            (
                "type = 'bearer'\ntoken = 'x'\norigins = ['a.example']".into(),
                "write it like https://a.example",
            ),
            ("type = 'header'\nname = 'a b'\nvalue = 'x'".into(), "\"a b\" is no header name"),
            ("type = 'header'\nname = 'Host'\nvalue = 'x'".into(), "carries no credential"),
            ("type = 'query'\nname = ''\nvalue = 'x'".into(), "name is empty"),
            (
                format!("type = 'client-credentials'\n{CLIENT}client-secret = 'x'\nauth = 'mtls'"),
                "unknown variant `mtls`, expected `header` or `body`",
            ),
            (
                "type = 'refresh-token'\ntoken-url = 'id'\nclient-id = 'x'\nrefresh-token = 'x'"
                    .into(),
                "token-url is no URL",
            ),
            (jwt("claims = { iss = 'x' }"), "claims holds iss; set issuer instead"),
            (jwt("lifetime-seconds = 0"), "lifetime-seconds must be 1 to 3600"),
            (jwt("algorithm = 'RS256'"), "the key is no private key of the kind that RS256 needs"),
            (jwt("algorithm = 'HS256'"), "HS256"),
        ] {
            let told = shown(&text);
            assert!(told.contains(expected), "{text}: {told}");
        }
    }

    #[test]
    fn names_are_short_and_plain_and_oauth_is_taken() {
        let bearer: CredentialSettings =
            toml::from_str("type = 'bearer'\ntoken = 'x'").expect("settings");
        let long = "n".repeat(CREDENTIAL_NAME + 1);
        for (name, is_fine) in
            [("users-api", true), ("A.b_1", true), ("", false), ("a/b", false), ("ü", false)]
                .into_iter()
                .chain([(&*long, false), ("oauth", false)])
        {
            let outcome = bearer.resolve(name, Path::new("."), &|_| None);
            assert_eq!(outcome.is_ok(), is_fine, "{name}");
        }
    }

    #[test]
    fn settings_and_what_is_read_of_them_are_shown_without_secrets() {
        let text = "type = 'basic'\nusername = 'me'\npassword = 'the-secret'";
        let settings: CredentialSettings = toml::from_str(text).expect("settings");
        let shown = format!("{settings:?} {:?}", read(text).expect("a credential"));
        assert!(!shown.contains("the-secret"), "{shown}");
    }
}
