//! What a server asks for in the head of its answer: when to come back, and what is left until then.
//!
//! Servers write these fields as they like. What cannot be read is nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// Draft-ietf-httpapi-ratelimit-headers: `"default";r=0;t=30`; in its older form
/// `limit=10, remaining=0, reset=30`.
const RATE_LIMIT: &str = "ratelimit";

/// The same draft: `"default";q=100;w=60`.
const RATE_LIMIT_POLICY: &str = "ratelimit-policy";

/// What is left, and when there is more: one pair of fields per custom. The first that can be read
/// counts.
const PAIRS: [(&str, &str); 3] = [
    // Before `x-ratelimit-reset` where a server sends both: that one depends on our clock.
    ("x-ratelimit-remaining", "x-ratelimit-reset-after"),
    // The drafts up to 06.
    ("ratelimit-remaining", "ratelimit-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
];

/// From here on a number of seconds is a date (1973), not a time: no quota lasts three years.
const LEAST_DATE: f64 = 1e8;

/// From here on a date is in milliseconds: in seconds it would lie in the year 5138.
const LEAST_MILLIS: f64 = 1e11;

/// How long the server asks us to wait before this request is sent again.
///
/// `Retry-After` counts in every answer, and before all others. The state of the quota counts where
/// the status says that it may be the cause.
pub(in crate::broker) fn asked_pause(
    status: u16,
    headers: &HeaderMap,
    now: SystemTime,
) -> Option<Duration> {
    let by_quota = || {
        let quota = quota(headers, now).filter(|_| matches!(status, 429 | 503))?;
        // With something left, it was another limit that refused the request.
        let is_spent = quota.left.is_none_or(|left| left <= 0.0);
        quota.reset.filter(|_| is_spent)
    };
    retry_after(headers, now).or_else(by_quota)
}

/// How long nothing is left of the quota, where the server says so, whatever it answered.
pub(in crate::broker) fn spent_for(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let quota = quota(headers, now)?;
    let is_spent = quota.left.is_some_and(|left| left <= 0.0);
    quota.reset.filter(|reset| is_spent && !reset.is_zero())
}

/// How long the server asks us to wait, as seconds or as a date. A date in the past is no time at
/// all, a number that no clock holds is for ever, and what cannot be read is nothing.
pub(in crate::broker) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = text(headers, RETRY_AFTER.as_str())?;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        return Some(text.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    since_now(httpdate::parse_http_date(text).ok()?, now)
}

/// What is left of a quota, and how long until there is more.
struct Quota {
    left: Option<f64>,
    reset: Option<Duration>,
}

fn quota(headers: &HeaderMap, now: SystemTime) -> Option<Quota> {
    structured(headers).or_else(|| {
        PAIRS.iter().find_map(|(remaining, reset)| {
            let reset = until(text(headers, reset)?, now)?;
            let left = text(headers, remaining).and_then(number);
            Some(Quota { left, reset: Some(reset) })
        })
    })
}

/// The draft's own field. Of several quotas the spent one that lasts longest counts.
fn structured(headers: &HeaderMap) -> Option<Quota> {
    let items = items(headers, RATE_LIMIT);
    let older = |key| items.iter().find_map(|item| item.name.strip_prefix(key)?.strip_prefix('='));
    if let Some(left) = older("remaining").and_then(number) {
        let reset = older("reset").and_then(number).map(seconds);
        return Some(Quota { left: Some(left), reset });
    }
    let quotas = items.iter().filter_map(|item| {
        let left = item.number("r")?;
        let reset = item.number("t").or_else(|| window(headers, item.name));
        Some(Quota { left: Some(left), reset: reset.map(seconds) })
    });
    quotas.max_by_key(|quota| (quota.left.is_some_and(|left| left <= 0.0), quota.reset))
}

/// The length of a policy's window, within which there is more at the latest.
fn window(headers: &HeaderMap, name: &str) -> Option<f64> {
    let policies = items(headers, RATE_LIMIT_POLICY);
    policies.iter().find(|policy| policy.name == name)?.number("w")
}

/// One member of a structured list: `"name";r=0;t=30`.
struct Item<'a> {
    name: &'a str,
    parameters: Vec<&'a str>,
}

impl Item<'_> {
    fn number(&self, key: &str) -> Option<f64> {
        let pairs = self.parameters.iter().filter_map(|parameter| parameter.split_once('='));
        pairs.into_iter().find(|(name, _)| *name == key).and_then(|(_, value)| number(value))
    }
}

fn items<'a>(headers: &'a HeaderMap, name: &str) -> Vec<Item<'a>> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let members = lines.flat_map(|line| split(line, ','));
    let item = |member| {
        let mut parts = split(member, ';').into_iter();
        Some(Item { name: parts.next()?, parameters: parts.collect() })
    };
    members.filter_map(item).collect()
}

