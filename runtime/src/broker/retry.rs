//! Which requests are sent again: what may be repeated, and what is worth it.
//!
//! How long to wait is `backoff.rs`; the loop is in `delivery.rs`.

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::request::{Error, IDEMPOTENCY_KEY};

/// What is known of an attempt that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The request never left: no address, no connection, no TLS.
    NotSent,
    /// It may have been carried out: the connection broke, or the time was over.
    MaybeSent,
    /// It was answered.
    Answered(u16),
    /// It would end the same way again: refused, too large, no time left.
    Final,
}

/// Whether to send the request again. `keyed`: it has an idempotency key.
pub(super) fn again(method: &Method, keyed: bool, fate: Fate) -> bool {
    is_transient(fate) && may_repeat(method, keyed, fate)
}

/// Whether the request may have been carried out in an attempt that ended so. An answer other than
/// 429 leaves that open.
pub(super) fn may_be_done(fate: Fate) -> bool {
    match fate {
        Fate::MaybeSent => true,
        Fate::Answered(status) => status != 429,
        Fate::NotSent | Fate::Final => false,
    }
}

/// The error of the last attempt, where the request may have been carried out in an earlier one. It
/// must not say that the request was not sent: the guest may make it anew.
pub(super) fn after_one_that_may_be_done(error: Error) -> Error {
    let add = |text| format!("{text}; an earlier attempt may have been carried out");
    match error {
        Error::Connect(text)
        | Error::ConnectTimeout(text)
        | Error::Certificate(text)
        | Error::Tls(text)
        | Error::Dns(text) => Error::Interrupted(add(text)),
        other => other.map(add),
    }
}

/// Gives a request the idempotency key that makes it safe to repeat, where its API honours one in a
/// field of that name and the guest gave none. Gives whether it has one now.
///
/// Called once per request and not per attempt: a second key would make a second effect. A key that
/// the guest gave in the usual field is written into the field that counts.
pub(super) fn add_key(method: &Method, field: &HeaderName, headers: &mut HeaderMap) -> bool {
    if headers.contains_key(field) {
        return true;
    }
    if is_idempotent(method) {
        return false;
    }
    let key = headers.get(IDEMPOTENCY_KEY).cloned().unwrap_or_else(fresh_key);
    headers.insert(field, key);
    true
}

/// 122 random bits in the form of a UUID, version 4, which is what most APIs ask for.
fn fresh_key() -> HeaderValue {
    let random = rand::random::<u128>();
    let marked = random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{marked:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| &digits[range]);
    HeaderValue::try_from(parts.join("-")).expect("hexadecimal digits make a header value")
}

/// What may be repeated without doing the work twice.
///
/// Any request that was not sent, any whose method or key makes a second one harmless, and one that
/// was refused with 429: its server says that it did not take it. All other answers to a POST leave
/// open what was done; also a 503 with `Retry-After`, since a proxy may have sent it after passing
/// the request on.
fn may_repeat(method: &Method, keyed: bool, fate: Fate) -> bool {
    let harmless = keyed || is_idempotent(method);
    let refused = fate == Fate::Answered(429);
    harmless || refused || fate == Fate::NotSent
}

fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE].contains(method)
}

