//! `wasi:http`: requests of unmodified code (`fetch`, `requests`, any crate), through the same broker
//! as our own interface.

pub mod codes;
mod hoard;
mod outgoing;
mod pending;

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TE};
use http_body_util::BodyExt as _;
use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error as WasiError, ForbiddenHeaderFilter, RequestOptions, WasiBody,
    WasiHttpCtx, WasiHttpHooks,
};

use super::begin_here;
use crate::broker::{Broker, Request, Scope, Streamed};
use crate::envelope::{Limit, Limits};
use hoard::{Hoard, Verdict};
use outgoing::{Mishap, gather};
use pending::Pending;

type Answered = http::Response<WasiBody>;
type Rest = Box<dyn Future<Output = Result<(), WasiError>> + Send>;

/// Sends what a `wasi:http` guest wants sent.
pub struct Hooks {
    broker: Option<Arc<Broker>>,
    scope: Scope,
    hoard: Hoard,
    /// Of this call, from its first request on.
    pending: Option<Pending>,
    limits: Arc<Limits>,
}

impl Hooks {
    /// Without a broker every request is denied.
    pub fn new(broker: Option<Arc<Broker>>, scope: Scope, limits: Arc<Limits>) -> Self {
        Self { broker, scope, hoard: Hoard::default(), pending: None, limits }
    }

    /// Called before every call of `wasi:http`. A guest that keeps too many header fields loses them,
    /// and traps when it adds the next one.
    pub fn tend(&mut self, table: &mut ResourceTable, context: &mut WasiHttpCtx) {
        match self.hoard.look(table) {
            None => {}
            Some(Verdict::Fine) => {
                context.set_field_size_limit(self.limits.bytes(Limit::Fields));
            }
            Some(Verdict::TooMuch) => context.set_field_size_limit(0),
        }
    }

    /// Requests belong to this call from now on.
    pub fn enter(&mut self, scope: Scope) {
        self.scope = scope;
    }

    /// Ends the requests of the call.
    pub fn leave(&mut self) {
        if let Some(pending) = self.pending.take() {
            pending.end();
        }
    }
}

impl WasiHttpHooks for Hooks {
    /// Those that the broker would refuse, so that the guest learns it when it sets one.
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|name| DEFAULT_FORBIDDEN_HEADERS.contains(name) || *name == TE)
    }

    /// What is held of a body that nobody reads.
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        self.hoard.piece()
    }

    /// The broker sets the header from the URL, and refuses one that comes with the request.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Rest,
    ) -> Box<dyn Future<Output = Result<(Answered, Rest), WasiError>> + Send> {
        let most = self.limits.count(Limit::Started);
        let place = self.pending.get_or_insert_with(|| Pending::new(most)).place();
        let (broker, scope) = (self.broker.clone(), self.scope.clone());
        let sending = async move {
            let broker = broker.ok_or(WasiError::HttpRequestDenied)?;
            let place = place.ok_or(WasiError::ConnectionLimitReached)?;
            let answer = place.work(ask(&broker, request, options, &scope)).await?;
            let (head, body) = answer.into_parts();
            let (body, end) = place.keep(body);
            let end = async move {
                end.await;
                Ok(())
            };
            Ok((Answered::from_parts(head, body), Box::new(end) as Rest))
        };
        match begin_here(sending) {
            Ok(outcome) => Box::new(ready(outcome)),
            Err(sending) => Box::new(sending),
        }
    }
}

async fn ask(
    broker: &Broker,
    request: http::Request<WasiBody>,
    options: Option<RequestOptions>,
    scope: &Scope,
) -> Result<Answered, WasiError> {
    let (head, body) = request.into_parts();
    let (mishap, mut held) = (Mishap::default(), broker.hold());
    let length = content_length(&head.headers);
    let (body, upload) = gather(body, length, &mut held, &mishap).await?;
    let request = read_request(&head, body, options);
    let (timeout, pause) = (request.timeout.is_some(), request.pause_timeout.is_some());
    let answer = broker.open(request, upload, scope).await;
    drop(held);
    // What the guest did wrong itself is nearer the truth than what came of it.
    let answer = answer.map_err(|error| {
        mishap.take().unwrap_or_else(|| codes::of_request(error, &head, timeout))
    })?;
    answered(answer, pause)
}

fn content_length(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn read_request(
    head: &http::request::Parts,
    body: Option<Bytes>,
    options: Option<RequestOptions>,
) -> Request {
    let fields = head.headers.iter();
    let limit = |limit: fn(&RequestOptions) -> Option<Duration>| options.as_ref().and_then(limit);
    Request {
        method: head.method.to_string(),
        url: head.uri.to_string(),
        headers: fields
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect(),
        body,
        connect_timeout: limit(|options| options.connect_timeout),
        timeout: limit(|options| options.first_byte_timeout),
        pause_timeout: limit(|options| options.between_bytes_timeout),
        // Unmodified code has retries of its own, or expects none.
        attempts: Some(1),
        idempotency_key: None,
        credential: None,
    }
}

fn answered(answer: Streamed, is_limited: bool) -> Result<Answered, WasiError> {
    let Streamed { status, headers, body } = answer;
    let body = body.map_err(move |error| codes::of_answer(error, is_limited));
    let mut answer = http::Response::new(body.boxed_unsync());
    *answer.status_mut() =
        http::StatusCode::from_u16(status).map_err(|_| WasiError::HttpProtocolError)?;
    *answer.headers_mut() = headers;
    Ok(answer)
}
