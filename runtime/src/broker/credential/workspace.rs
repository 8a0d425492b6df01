//! The credential `oauth`: the authorization-code grant that a connector declares and the workspace
//! makes.
//!
//! The workspace keeps its tokens: they come with the configuration, and those that a refresh brings
//! go back to it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use secrecy::SecretString;
use serde_json::Value;
use url::form_urlencoded;

use super::super::Broker;
use super::super::request::Error;
use super::endpoint::{Client, Code, Form, TokenError, read_answer};
use super::grant::Grant;
use super::recipe::Recipe;
use super::sender::Newest;
use super::settings::OAUTH;
use super::store::EntryName;
use super::tokens::Tokens;
use super::{Sender, Tools};

/// A client at an authorization server, with everything filled in that the operator or the
/// workspace may set.
#[derive(Clone)]
pub struct OAuthClient {
    /// May hold `{{clientId}}`, `{{scope}}`, `{{redirectURI}}` and `{{codeChallenge}}`.
    pub authorization_url: String,
    /// Must be granted like any other URL.
    pub token_url: String,
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: Option<SecretString>,
    /// What to ask for.
    pub scope: Option<String>,
    /// Send id and secret as a Basic header instead of in the body.
    pub use_auth_header: bool,
    /// PKCE.
    pub use_code_challenge: bool,
    /// More arguments for the request that exchanges the code.
    pub additional_token_args: Vec<(String, String)>,
}

/// Saves a refreshed token answer. Called before the new token is used, because the old one may be
/// worth nothing from then on.
pub type OnRefresh = Arc<dyn Fn(Value) -> BoxFuture<'static, ()> + Send + Sync>;

/// The grant and its client.
pub(super) struct Workspace {
    pub grant: Arc<Grant>,
    tools: Arc<Tools>,
    sender: Arc<Newest>,
    client: Mutex<Option<Configured>>,
}

#[derive(Clone)]
struct Configured {
    settings: OAuthClient,
    recipe: Arc<Recipe>,
}

impl Broker {
    /// Sets or removes the OAuth client. May be called at any time. Tokens stay unless they belong
    /// to another client.
    pub fn set_oauth(&self, client: Option<OAuthClient>, on_refresh: OnRefresh) {
        self.credentials.workspace.set_client(client, on_refresh);
    }

    /// Sets the tokens from the configuration: an answer of the token endpoint. Tokens that came
    /// before change nothing, so that an old configuration sent again does not undo a refresh.
    pub fn set_tokens(&self, tokens: Option<Value>) -> Result<(), Error> {
        let tokens = tokens.map(|tokens| Tokens::read(&tokens)).transpose()?;
        self.credentials.workspace.grant.set_tokens(tokens);
        Ok(())
    }

    /// The text for `start-oauth`. None without a client.
    pub fn authorization_url(&self) -> Option<String> {
        let client = self.credentials.workspace.client.lock();
        client.as_ref().map(|client| client.settings.authorization_url())
    }

    /// Exchanges a code for a token answer, which holds secrets. Does not use it: it comes back by
    /// [`Broker::set_tokens`].
    pub async fn exchange_code(
        &self,
        code: &str,
        redirect_uri: &str,
        verifier: Option<&str>,
    ) -> Result<Value, Error> {
        self.credentials.workspace.exchange_code(code, redirect_uri, verifier).await
    }

    /// What is wrong with the connector's credentials, for its health.
    pub fn health_problem(&self) -> Option<String> {
        let problems = self.credentials.health_problems();
        (!problems.is_empty()).then(|| problems.join("; "))
    }
}

impl Workspace {
    pub fn new(connector: &Arc<str>, tools: &Tools) -> Self {
        let sender = Arc::new(Newest::new(tools.sender.clone()));
        let (store, clock) = (tools.store.clone(), tools.clock.clone());
        let tools = Arc::new(Tools { sender: sender.clone(), store, clock });
        let name = EntryName { connector: connector.clone(), credential: OAUTH.into() };
        let grant = Arc::new(Grant::new(name, tools.clone()));
        Self { grant, tools, sender, client: Mutex::default() }
    }

