//! What a connector says of itself: the words that all rooms share.
//!
//! The connector room makes a [`Manifest`] from the guest's `describe`; everybody else reads it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// All that is known of a connector before it runs. Mirrors `manifest` of `wit/actions.wit`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The connector's id at the platform.
    pub id: Option<String>,
    /// The connector's name.
    pub name: String,
    /// The connector's version.
    pub version: String,
    /// One line.
    pub summary: Option<String>,
    /// Markdown.
    pub description: Option<String>,
    /// A PNG image. Not part of the JSON form.
    #[serde(skip)]
    pub icon: Option<Vec<u8>>,
    /// The configuration form, in order. Holds only what the author declared; the fields that OAuth
    /// and endpoint add are made by [`Manifest::all_fields`].
    pub fields: Vec<Field>,
    /// The OAuth grant that the connector declares.
    pub oauth: Option<OAuth>,
    /// Whether the connector has an endpoint.
    pub endpoint: Option<EndpointMode>,
    /// What the connector asks to reach.
    pub asks: Vec<Ask>,
    /// The credentials that the connector declares, beside the OAuth grant.
    #[serde(default)]
    pub credentials: Vec<Credential>,
    /// The actions, in order.
    pub actions: Vec<Action>,
}

/// One field of the configuration form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// The name by which the guest reads it.
    pub key: String,
    /// The label that people see.
    pub name: String,
    /// What may be entered.
    #[serde(rename = "type")]
    pub kind: FieldKind,
    /// Markdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// An example that the empty field shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
    /// Lines that a multiline field shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Whether the connector works without it.
    pub optional: bool,
    /// Whether it is no secret.
    pub plain: bool,
}

/// What may be entered in a field. `managed` is set by the platform and made by this side only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldKind {
    /// One line of text.
    Line,
    /// Several lines of text.
    Multiline,
    /// A number.
    Number,
    /// Yes or no.
    Boolean,
    /// Set by the platform.
    Managed,
}

/// An OAuth 2 authorization-code grant as the platform runs it. See `oauth` in `wit/actions.wit`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OAuth {
    /// With `{{clientId}}`, `{{scope}}`, `{{redirectURI}}` and `{{codeChallenge}}` to fill in.
    pub authorization_url: String,
    /// Where a code or a refresh token becomes an access token.
    pub token_url: String,
    /// The client's id, where the author knows it.
    pub client_id: Option<String>,
    /// The client's secret, where the author knows it. Anybody who has the connector can read it.
    #[serde(skip)]
    pub client_secret: Option<String>,
    /// What is asked for.
    pub scope: Option<String>,
    /// Client id and secret go into a Basic header instead of the body.
    pub use_auth_header: bool,
    /// PKCE.
    pub use_code_challenge: bool,
    /// The form has the fields `clientId` and `clientSecret`.
    pub configurable_client: bool,
    /// They may be left empty.
    pub configurable_client_optional: bool,
    /// The form has the field `scope`; this text tells its default.
    pub configurable_client_scope: Option<String>,
    /// The connector works without the grant.
    pub connection_optional: bool,
    /// More arguments for the token request.
    pub additional_token_args: Vec<(String, String)>,
}

/// Whether the platform gives the connector an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointMode {
    /// People may switch it on.
    Enabled,
    /// The connector does not work without it.
    Required,
}

/// Something that the connector asks to reach. Asking grants nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// An origin pattern, or `{{KEY}}` for the origin of the URL in a configuration field.
    pub origin: String,
    /// Why, for the operator.
    pub reason: Option<String>,
}

/// A credential that the broker makes of configuration fields. See `credential` in `wit/actions.wit`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    /// The name by which requests and grants ask for it.
    pub name: String,
    /// What it adds.
    pub kind: CredentialKind,
    /// Where it may go: origin patterns, or `{{KEY}}` for the origin of the URL in that field.
    pub origins: Vec<String>,
    /// Why, for the operator.
    pub reason: Option<String>,
}

/// What a credential adds to a request. The values are keys of fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "the fields are documented in wit/actions.wit")]
pub enum CredentialKind {
    /// `authorization: Bearer TOKEN`.
    Bearer { token: String },
    /// `authorization: Basic …`.
    Basic { username: String, password: String },
    /// A header field.
    Header { name: String, value: String },
    /// A parameter of the query.
    Query { name: String, value: String },
    /// A token of an OAuth 2 client.
    ClientCredentials {
        token_url: String,
        client_id: String,
        client_secret: String,
        scope: Option<String>,
        audience: Option<String>,
        /// Client id and secret go into the body instead of a Basic header.
        in_body: bool,
    },
}

