//! Sends a request that was let through: limits, the loop of attempts, and one attempt.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, RETRY_AFTER};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use tokio::time::{Instant, sleep, timeout_at};

use super::allowance::{Flow, Metered};
use super::answer::{
    Answer, AnswerBody, Capped, Mortal, Reading, Timed, Unread, Watch, Watched, WireBytes, collect,
};
use super::backoff::Pauses;
use super::cap::Cap;
use super::credential::Dressed;
use super::decode::{self, Decoded};
use super::dial::{Dialled, Used};
use super::failure::{Failure, broken, not_connected, out_of_time, timed_out, unsent_or_broken};
use super::held::Budget;
use super::limits::REFUSAL_BODY;
use super::order::Order;
use super::payload::{Payload, Upload};
use super::policy::Policy;
use super::pool::Pools;
use super::record::{Tally, Teller};
use super::request::{Error, Parsed, Request, Scope};
use super::retry::{Fate, after_one_that_may_be_done, again, may_be_done};
use super::traffic::asked::asked_pause;
use super::traffic::{Place, Share, budget};
use crate::envelope::Limits;
use crate::events::Connection;

/// The connections of one connector, and what it may do with them.
pub(super) struct Door {
    teller: Arc<Teller>,
    policy: Arc<Policy>,
    limits: Arc<Limits>,
    budget: Budget,
    pools: Pools,
    traffic: Arc<Share>,
}

impl Door {
    pub fn new(
        teller: Teller,
        policy: Arc<Policy>,
        pools: Pools,
        traffic: Arc<Share>,
        limits: Arc<Limits>,
    ) -> Self {
        let (teller, budget) = (Arc::new(teller), Budget::new(&limits));
        Self { teller, policy, limits, budget, pools, traffic }
    }

    /// What the connector may use up.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The connector's part in the traffic.
    pub fn traffic(&self) -> &Arc<Share> {
        &self.traffic
    }

    /// How many connections there are.
    #[cfg(test)]
    pub fn connections(&self) -> usize {
        self.pools.open.count()
    }

    /// Begins the record of a request.
    pub fn tally(&self, request: &Request, scope: &Scope) -> Tally {
        self.teller.tally(request, scope)
    }

    /// Sends a request, and sends it again where that is safe, worth it and still in time.
    pub async fn deliver(&self, order: &Order<'_>, tally: &mut Tally) -> Result<Answer, Error> {
        let mut pauses = order.pauses.clone();
        let (mut attempt, mut is_renewed, mut may_be_done_before) = (1, false, false);
        order.allowance.request(body_bytes(order.request))?;
        self.traffic.repeats.request();
        loop {
            let told = |error| told(error, may_be_done_before);
            let dressed = dress(order, tally).await.map_err(told)?;
            let request = dressed.as_ref().map_or(order.request, |dressed| &dressed.request);
            let mut outcome = self.attempt(request, order, tally).await;
            // Once: a second refusal is the answer.
            if !is_renewed {
                let renewed = self.renew(order, dressed.as_ref(), &mut outcome).await;
                is_renewed = renewed.map_err(told)?;
                if is_renewed {
                    continue;
                }
            }
            let Some(pause) = self.pause(order, attempt, &outcome, &mut pauses, tally) else {
                return outcome.map_err(|failure| told(failure.error));
            };
            may_be_done_before |= may_be_done(fate(&outcome));
            tally.waits(pause, why(&outcome));
            // The answer may be large, and nobody will read it.
            drop(outcome);
            sleep(pause).await;
            attempt += 1;
        }
    }

    /// Whether the server refused the token, and so did nothing, and there is another one now. Then a
    /// POST may be sent again, too.
    async fn renew(
        &self,
        order: &Order<'_>,
        dressed: Option<&Dressed>,
        outcome: &mut Result<Answer, Failure>,
    ) -> Result<bool, Error> {
        let (Some(credential), Some(dressed)) = (order.credential, dressed) else {
            return Ok(false);
        };
        let Ok(answer @ Answer { status: 401 | 403, .. }) = &mut *outcome else { return Ok(false) };
        if is_spent(order.request) {
            return Ok(false);
        }
        let read = match answer.status == 401 && dressed.has_token() {
            true => self.read_refusal(answer, order).await,
            false => Ok(()),
        };
        let (status, headers) = (answer.status, &answer.headers);
        let renewed = credential.refused(dressed, status, headers, order.times.until).await;
        if let (Ok(false), Err(unread)) = (&renewed, read) {
            *outcome = Err(unread);
        }
        renewed
    }

