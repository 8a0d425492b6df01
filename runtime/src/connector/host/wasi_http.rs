//! `wasi:http`: requests of unmodified code (`fetch`, `requests`, any crate), through the same broker
//! as our own interface.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use wasmtime_wasi_http::{Error as WasiError, RequestOptions, WasiBody, WasiHttpHooks};

use crate::broker::{self, Broker, Error, Request, Response, Scope};

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
            let request = collect(request, options).await?;
            let response = broker.send(request, &scope).await.map_err(to_wasi)?;
            Ok((answer(response)?, Box::new(std::future::ready(Ok(()))) as Rest))
        })
    }
}

async fn collect(
    request: http::Request<WasiBody>,
    options: Option<RequestOptions>,
) -> Result<Request, WasiError> {
    let (head, body) = request.into_parts();
    let limit = broker::REQUEST_BODY;
    let body = Limited::new(body, limit).collect().await.map_err(|error| {
        match error.downcast::<WasiError>() {
            Ok(error) => *error,
            Err(_) => WasiError::HttpRequestBodySize(u64::try_from(limit).ok()),
        }
    })?;
    let body = body.to_bytes();
    let options = options.unwrap_or_default();
    Ok(Request {
        method: head.method.to_string(),
        url: head.uri.to_string(),
        headers: head
            .headers
            .iter()
            .map(|(name, v)| (name.to_string(), v.as_bytes().to_vec()))
            .collect(),
        body: if body.is_empty() { None } else { Some(body) },
        timeout: options.first_byte_timeout,
        // Unmodified code has retries of its own, or expects none.
        attempts: Some(1),
        idempotency_key: None,
        credential: None,
    })
}

fn answer(response: Response) -> Result<Answered, WasiError> {
    let Response { status, headers, body } = response;
    let never = |never: std::convert::Infallible| match never {};
    let body = Full::<Bytes>::new(body).map_err(never).boxed_unsync();
    let mut answer = http::Response::new(body);
    *answer.status_mut() =
        http::StatusCode::from_u16(status).map_err(|_| WasiError::HttpProtocolError)?;
    *answer.headers_mut() = headers;
    Ok(answer)
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
