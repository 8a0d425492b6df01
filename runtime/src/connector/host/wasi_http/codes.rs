//! Which code of `wasi:http` a guest gets for what went wrong. The whole text is in the request's
//! record, which the operator sees.

use http::request::Parts;
use http::{HeaderMap, Method};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::Error as WasiError;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, IoError};

use crate::broker::{Error, HEADER_BYTES, HEADERS, URL_BYTES, is_url};
use crate::connector::sandbox::State;
use crate::envelope::Limit;

/// The code for a request that got no answer. `is_limited` says whether the guest itself gave it the
/// time limit.
pub fn of_request(error: Error, head: &Parts, is_limited: bool) -> WasiError {
    match error {
        Error::InvalidRequest(_) => of_head(head),
        Error::Limit(_) => too_large(&head.headers).unwrap_or(WasiError::ConnectionLimitReached),
        other => of_answer(other, is_limited),
    }
}

/// The code for an answer that broke off.
pub fn of_answer(error: Error, is_limited: bool) -> WasiError {
    match error {
        Error::InvalidRequest(_) | Error::Protocol(_) => WasiError::HttpProtocolError,
        Error::Denied(_) => WasiError::HttpRequestDenied,
        Error::Dns(text) => WasiError::DnsError { rcode: Some(text), info_code: None },
        Error::Connect(_) => WasiError::ConnectionRefused,
        Error::ConnectTimeout(_) => WasiError::ConnectionTimeout,
        Error::Certificate(_) => WasiError::TlsCertificateError,
        Error::Tls(_) => WasiError::TlsProtocolError,
        // What clients look for that set a limit.
        Error::Timeout(_) if is_limited => WasiError::ConnectionReadTimeout,
        Error::Timeout(_) => WasiError::HttpResponseTimeout,
        Error::Interrupted(_) => WasiError::ConnectionTerminated,
        Error::Limit(_) => WasiError::ConnectionLimitReached,
        Error::Breach(breach, _) => of_breach(breach.limit),
        Error::AnswerSize(_) => WasiError::HttpResponseBodySize(None),
        Error::Credential(text) => WasiError::InternalError(Some(text)),
    }
}

/// The code nearest to a limit of the connector or its call.
fn of_breach(limit: Limit) -> WasiError {
    match limit {
        Limit::RequestBody | Limit::Sent => WasiError::HttpRequestBodySize(None),
        Limit::AnswerBody | Limit::Received | Limit::Decoded => {
            WasiError::HttpResponseBodySize(None)
        }
        _ => WasiError::ConnectionLimitReached,
    }
}

/// What is wrong with a request that the broker found not right.
fn of_head(head: &Parts) -> WasiError {
    let url = head.uri.to_string();
    if [Method::CONNECT, Method::TRACE].contains(&head.method) {
        WasiError::HttpRequestMethodInvalid
    } else if url.len() > URL_BYTES {
        WasiError::HttpRequestUriTooLong
    } else if !is_url(&url) {
        WasiError::HttpRequestUriInvalid
    } else {
        WasiError::HttpProtocolError
    }
}

fn too_large(headers: &HeaderMap) -> Option<WasiError> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let is_too_large = headers.len() > HEADERS || bytes > HEADER_BYTES;
    is_too_large.then(|| WasiError::HttpRequestHeaderSectionSize(u32::try_from(bytes).ok()))
}

