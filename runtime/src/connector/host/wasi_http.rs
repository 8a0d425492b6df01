//! `wasi:http`: requests of unmodified code (`fetch`, `requests`, any crate), through the same broker
//! as our own interface.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::header::CONTENT_LENGTH;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::{Error as WasiError, RequestOptions, WasiBody, WasiHttpHooks};

use crate::broker::{Broker, Error, Request, Scope, Streamed, Upload};

type Answered = http::Response<WasiBody>;
type Rest = Box<dyn Future<Output = Result<(), WasiError>> + Send>;

/// A body that is whole within this size and time is sent with its length, which some servers insist
/// on, and again where that is safe. A guest may also wait for the answer before it goes on writing;
/// then it is sent as it comes.
const GATHERED: usize = 64 * 1024;
const GATHERING: Duration = Duration::from_millis(100);

/// Sends what a `wasi:http` guest wants sent.
pub struct Hooks {
    broker: Option<Arc<Broker>>,
    scope: Scope,
}

impl Hooks {
    /// Without a broker every request is denied.
    pub fn new(broker: Option<Arc<Broker>>, scope: Scope) -> Self {
        Self { broker, scope }
    }

    /// Requests belong to this call from now on.
    pub fn enter(&mut self, scope: Scope) {
        self.scope = scope;
    }
}

impl WasiHttpHooks for Hooks {
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
        let (broker, scope) = (self.broker.clone(), self.scope.clone());
        Box::new(async move {
            let broker = broker.ok_or(WasiError::HttpRequestDenied)?;
            let (head, body) = request.into_parts();
            let (body, upload) = gather(body, content_length(&head.headers)).await?;
            let request = read_request(&head, body, options);
            let answer = broker.open(request, upload, &scope).await.map_err(to_wasi)?;
            Ok((answered(answer)?, Box::new(std::future::ready(Ok(()))) as Rest))
        })
    }
}

fn content_length(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The body, whole where it is small, else as an upload that begins with what was read.
async fn gather(
    mut body: WasiBody,
    length: Option<u64>,
) -> Result<(Option<Bytes>, Option<Upload>), WasiError> {
    let until = Instant::now() + GATHERING;
    let mut begin = BytesMut::new();
    while begin.len() <= GATHERED {
        match timeout_at(until, body.frame()).await {
            Ok(None) => return Ok(((!begin.is_empty()).then(|| begin.freeze()), None)),
            Ok(Some(frame)) => {
                if let Ok(data) = frame?.into_data() {
                    begin.extend_from_slice(&data);
                }
            }
            Err(_) => break,
        }
    }
    let begin = (!begin.is_empty()).then(|| Ok(Frame::data(begin.freeze())));
    let rest = stream::unfold(body, |mut body| async move {
        let frame = body.frame().await?;
        Some((frame.map_err(from_wasi), body))
    });
    let frames = futures_util::StreamExt::chain(stream::iter(begin), rest);
    Ok((None, Some(Upload::new(StreamBody::new(frames), length))))
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

fn answered(answer: Streamed) -> Result<Answered, WasiError> {
    let Streamed { status, headers, body } = answer;
    let mut answer = http::Response::new(body.map_err(to_wasi).boxed_unsync());
    *answer.status_mut() =
        http::StatusCode::from_u16(status).map_err(|_| WasiError::HttpProtocolError)?;
    *answer.headers_mut() = headers;
    Ok(answer)
}

/// What the guest did to its own body.
fn from_wasi(error: WasiError) -> Error {
    Error::InvalidRequest(format!("the request's body was not finished: {error}"))
}

/// The guest gets a code; the whole text is in the request's record, which the operator sees.
fn to_wasi(error: Error) -> WasiError {
    match error {
        Error::InvalidRequest(_) => WasiError::HttpRequestUriInvalid,
        Error::Denied(_) => WasiError::HttpRequestDenied,
        Error::Dns(text) => WasiError::DnsError { rcode: Some(text), info_code: None },
        Error::Connect(_) => WasiError::ConnectionRefused,
        Error::ConnectTimeout(_) => WasiError::ConnectionTimeout,
        Error::Timeout(_) => WasiError::HttpResponseTimeout,
        Error::Interrupted(_) => WasiError::ConnectionTerminated,
        Error::Limit(_) => WasiError::HttpResponseBodySize(None),
        Error::Credential(text) => WasiError::InternalError(Some(text)),
    }
}
