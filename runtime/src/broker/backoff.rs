//! How long to wait before a request is sent again.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

use super::limits::{FIRST_PAUSE, JITTER, LONGEST_PAUSE};

/// The pause after the attempt of that number, the first being 1. `random` lies between 0 and 1.
pub(super) fn pause(attempt: u32, random: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(u32::BITS - 1);
    let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    pause.mul_f64(1.0 + JITTER * random.clamp(0.0, 1.0))
}

/// How long the server asks us to wait, as seconds or as a date. A date in the past is no time at
/// all, a number that no clock holds is for ever, and what cannot be read is nothing.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        return Some(text.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_one_second_with_up_to_thirty_percent_more() {
        for (attempt, least, most) in [
            (1, 1.0, 1.3),
            (2, 2.0, 2.6),
            (3, 4.0, 5.2),
            (5, 16.0, 20.8),
            (6, 30.0, 39.0),
            (u32::MAX, 30.0, 39.0),
        ] {
            assert_eq!(pause(attempt, 0.0), Duration::from_secs_f64(least), "{attempt}");
            assert_eq!(pause(attempt, 1.0), Duration::from_secs_f64(most), "{attempt}");
            assert_eq!(pause(attempt, 7.0), pause(attempt, 1.0), "{attempt}");
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let noon = httpdate::parse_http_date("Sun, 06 Nov 1994 12:00:00 GMT").expect("a date");
        for (text, expected) in [
            ("0", Some(Duration::ZERO)),
            ("7", Some(Duration::from_secs(7))),
            (" 7 ", Some(Duration::from_secs(7))),
            ("31536000", Some(Duration::from_secs(31_536_000))),
            ("99999999999999999999999", Some(Duration::MAX)),
            ("Sun, 06 Nov 1994 12:00:30 GMT", Some(Duration::from_secs(30))),
            ("Sun, 06 Nov 1994 11:59:00 GMT", Some(Duration::ZERO)),
            ("Sunday, 06-Nov-94 12:00:05 GMT", Some(Duration::from_secs(5))),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().expect("a header value"));
            assert_eq!(retry_after(&headers, noon), expected, "{text:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), noon), None);
    }
}