    /// Reads what is still to come of a refusal. Its place is free then, which the request for
    /// another token may wait for.
    async fn read_refusal(&self, answer: &mut Answer, order: &Order<'_>) -> Result<(), Failure> {
        let AnswerBody::Pieces(pieces) = &mut answer.body else { return Ok(()) };
        let mut held = self.budget.hold();
        let cap = Cap::fixed(REFUSAL_BODY);
        let reading = timeout_at(order.times.until, collect(pieces, cap.bytes, &mut held)).await;
        let (body, outcome) = match reading {
            Ok(Ok(body)) => (body, Ok(())),
            Ok(Err(unread)) => (Bytes::new(), Err(unread_body(unread, order.request, &cap))),
            Err(_) => (Bytes::new(), Err(out_of_time())),
        };
        answer.body = AnswerBody::Whole(body, held);
        outcome
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
        if let Err(breach) = order.allowance.allows(body_bytes(request)) {
            tally.gave_up(format!("not sent again: {breach}"));
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
        // An upload is counted piece by piece.
        let sent = order.allowance.send(request.body.len() as u64);
        sent.map_err(|breach| Failure::last(breach.into()))?;
        let pass = self.traffic.breakers.admit(route).map_err(Failure::last)?;
        let started = Instant::now();
        tally.queued(started - asked);
        // Looked at first, because a time limit lets what it limits run once before it looks.
        if started >= until {
            return Err(out_of_time());
        }
        tally.begin_attempt(request.body.len());
        let by = until.min(started + request.attempt);
        let outcome = timeout_at(by, self.exchange(request, order, place, tally))
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
                        let wire = answer.wire_bytes.as_ref().map(WireBytes::get);
                        if wire.is_some() {
                            tally.decoded(body.len());
                        }
                        let wire = wire.and_then(|bytes| usize::try_from(bytes).ok());
                        tally.received(wire.unwrap_or(body.len()));
                        tally.end_attempt(Ok(answer.status));
                    }
                    // Ends with the body.
                    AnswerBody::Pieces(_) => tally.attempt_answered(answer.status),
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
        tally: &mut Tally,
    ) -> Result<Answer, Failure> {
        let mut message = http::Request::new(Payload::new(&request.body, request.upload.as_ref()));
        *message.method_mut() = request.method.clone();
        *message.uri_mut() = request.uri.clone();
        *message.headers_mut() = request.headers.clone();
        let mut dial = Dial { connection: capture_connection(&mut message), tally };
        let client = self.pools.client(&order.purpose).map_err(Failure::last)?;
        let answer = tokio::select! {
            biased;
            answer = client.request(message) => answer,
            failure = not_connected_in_time(request, &mut dial.connection) => return Err(failure),
        };
        drop(dial);
        match answer {
            Ok(answer) => self.read(answer, request, order, place).await,
            Err(error) => Err(unsent_or_broken(&error, request)),
        }
    }

    async fn read(
        &self,
        answer: http::Response<Incoming>,
        request: &Parsed,
        order: &Order<'_>,
        place: Place,
    ) -> Result<Answer, Failure> {
        let (mut head, body) = answer.into_parts();
        // Cheap, and an error is rare. Of its query nothing is told.
        let (uri, upload) = (request.uri.clone(), request.upload.clone());
        // An upload that ends with an error takes its connection along.
        let own = move || upload.as_ref().and_then(Upload::failure);
        let body =
            body.map_err(move |error| own().unwrap_or_else(|| broken(&origin(&uri), &error)));
        let body = Metered::new(body, Flow::Received, order.allowance);
        let is_coded = request.decodes && head.headers.contains_key(CONTENT_ENCODING);
        if !is_coded {
            let body = self.take(body, request, order, place).await?;
            return Ok(answered(head, body, None));
        }
        let wire_bytes = WireBytes::default();
        let body = Watched::new(body, wire_bytes.clone());
        let body = decode::decode(
            &mut head.headers,
            body,
            order.answer_cap,
            request.origin(),
            &self.budget,
        );
        let body = body.map_err(Failure::last)?;
        let wire_bytes = matches!(body, Decoded::Decoded(_)).then_some(wire_bytes);
        let body = self.take(body, request, order, place).await?;
        Ok(answered(head, body, wire_bytes))
    }