/// Splits outside of quotes.
fn split(text: &str, at: char) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = text.split(|letter| {
        let was_escaped = std::mem::replace(&mut is_escaped, false);
        match letter {
            '\\' => is_escaped = is_quoted && !was_escaped,
            '"' if !was_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        letter == at && !is_quoted
    });
    parts.map(str::trim).collect()
}

/// Reads a time in seconds, a date in seconds or milliseconds since 1970, or a date in letters.
fn until(text: &str, now: SystemTime) -> Option<Duration> {
    let Some(value) = number(text) else {
        return since_now(httpdate::parse_http_date(text).ok()?, now);
    };
    if value < LEAST_DATE {
        return Some(seconds(value));
    }
    let value = if value < LEAST_MILLIS { value } else { value / 1000.0 };
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(seconds(value).saturating_sub(since))
}

fn since_now(date: SystemTime, now: SystemTime) -> Option<Duration> {
    Some(date.duration_since(now).unwrap_or_default())
}

/// What no `Duration` holds is for ever.
fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX)
}

/// A number that is not negative, as digits and at most one point. The parser of the language takes
/// also `inf` and `nan`.
fn number(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| is_plain)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    /// Sun, 06 Nov 1994 12:00:00 GMT, in seconds since 1970.
    const NOON: u64 = 784_123_200;

    fn noon() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOON)
    }

    /// Fields as they stand in a head, one a line.
    fn head(lines: &str) -> HeaderMap {
        let fields = lines.lines().filter_map(|line| line.split_once(": "));
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, value.parse().expect("a value"));
        }
        headers
    }

    fn after(seconds: f64) -> Option<Duration> {
        Some(Duration::from_secs_f64(seconds))
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        for (text, expected) in [
            ("0", after(0.0)),
            ("7", after(7.0)),
            (" 7 ", after(7.0)),
            ("31536000", after(31_536_000.0)),
            ("99999999999999999999999", Some(Duration::MAX)),
            ("Sun, 06 Nov 1994 12:00:30 GMT", after(30.0)),
            ("Sun, 06 Nov 1994 11:59:00 GMT", after(0.0)),
            ("Sunday, 06-Nov-94 12:00:05 GMT", after(5.0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().expect("a header value"));
            assert_eq!(retry_after(&headers, noon()), expected, "{text:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), noon()), None);
    }

    #[test]
    fn a_spent_quota_is_read_in_every_custom() {
        for (lines, expected) in [
            ("RateLimit: \"default\";r=0;t=30", after(30.0)),
            ("RateLimit: default;r=0;t=30", after(30.0)),
            ("RateLimit: \"default\"; r=0; t=30", after(30.0)),
            ("RateLimit: \"default\";r=1;t=30", None),
            ("RateLimit: \"default\";t=30", None),
            ("RateLimit: \"default\";r=0", None),
            ("RateLimit: \"default\";r=0\nRateLimit-Policy: \"default\";q=9;w=60", after(60.0)),
            ("RateLimit: \"default\";r=0\nRateLimit-Policy: \"other\";q=9;w=60", None),
            ("RateLimit: \"a\";r=0;t=5, \"b\";r=7;t=3600", after(5.0)),
            ("RateLimit: \"a\";r=0;t=5, \"b\";r=0;t=60", after(60.0)),
            ("RateLimit: \"a\";r=7;t=3600\nRateLimit: \"b\";r=0;t=5", after(5.0)),
            ("RateLimit: \"a;r=0;t=9,\\\";r=0;t=9\";r=1;t=30", None),
            ("RateLimit: \"a;t=1,\\\";t=2\";r=0;t=30", after(30.0)),
            ("RateLimit: limit=10, remaining=0, reset=30", after(30.0)),
            ("RateLimit: limit=10, remaining=4, reset=30", None),
            ("RateLimit: limit=10, remaining=0", None),
            ("RateLimit-Limit: 10\nRateLimit-Remaining: 0\nRateLimit-Reset: 30", after(30.0)),
            ("RateLimit-Remaining: 3\nRateLimit-Reset: 30", None),
            ("RateLimit-Remaining: 0", None),
            ("X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 30", after(30.0)),
            ("X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 0", None),
            ("X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 784123230", after(30.0)),
            ("X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 784123230.5", after(30.5)),
            ("X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 784123230000", after(30.0)),
            ("X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 784123100", None),
            ("X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 784123100000", None),
            (
                "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: Sun, 06 Nov 1994 12:00:30 GMT",
                after(30.0),
            ),
            (
                "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 9\nX-RateLimit-Reset-After: 0.25",
                after(0.25),
            ),
            ("X-RateLimit-Reset: 30", None),
            (
                "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 99999999999999999999999999999999999",
                Some(Duration::MAX),
            ),
            ("", None),
        ] {
            let found = spent_for(&head(lines), noon());
            assert_eq!(found.is_some(), expected.is_some(), "{lines}: {found:?}");
            let differs = found.unwrap_or_default().abs_diff(expected.unwrap_or_default());
            // The year is far in the future whatever the last digits.
            let is_far = found.is_some_and(|time| time > Duration::from_secs(1 << 40));
            assert!(differs < Duration::from_millis(1) || is_far, "{lines}: {found:?}");
        }
    }

    #[test]
    fn rubbish_asks_for_nothing() {
        let rubbish = [
            "soon",
            "-1",
            "1e9",
            "nan",
            "inf",
            "NaN",
            "1,2",
            "1.2.3",
            ".",
            "",
            " ",
            "\"",
            ";;;",
            ",,,",
            "=",
            ";r=0;t",
            "\"a\";r=0;t=x",
            "\"a",
            "r=0;t=30=5",
            "0x10",
            "٣",
        ];
        for text in rubbish {
            for lines in [
                format!("Retry-After: {text}"),
                format!("RateLimit: {text}"),
                format!("RateLimit: \"a\";r={text};t=30"),
                format!("RateLimit-Remaining: 0\nRateLimit-Reset: {text}"),
                format!("X-RateLimit-Remaining: {text}\nX-RateLimit-Reset: 30"),
                format!("X-RateLimit-Remaining: 0\nX-RateLimit-Reset-After: {text}"),
            ] {
                assert_eq!(spent_for(&head(&lines), noon()), None, "{lines}");
            }
            assert_eq!(asked_pause(429, &head(&format!("Retry-After: {text}")), noon()), None);
        }
        let mut headers = HeaderMap::new();
        headers.insert(RATE_LIMIT, http::HeaderValue::from_bytes(b"\xff\xfe").expect("a value"));
        assert_eq!(asked_pause(429, &headers, noon()), None);
    }

    #[test]
    fn a_refused_request_waits_as_the_server_asks() {
        let reset = "X-RateLimit-Reset: 30";
        let spent = "RateLimit: \"default\";r=0;t=20";
        let left = "X-RateLimit-Remaining: 5\nX-RateLimit-Reset: 30";
        let both = format!("Retry-After: 7\n{spent}");
        for (status, lines, expected) in [
            (429, reset, after(30.0)),
            (503, reset, after(30.0)),
            (500, reset, None),
            (200, spent, None),
            (429, spent, after(20.0)),
            (503, spent, after(20.0)),
            (429, left, None),
            (429, &both, after(7.0)),
            (500, &both, after(7.0)),
            (429, "Retry-After: rubbish\nX-RateLimit-Reset: 30", after(30.0)),
            (429, "Retry-After: Sun, 06 Nov 1994 11:00:00 GMT", after(0.0)),
            (429, "", None),
        ] {
            assert_eq!(asked_pause(status, &head(lines), noon()), expected, "{status} {lines}");
        }
    }
}

#[cfg(test)]
mod properties {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn numbers() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9]{1,40}",
            "[0-9]{0,20}\\.[0-9]{0,20}",
            "[-+]?[0-9]{1,12}([eE][0-9]{1,4})?",
            any::<f64>().prop_map(|number| number.to_string()),
            any::<u64>().prop_map(|number| number.to_string()),
            "[ -~]{0,20}",
            "\"[ -~]{0,6}\";r=[0-9.]{0,20};t=[0-9.]{0,30}",
            "[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn whatever_a_server_asks_for_is_a_time_or_nothing(
            fields in prop::collection::vec((0usize..9, numbers()), 0..4),
            status in 100u16..600,
            now: Duration,
        ) {
            let names = [
                "retry-after", RATE_LIMIT, RATE_LIMIT_POLICY, PAIRS[0].0, PAIRS[0].1, PAIRS[1].0,
                PAIRS[1].1, PAIRS[2].0, PAIRS[2].1,
            ];
            let mut headers = HeaderMap::new();
            for (name, value) in &fields {
                if let Ok(value) = HeaderValue::try_from(value) {
                    headers.append(HeaderName::from_static(names[*name]), value);
                }
            }
            for now in [UNIX_EPOCH.checked_add(now), Some(UNIX_EPOCH)].into_iter().flatten() {
                let asked = asked_pause(status, &headers, now);
                prop_assert!(asked.is_none() || !headers.is_empty());
                prop_assert!(spent_for(&headers, now).is_none_or(|time| !time.is_zero()));
            }
        }
    }
}
