//! `wasi:http`: requests of unmodified code (`fetch`, `requests`, any crate), through the same broker
//! as our own interface.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use wasmtime_wasi_http::{Error as WasiError, RequestOptions, WasiBody, WasiHttpHooks};

use crate::broker::{Broker, Error, Held, REQUEST_BODY, Request, Response, Scope};

type Answered = http::Response<WasiBody>;
type Rest = Box<dyn Future<Output = Result<(), WasiError>> + Send>;

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
            let mut held = broker.hold();
            let request = collect(request, options, &mut held).await?;
            let response = broker.send(request, &scope).await.map_err(to_wasi)?;
            Ok((answer(response)?, Box::new(std::future::ready(Ok(()))) as Rest))
        })
    }
}

async fn collect(
    request: http::Request<WasiBody>,
    options: Option<RequestOptions>,
    held: &mut Held,
) -> Result<Request, WasiError> {
    let (head, mut body) = request.into_parts();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let too_large = || WasiError::HttpRequestBodySize(u64::try_from(REQUEST_BODY).ok());
        if whole.len() + data.len() > REQUEST_BODY || held.grow(data.len()).is_err() {
            return Err(too_large());
        }
        whole.extend_from_slice(&data);
    }
    Ok(Request {
        method: head.method.to_string(),
        url: head.uri.to_string(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect(),
        body: (!whole.is_empty()).then(|| whole.freeze()),
        timeout: options.and_then(|options| options.first_byte_timeout),
        // Unmodified code has retries of its own, or expects none.
        attempts: Some(1),
        idempotency_key: None,
        credential: None,
    })
}

fn answer(response: Response) -> Result<Answered, WasiError> {
    let Response { status, headers, body, held } = response;
    let body = HeldBody { body: Full::new(body), _held: held }.boxed_unsync();
    let mut answer = http::Response::new(body);
    *answer.status_mut() =
        http::StatusCode::from_u16(status).map_err(|_| WasiError::HttpProtocolError)?;
    *answer.headers_mut() = headers;
    Ok(answer)
}

/// A body that counts as held until the guest is done with it.
struct HeldBody {
    body: Full<Bytes>,
    _held: Arc<Held>,
}

impl Body for HeldBody {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WasiError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        frame.map(|frame| frame.map(|frame| frame.map_err(|never| match never {})))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The guest gets a code; the whole text is in the request's record, which the operator sees.
fn to_wasi(error: Error) -> WasiError {
    match error {
        Error::InvalidRequest(_) => WasiError::HttpRequestUriInvalid,
        Error::Denied(_) => WasiError::HttpRequestDenied,
        Error::Dns(text) => WasiError::DnsError { rcode: Some(text), info_code: None },
        Error::Connect(_) => WasiError::ConnectionRefused,
        Error::Timeout(_) => WasiError::HttpResponseTimeout,
        Error::Interrupted(_) => WasiError::ConnectionTerminated,
        Error::Limit(_) => WasiError::HttpResponseBodySize(None),
        Error::Credential(text) => WasiError::InternalError(Some(text)),
    }
}
