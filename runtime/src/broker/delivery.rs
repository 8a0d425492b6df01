//! Sends a request that was let through: limits, the loop of attempts, and one attempt.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout_at};

use super::backoff::{pause, retry_after};
use super::dial::{Connector, DialError, Profile, Resolve};
use super::held::{Budget, Held};
use super::limits::{ANSWER_HEAD, ANSWER_HEADERS, IDLE_CONNECTION, IDLE_PER_ORIGIN, IN_FLIGHT};
use super::policy::Policy;
use super::record::{Refusals, Tally};
use super::request::{Error, Parsed, Request, Response, Scope};
use super::retry::{Fate, again};
use crate::events::Events;

/// The connections of one connector, and what it may do with them.
pub(super) struct Door {
    connector: Arc<str>,
    policy: Arc<Policy>,
    events: Events,
    refusals: Arc<Refusals>,
    budget: Budget,
    client: Client<Connector, Full<Bytes>>,
    places: Semaphore,
}

/// An attempt without an answer.
struct Failure {
    fate: Fate,
    error: Error,
}

impl Door {
    pub fn new(
        connector: Arc<str>,
        policy: Arc<Policy>,
        events: Events,
        resolver: Arc<dyn Resolve>,
    ) -> Self {
        let client = client(Connector::new(policy.clone(), resolver, Profile::default()));
        let (refusals, budget) = (Arc::default(), Budget::default());
        let places = Semaphore::new(IN_FLIGHT);
        Self { connector, policy, events, refusals, budget, client, places }
    }

    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Begins the record of a request.
    pub fn tally(&self, request: &Request, scope: &Scope) -> Tally {
        Tally::new(
            self.connector.clone(),
            self.events.clone(),
            self.refusals.clone(),
            request,
            scope,
        )
    }

    /// Sends a request, and sends it again where that is safe, worth it and still in time.
    pub async fn deliver(
        &self,
        request: &Parsed,
        until: Instant,
        tally: &mut Tally,
    ) -> Result<Response, Error> {
        let mut attempt = 1;
        loop {
            let outcome = self.attempt(request, until, tally).await;
            let is_last = attempt >= request.attempts;
            if is_last || !again(&request.method, request.keyed, fate(&outcome)) {
                return outcome.map_err(|failure| failure.error);
            }
            let wait = wait(attempt, &outcome);
            if wait >= until.saturating_duration_since(Instant::now()) {
                tally
                    .gave_up(format!("not sent again: waiting {wait:?} would pass the time limit"));
                return outcome.map_err(|failure| failure.error);
            }
            // The answer may be large, and nobody will read it.
            drop(outcome);
            sleep(wait).await;
            attempt += 1;
        }
    }

    /// Sends a request once.
    async fn attempt(
        &self,
        request: &Parsed,
        until: Instant,
        tally: &mut Tally,
    ) -> Result<Response, Failure> {
        let _place = self.place(until).await?;
        let started = Instant::now();
        // Looked at first, because a time limit lets what it limits run once before it looks.
        if started >= until {
            return Err(out_of_time());
        }
        tally.attempt(request.body.len());
        let by = until.min(started + request.attempt);
        let answer = timeout_at(by, self.exchange(request))
            .await
            .unwrap_or_else(|_| Err(timed_out(request, by - started)))?;
        tally.received(answer.body.len());
        Ok(answer)
    }

    /// Waits for a place among the requests on the wire. Not held while waiting for a next attempt
    /// or for a token, so that neither can starve the others.
    async fn place(&self, until: Instant) -> Result<SemaphorePermit<'_>, Failure> {
        let place = timeout_at(until, self.places.acquire()).await;
        place.ok().and_then(Result::ok).ok_or_else(|| Failure {
            fate: Fate::Final,
            error: Error::Limit(format!(
                "{IN_FLIGHT} requests of this connector were under way until the time limit; \
                 make fewer at once"
            )),
        })
    }

    async fn exchange(&self, request: &Parsed) -> Result<Response, Failure> {
        let mut message = http::Request::new(Full::new(request.body.clone()));
        *message.method_mut() = request.method.clone();
        *message.uri_mut() = request.uri.clone();
        *message.headers_mut() = request.headers.clone();
        match self.client.request(message).await {
            Ok(answer) => read(answer, request, self.budget.hold()).await,
            Err(error) => Err(unsent_or_broken(&error, request)),
        }
    }
}

fn client(connector: Connector) -> Client<Connector, Full<Bytes>> {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_CONNECTION)
        .pool_max_idle_per_host(IDLE_PER_ORIGIN)
        .http1_max_buf_size(ANSWER_HEAD)
        .http1_max_headers(ANSWER_HEADERS)
        .http2_max_header_list_size(ANSWER_HEAD as u32)
        // Safe for a POST, too: it repeats only what hyper gives back unsent because a connection
        // from the pool had closed in the meantime.
        .retry_canceled_requests(true)
        .build(connector)
}

