//! Sends a request that was let through: limits, the loop of attempts, and one attempt.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use tokio::time::{Instant, sleep, timeout_at};

use super::answer::{Answer, AnswerBody, Reading, Timed, Unread, Watch, Watched, collect};
use super::backoff::Pauses;
use super::credential::Dressed;
use super::dial::Resolve;
use super::failure::{
    Failure, broken, not_connected, out_of_time, timed_out, too_large, unsent_or_broken,
};
use super::held::Budget;
use super::order::Order;
use super::payload::Payload;
use super::policy::Policy;
use super::pool::Pools;
use super::record::{Tally, Teller};
use super::request::{Error, Parsed, Request, Scope};
use super::retry::{Fate, after_one_that_may_be_done, again, may_be_done};
use super::traffic::asked::asked_pause;
use super::traffic::{Place, Share, budget};

/// The connections of one connector, and what it may do with them.
pub(super) struct Door {
    teller: Arc<Teller>,
    policy: Arc<Policy>,
    budget: Budget,
    pools: Pools,
    traffic: Share,
}

impl Door {
    pub fn new(
        teller: Teller,
        policy: Arc<Policy>,
        resolver: Arc<dyn Resolve>,
        traffic: Share,
    ) -> Self {
        let pools = Pools::new(policy.clone(), resolver);
        let (teller, budget) = (Arc::new(teller), Budget::default());
        Self { teller, policy, budget, pools, traffic }
    }

    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Begins the record of a request.
    pub fn tally(&self, request: &Request, scope: &Scope) -> Tally {
        self.teller.tally(request, scope)
    }

    /// Sends a request, and sends it again where that is safe, worth it and still in time.
    pub async fn deliver(&self, order: &Order<'_>, tally: &mut Tally) -> Result<Answer, Error> {
        let mut pauses = order.pauses.clone();
        let (mut attempt, mut is_renewed, mut may_be_done_before) = (1, false, false);
        self.traffic.repeats.request();
        loop {
            let dressed = dress(order, tally).await?;
            let request = dressed.as_ref().map_or(order.request, |dressed| &dressed.request);
            let outcome = self.attempt(request, order, tally).await;
            // Once: a second refusal is the answer.
            let head = outcome.as_ref().ok().map(|answer| (answer.status, &answer.headers));
            if !is_renewed && is_renewable(order, dressed.as_ref(), head).await? {
                is_renewed = true;
                continue;
            }
            let Some(pause) = self.pause(order, attempt, &outcome, &mut pauses, tally) else {
                return outcome.map_err(|Failure { error, .. }| match may_be_done_before {
                    true => after_one_that_may_be_done(error),
                    false => error,
                });
            };
            may_be_done_before |= may_be_done(fate(&outcome));
            tally.waits(pause, why(&outcome));
            // The answer may be large, and nobody will read it.
            drop(outcome);
            sleep(pause).await;
            attempt += 1;
        }
    }

    /// How long to wait before the request is sent again. None where it is not sent again.
    fn pause(
        &self,
        order: &Order<'_>,
        attempt: u32,
        outcome: &Result<Answer, Failure>,
        pauses: &mut Pauses,
        tally: &mut Tally,
    ) -> Option<Duration> {
        let request = order.request;
        let is_last = attempt >= order.attempts || is_spent(request);
        if is_last || !again(&request.method, request.keyed, fate(outcome)) {
            return None;
        }
        let asked = outcome
            .as_ref()
            .ok()
            .and_then(|answer| asked_pause(answer.status, &answer.headers, SystemTime::now()));
        // Ours, or the server's where it asks for more.
        let pause = pauses.next(rand::random()).max(asked.unwrap_or_default());
        if pause >= order.times.until.saturating_duration_since(Instant::now()) {
            tally.gave_up(format!("not sent again: waiting {pause:?} would pass the time limit"));
            return None;
        }
        if let Err(error) = self.traffic.breakers.check(&order.route) {
            tally.gave_up(format!("not sent again: {error}"));
            return None;
        }
        if !self.traffic.repeats.may_repeat() {
            tally.gave_up(budget::SPENT.into());
            return None;
        }
        Some(pause)
    }

    /// Sends a request once, when it is its turn.
    ///
    /// The place on the wire is not held while waiting for a next attempt or for a token, so that
    /// neither can starve the others.
    async fn attempt(
        &self,
        request: &Parsed,
        order: &Order<'_>,
        tally: &mut Tally,
    ) -> Result<Answer, Failure> {
        let (route, until) = (&order.route, order.times.until);
        let asked = Instant::now();
        self.traffic.breakers.check(route).map_err(Failure::last)?;
        let place = self.traffic.enter(route, &order.pace, until).await.map_err(Failure::last)?;
        let pass = self.traffic.breakers.admit(route).map_err(Failure::last)?;
        let started = Instant::now();
        tally.queued(started - asked);
        // Looked at first, because a time limit lets what it limits run once before it looks.
        if started >= until {
            return Err(out_of_time());
        }
        tally.begin_attempt(request.body.len());
        let by = until.min(started + request.attempt);
        let outcome = timeout_at(by, self.exchange(request, order, place))
            .await
            .unwrap_or_else(|_| Err(timed_out(request, by - started)));
        pass.report(fate(&outcome));
        self.note(order, &outcome, tally);
        outcome
    }

