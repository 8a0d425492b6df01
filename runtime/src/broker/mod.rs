//! The broker: the one door from a guest to the network.
//!
//! It knows nothing of wasm and nothing of the workspace. A connector has one broker, which has its
//! own connections, grants and credential.

mod address;
mod allowance;
mod answer;
mod backoff;
mod cap;
mod credential;
mod decode;
mod delivery;
mod dial;
mod failure;
mod held;
mod limits;
mod network;
mod order;
mod payload;
mod policy;
mod pool;
mod proxy;
mod record;
mod redirect;
mod request;
mod retry;
mod sealed;
mod sealed_body;
#[cfg(test)]
mod tests;
mod traffic;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use http_body_util::BodyExt;

use crate::envelope::{Limit, Limits};
use crate::events::{Component, Decision, Events};
use crate::tls::ClientIdentity;
use answer::{Answer, Reading, Watched};
use credential::{Credentials, Tools};
use delivery::Door;
use dial::{Resolve, SystemResolver};
use limits::ERROR_TEXT;
use order::{Order, Times};
use pool::Pools;
use record::{BodyTally, Tally, Teller};
use redirect::Next;
use request::Parsed;
use traffic::Share;

pub use allowance::Allowance;
pub use answer::Streamed;
pub use credential::{
    Auth, CredentialError, CredentialSettings, DiskStore, Entry, EntryName, Lookup, MemoryStore,
    OAuthClient, OnRefresh, Prepared, Signing, Source, Store, StoreError, is_credential_name,
};
pub use held::Held;
pub use limits::{HEADER_BYTES, HEADERS, URL_BYTES};
pub use network::{Network, NetworkSettings};
pub use payload::{Pieces, Upload};
pub use policy::{
    ClientCertificate, GrantTable, Jitter, Mode, Permit, Policy, PolicyError, Rate, Refusal,
    Standing, Terms, check_origin, covers, is_special,
};
pub use request::{Error, Request, Response, Scope, is_url};
pub use traffic::Traffic;

/// Makes the requests of one connector.
pub struct Broker {
    door: Arc<Door>,
    credentials: Credentials,
}

/// What a broker is made of.
pub struct Setup {
    /// The connector, as its records name it.
    pub component: Component,
    /// What it may reach.
    pub policy: Policy,
    /// What it may use up.
    pub limits: Arc<Limits>,
    /// Its credentials by name, beside the grant that it makes through the workspace.
    pub credentials: BTreeMap<String, Prepared>,
    /// Where their tokens are kept.
    pub store: Arc<dyn Store>,
    /// The way to the network.
    pub network: Network,
    /// The client certificates that grants name.
    pub identities: HashMap<ClientCertificate, Arc<ClientIdentity>>,
    /// What it shares with the other connectors of the process.
    pub traffic: Traffic,
    /// Where its records go.
    pub events: Events,
}

impl Broker {
    /// A broker for a connector. It opens no connection before the first request.
    pub fn new(setup: Setup) -> Self {
        Self::with_resolver(setup, Arc::new(SystemResolver))
    }

    /// A broker that takes the place of another one of the same connector. It goes on with its part
    /// in the traffic: what servers asked for and which of them are left alone stays. With
    /// `with_grant` it goes on with the grant made through the workspace as well, which both then
    /// hold as one, so that no refresh token is used twice.
    pub fn after(setup: Setup, former: &Self, with_grant: bool) -> Self {
        let share = former.door.traffic().under(setup.limits.clone());
        let grant = with_grant.then_some(&former.credentials);
        Self::make(setup, Arc::new(SystemResolver), share, grant)
    }

    fn with_resolver(setup: Setup, resolver: Arc<dyn Resolve>) -> Self {
        let share = setup.traffic.share(setup.component.connector.clone(), setup.limits.clone());
        Self::make(setup, resolver, share, None)
    }

    fn make(
        setup: Setup,
        resolver: Arc<dyn Resolve>,
        share: Share,
        former: Option<&Credentials>,
    ) -> Self {
        let Setup {
            component,
            policy,
            limits,
            credentials,
            store,
            network,
            identities,
            events,
            traffic: _,
        } = setup;
        let connector = component.connector.clone();
        let teller = Teller::new(component, events);
        let policy = Arc::new(policy);
        let pools = Pools::new(policy.clone(), resolver, Arc::new(network), identities);
        let door = Arc::new(Door::new(teller, policy, pools, share, limits));
        let tools = Tools { sender: door.clone(), store, clock: Arc::new(SystemTime::now) };
        let credentials = match former {
            None => Credentials::new(connector, credentials, tools),
            Some(former) => former.with_same_grant(connector, credentials, tools),
        };
        Self { credentials, door }
    }