fn fate(outcome: &Result<Response, Failure>) -> Fate {
    match outcome {
        Ok(answer) => Fate::Answered(answer.status),
        Err(failure) => failure.fate,
    }
}

/// The pause before the next attempt: ours, or the server's where it asks for more.
fn wait(attempt: u32, outcome: &Result<Response, Failure>) -> Duration {
    let asked =
        outcome.as_ref().ok().and_then(|answer| retry_after(&answer.headers, SystemTime::now()));
    pause(attempt, rand::random()).max(asked.unwrap_or_default())
}

async fn read(
    answer: http::Response<Incoming>,
    request: &Parsed,
    mut held: Held,
) -> Result<Response, Failure> {
    let (head, body) = answer.into_parts();
    let limit = request.answer_bytes;
    // Said beforehand, it need not be read to be refused.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(request, "body", limit));
    }
    let mut body = Limited::new(body, limit);
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => {
                let grown = held.grow(data.len());
                grown.map_err(|error| Failure { fate: Fate::Final, error })?;
                whole.extend_from_slice(&data);
            }
            Ok(Err(_trailers)) => {}
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(too_large(request, "body", limit));
            }
            Err(error) => return Err(broken(request, &*error)),
        }
    }
    Ok(Response {
        status: head.status.as_u16(),
        headers: head.headers,
        body: whole.freeze(),
        held: Arc::new(held),
    })
}

/// What is known after an attempt that got no answer.
fn unsent_or_broken(error: &legacy::Error, request: &Parsed) -> Failure {
    let not_sent = |error| Failure { fate: Fate::NotSent, error };
    if let Some(error) = find::<DialError>(error) {
        return match error {
            DialError::Denied(refusal) => {
                Failure { fate: Fate::Final, error: refusal.clone().into() }
            }
            DialError::Dns(text) => not_sent(Error::Dns(text.clone())),
            DialError::Connect(text) => not_sent(Error::Connect(text.clone())),
        };
    }
    let hyper = find::<hyper::Error>(error);
    if hyper.is_some_and(hyper::Error::is_parse_too_large) {
        return too_large(request, "head", ANSWER_HEAD);
    }
    // hyper cancels only what it has not begun to send.
    if error.is_connect() || hyper.is_some_and(hyper::Error::is_canceled) {
        let text = format!("cannot connect to {}: {}", request.origin(), cause(error));
        let fate = if has_bad_certificate(error) { Fate::Final } else { Fate::NotSent };
        return Failure { fate, error: Error::Connect(text) };
    }
    broken(request, error)
}

/// A certificate does not get better within seconds.
fn has_bad_certificate(error: &legacy::Error) -> bool {
    matches!(find(error), Some(rustls::Error::InvalidCertificate(_)))
}

fn broken(request: &Parsed, error: &(dyn StdError + 'static)) -> Failure {
    let text = format!(
        "the connection to {} broke before the whole answer came ({}); \
         the request may have been carried out",
        request.origin(),
        cause(error)
    );
    Failure { fate: Fate::MaybeSent, error: Error::Interrupted(text) }
}

fn timed_out(request: &Parsed, limit: Duration) -> Failure {
    let text = format!(
        "{} did not answer within {}; the request may have been carried out; \
         give it a longer time limit if it needs one",
        request.origin(),
        shown(limit)
    );
    Failure { fate: Fate::MaybeSent, error: Error::Timeout(text) }
}

/// A time for people: `2 s`, `0.5 s`.
fn shown(time: Duration) -> String {
    format!("{} s", (time.as_secs_f64() * 10.0).round() / 10.0)
}

fn out_of_time() -> Failure {
    let text = "the time limit had passed before the request could be sent";
    Failure { fate: Fate::Final, error: Error::Timeout(text.into()) }
}

fn too_large(request: &Parsed, part: &str, limit: usize) -> Failure {
    let text = format!("the {part} of the answer of {} is over {limit} bytes", request.origin());
    Failure { fate: Fate::Final, error: Error::Limit(text) }
}

/// The innermost error, which says what happened; the ones around it say where.
fn cause(error: &(dyn StdError + 'static)) -> String {
    links(error).last().map(ToString::to_string).unwrap_or_default()
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    links(error).find_map(|link| link.downcast_ref())
}

fn links<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| inner(error))
}

/// An `io::Error` gives the source of what it holds, and so hides what it holds.
fn inner<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(held) => Some(held),
        None => error.source(),
    }
}