    /// Takes a body as it is wanted.
    async fn take(
        &self,
        body: impl Body<Data = Bytes, Error = Error> + Send + Unpin + 'static,
        request: &Parsed,
        order: &Order<'_>,
        place: Place,
    ) -> Result<AnswerBody, Failure> {
        let body = Metered::new(body, Flow::Decoded, order.allowance);
        let cap = order.answer_cap;
        match order.reading {
            Reading::Whole => {
                let mut held = self.budget.hold();
                let whole = collect(body, cap.bytes, &mut held).await;
                let whole = whole.map_err(|unread| unread_body(unread, request, &cap))?;
                Ok(AnswerBody::Whole(whole, held))
            }
            Reading::Pieces => {
                let capped = Capped::new(body, cap.bytes, cap.error(request.origin()));
                let timed = Timed::new(capped, request.pause, order.times.deadline);
                let body = Mortal::new(Watched::new(timed, place), order.times.deadline);
                Ok(AnswerBody::Pieces(body.boxed_unsync()))
            }
        }
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

/// A place among the requests on the wire is kept until the body is over.
impl Watch for Place {
    fn piece(&mut self, _: usize) {}
    fn end(self, _: Result<(), &Error>) {}
}

fn origin(uri: &http::Uri) -> String {
    let (scheme, authority) =
        (uri.scheme_str(), uri.authority().map(|authority| authority.as_str()));
    format!("{}://{}", scheme.unwrap_or_default(), authority.unwrap_or_default())
}

fn answered(
    head: http::response::Parts,
    body: AnswerBody,
    wire_bytes: Option<WireBytes>,
) -> Answer {
    Answer { status: head.status.as_u16(), headers: head.headers, body, wire_bytes }
}

/// The error of a request, for who needs to know whether it may have been carried out.
fn told(error: Error, may_be_done_before: bool) -> Error {
    if may_be_done_before { after_one_that_may_be_done(error) } else { error }
}

/// Tells where a request went when it is over, however it ends: also when its time was over, or it
/// was given up.
struct Dial<'a> {
    connection: CaptureConnection,
    tally: &'a mut Tally,
}

impl Drop for Dial<'_> {
    fn drop(&mut self) {
        dialled(&self.connection, self.tally);
    }
}

fn dialled(connection: &CaptureConnection, tally: &mut Tally) {
    let mut extras = http::Extensions::new();
    if let Some(connected) = &*connection.connection_metadata() {
        connected.get_extras(&mut extras);
    }
    if let (Some(&Dialled { address, proxied }), Some(used)) = (extras.get(), extras.get::<Used>())
    {
        tally.dialled(Connection { address, proxied, reused: used.again() });
    }
}

/// Ends where no connection is made within the time that the guest gave for it.
async fn not_connected_in_time(request: &Parsed, connection: &mut CaptureConnection) -> Failure {
    if let Some(limit) = request.connect {
        let connecting = connection.wait_for_connection_metadata();
        if tokio::time::timeout(limit, connecting).await.is_err() {
            return not_connected(request, limit);
        }
    }
    std::future::pending().await
}

/// What a request will send at least.
fn body_bytes(request: &Parsed) -> u64 {
    // One that is made while it is sent has something, as far as anybody knows.
    let uploaded = |upload: &Upload| upload.length().unwrap_or(1);
    request.upload.as_ref().map_or(request.body.len() as u64, uploaded)
}

/// Whether the body has gone already.
pub(super) fn is_spent(request: &Parsed) -> bool {
    request.upload.as_ref().is_some_and(Upload::is_spent)
}

fn unread_body(unread: Unread, request: &Parsed, cap: &Cap) -> Failure {
    match unread {
        Unread::TooLarge => Failure::last(cap.error(request.origin())),
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
