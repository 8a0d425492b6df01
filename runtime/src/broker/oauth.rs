//! The credential `oauth`: the authorization-code grant that a connector declares.
//!
//! The guest never sees a token. However many calls meet a token that has ended, one of them asks
//! for a new one and the others wait for it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use http::HeaderValue;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::{Instant, timeout};
use url::form_urlencoded;

use super::Broker;
use super::answer::Reading;
use super::backoff::Pauses;
use super::delivery::{Door, Order};
use super::limits::{REFRESH_PAUSE, SAVE_TOKEN, TOKEN_ANSWER, TOKEN_REQUEST};
use super::pool::Purpose;
use super::request::{Error, Parsed, Scope};
use super::token::{Form, TokenError, read_answer, token_request};
use super::traffic::{Pace, Route};
use crate::vault::Scrubber;

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

impl Broker {
    /// Sets or removes the OAuth client. May be called at any time. Tokens stay unless they belong
    /// to another client.
    pub fn set_oauth(&self, client: Option<OAuthClient>, on_refresh: OnRefresh) {
        self.oauth.set_client(client, on_refresh);
    }

    /// Sets the tokens from the configuration: an answer of the token endpoint. Tokens that came
    /// before change nothing, so that an old configuration sent again does not undo a refresh.
    pub fn set_tokens(&self, tokens: Option<Value>) -> Result<(), Error> {
        self.oauth.set_tokens(tokens)
    }

    /// The text for `start-oauth`. None without a client.
    pub fn authorization_url(&self) -> Option<String> {
        self.oauth.state.lock().client.as_ref().map(|client| client.settings.authorization_url())
    }

    /// Exchanges a code for a token answer, which holds secrets. Does not use it: it comes back by
    /// [`Broker::set_tokens`].
    pub async fn exchange_code(
        &self,
        code: &str,
        redirect_uri: &str,
        verifier: Option<&str>,
    ) -> Result<Value, Error> {
        let client = self.oauth.client()?;
        let mut form: Form = vec![("grant_type", "authorization_code")];
        let more = &client.settings.additional_token_args;
        form.extend(more.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        form.extend([("code", code), ("redirect_uri", redirect_uri)]);
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        Ok(self.oauth.request_token(&client.settings, form).await?)
    }

    /// What is wrong with the grant, for the connector's health.
    pub fn health_problem(&self) -> Option<String> {
        self.oauth.problem()
    }
}

impl OAuthClient {
    /// The authorization URL with id and scope filled in. Redirect and challenge are left to the
    /// workspace.
    pub fn authorization_url(&self) -> String {
        let scope = self.scope.as_deref().unwrap_or_default();
        fill(&self.authorization_url, &[("{{clientId}}", &self.client_id), ("{{scope}}", scope)])
    }

    fn is_same_as(&self, other: &Self) -> bool {
        self.client_id == other.client_id && self.token_url == other.token_url
    }

