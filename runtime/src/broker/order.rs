//! A request as it is sent: what the guest asked for, under the terms of the grant that lets it
//! through.

use std::sync::Arc;

use tokio::time::Instant;

use super::answer::Reading;
use http::header::ACCEPT_ENCODING;

use super::allowance::Allowance;
use super::backoff::Pauses;
use super::cap::Cap;
use super::credential::Credential;
use super::decode;
use super::limits::{ATTEMPTS, FIRST_PAUSE, LONGEST_TOTAL};
use super::payload::Upload;
use super::policy::{Permit, Terms};
use super::pool::Purpose;
use super::request::{Error, Parsed, Scope};
use super::retry::add_key;
use super::traffic::{Pace, Route};
use crate::vault::Vault;

/// One request on its way out, and how its answer is wanted.
pub(super) struct Order<'a> {
    /// With its secrets in it, but for the credential.
    pub request: &'a Parsed,
    pub credential: Option<&'a Credential>,
    pub vault: &'a Vault,
    pub allowance: &'a Arc<Allowance>,
    pub route: Route,
    pub pace: Pace,
    pub attempts: u32,
    pub pauses: Pauses,
    pub purpose: Purpose,
    pub reading: Reading,
    /// The largest body of the answer.
    pub answer_cap: Cap,
    pub times: Times,
}

/// The time limits of a request.
#[derive(Clone, Copy)]
pub(super) struct Times {
    /// When the answer, or where it comes in pieces its head, must be there.
    pub until: Instant,
    /// When everything must be over.
    pub deadline: Instant,
}

impl<'a> Order<'a> {
    pub fn new(
        request: &'a Parsed,
        permit: &Permit,
        credential: Option<&'a Credential>,
        scope: &'a Scope,
        times: Times,
        reading: Reading,
    ) -> Self {
        let terms = permit.terms();
        let name = credential.map(Credential::name);
        Self {
            request,
            credential,
            vault: &scope.vault,
            allowance: &scope.allowance,
            route: Route::new(permit.origin(), name),
            pace: pace(permit),
            attempts: attempts(request, terms),
            pauses: Pauses::new(terms.jitter, terms.first_pause.unwrap_or(FIRST_PAUSE)),
            purpose: Purpose {
                credential: name.map(Arc::from),
                certificate: terms.client_certificate.clone().filter(|_| !request.is_led),
                private_only: false,
            },
            reading,
            answer_cap: answer_cap(request, terms, reading),
            times: times.within(terms),
        }
    }
}

impl Times {
    /// A grant can only make the time shorter.
    fn within(self, terms: &Terms) -> Self {
        let Some(timeout) = terms.timeout else { return self };
        Self { until: self.until.min(Instant::now() + timeout), ..self }
    }
}

/// What the terms say of the request itself: its size, that of its answer, and the key that makes it
/// safe to repeat.
pub(super) fn apply(terms: &Terms, request: &mut Parsed) -> Result<(), Error> {
    if let Some(most) = terms.request_bytes {
        let text = format!(
            "the body is larger than the {most} bytes that {} is granted (request-mib in \
             connector.toml)",
            request.origin()
        );
        let said = request.upload.as_ref().and_then(Upload::length).unwrap_or_default();
        if request.body.len() > most || said > most as u64 {
            return Err(Error::Limit(text));
        }
        let upload = request.upload.take();
        request.upload = upload.map(|upload| upload.limited(most as u64, Error::Limit(text)));
    }
    if let Some(most) = terms.answer_bytes {
        request.answer_cap = Cap::granted(most);
    }
    if let Some(field) = &terms.idempotency_header {
        request.keyed |= add_key(&request.method, field, &mut request.headers);
    }
    Ok(())
}

/// Asks for an answer that can be read. Where there are secrets to be taken out of it, the broker
/// must be able to read it, whatever the guest would like to have.
pub(super) fn ask_for_coding(request: &mut Parsed, keeps_secrets: bool) {
    if keeps_secrets {
        request.headers.remove(ACCEPT_ENCODING);
    }
    request.decodes = decode::ask(&mut request.headers, &request.method);
}

/// What comes in pieces is not held, and so has no limit of its own but the grant's.
fn answer_cap(request: &Parsed, terms: &Terms, reading: Reading) -> Cap {
    match (reading, terms.answer_bytes) {
        (Reading::Pieces, None) => Cap::none(),
        _ => request.answer_cap,
    }
}

fn attempts(request: &Parsed, terms: &Terms) -> u32 {
    match (request.attempts, terms.attempts) {
        (Some(asked), Some(most)) => asked.min(most),
        (asked, most) => asked.or(most).unwrap_or(ATTEMPTS),
    }
}

fn pace(permit: &Permit) -> Pace {
    let terms = permit.terms();
    Pace {
        grant: permit.grant_id().clone(),
        rate: terms.rate,
        at_once: terms.at_once,
        queue: terms.queue.unwrap_or(LONGEST_TOTAL),
    }
}