    /// What a new call may use up.
    pub fn allowance(&self) -> Arc<Allowance> {
        Arc::new(Allowance::new(self.door.limits()))
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
            Ok(answer) => {
                answer.whole(self.door.limits().bytes(Limit::AnswerBody), self.hold()).await
            }
            Err(error) => Err(error),
        };
        let outcome = outcome.map_err(|error| error.map(|text| self.told(text, scope)));
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
        upload.iter().for_each(|upload| tally.uploads(upload));
        let outcome = self.carry_out(request, upload, Reading::Pieces, scope, &mut tally).await;
        match outcome {
            Ok(answer) => {
                tally.answering(answer.status);
                let watch = BodyTally::new(tally, &answer);
                let Streamed { status, headers, body } = answer.streamed();
                let body = Watched::new(body, watch).boxed_unsync();
                Ok(Streamed { status, headers, body })
            }
            Err(error) => {
                let error = error.map(|text| self.told(text, scope));
                tally.end(Err(&error));
                Err(error)
            }
        }
    }

    /// parse, and then every hop: with redirects, where a grant allows any, each is a request like
    /// the first.
    async fn carry_out(
        &self,
        request: Request,
        upload: Option<Upload>,
        reading: Reading,
        scope: &Scope,
        tally: &mut Tally,
    ) -> Result<Answer, Error> {
        sealed::check_address(&request.url, &scope.vault)?;
        let mut request = Parsed::new(request, upload, self.door.limits())?;
        let times = Times { until: request.until(scope), deadline: scope.deadline };
        let (mut hops, mut by) = (0, None);
        loop {
            let outcome = self.hop(request, hops, reading, times, scope, tally).await;
            let (answer, kept) = outcome.map_err(|error| redirect::after(error, by.as_deref()))?;
            let Some(given) = kept else { return Ok(answer) };
            match redirect::next(&given, answer.status, &answer.headers, &scope.vault)? {
                Next::Stay => return Ok(answer),
                Next::Go(next) => request = *next,
            }
            by = Some(given.origin().to_owned());
            tally.hop(&request.url, |text| self.scrubbed(text));
            hops += 1;
        }
    }

    /// policy → credential → limits → retry(send) → scrub → answer, and the request as it was given
    /// where the grant lets it follow one more redirect.
    async fn hop(
        &self,
        given: Parsed,
        hops: u32,
        reading: Reading,
        times: Times,
        scope: &Scope,
        tally: &mut Tally,
    ) -> Result<(Answer, Option<Box<Parsed>>), Error> {
        let (policy, vault) = (self.door.policy(), &scope.vault);
        let permit = policy.check(&given.method, &given.url)?;
        tally.permitted(decision(&permit));
        let terms = permit.terms();
        // One server must not act on another one as us: where it leads, no credential goes along.
        let attached = terms.credential.as_deref().filter(|_| !given.is_led);
        let named = given.credential.as_deref();
        let credential = self.credentials.select(named, attached, &permit)?;
        if let Some(credential) = &credential {
            credential.check(&given, &permit, vault)?;
            tally.credential(credential.name());
            credential.check_fields(&given, policy, &permit, vault)?;
        }
        let kept = (hops < terms.redirects).then(|| Box::new(given.clone()));
        let mut request = given;
        order::apply(terms, &mut request)?;
        let is_filled = sealed::fill_in(&mut request, &permit, policy, vault)?;
        request.upload = request.upload.map(|upload| upload.metered(&scope.allowance));
        let holds_secret = is_filled || credential.is_some();
        // Also what holds no secret: what one request stored, another can ask for.
        let keeps_secrets =
            holds_secret || self.credentials.scrubbers().iter().any(|one| !one.is_empty());
        order::ask_for_coding(&mut request, keeps_secrets);
        let mut order = Order::new(&request, &permit, credential.as_deref(), scope, times, reading);
        // Over plain http, nothing else may carry a secret.
        let may_carry = request.url.scheme() == "http" && permit.is_private();
        order.purpose.private_only = holds_secret && may_carry;
        let mut answer = self.door.deliver(&order, tally).await?;
        if holds_secret {
            sealed::check_encoding(&answer, permit.origin())?;
        }
        sealed::scrub_all(&mut answer, vault, &self.credentials);
        Ok((answer, kept))
    }

    /// A text without the values and tokens of credentials.
    fn scrubbed(&self, text: String) -> String {
        match self.credentials.scrub(text.as_bytes()) {
            Some(clean) => String::from_utf8_lossy(&clean).into_owned(),
            None => text,
        }
    }

    /// The text of an error without the values and tokens of credentials, cut where it is too long.
    fn told(&self, text: String, scope: &Scope) -> String {
        let mut text = self.scrubbed(scope.vault.scrub(text));
        if text.len() > ERROR_TEXT {
            text.truncate(text.floor_char_boundary(ERROR_TEXT));
            text.push('…');
            text.shrink_to_fit();
        }
        text
    }
}

fn decision(permit: &Permit) -> Decision {
    match permit.would_refuse() {
        None => Decision::Granted(permit.grant_id().clone()),
        Some(refusal) => Decision::Reported(refusal.to_string().into()),
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Denied(refusal.to_string())
    }
}
