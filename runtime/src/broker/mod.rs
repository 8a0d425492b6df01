//! The broker: the one door from a guest to the network.
//!
//! It knows nothing of wasm and nothing of the workspace. A connector has one broker, which has its
//! own connections, grants and credential.

mod address;
mod backoff;
mod decode;
mod delivery;
mod dial;
mod held;
mod limits;
mod network;
mod oauth;
mod policy;
mod proxy;
mod record;
mod request;
mod retry;
mod sealed;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;

use http::HeaderValue;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION};
use tokio::time::{Instant, timeout_at};

use crate::events::Events;
use delivery::Door;
use dial::{Resolve, SystemResolver};
use oauth::{Bearer, OAuth};
use record::Tally;
use request::Parsed;

pub use held::Held;
pub use limits::{ANSWER_BODY, HELD, REQUEST_BODY};
pub use network::{Network, NetworkSettings};
pub use oauth::{OAuthClient, OnRefresh};
pub use policy::{Permit, Policy, PolicyError, Refusal};
pub use request::{Error, Request, Response, Scope};

/// Makes the requests of one connector.
pub struct Broker {
    door: Arc<Door>,
    oauth: Arc<OAuth>,
}

/// The only credential so far: the OAuth grant that the connector declares.
const OAUTH: &str = "oauth";

impl Broker {
    /// A broker for the connector of that id. It opens no connection before the first request.
    pub fn new(connector: Arc<str>, policy: Policy, events: Events) -> Self {
        Self::with_resolver(connector, policy, events, Arc::new(SystemResolver))
    }

    fn with_resolver(
        connector: Arc<str>,
        policy: Policy,
        events: Events,
        resolver: Arc<dyn Resolve>,
    ) -> Self {
        let door = Arc::new(Door::new(connector, Arc::new(policy), events, resolver));
        Self { oauth: Arc::new(OAuth::new(door.clone())), door }
    }

    /// Begins to hold bodies for a guest: what it has handed over and not yet sent.
    pub fn hold(&self) -> Held {
        self.door.budget().hold()
    }

    /// Makes a request and leaves one record of it, also when it is refused or given up.
    ///
    /// Dropping the future gives the request up; it may have been carried out.
    pub async fn send(&self, request: Request, scope: &Scope) -> Result<Response, Error> {
        let mut tally = self.door.tally(&request, scope);
        let outcome = self.carry_out(request, scope, &mut tally).await;
        let outcome = outcome.map_err(|error| error.map(|text| scope.vault.scrub(text)));
        tally.end(&outcome);
        outcome
    }

    /// parse → policy → credential → (limits → retry(send)) → scrub → answer
    async fn carry_out(
        &self,
        request: Request,
        scope: &Scope,
        tally: &mut Tally,
    ) -> Result<Response, Error> {
        sealed::check_address(&request.url, &scope.vault)?;
        let mut request = Parsed::new(request)?;
        let policy = self.door.policy();
        let permit = policy.check(&request.url)?;
        let bearer = self.credential(&request, &permit)?;
        let is_filled = sealed::fill_in(&mut request, &permit, policy, &scope.vault)?;
        let until = request.until(scope);
        let mut answer = match bearer {
            Some(bearer) => self.deliver_with(bearer, request, until, tally).await?,
            None => self.door.deliver(&request, until, tally).await?,
        };
        if is_filled {
            sealed::check_encoding(&answer, permit.origin())?;
        }
        sealed::scrub(&mut answer, |bytes| scope.vault.scrub_answer(bytes));
        sealed::scrub(&mut answer, |bytes| self.oauth.scrub(bytes));
        Ok(answer)
    }

    /// Sends a request with a token, and once more where the token was refused.
    async fn deliver_with(
        &self,
        bearer: Bearer,
        mut request: Parsed,
        until: Instant,
        tally: &mut Tally,
    ) -> Result<Response, Error> {
        request.headers.insert(AUTHORIZATION, bearer.header()?);
        // A token in a compressed answer would not be found.
        request.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let answer = self.door.deliver(&request, until, tally).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        // The server refused the token and so did nothing: a POST may be sent again, too. Once: a
        // second 401 is the answer.
        let Some(fresh) = self.renew(&bearer, until).await? else { return Ok(answer) };
        request.headers.insert(AUTHORIZATION, fresh.header()?);
        self.door.deliver(&request, until, tally).await
    }

    fn credential(&self, request: &Parsed, permit: &Permit) -> Result<Option<Bearer>, Error> {
        let Some(name) = &request.credential else { return Ok(None) };
        if name != OAUTH {
            let text =
                format!("there is no credential {:?}; the only one is {OAUTH:?}", short(name));
            return Err(Error::Credential(text));
        }
        if request.headers.contains_key(AUTHORIZATION) {
            let text =
                "the request has both a credential and a header authorization; leave one out";
            return Err(Error::InvalidRequest(text.into()));
        }
        if !permit.carries_secrets(&request.url) {
            let text = format!(
                "a token is not sent to {} over plain http, where anyone can read it; use https",
                permit.origin()
            );
            return Err(Error::Credential(text));
        }
        self.oauth.bearer().map(Some)
    }

    async fn renew(&self, failed: &Bearer, until: Instant) -> Result<Option<Bearer>, Error> {
        timeout_at(until, self.oauth.renew(failed)).await.unwrap_or_else(|_| {
            let text = "the OAuth token was refused, and no new one came within the time limit";
            Err(Error::Timeout(text.into()))
        })
    }
}

fn short(name: &str) -> String {
    name.chars().take(60).collect()
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Denied(refusal.to_string())
    }
}