/// One action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// camelCase; dots make namespaces.
    pub name: String,
    /// Markdown.
    pub description: String,
    /// The JSON Schema of the arguments.
    pub arguments: Value,
    /// The JSON Schema of the result.
    pub result: Option<Value>,
    /// What the action promises.
    pub hints: Hints,
}

/// What an action promises. Nobody checks it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hints {
    /// Changes nothing.
    pub read_only: bool,
    /// May delete or overwrite.
    pub destructive: bool,
    /// Calling it twice does no more than calling it once.
    pub idempotent: bool,
}

/// The field that holds the outcome of the OAuth flow.
pub const OAUTH_RESULT: &str = "oauthResult";
/// The fields that hold id and secret of the OAuth client. The form has them where the author says so.
pub const OAUTH_CLIENT: [&str; 2] = ["clientId", "clientSecret"];
/// The value that tells a connector with an endpoint where it is. Sent by the platform, never sealed,
/// and no field of the form.
pub const ENDPOINT_URL: &str = "endpointUrl";
/// The field that holds the endpoint's token.
pub const ENDPOINT_TOKEN: &str = "_endpointToken";

impl Manifest {
    /// Every field of the form: those of the author and those that OAuth and endpoint add, as the
    /// Node SDK's builder adds them. The author's own field of the same key wins.
    pub fn all_fields(&self) -> Vec<Field> {
        let mut fields = self.fields.clone();
        let added =
            self.oauth.iter().flat_map(OAuth::fields).chain(self.endpoint.map(EndpointMode::field));
        for field in added {
            if !fields.iter().any(|own| own.key == field.key) {
                fields.push(field);
            }
        }
        fields
    }

    /// The action of that name.
    pub fn action(&self, name: &str) -> Option<&Action> {
        self.actions.iter().find(|action| action.name == name)
    }
}

impl OAuth {
    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![Field {
            placeholder: Some("will be set by finishing the oauth flow".into()),
            optional: self.connection_optional,
            ..Field::new(OAUTH_RESULT, "OAuth Result", FieldKind::Managed)
        }];
        if self.configurable_client {
            fields.push(Field {
                placeholder: Some("e.g. 1234".into()),
                optional: self.configurable_client_optional,
                plain: true,
                ..Field::new("clientId", "OAuth Client ID", FieldKind::Line)
            });
            fields.push(Field {
                placeholder: Some("e.g. axd5xde".into()),
                optional: self.configurable_client_optional,
                ..Field::new("clientSecret", "OAuth Client Secret", FieldKind::Line)
            });
        }
        if let Some(default) = &self.configurable_client_scope {
            fields.push(Field {
                placeholder: Some("e.g. x y z".into()),
                description: Some(format!("Default scope: {default}")),
                optional: true,
                plain: true,
                ..Field::new("scope", "OAuth Scope", FieldKind::Line)
            });
        }
        fields
    }
}

/// In words for people: `bearer of API_KEY`. Two that do not do the same have not the same words.
impl fmt::Display for CredentialKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bearer { token } => write!(out, "bearer of {token}"),
            Self::Basic { username, password } => write!(out, "basic of {username} and {password}"),
            Self::Header { name, value } => write!(out, "header {name:?} of {value}"),
            Self::Query { name, value } => write!(out, "query {name:?} of {value}"),
            Self::ClientCredentials {
                token_url,
                client_id,
                client_secret,
                scope,
                audience,
                in_body,
            } => {
                let client = format!("{client_id} and {client_secret}");
                write!(out, "client-credentials of {client} at {token_url:?}")?;
                for (what, text) in [("scope", scope), ("audience", audience)] {
                    if let Some(text) = text {
                        write!(out, ", {what} {text:?}")?;
                    }
                }
                if *in_body { write!(out, ", in the body") } else { Ok(()) }
            }
        }
    }
}

impl EndpointMode {
    fn field(self) -> Field {
        let required = self == EndpointMode::Required;
        let kind = if required { FieldKind::Managed } else { FieldKind::Line };
        Field { optional: !required, ..Field::new(ENDPOINT_TOKEN, "Endpoint Token", kind) }
    }
}

impl Field {
    fn new(key: &str, name: &str, kind: FieldKind) -> Self {
        Self {
            key: key.into(),
            name: name.into(),
            kind,
            description: None,
            placeholder: None,
            height: None,
            optional: false,
            plain: false,
        }
    }
}
