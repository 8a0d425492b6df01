//! How an author says what the connector is, beside its actions.

use crate::controller::Package;
use crate::manifest::{Action, Ask, Credential, EndpointMode, Field, FieldKind, Manifest, OAuth};

/// Identity, configuration form and wishes of a connector. A `#[setup]` function returns one.
///
/// What is left out comes from the author's `Cargo.toml` (name, version, description) and from the
/// doc comment of the `#[connector]` block (summary, description).
///
/// ```
/// use aloma_connector::{Field, Setup};
///
/// let setup = Setup::new()
///     .summary("Users of the example API")
///     .field(Field::line("API_KEY").name("API key"))
///     .field(Field::line("BASE_URL").name("Base URL").plain().optional())
///     .asks("{{BASE_URL}}", "to reach the users API");
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Setup {
    id: Option<String>,
    name: Option<String>,
    version: Option<String>,
    summary: Option<String>,
    description: Option<String>,
    icon: Option<Vec<u8>>,
    fields: Vec<Field>,
    oauth: Option<OAuth>,
    endpoint: Option<EndpointMode>,
    asks: Vec<Ask>,
    credentials: Vec<Credential>,
}

impl Setup {
    /// A connector without configuration that asks for nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The connector's id at the platform. The operator's `CONNECTOR_ID` goes before it.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The connector's name. Default: the name of the package.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The connector's version. Default: the version of the package.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// One line on what the connector does. Default: the first line of the block's doc comment, else
    /// the description of the package.
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = Some(summary.into());
        self
    }

    /// What the connector does, in Markdown. Default: the block's doc comment.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// A PNG image: `.icon(include_bytes!("../logo.png"))`.
    pub fn icon(mut self, png: &[u8]) -> Self {
        self.icon = Some(png.to_vec());
        self
    }

    /// Adds a field to the configuration form. Only fields that are declared can be read.
    pub fn field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// Declares the OAuth grant. Requests use it by
    /// [`credential("oauth")`](crate::http::RequestBuilder::credential).
    pub fn oauth(mut self, oauth: OAuth) -> Self {
        self.oauth = Some(oauth);
        self
    }

    /// Asks the platform for an endpoint. What is sent to it arrives in the `#[endpoint]` method.
    pub fn endpoint(mut self, mode: EndpointMode) -> Self {
        self.endpoint = Some(mode);
        self
    }

    /// Asks to reach an origin: `https://api.example.com`, `https://*.example.com`, or
    /// `{{BASE_URL}}` for the origin of the URL in that field. Asking grants nothing; the reason is
    /// for the operator who decides.
    pub fn asks(mut self, origin: impl Into<String>, reason: impl Into<String>) -> Self {
        self.asks.push(Ask { origin: origin.into(), reason: Some(reason.into()) });
        self
    }

    /// Declares a credential that requests name by
    /// [`credential`](crate::http::RequestBuilder::credential), so that the connector need not read
    /// the secret and put it together. Declaring grants nothing: it goes only where the operator
    /// allows requests, too, and an operator's own credential of that name takes its place.
    ///
    /// The name is 1 to 64 letters, digits, `-`, `_` and `.`; `oauth` is the grant declared by
    /// [`oauth`](Self::oauth).
    ///
    /// ```
    /// use aloma_connector::testing::{Host, Reply};
    /// use aloma_connector::{Credential, Field, Result, Setup, connector, http};
    /// use serde_json::json;
    ///
    /// #[derive(Default)]
    /// struct Users;
    ///
    /// #[connector]
    /// impl Users {
    ///     #[setup]
    ///     fn setup() -> Setup {
    ///         let users_api = Credential::bearer("API_KEY").origin("https://api.example.com");
    ///         Setup::new()
    ///             .field(Field::line("API_KEY").name("API key"))
    ///             .asks("https://api.example.com", "to count users")
    ///             .credential("users-api", users_api)
    ///     }
    ///
    ///     /// Counts the users
    ///     pub async fn count(&self) -> Result<u64> {
    ///         let users = http::get("https://api.example.com/count").credential("users-api");
    ///         Ok(users.send().await?.error_for_status()?.json()?)
    ///     }
    /// }
    ///
    /// let host = Host::new().config("API_KEY", "k").http(|_| Reply::json(200, 7));
    /// assert_eq!(host.call::<Users>("count", json!({})), Ok(json!(7)));
    /// assert_eq!(host.requests()[0].credential(), Some("users-api"));
    /// ```
    pub fn credential(mut self, name: impl Into<String>, credential: Credential) -> Self {
        self.credentials.push(Credential { name: name.into(), ..credential });
        self
    }

    /// The whole manifest, with what was left out.
    pub(crate) fn into_manifest(self, package: &Package, actions: Vec<Action>) -> Manifest {
        let first_line = package.docs.lines().next().unwrap_or_default();
        let summary = [first_line, package.description].into_iter().find(|text| !text.is_empty());
        let description = Some(package.docs).filter(|docs| !docs.is_empty());
        Manifest {
            id: self.id,
            name: self.name.unwrap_or_else(|| package.name.to_owned()),
            version: self.version.unwrap_or_else(|| package.version.to_owned()),
            summary: self.summary.or_else(|| summary.map(str::to_owned)),
            description: self.description.or_else(|| description.map(str::to_owned)),
            icon: self.icon,
            fields: self.fields,
            oauth: self.oauth,
            endpoint: self.endpoint,
            asks: self.asks,
            credentials: self.credentials,
            actions,
        }
    }
}

