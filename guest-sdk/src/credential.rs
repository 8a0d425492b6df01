//! How an author says what a credential is made of.

use crate::manifest::{ClientCredentials, Credential, CredentialKind};

/// The parts of a credential are in fields of the form, which are named by their keys. Each must be a
/// secret, but for user names and client ids, which may be plain.
impl Credential {
    /// `Authorization: Bearer …`, with the token in this field.
    #[must_use]
    pub fn bearer(token: impl Into<String>) -> Self {
        Self::new(CredentialKind::Bearer { token: token.into() })
    }

    /// `Authorization: Basic …`, with user name and password in these fields.
    #[must_use]
    pub fn basic(username: impl Into<String>, password: impl Into<String>) -> Self {
        let (username, password) = (username.into(), password.into());
        Self::new(CredentialKind::Basic { username, password })
    }

    /// The header field of that name, such as `X-API-Key`, with the value in this field.
    #[must_use]
    pub fn header(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(CredentialKind::Header { name: name.into(), value: value.into() })
    }

    /// The parameter of that name in the query, with the value in this field.
    #[must_use]
    pub fn query(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(CredentialKind::Query { name: name.into(), value: value.into() })
    }

    /// `Authorization: Bearer …`, with a token that the host gets for this client.
    #[must_use]
    pub fn client(client: ClientCredentials) -> Self {
        Self::new(CredentialKind::ClientCredentials(client))
    }

    fn new(kind: CredentialKind) -> Self {
        Self { name: String::new(), kind, origins: Vec::new(), reason: None }
    }

    /// Where it may go: `https://api.example.com`, `https://*.example.com`, or `{{BASE_URL}}` for the
    /// origin of the URL in that plain field. At least one is needed; of several, it goes to each.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Why, for the operator who decides.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// The fields that it needs, by their keys.
    pub(crate) fn fields(&self) -> Vec<&str> {
        match &self.kind {
            CredentialKind::Bearer { token: value }
            | CredentialKind::Header { value, .. }
            | CredentialKind::Query { value, .. } => vec![value],
            CredentialKind::Basic { username, password } => vec![username, password],
            CredentialKind::ClientCredentials(client) => {
                vec![&client.client_id, &client.client_secret]
            }
        }
    }
}

impl ClientCredentials {
    /// A client that gets its tokens at this URL, with id and secret in these fields. The URL may
    /// begin with `{{BASE_URL}}` for the value of that plain field.
    #[must_use]
    pub fn new(
        token_url: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
    ) -> Self {
        Self {
            token_url: token_url.into(),
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            scope: None,
            audience: None,
            in_body: false,
        }
    }

    /// What is asked for.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Who the token is for, where the authorization server wants to know.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Sends client id and secret in the body instead of as a Basic header.
    #[must_use]
    pub fn in_body(mut self) -> Self {
        self.in_body = true;
        self
    }
}
