//! What a connector says of itself. Mirrors `manifest` of `wit/actions.wit`, item by item.

use serde_json::Value;

/// All that is known of a connector before it runs.
#[derive(Clone, Debug, PartialEq)]
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
    /// A PNG image.
    pub icon: Option<Vec<u8>>,
    /// The configuration form, in order.
    pub fields: Vec<Field>,
    /// The OAuth grant.
    pub oauth: Option<OAuth>,
    /// Whether the platform gives the connector an endpoint.
    pub endpoint: Option<EndpointMode>,
    /// What the connector asks to reach.
    pub asks: Vec<Ask>,
    /// The credentials that requests may name.
    pub credentials: Vec<Credential>,
    /// The actions, in the order of their methods.
    pub actions: Vec<Action>,
}

impl Manifest {
    /// The action of that name.
    pub fn action(&self, name: &str) -> Option<&Action> {
        self.actions.iter().find(|action| action.name == name)
    }

    /// The configuration field of that key.
    pub fn field(&self, key: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// The credential of that name.
    pub fn credential(&self, name: &str) -> Option<&Credential> {
        self.credentials.iter().find(|credential| credential.name == name)
    }
}

/// One field of the configuration form. Made with [`Field::line`] and its siblings.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Field {
    /// The name by which [`config::get`](crate::config::get) reads it.
    pub key: String,
    /// The label that people see.
    pub name: String,
    /// What may be entered.
    pub kind: FieldKind,
    /// Markdown.
    pub description: Option<String>,
    /// An example that the empty field shows.
    pub placeholder: Option<String>,
    /// Lines that a multiline field shows.
    pub height: Option<u32>,
    /// Whether the connector works without it.
    pub optional: bool,
    /// Whether it is no secret.
    pub plain: bool,
}

/// What may be entered in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// One line of text.
    Line,
    /// Several lines of text.
    Multiline,
    /// A number.
    Number,
    /// Yes or no.
    Boolean,
}

/// An OAuth 2 authorization-code grant, as the platform runs it. Made with [`OAuth::new`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OAuth {
    /// May hold `{{clientId}}`, `{{scope}}`, `{{redirectURI}}` and `{{codeChallenge}}`.
    pub authorization_url: String,
    /// Where a code or a refresh token becomes an access token.
    pub token_url: String,
    /// The client's id, where the author knows it.
    pub client_id: Option<String>,
    /// The client's secret, where the author knows it. Anybody who has the component can read it.
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

/// Whether the platform gives the connector an endpoint, a web hook into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointMode {
    /// People may switch it on.
    Enabled,
    /// The connector does not work without it.
    Required,
}

/// Something that the connector asks to reach. Asking grants nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// An origin, or `{{KEY}}` for the origin of the URL in a configuration field.
    pub origin: String,
    /// Why, for the operator.
    pub reason: Option<String>,
}

/// A credential that the host adds to requests and the connector never sees. Made with
/// [`Credential::bearer`] and its siblings, named by
/// [`Setup::credential`](crate::Setup::credential).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Credential {
    /// The name by which requests ask for it.
    pub name: String,
    /// What it adds.
    pub kind: CredentialKind,
    /// Where it may go: origins, or `{{KEY}}` for the origin of the URL in a plain field.
    pub origins: Vec<String>,
    /// Why, for the operator.
    pub reason: Option<String>,
}

/// What a credential adds to a request, and the configuration fields that hold its parts, by their
/// keys.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CredentialKind {
    /// `Authorization: Bearer …`.
    Bearer {
        /// The field of the token.
        token: String,
    },
    /// `Authorization: Basic …`.
    Basic {
        /// The field of the user name.
        username: String,
        /// The field of the password.
        password: String,
    },
    /// A header field.
    Header {
        /// Its name.
        name: String,
        /// The field of its value.
        value: String,
    },
    /// A parameter of the query.
    Query {
        /// Its name.
        name: String,
        /// The field of its value.
        value: String,
    },
    /// A token that the host gets for this client, keeps, and renews.
    ClientCredentials(ClientCredentials),
}

/// An OAuth 2 client of the connector's own, without a user. Made with [`ClientCredentials::new`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClientCredentials {
    /// Where it gets its tokens. May begin with the `{{BASE_URL}}` of a plain field.
    pub token_url: String,
    /// The field of the client's id.
    pub client_id: String,
    /// The field of the client's secret.
    pub client_secret: String,
    /// What is asked for.
    pub scope: Option<String>,
    /// Who the token is for.
    pub audience: Option<String>,
    /// Client id and secret go into the body instead of a Basic header.
    pub in_body: bool,
}

/// One action.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// camelCase; dots make namespaces.
    pub name: String,
    /// Markdown. The first line is the summary.
    pub description: String,
    /// The JSON Schema of the arguments.
    pub arguments: Value,
    /// The JSON Schema of the result.
    pub result: Option<Value>,
    /// What the action promises.
    pub hints: Hints,
}

/// What an action promises. Nobody checks it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Changes nothing.
    pub read_only: bool,
    /// May delete or overwrite.
    pub destructive: bool,
    /// Calling it twice does no more than calling it once.
    pub idempotent: bool,
}