/// A field is a secret and required until [`plain`](Field::plain) and [`optional`](Field::optional)
/// say otherwise.
impl Field {
    /// One line of text.
    pub fn line(key: impl Into<String>) -> Self {
        Self::new(key.into(), FieldKind::Line)
    }

    /// Several lines of text.
    pub fn multiline(key: impl Into<String>) -> Self {
        Self::new(key.into(), FieldKind::Multiline)
    }

    /// A number.
    pub fn number(key: impl Into<String>) -> Self {
        Self::new(key.into(), FieldKind::Number)
    }

    /// Yes or no.
    pub fn boolean(key: impl Into<String>) -> Self {
        Self::new(key.into(), FieldKind::Boolean)
    }

    fn new(key: String, kind: FieldKind) -> Self {
        Self {
            name: key.clone(),
            key,
            kind,
            description: None,
            placeholder: None,
            height: None,
            optional: false,
            plain: false,
        }
    }

    /// The label that people see. Default: the key.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// What it is for, in Markdown.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// An example that the empty field shows.
    #[must_use]
    pub fn placeholder(mut self, placeholder: impl Into<String>) -> Self {
        self.placeholder = Some(placeholder.into());
        self
    }

    /// Lines that a multiline field shows.
    #[must_use]
    pub fn height(mut self, lines: u32) -> Self {
        self.height = Some(lines);
        self
    }

    /// The connector works without it.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// It is no secret. A field that is not plain is sealed on its way to the host, and the
    /// connector gets a placeholder for it that the broker fills in.
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.plain = true;
        self
    }
}

impl OAuth {
    /// A grant of these two URLs. The authorization URL may hold `{{clientId}}`, `{{scope}}`,
    /// `{{redirectURI}}` and `{{codeChallenge}}`, which are filled in.
    #[must_use]
    pub fn new(authorization_url: impl Into<String>, token_url: impl Into<String>) -> Self {
        Self {
            authorization_url: authorization_url.into(),
            token_url: token_url.into(),
            client_id: None,
            client_secret: None,
            scope: None,
            use_auth_header: false,
            use_code_challenge: false,
            configurable_client: false,
            configurable_client_optional: false,
            configurable_client_scope: None,
            connection_optional: false,
            additional_token_args: Vec::new(),
        }
    }

    /// The client's id, where the author knows it.
    #[must_use]
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = Some(id.into());
        self
    }

    /// The client's secret, where the author knows it. Anybody who has the component can read it;
    /// better leave it to the operator.
    #[must_use]
    pub fn client_secret(mut self, secret: impl Into<String>) -> Self {
        self.client_secret = Some(secret.into());
        self
    }

    /// What is asked for.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Sends client id and secret as a Basic header instead of in the body.
    #[must_use]
    pub fn use_auth_header(mut self) -> Self {
        self.use_auth_header = true;
        self
    }

    /// Uses PKCE. The authorization URL must hold `{{codeChallenge}}` then.
    #[must_use]
    pub fn use_code_challenge(mut self) -> Self {
        self.use_code_challenge = true;
        self
    }

    /// Gives the form the fields `clientId` and `clientSecret`.
    #[must_use]
    pub fn configurable_client(mut self) -> Self {
        self.configurable_client = true;
        self
    }

    /// Gives the form these fields, which may be left empty.
    #[must_use]
    pub fn configurable_client_optional(mut self) -> Self {
        self.configurable_client = true;
        self.configurable_client_optional = true;
        self
    }

    /// Gives the form the field `scope`; the text tells its default.
    #[must_use]
    pub fn configurable_client_scope(mut self, default: impl Into<String>) -> Self {
        self.configurable_client_scope = Some(default.into());
        self
    }

    /// The connector works without the grant.
    #[must_use]
    pub fn connection_optional(mut self) -> Self {
        self.connection_optional = true;
        self
    }

    /// One more argument for the token request.
    #[must_use]
    pub fn token_arg(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.additional_token_args.push((name.into(), value.into()));
        self
    }
}
