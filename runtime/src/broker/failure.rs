//! What is known after an attempt that got no answer.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use hyper_util::client::legacy;
use rustls::{AlertDescription, CertificateError};

use super::dial::DialError;
use super::limits::ANSWER_HEAD;
use super::request::{Error, Parsed};
use super::retry::Fate;

/// An attempt without an answer.
#[derive(Debug)]
pub(super) struct Failure {
    pub fate: Fate,
    pub error: Error,
}

impl Failure {
    /// It would end the same way again.
    pub fn last(error: Error) -> Self {
        Self { fate: Fate::Final, error }
    }
}

/// The request was not sent, or the connection broke.
pub(super) fn unsent_or_broken(error: &legacy::Error, request: &Parsed) -> Failure {
    let not_sent = |error| Failure { fate: Fate::NotSent, error };
    if let Some(error) = find::<DialError>(error) {
        return match error {
            DialError::Denied(refusal) => Failure::last(refusal.clone().into()),
            DialError::Dns(text) => not_sent(Error::Dns(text.clone())),
            DialError::Connect(text) => not_sent(Error::Connect(text.clone())),
            DialError::Proxy(text) => Failure::last(Error::Connect(text.clone())),
        };
    }
    // Our own error comes from the body that the guest was sending.
    if let Some(own) = find::<Error>(error) {
        return Failure::last(own.clone());
    }
    let hyper = find::<hyper::Error>(error);
    if hyper.is_some_and(hyper::Error::is_parse_too_large) {
        return Failure::last(head_too_large(request));
    }
    // hyper cancels only what it has not begun to send.
    if error.is_connect() || hyper.is_some_and(hyper::Error::is_canceled) {
        let text = format!("cannot connect to {}: {}", request.origin(), cause(error));
        return match find(error) {
            // A certificate does not get better within seconds.
            Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                let hint = "where its authority is your own, name it with ca-file in [network]";
                Failure::last(Error::Certificate(format!("{text}; {hint}")))
            }
            Some(rustls::Error::InvalidCertificate(_)) => Failure::last(Error::Certificate(text)),
            Some(_) => not_sent(Error::Tls(text)),
            None => not_sent(Error::Connect(text)),
        };
    }
    if wants_certificate(error) {
        return Failure::last(Error::Tls(format!(
            "{} wants a client certificate that it accepts; set client-certificate in its grant",
            request.origin()
        )));
    }
    if hyper.is_some_and(hyper::Error::is_parse) {
        let text = format!("{} does not answer in HTTP: {}", request.origin(), cause(error));
        return Failure { fate: Fate::MaybeSent, error: Error::Protocol(text) };
    }
    Failure { fate: Fate::MaybeSent, error: broken(request.origin(), error) }
}

/// A server that wants a certificate says so only after the handshake (TLS 1.3), and then does
/// nothing.
fn wants_certificate(error: &(dyn StdError + 'static)) -> bool {
    let Some(rustls::Error::AlertReceived(alert)) = find(error) else { return false };
    matches!(alert, AlertDescription::CertificateRequired | AlertDescription::BadCertificate)
}

/// The connection broke.
pub(super) fn broken(origin: &str, error: &(dyn StdError + 'static)) -> Error {
    Error::Interrupted(format!(
        "the connection to {origin} broke before the whole answer came ({}); \
         the request may have been carried out",
        cause(error)
    ))
}

/// No answer within the time.
pub(super) fn timed_out(request: &Parsed, limit: Duration) -> Failure {
    let text = format!(
        "{} did not answer within {}; the request may have been carried out; \
         give it a longer time limit if it needs one",
        request.origin(),
        shown(limit)
    );
    Failure { fate: Fate::MaybeSent, error: Error::Timeout(text) }
}

/// No connection within the time that the guest gave it.
pub(super) fn not_connected(request: &Parsed, limit: Duration) -> Failure {
    let text = format!("no connection to {} within {}", request.origin(), shown(limit));
    Failure { fate: Fate::NotSent, error: Error::ConnectTimeout(text) }
}

/// A time for people: `2 s`, `0.5 s`.
fn shown(time: Duration) -> String {
    format!("{} s", (time.as_secs_f64() * 10.0).round() / 10.0)
}

pub(super) fn out_of_time() -> Failure {
    let text = "the time limit had passed before the request could be sent";
    Failure::last(Error::Timeout(text.into()))
}

fn head_too_large(request: &Parsed) -> Error {
    Error::AnswerSize(format!(
        "the head of the answer of {} is over {ANSWER_HEAD} bytes",
        request.origin()
    ))
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
