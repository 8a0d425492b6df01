//! The broker: the one door from a guest to the network.
//!
//! It knows nothing of wasm and nothing of the workspace. A connector has one broker, which has its
//! own connections, grants and credential.

mod address;
mod backoff;
mod credential;
mod delivery;
mod dial;
mod held;
mod limits;
mod policy;
mod record;
mod request;
mod retry;
mod sealed;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use crate::events::Events;
use credential::{Credential, Credentials, Tools};
use delivery::Door;
use dial::{Resolve, SystemResolver};
use record::Tally;
use request::Parsed;

pub use credential::{
    Auth, CredentialError, CredentialSettings, DiskStore, Entry, EntryName, Lookup, MemoryStore,
    OAuthClient, OnRefresh, Prepared, Signing, Source, Store, StoreError,
};
pub use held::Held;
pub use limits::{ANSWER_BODY, HELD, REQUEST_BODY};
pub use policy::{Permit, Policy, PolicyError, Refusal};
pub use request::{Error, Request, Response, Scope};

/// Makes the requests of one connector.
pub struct Broker {
    door: Arc<Door>,
    credentials: Credentials,
}

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
        let door = Arc::new(Door::new(connector.clone(), Arc::new(policy), events, resolver));
        let tools = Tools {
            sender: door.clone(),
            store: Arc::new(MemoryStore::default()),
            clock: Arc::new(SystemTime::now),
        };
        Self { credentials: Credentials::new(connector, BTreeMap::new(), tools), door }
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
        let named = request.credential.clone();
        let credential = self.credentials.select(named.as_deref(), None, &request, &permit)?;
        let is_filled = sealed::fill_in(&mut request, &permit, policy, &scope.vault)?;
        let until = request.until(scope);
        let mut answer = match credential {
            Some(one) => self.deliver_with(&one, &request, scope, until, tally).await?,
            None => self.door.deliver(&request, until, tally).await?,
        };
        if is_filled {
            sealed::check_encoding(&answer, permit.origin())?;
        }
        sealed::scrub(&mut answer, |bytes| scope.vault.scrub_answer(bytes));
        sealed::scrub(&mut answer, |bytes| self.credentials.scrub(bytes));
        Ok(answer)
    }

    /// Sends a request with a credential, and once more where its token was refused and there is
    /// another one.
    async fn deliver_with(
        &self,
        credential: &Credential,
        request: &Parsed,
        scope: &Scope,
        until: Instant,
        tally: &mut Tally,
    ) -> Result<Response, Error> {
        let dressed = credential.dress(request, &scope.vault, until).await?;
        let answer = self.door.deliver(&dressed.request, until, tally).await?;
        // The server refused the token and so did nothing: a POST may be sent again, too. Once: a
        // second 401 is the answer.
        if !matches!(answer.status, 401 | 403)
            || !credential.refused(&dressed, answer.status, &answer.headers, until).await?
        {
            return Ok(answer);
        }
        let dressed = credential.dress(request, &scope.vault, until).await?;
        self.door.deliver(&dressed.request, until, tally).await
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Denied(refusal.to_string())
    }
}