    /// RFC 6749, 2.3.1: both are form-encoded before they are joined.
    pub(super) fn basic(&self) -> String {
        let encoded =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let secret = self.client_secret.as_ref().map_or("", |secret| secret.expose_secret());
        let pair = format!("{}:{}", encoded(&self.client_id), encoded(secret));
        format!("Basic {}", STANDARD.encode(pair))
    }
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

/// A token on its way into a request.
#[derive(Clone)]
pub(super) struct Bearer(SecretString);

impl Bearer {
    pub fn header(&self) -> Result<HeaderValue, Error> {
        let text = format!("Bearer {}", self.0.expose_secret());
        let mut value = HeaderValue::try_from(text).map_err(|_| {
            Error::Credential("the OAuth token holds control characters; connect again".into())
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn is(&self, tokens: &Tokens) -> bool {
        self.0.expose_secret() == tokens.access.expose_secret()
    }
}

/// Stands in an answer where a token stood.
const TOKEN_MARK: &str = "aloma-sealed-token";

/// The state of the grant.
pub(super) struct OAuth {
    door: Arc<Door>,
    state: Mutex<State>,
    /// Held across the token request, on purpose: whoever else needs a token waits for this one.
    refreshing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    client: Option<Arc<Client>>,
    tokens: Option<Tokens>,
    /// Finds the tokens that were in use before. Requests that carry them may be under way.
    previous: Option<Arc<Scrubber>>,
    /// The tokens that the configuration gave last.
    configured: Option<Tokens>,
    /// Why only new tokens from the configuration can help.
    dead: Option<String>,
    /// A call wanted a token, and there was none.
    missed: bool,
    /// The last refresh that failed, and when.
    failed: Option<(Instant, Error)>,
    /// When the tokens were refreshed.
    renewed: Option<Instant>,
}

struct Client {
    settings: OAuthClient,
    on_refresh: OnRefresh,
}

#[derive(Clone)]
struct Tokens {
    access: SecretString,
    refresh: Option<SecretString>,
    scrubber: Arc<Scrubber>,
}

/// What to do about a token that was refused.
enum Plan {
    /// Somebody else has brought a new one.
    Use(Bearer),
    /// Ask for a new one.
    Refresh { client: Arc<Client>, with: SecretString },
    /// A new one cannot be had, or is as new as it gets.
    Nothing,
}

impl OAuth {
    pub fn new(door: Arc<Door>) -> Self {
        Self { door, state: Mutex::default(), refreshing: tokio::sync::Mutex::new(()) }
    }

    /// The current token.
    pub fn bearer(&self) -> Result<Bearer, Error> {
        let mut state = self.state.lock();
        if state.client.is_none() {
            return Err(no_client());
        }
        if let Some(text) = &state.dead {
            return Err(Error::Credential(text.clone()));
        }
        match &state.tokens {
            Some(tokens) => Ok(Bearer(tokens.access.clone())),
            None => {
                state.missed = true;
                Err(no_token())
            }
        }
    }

    /// Takes tokens out of an answer for a guest. None where it holds none.
    pub fn scrub(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let scrubbers = {
            let state = self.state.lock();
            [state.tokens.as_ref().map(|tokens| tokens.scrubber.clone()), state.previous.clone()]
        };
        scrubbers.into_iter().flatten().fold(None, |clean, scrubber| {
            scrubber.scrub(clean.as_deref().unwrap_or(bytes)).or(clean)
        })
    }

    /// A token in place of one that was refused. None where the refusal is all there is.
    ///
    /// The work is done in a task of its own, which this waits for: a caller that gives up must not
    /// lose the only copy of a refresh token that was just exchanged. The task ends by itself, its
    /// request having a time limit.
    pub async fn renew(self: &Arc<Self>, refused: &Bearer) -> Result<Option<Bearer>, Error> {
        let (oauth, refused) = (self.clone(), refused.clone());
        let task = tokio::spawn(async move { oauth.renew_in_turn(&refused).await });
        task.await
            .unwrap_or_else(|_| Err(Error::Credential("the token request was cut off".into())))
    }

    async fn renew_in_turn(&self, refused: &Bearer) -> Result<Option<Bearer>, Error> {
        let _turn = self.refreshing.lock().await;
        match self.plan(refused)? {
            Plan::Use(bearer) => Ok(Some(bearer)),
            Plan::Nothing => Ok(None),
            Plan::Refresh { client, with } => match self.refresh(&client, &with).await {
                Ok(tokens) => Ok(Some(self.adopt(refused, tokens))),
                Err(error) => Err(self.remember(refused, error)),
            },
        }
    }

    fn plan(&self, refused: &Bearer) -> Result<Plan, Error> {
        let state = self.state.lock();
        let client = state.client.clone().ok_or_else(no_client)?;
        if let Some(text) = &state.dead {
            return Err(Error::Credential(text.clone()));
        }
        let tokens = state.tokens.as_ref().ok_or_else(no_token)?;
        if !refused.is(tokens) {
            return Ok(Plan::Use(Bearer(tokens.access.clone())));
        }
        let recent = |at: &Instant| at.elapsed() < REFRESH_PAUSE;
        if let Some((_, error)) = state.failed.as_ref().filter(|(at, _)| recent(at)) {
            return Err(error.clone());
        }
        match &tokens.refresh {
            Some(with) if !state.renewed.as_ref().is_some_and(recent) => {
                Ok(Plan::Refresh { client, with: with.clone() })
            }
            _ => Ok(Plan::Nothing),
        }
    }

    async fn refresh(&self, client: &Client, with: &SecretString) -> Result<Tokens, TokenError> {
        let old = with.expose_secret();
        let form = vec![("grant_type", "refresh_token"), ("refresh_token", old)];
        let mut answer = self.request_token(&client.settings, form).await?;
        // Servers that do not rotate refresh tokens leave it out.
        if answer["refresh_token"].as_str().is_none_or(str::is_empty) {
            answer["refresh_token"] = old.into();
        }
        let tokens = Tokens::read(&answer).map_err(TokenError::Other)?;
        // Whether it could be saved or not, the old token may have ended.
        let _ = timeout(SAVE_TOKEN, (client.on_refresh)(answer)).await;
        Ok(tokens)
    }

    /// Takes new tokens into use, unless the configuration brought others in the meantime.
    fn adopt(&self, refused: &Bearer, new: Tokens) -> Bearer {
        let state = &mut *self.state.lock();
        match &mut state.tokens {
            Some(tokens) if refused.is(tokens) => {
                state.previous = Some(std::mem::replace(tokens, new).scrubber);
                state.failed = None;
                state.renewed = Some(Instant::now());
                Bearer(tokens.access.clone())
            }
            Some(others) => Bearer(others.access.clone()),
            None => Bearer(new.access),
        }
    }

    fn remember(&self, refused: &Bearer, error: TokenError) -> Error {
        let mut state = self.state.lock();
        // Tokens that came in the meantime are not to blame.
        if state.tokens.as_ref().is_some_and(|tokens| refused.is(tokens)) {
            match &error {
                TokenError::Dead(text) => state.dead = Some(text.clone()),
                TokenError::Other(error) => state.failed = Some((Instant::now(), error.clone())),
            }
        }
        error.into()
    }

    /// parse → policy → deliver, as for a guest's request, and the reading of the answer.
    async fn request_token(
        &self,
        client: &OAuthClient,
        form: Form<'_>,
    ) -> Result<Value, TokenError> {
        let request = token_request(client, form);
        let scope =
            Scope { call: None, deadline: Instant::now() + TOKEN_REQUEST, vault: Arc::default() };
        let mut tally = self.door.tally(&request, &scope);
        let outcome = async {
            let mut request = Parsed::new(request, None)?;
            request.answer_bytes = TOKEN_ANSWER;
            let permit = self.door.policy().check(&request.method, &request.url)?;
            if !permit.carries_secrets(&request.url) {
                return Err(Error::Credential("the token URL must begin with https".into()));
            }
            let until = request.until(&scope);
            let order = Order {
                request: &request,
                route: Route::new(permit.origin(), Some("oauth")),
                pace: Pace::unlimited(0),
                pauses: Pauses::default(),
                purpose: Purpose::default(),
                reading: Reading::Whole,
                until,
                deadline: until,
            };
            let answer = self.door.deliver(&order, &mut tally).await?;
            answer.whole(TOKEN_ANSWER, self.door.budget().hold()).await
        }
        .await;
        tally.end(outcome.as_ref().map(|answer| answer.status));
        read_answer(&outcome.map_err(TokenError::Other)?)
    }

    fn client(&self) -> Result<Arc<Client>, Error> {
        self.state.lock().client.clone().ok_or_else(no_client)
    }

    fn set_client(&self, client: Option<OAuthClient>, on_refresh: OnRefresh) {
        let mut state = self.state.lock();
        let is_other = match (&state.client, &client) {
            (Some(old), Some(new)) => !old.settings.is_same_as(new),
            (Some(_), None) => true,
            (None, _) => false,
        };
        if is_other {
            *state = State { previous: state.previous(), ..State::default() };
        }
        // A changed secret or scope may cure what failed a moment ago.
        state.failed = None;
        state.client = client.map(|settings| Arc::new(Client { settings, on_refresh }));
    }

    fn set_tokens(&self, tokens: Option<Value>) -> Result<(), Error> {
        let tokens = tokens.map(|tokens| Tokens::read(&tokens)).transpose()?;
        let mut state = self.state.lock();
        let came_before = tokens.is_some() && same(&tokens, &state.configured);
        if came_before {
            return Ok(());
        }
        // The workspace gives back what a refresh brought: no news, and no reason to refresh again.
        let renewed = state.renewed.take().filter(|_| same(&tokens, &state.tokens));
        let (client, previous) = (state.client.take(), state.previous());
        let configured = tokens.clone();
        *state = State { client, configured, tokens, previous, renewed, ..State::default() };
        Ok(())
    }

    fn problem(&self) -> Option<String> {
        let state = self.state.lock();
        let missing = || (state.missed && state.client.is_some()).then(|| no_token().to_string());
        state.dead.clone().or_else(missing)
    }
}

impl State {
    /// What finds the tokens of now, once there are others.
    fn previous(&self) -> Option<Arc<Scrubber>> {
        let current = self.tokens.as_ref().map(|tokens| tokens.scrubber.clone());
        current.or_else(|| self.previous.clone())
    }
}

fn same(one: &Option<Tokens>, other: &Option<Tokens>) -> bool {
    one.as_ref().map(Tokens::exposed) == other.as_ref().map(Tokens::exposed)
}

impl Tokens {
    fn read(answer: &Value) -> Result<Self, Error> {
        let token = |name: &str| {
            answer[name].as_str().filter(|token| !token.is_empty()).map(SecretString::from)
        };
        let access = token("access_token").ok_or_else(|| {
            Error::Credential("the OAuth result holds no access_token; connect again".into())
        })?;
        let refresh = token("refresh_token");
        let values = [Some(&access), refresh.as_ref()].into_iter().flatten();
        let scrubber = Scrubber::new(values.map(|token| (token.expose_secret(), TOKEN_MARK)));
        Ok(Self { access, refresh, scrubber: Arc::new(scrubber) })
    }

    fn exposed(&self) -> (&str, Option<&str>) {
        (self.access.expose_secret(), self.refresh.as_ref().map(|token| token.expose_secret()))
    }
}

fn no_client() -> Error {
    Error::Credential("the connector has no OAuth client; set its client id".into())
}

fn no_token() -> Error {
    Error::Credential("no access token: the OAuth connection is not made yet; connect it".into())
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

    #[test]
    fn a_basic_header_holds_the_form_encoded_pair() {
        let basic = client("").basic();
        let pair =
            STANDARD.decode(basic.strip_prefix("Basic ").expect("a scheme")).expect("base64");
        assert_eq!(pair, b"c%7B%7Bscope%7D%7D+%261:s%3A%2B1");
    }
}
