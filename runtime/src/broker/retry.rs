//! Which requests are sent again: what may be repeated, and what is worth it.
//!
//! How long to wait is `backoff.rs`; the loop is in `delivery.rs`.

use http::Method;

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
