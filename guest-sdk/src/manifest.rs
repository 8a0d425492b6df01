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