    fn note(&self, order: &Order<'_>, outcome: &Result<Answer, Failure>, tally: &mut Tally) {
        match outcome {
            Ok(answer) => {
                self.traffic.note(&order.route, &answer.headers);
                match &answer.body {
                    AnswerBody::Whole(body, _) => {
                        tally.received(body.len());
                        tally.end_attempt(Ok(answer.status));
                    }
                    // Ends with the body.
                    AnswerBody::Pieces(_) => tally.answering(answer.status),
                }
            }
            Err(failure) => tally.end_attempt(Err(&failure.error)),
        }
    }

    async fn exchange(
        &self,
        request: &Parsed,
        order: &Order<'_>,
        place: Place,
    ) -> Result<Answer, Failure> {
        let mut message = http::Request::new(Payload::new(&request.body, request.upload.as_ref()));
        *message.method_mut() = request.method.clone();
        *message.uri_mut() = request.uri.clone();
        *message.headers_mut() = request.headers.clone();
        let connected = connected(request, &mut message);
        let answering = self.pools.client(&order.purpose).request(message);
        let answer = tokio::select! {
            biased;
            answer = answering => answer,
            failure = connected => return Err(failure),
        };
        match answer {
            Ok(answer) => self.read(answer, order, place).await,
            Err(error) => Err(unsent_or_broken(&error, request)),
        }
    }

    async fn read(
        &self,
        answer: http::Response<Incoming>,
        order: &Order<'_>,
        place: Place,
    ) -> Result<Answer, Failure> {
        let (head, body) = answer.into_parts();
        let request = order.request;
        let origin = request.origin();
        let body = body.map_err(move |error| broken(&origin, &error));
        let body = match order.reading {
            Reading::Whole => {
                let mut held = self.budget.hold();
                let limit = request.answer_bytes;
                let whole = collect(body, limit, &mut held).await;
                AnswerBody::Whole(whole.map_err(|unread| unread_body(unread, request))?, held)
            }
            Reading::Pieces => {
                let timed = Timed::new(body, request.pause, order.times.deadline);
                AnswerBody::Pieces(Watched::new(timed, place).boxed_unsync())
            }
        };
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }
}

/// The request with its credential in it. None where it has none.
async fn dress(order: &Order<'_>, tally: &mut Tally) -> Result<Option<Dressed>, Error> {
    let Some(credential) = order.credential else { return Ok(None) };
    let asked = Instant::now();
    let dressed = credential.dress(order.request, order.vault, order.times.until).await;
    tally.token_took(asked.elapsed());
    dressed.map(Some)
}

/// Whether the server refused the token, and so did nothing, and there is another one now. Then a
/// POST may be sent again, too.
async fn is_renewable(
    order: &Order<'_>,
    dressed: Option<&Dressed>,
    head: Option<(u16, &HeaderMap)>,
) -> Result<bool, Error> {
    let (Some(credential), Some(dressed)) = (order.credential, dressed) else { return Ok(false) };
    let Some((status @ (401 | 403), headers)) = head else { return Ok(false) };
    if is_spent(order.request) {
        return Ok(false);
    }
    credential.refused(dressed, status, headers, order.times.until).await
}

/// A place among the requests on the wire is kept until the body is over.
impl Watch for Place {
    fn piece(&mut self, _: usize) {}
    fn end(self, _: Result<(), &Error>) {}
}

/// Ends where no connection is made within the time that the guest gave for it.
fn connected(
    request: &Parsed,
    message: &mut http::Request<Payload>,
) -> impl Future<Output = Failure> + use<> {
    let watched = request.connect.map(|limit| (limit, capture_connection(message)));
    let failure = request.connect.map(|limit| not_connected(request, limit));
    async move {
        if let (Some((limit, connection)), Some(failure)) = (watched, failure)
            && !connects(connection, limit).await
        {
            return failure;
        }
        std::future::pending().await
    }
}

async fn connects(mut connection: CaptureConnection, limit: Duration) -> bool {
    let connection = connection.wait_for_connection_metadata();
    tokio::time::timeout(limit, connection).await.is_ok()
}

/// Whether the body has gone already.
pub(super) fn is_spent(request: &Parsed) -> bool {
    request.upload.as_ref().is_some_and(super::payload::Upload::is_spent)
}

fn unread_body(unread: Unread, request: &Parsed) -> Failure {
    match unread {
        Unread::TooLarge => Failure::last(too_large(request, "body", request.answer_bytes)),
        Unread::Failed(error @ Error::Interrupted(_)) => Failure { fate: Fate::MaybeSent, error },
        Unread::Failed(error) => Failure::last(error),
    }
}

fn fate(outcome: &Result<Answer, Failure>) -> Fate {
    match outcome {
        Ok(answer) => Fate::Answered(answer.status),
        Err(failure) => failure.fate,
    }
}

/// What a pause is for.
fn why(outcome: &Result<Answer, Failure>) -> String {
    match outcome {
        Ok(answer) if answer.headers.contains_key(RETRY_AFTER) => {
            format!("status {}, Retry-After", answer.status)
        }
        Ok(answer) => format!("status {}", answer.status),
        Err(failure) => match failure.fate {
            Fate::NotSent => "not sent".into(),
            _ => "no answer".into(),
        },
    }
}
