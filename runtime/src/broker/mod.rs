//! The broker: the one door from a guest to the network.
//!
//! It knows nothing of wasm and nothing of the workspace. A connector has one broker, which has its
//! own connections, grants and credential.

mod address;
mod answer;
mod backoff;
mod decode;
mod delivery;
mod dial;
mod failure;
mod held;
mod limits;
mod network;
mod oauth;
mod payload;
mod policy;
mod pool;
mod proxy;
mod record;
mod request;
mod retry;
mod sealed;
#[cfg(test)]
mod tests;
mod token;
mod traffic;

use std::sync::Arc;

use http::HeaderValue;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::events::{Component, Decision, Events};
use answer::{Answer, Reading, Watched};
use backoff::Pauses;
use delivery::{Door, Order, is_spent};
use dial::{Resolve, SystemResolver};
use oauth::{Bearer, OAuth};
use pool::Purpose;
use record::{BodyTally, Tally, Teller};
use request::Parsed;
use traffic::{Pace, Route};

pub use answer::Streamed;
pub use held::Held;
pub use limits::{ANSWER_BODY, HELD, REQUEST_BODY};
pub use network::{Network, NetworkSettings};
pub use oauth::{OAuthClient, OnRefresh};
pub use payload::{Pieces, Upload};
pub use policy::{
    ClientCertificate, GrantTable, Jitter, Mode, Permit, Policy, PolicyError, Rate, Refusal,
    Standing, Terms, is_special,
};
pub use request::{Error, Request, Response, Scope};
pub use traffic::Traffic;

/// Makes the requests of one connector.
pub struct Broker {
    door: Arc<Door>,
    oauth: Arc<OAuth>,
}

/// What a broker is made of.
pub struct Setup {
    /// The connector, as its records name it.
    pub component: Component,
    /// What it may reach.
    pub policy: Policy,
    /// What it shares with the other connectors of the process.
    pub traffic: Traffic,
    /// Where its records go.
    pub events: Events,
}

/// The time limits of a request.
#[derive(Clone, Copy)]
struct Times {
    /// When the answer, or where it comes in pieces its head, must be there.
    until: Instant,
    /// When everything must be over.
    deadline: Instant,
}

/// The only credential so far: the OAuth grant that the connector declares.
const OAUTH: &str = "oauth";

impl Broker {
    /// A broker for a connector. It opens no connection before the first request.
    pub fn new(setup: Setup) -> Self {
        Self::with_resolver(setup, Arc::new(SystemResolver))
    }

    fn with_resolver(setup: Setup, resolver: Arc<dyn Resolve>) -> Self {
        let Setup { component, policy, traffic, events } = setup;
        let share = traffic.share(component.connector.clone());
        let teller = Teller::new(component, events);
        let door = Arc::new(Door::new(teller, Arc::new(policy), resolver, share));
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
        let outcome = self.carry_out(request, None, Reading::Whole, scope, &mut tally).await;
        let outcome = match outcome {
            Ok(answer) => answer.whole(ANSWER_BODY, self.hold()).await,
            Err(error) => Err(error),
        };
        let outcome = outcome.map_err(|error| error.map(|text| scope.vault.scrub(text)));
        tally.end(outcome.as_ref().map(|answer| answer.status));
        outcome
    }

    /// Makes a request whose body may still be on its way, and gives the answer as it comes. Its
    /// record is left when the answer is over. Sent once, unless it was certainly not sent.
    pub async fn open(
        &self,
        request: Request,
        upload: Option<Upload>,
        scope: &Scope,
    ) -> Result<Streamed, Error> {
        let mut tally = self.door.tally(&request, scope);
        let outcome = self.carry_out(request, upload, Reading::Pieces, scope, &mut tally).await;
        match outcome {
            Ok(answer) => {
                let Streamed { status, headers, body } = answer.streamed();
                let body = Watched::new(body, BodyTally { tally, status }).boxed_unsync();
                Ok(Streamed { status, headers, body })
            }
            Err(error) => {
                let error = error.map(|text| scope.vault.scrub(text));
                tally.end(Err(&error));
                Err(error)
            }
        }
    }

    /// Every hop of a redirect, where a grant allows any, is a request like the first.
    async fn carry_out(
        &self,
        request: Request,
        upload: Option<Upload>,
        reading: Reading,
        scope: &Scope,
        tally: &mut Tally,
    ) -> Result<Answer, Error> {
        sealed::check_address(&request.url, &scope.vault)?;
        let request = Parsed::new(request, upload)?;
        // What has secrets to be taken out is read whole.
        let has_secrets = !scope.vault.is_empty() || request.credential.is_some();
        let reading = if has_secrets { Reading::Whole } else { reading };
        let times = Times { until: request.until(scope), deadline: scope.deadline };
        self.hop(&request, reading, times, scope, tally).await
    }

    /// policy → credential → (limits → retry(send)) → scrub → answer
    async fn hop(
        &self,
        given: &Parsed,
        reading: Reading,
        times: Times,
        scope: &Scope,
        tally: &mut Tally,
    ) -> Result<Answer, Error> {
        let policy = self.door.policy();
        let permit = policy.check(&given.method, &given.url)?;
        tally.permitted(match permit.would_refuse() {
            None => Decision::Granted(permit.grant_id().clone()),
            Some(refusal) => Decision::Reported(refusal.to_string().into()),
        });
        let bearer = self.credential(given, &permit)?;
        if bearer.is_some() {
            tally.credential(OAUTH);
        }
        let mut request = given.clone();
        let is_filled = sealed::fill_in(&mut request, &permit, policy, &scope.vault)?;
        let Times { until, deadline } = times;
        let purpose = Purpose { credential: given.credential.as_deref().map(Arc::from) };
        let route = Route::new(permit.origin(), given.credential.as_deref());
        let send = async |request: &Parsed, tally: &mut Tally| {
            let (purpose, route) = (purpose.clone(), route.clone());
            let (pace, pauses) = (Pace::unlimited(0), Pauses::default());
            let order = Order { request, route, pace, pauses, purpose, reading, until, deadline };
            self.door.deliver(&order, tally).await
        };
        let mut answer = match bearer {
            None => send(&request, tally).await?,
            Some(bearer) => {
                request.headers.insert(AUTHORIZATION, bearer.header()?);
                // A token in a compressed answer would not be found.
                request.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
                let answer = send(&request, tally).await?;
                let fresh = if answer.status == 401 && !is_spent(&request) {
                    // The server refused the token and so did nothing: a POST may be sent again,
                    // too. Once: a second 401 is the answer.
                    self.renew(&bearer, until).await?
                } else {
                    None
                };
                match fresh {
                    None => answer,
                    Some(fresh) => {
                        request.headers.insert(AUTHORIZATION, fresh.header()?);
                        send(&request, tally).await?
                    }
                }
            }
        };
        if is_filled {
            sealed::check_encoding(&answer, permit.origin())?;
        }
        sealed::scrub(&mut answer, |bytes| scope.vault.scrub_answer(bytes));
        sealed::scrub(&mut answer, |bytes| self.oauth.scrub(bytes));
        Ok(answer)
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