/// What may go better the next time.
fn is_transient(fate: Fate) -> bool {
    match fate {
        Fate::Final => false,
        Fate::NotSent | Fate::MaybeSent => true,
        Fate::Answered(status) => {
            matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fate::{Answered, MaybeSent, NotSent};

    #[test]
    fn an_error_does_not_hide_what_an_earlier_attempt_may_have_done() {
        for (fate, open) in [
            (NotSent, false),
            (Answered(429), false),
            (MaybeSent, true),
            (Answered(503), true),
            (Answered(200), true),
        ] {
            assert_eq!(may_be_done(fate), open, "{fate:?}");
        }
        let text = || "x; an earlier attempt may have been carried out".to_owned();
        for (last, told) in [
            (Error::Connect("x".into()), Error::Interrupted(text())),
            (Error::ConnectTimeout("x".into()), Error::Interrupted(text())),
            (Error::Certificate("x".into()), Error::Interrupted(text())),
            (Error::Tls("x".into()), Error::Interrupted(text())),
            (Error::Dns("x".into()), Error::Interrupted(text())),
            (Error::Interrupted("x".into()), Error::Interrupted(text())),
            (Error::Timeout("x".into()), Error::Timeout(text())),
            (Error::Denied("x".into()), Error::Denied(text())),
            (Error::Limit("x".into()), Error::Limit(text())),
        ] {
            assert_eq!(after_one_that_may_be_done(last), told);
        }
    }

    #[test]
    fn a_key_is_made_where_it_is_needed_and_the_guests_own_is_kept() {
        const OURS: &str = "[made]";
        for (method, field, given, expected) in [
            ("POST", "idempotency-key", None, Some(OURS)),
            ("PATCH", "x-request-id", None, Some(OURS)),
            ("REPORT", "x-request-id", None, Some(OURS)),
            ("POST", "idempotency-key", Some(("idempotency-key", "k")), Some("k")),
            ("POST", "x-request-id", Some(("x-request-id", "k")), Some("k")),
            ("POST", "x-request-id", Some(("idempotency-key", "k")), Some("k")),
            ("PUT", "idempotency-key", None, None),
            ("GET", "idempotency-key", None, None),
            ("DELETE", "x-request-id", Some(("x-request-id", "k")), Some("k")),
        ] {
            let field = HeaderName::from_static(field);
            let mut headers = HeaderMap::new();
            headers.extend(
                given.map(|(name, key)| {
                    (HeaderName::from_static(name), HeaderValue::from_static(key))
                }),
            );
            let method: Method = method.parse().expect("a method");
            let keyed = add_key(&method, &field, &mut headers);
            assert_eq!(keyed, expected.is_some(), "{method} {field} {given:?}");
            let found = headers.get(&field).map(|key| key.to_str().expect("a text"));
            match expected {
                Some(OURS) => assert_eq!(found.map(str::len), Some(36), "{method}: {found:?}"),
                _ => assert_eq!(found, expected, "{method} {field} {given:?}"),
            }
        }
    }

    #[test]
    fn a_fresh_key_is_a_uuid_that_was_never_seen() {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            let key = fresh_key().to_str().expect("a text").to_owned();
            let lengths: Vec<_> = key.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{key}");
            assert_eq!(&key[14..15], "4", "{key}");
            assert!("89ab".contains(&key[19..20]), "{key}");
            assert!(key.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()), "{key}");
            assert!(seen.insert(key));
        }
    }

    #[test]
    fn only_what_is_safe_and_transient_is_sent_again() {
        for (fate, idempotent, other) in [
            (NotSent, true, true),
            (MaybeSent, true, false),
            (Fate::Final, false, false),
            (Answered(200), false, false),
            (Answered(204), false, false),
            (Answered(302), false, false),
            (Answered(400), false, false),
            (Answered(401), false, false),
            (Answered(404), false, false),
            (Answered(408), true, false),
            (Answered(409), false, false),
            (Answered(422), false, false),
            (Answered(425), true, false),
            (Answered(429), true, true),
            (Answered(500), true, false),
            (Answered(501), false, false),
            (Answered(502), true, false),
            (Answered(503), true, false),
            (Answered(504), true, false),
        ] {
            for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
                let method: Method = method.parse().expect("a method");
                assert_eq!(again(&method, false, fate), idempotent, "{method} {fate:?}");
            }
            for method in ["POST", "PATCH", "QUERY", "get"] {
                let method: Method = method.parse().expect("a method");
                assert_eq!(again(&method, false, fate), other, "{method} {fate:?}");
                assert_eq!(again(&method, true, fate), idempotent, "{method} with key {fate:?}");
            }
        }
    }
}