    /// Sends token requests that way from now on.
    pub fn send_by(&self, sender: Arc<dyn Sender>) {
        self.sender.replace(sender);
    }

    /// What its tokens are refreshed with.
    pub fn recipe(&self) -> Result<Arc<Recipe>, Error> {
        self.client.lock().as_ref().map(|client| client.recipe.clone()).ok_or_else(no_client)
    }

    fn set_client(&self, client: Option<OAuthClient>, on_refresh: OnRefresh) {
        let client = client.map(|settings| {
            let recipe = Arc::new(Recipe::workspace(settings.client(), on_refresh));
            Configured { settings, recipe }
        });
        let mut current = self.client.lock();
        self.grant.set_recipe(client.as_ref().map(|client| &client.recipe));
        *current = client;
    }

    async fn exchange_code(
        &self,
        code: &str,
        redirect_uri: &str,
        verifier: Option<&str>,
    ) -> Result<Value, Error> {
        let settings = self.client.lock().as_ref().map(|client| client.settings.clone());
        let settings = settings.ok_or_else(no_client)?;
        let mut form: Form<'_> = vec![("grant_type", "authorization_code")];
        let more = &settings.additional_token_args;
        form.extend(more.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        form.extend([("code", code), ("redirect_uri", redirect_uri)]);
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        let answer = self.tools.sender.send(settings.client().request(form)).await?;
        read_answer(&answer, (self.tools.clock)()).map_err(|error| match error {
            TokenError::Refused { code: Code::Grant, .. } => {
                Error::Credential("the OAuth grant has ended (invalid_grant); connect again".into())
            }
            TokenError::Refused { error, .. } | TokenError::Other { error, .. } => error,
        })
    }
}

impl OAuthClient {
    /// The authorization URL with id and scope filled in. Redirect and challenge are left to the
    /// workspace.
    pub fn authorization_url(&self) -> String {
        let scope = self.scope.as_deref().unwrap_or_default();
        fill(&self.authorization_url, &[("{{clientId}}", &self.client_id), ("{{scope}}", scope)])
    }

    fn client(&self) -> Client {
        Client {
            token_url: self.token_url.clone(),
            id: self.client_id.clone(),
            secret: self.client_secret.clone(),
            use_header: self.use_auth_header,
        }
    }
}

fn no_client() -> Error {
    Error::Credential("the connector has no OAuth client; set its client id".into())
}

/// Fills in values by name, in one pass, so that a value is never taken for a name.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(character) = rest.chars().next() {
        let step = match values.iter().find(|(name, _)| begins_with(rest, name)) {
            Some((name, value)) => {
                filled.push_str(&component(value));
                name.len()
            }
            None => {
                filled.push(character);
                character.len_utf8()
            }
        };
        rest = &rest[step..];
    }
    filled
}

fn begins_with(text: &str, name: &str) -> bool {
    text.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name))
}

/// A part of a URL. A form's `+` for a space would stay a plus outside the query.
fn component(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(authorization_url: &str) -> OAuthClient {
        OAuthClient {
            authorization_url: authorization_url.into(),
            token_url: "https://id.example/token".into(),
            client_id: "c{{scope}} &1".into(),
            client_secret: Some("s:+1".into()),
            scope: Some("a b".into()),
            use_auth_header: true,
            use_code_challenge: true,
            additional_token_args: Vec::new(),
        }
    }

    #[test]
    fn the_authorization_url_is_filled_in_but_for_what_the_workspace_fills_in() {
        let id = "c%7B%7Bscope%7D%7D%20%261";
        for (template, expected) in [
            ("https://id.example/a", "https://id.example/a".to_owned()),
            ("?c={{clientId}}&s={{scope}}", format!("?c={id}&s=a%20b")),
            ("{{CLIENTID}}{{Scope}}", format!("{id}a%20b")),
            (
                "r={{redirectURI}}&x={{codeChallenge}}",
                "r={{redirectURI}}&x={{codeChallenge}}".into(),
            ),
            ("{{{scope}}}{{", "{a%20b}{{".into()),
            ("ü{{scope}}ü", "üa%20bü".into()),
            ("", String::new()),
        ] {
            assert_eq!(client(template).authorization_url(), expected, "{template}");
        }
    }
}
