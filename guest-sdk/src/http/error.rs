//! Why a request has no answer, or none that is of use.

use std::fmt;

/// Why there is no answer, or none that is of use. The text of a case says what happened and what
/// to do about it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The request itself is wrong: URL, method, a header, a body that cannot be written.
    InvalidRequest(String),
    /// The operator has not granted this, or a secret or credential may not go there. The text names
    /// the flag, and the lines of connector.toml, that would allow it.
    Denied(String),
    /// The host name has no address.
    Dns(String),
    /// No connection: refused, unreachable, TLS; or the server failed so often that it is left alone
    /// for a while. The request was not sent.
    Connect(String),
    /// A time limit passed. Whether the request was carried out is not known.
    Timeout(String),
    /// The connection broke after the request may have been sent.
    Interrupted(String),
    /// The request or the answer is larger than a limit, the connector has too many requests under
    /// way, or this one's turn did not come in time, and it was not sent.
    Limit(String),
    /// The named credential does not exist or gave no token, or a secret cannot be sent as asked.
    Credential(String),
    /// The answer's status tells of a failure. Made by
    /// [`error_for_status`](super::Response::error_for_status).
    Status {
        /// The method and URL, without its query.
        request: String,
        /// 400 or more.
        status: u16,
        /// The beginning of the answer's body.
        answer: String,
    },
    /// The body of the answer is not what was expected.
    Body(String),
}

impl Error {
    /// The code of the failure that this becomes by `?`.
    pub fn code(&self) -> &'static str {
        match self {
            Error::InvalidRequest(_) => "http-invalid-request",
            Error::Denied(_) => "http-denied",
            Error::Dns(_) => "http-dns",
            Error::Connect(_) => "http-connect",
            Error::Timeout(_) => "http-timeout",
            Error::Interrupted(_) => "http-interrupted",
            Error::Limit(_) => "http-limit",
            Error::Credential(_) => "http-credential",
            Error::Status { .. } => "http-status",
            Error::Body(_) => "http-body",
        }
    }

    /// Whether the same request may work later without any change.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Dns(_) | Error::Connect(_) | Error::Timeout(_) | Error::Interrupted(_) => true,
            Error::Status { status, .. } => {
                matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
            }
            _ => false,
        }
    }

    /// The status of the answer, where there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Error::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::InvalidRequest(text)
            | Error::Denied(text)
            | Error::Dns(text)
            | Error::Connect(text)
            | Error::Timeout(text)
            | Error::Interrupted(text)
            | Error::Limit(text)
            | Error::Credential(text)
            | Error::Body(text) => formatter.write_str(text),
            Error::Status { request, status, .. } => {
                write!(formatter, "{request} answered {status}")
            }
        }
    }
}

impl std::error::Error for Error {}