/// Answers `http-error-code` in wasmtime's place, which knows no code for an answer that breaks off.
pub fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance("wasi:http/types@0.2.12")?.func_wrap(
        "http-error-code",
        |store: StoreContextMut<'_, State>, (error,): (Resource<IoError>,)| {
            Ok((code(store.data().error(&error)?),))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

fn code(error: &IoError) -> Option<ErrorCode> {
    if let Some(code) = error.downcast_ref::<ErrorCode>() {
        return Some(code.clone());
    }
    // Those of `of_answer` that can follow the head of an answer.
    Some(match error.downcast_ref::<WasiError>()? {
        WasiError::ConnectionLimitReached => ErrorCode::ConnectionLimitReached,
        WasiError::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        WasiError::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        WasiError::HttpRequestBodySize(size) => ErrorCode::HttpRequestBodySize(*size),
        WasiError::HttpRequestDenied => ErrorCode::HttpRequestDenied,
        WasiError::HttpResponseBodySize(size) => ErrorCode::HttpResponseBodySize(*size),
        WasiError::HttpResponseTimeout => ErrorCode::HttpResponseTimeout,
        WasiError::HttpProtocolError => ErrorCode::HttpProtocolError,
        other => ErrorCode::InternalError(Some(other.to_string())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Limits;

    fn head(method: &str, url: &str, header: Option<(&str, usize)>) -> Parts {
        let mut request = http::Request::builder().method(method).uri(url);
        if let Some((name, bytes)) = header {
            request = request.header(name, "x".repeat(bytes));
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn a_request_that_is_not_right_has_the_code_of_what_is_wrong() {
        let long = format!("http://a.example/{}", "x".repeat(URL_BYTES));
        let invalid = || Error::InvalidRequest("wrong".into());
        let limit = || Error::Limit("too much".into());
        for (error, head, code) in [
            (invalid(), head("TRACE", "http://a.example/", None), "HttpRequestMethodInvalid"),
            (invalid(), head("CONNECT", "http://a.example/", None), "HttpRequestMethodInvalid"),
            (invalid(), head("GET", &long, None), "HttpRequestUriTooLong"),
            (invalid(), head("GET", "http://a..b/", None), "HttpRequestUriInvalid"),
            (invalid(), head("GET", "http://a.example:0/", None), "HttpRequestUriInvalid"),
            (invalid(), head("GET", "http://a.example/", None), "HttpProtocolError"),
            (limit(), head("GET", "http://a.example/", None), "ConnectionLimitReached"),
            (
                limit(),
                head("GET", "http://a.example/", Some(("x", HEADER_BYTES))),
                "HttpRequestHeaderSectionSize(Some(65537))",
            ),
        ] {
            let url = head.uri.clone();
            assert_eq!(format!("{:?}", of_request(error, &head, false)), code, "{url}");
        }
    }

    fn breach(limit: Limit) -> Error {
        Limits::default().breach(limit).into()
    }

    #[test]
    fn a_limit_of_the_call_has_the_code_nearest_to_it() {
        for (limit, code) in [
            (Limit::Requests, "ConnectionLimitReached"),
            (Limit::InFlight, "ConnectionLimitReached"),
            (Limit::Held, "ConnectionLimitReached"),
            (Limit::RequestBody, "HttpRequestBodySize(None)"),
            (Limit::Sent, "HttpRequestBodySize(None)"),
            (Limit::AnswerBody, "HttpResponseBodySize(None)"),
            (Limit::Received, "HttpResponseBodySize(None)"),
            (Limit::Decoded, "HttpResponseBodySize(None)"),
        ] {
            let head = head("GET", "http://a.example/", None);
            assert_eq!(format!("{:?}", of_request(breach(limit), &head, false)), code);
        }
    }

    #[test]
    fn a_time_limit_of_the_guest_has_a_code_of_its_own() {
        let late = || Error::Timeout("late".into());
        assert!(matches!(of_answer(late(), true), WasiError::ConnectionReadTimeout));
        assert!(matches!(of_answer(late(), false), WasiError::HttpResponseTimeout));
    }

    #[test]
    fn an_answer_that_breaks_off_has_a_code() {
        for (error, expected) in [
            (Error::Interrupted("cut".into()), "ErrorCode::ConnectionTerminated"),
            (Error::Timeout("late".into()), "ErrorCode::HttpResponseTimeout"),
            (Error::AnswerSize("large".into()), "ErrorCode::HttpResponseBodySize(None)"),
            (breach(Limit::Decoded), "ErrorCode::HttpResponseBodySize(None)"),
            (breach(Limit::Sent), "ErrorCode::HttpRequestBodySize(None)"),
            (Error::Denied("no".into()), "ErrorCode::HttpRequestDenied"),
            (breach(Limit::Held), "ErrorCode::ConnectionLimitReached"),
        ] {
            let error = IoError::from(of_answer(error, false));
            assert_eq!(format!("{:?}", code(&error).expect("a code")), expected);
        }
        let own = IoError::from(ErrorCode::HttpRequestBodySize(Some(5)));
        assert!(matches!(code(&own), Some(ErrorCode::HttpRequestBodySize(Some(5)))));
        assert!(code(&IoError::msg("of a file")).is_none());
    }
}
