//! Reads a `[[grant]]` of connector.toml. Every number is looked at here, where its line is known.

use std::fmt::Display;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::grant::Grant;
use super::origin::{EXAMPLE, HostPattern, Origin};
use super::path::Prefix;
use super::refusal::quoted;
use super::terms::{ClientCertificate, Jitter, Rate, Terms};
use crate::broker::limits::{
    GRANT_AT_ONCE, GRANT_BODY_MIB, LONGEST_PAUSE, LONGEST_TOTAL, MOST_ATTEMPTS, MOST_REDIRECTS,
    MOST_REQUESTS_PER_SECOND, SLOWEST_RATE,
};
use crate::broker::request::is_of_connection;

/// Fields that requests have for another reason. With one of them every request would look as if it
/// had a key, and be sent twice.
const NO_KEYS: &[&str] = &[
    "accept",
    "accept-encoding",
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "user-agent",
];

/// One `[[grant]]`, as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Table")]
pub struct GrantTable(Table);

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Table {
    #[serde(deserialize_with = "origin")]
    origin: Origin,
    #[serde(default)]
    private: bool,
    #[serde(default, deserialize_with = "methods")]
    methods: Option<Vec<Method>>,
    #[serde(default, deserialize_with = "paths")]
    paths: Option<Vec<Prefix>>,
    credential: Option<String>,
    #[serde(default, deserialize_with = "redirects")]
    redirects: u32,
    #[serde(default, deserialize_with = "per_second")]
    requests_per_second: Option<f64>,
    #[serde(default, deserialize_with = "burst")]
    burst: Option<NonZeroU32>,
    #[serde(default, deserialize_with = "at_once")]
    at_once: Option<usize>,
    #[serde(default, deserialize_with = "queue")]
    queue_seconds: Option<Duration>,
    #[serde(default, deserialize_with = "timeout")]
    timeout_seconds: Option<Duration>,
    #[serde(default, deserialize_with = "attempts")]
    attempts: Option<u32>,
    #[serde(default, deserialize_with = "first_pause")]
    first_pause_seconds: Option<Duration>,
    #[serde(default)]
    jitter: Jitter,
    #[serde(default, deserialize_with = "header")]
    idempotency_header: Option<HeaderName>,
    #[serde(default, deserialize_with = "mebibytes")]
    request_mib: Option<usize>,
    #[serde(default, deserialize_with = "mebibytes")]
    answer_mib: Option<usize>,
    client_certificate: Option<ClientCertificate>,
}

impl GrantTable {
    /// The grant. Files that it names are found in the folder; the id names it in records.
    pub(super) fn grant(&self, id: Arc<str>, folder: &Path) -> Grant {
        let table = self.0.clone();
        let written = table.terms().into();
        let rate = table.requests_per_second.map(|per_second| Rate {
            per_second,
            burst: table.burst.unwrap_or_else(|| a_second_of(per_second)),
        });
        let terms = Terms {
            credential: table.credential,
            redirects: table.redirects,
            rate,
            at_once: table.at_once,
            queue: table.queue_seconds,
            timeout: table.timeout_seconds,
            attempts: table.attempts,
            first_pause: table.first_pause_seconds,
            jitter: table.jitter,
            idempotency_header: table.idempotency_header,
            request_bytes: table.request_mib,
            answer_bytes: table.answer_mib,
            client_certificate: table.client_certificate.map(|files| files.within(folder)),
        };
        Grant {
            id,
            origin: table.origin,
            is_private: table.private,
            methods: table.methods,
            paths: table.paths,
            terms: Arc::new(terms),
            written,
        }
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.0.origin
    }
}

impl Table {
    /// The keys that are no part of what is let through, as they are written, a blank before each.
    fn terms(&self) -> String {
        let mut text = String::new();
        let mut add = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                text += &format!(" {key} = {value}");
            }
        };
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64().to_string());
        let mib = |bytes: Option<usize>| bytes.map(|bytes| (bytes >> 20).to_string());
        let path = |path: &Path| quoted(&path.to_string_lossy());
        add("credential", self.credential.as_deref().map(quoted));
        add("redirects", (self.redirects > 0).then(|| self.redirects.to_string()));
        add("requests-per-second", self.requests_per_second.map(|rate| rate.to_string()));
        add("burst", self.burst.map(|burst| burst.to_string()));
        add("at-once", self.at_once.map(|number| number.to_string()));
        add("queue-seconds", seconds(self.queue_seconds));
        add("timeout-seconds", seconds(self.timeout_seconds));
        add("attempts", self.attempts.map(|attempts| attempts.to_string()));
        add("first-pause-seconds", seconds(self.first_pause_seconds));
        let jitter = match self.jitter {
            Jitter::Doubling => None,
            Jitter::Decorrelated => Some(quoted("decorrelated")),
        };
        add("jitter", jitter);
        add(
            "idempotency-header",
            self.idempotency_header.as_ref().map(|name| quoted(name.as_str())),
        );
        add("request-mib", mib(self.request_mib));
        add("answer-mib", mib(self.answer_mib));
        let files =
            self.client_certificate.as_ref().map(|ClientCertificate { certificate, key }| {
                format!("{{ certificate = {}, key = {} }}", path(certificate), path(key))
            });
        add("client-certificate", files);
        text
    }
}

/// What no single key shows.
impl TryFrom<Table> for GrantTable {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        if table.private && *table.origin.host() == HostPattern::Any {
            return Err(format!(
                "private hosts are granted by name, never all at once; write origin = {EXAMPLE:?}"
            ));
        }
        if table.burst.is_some() && table.requests_per_second.is_none() {
            return Err("burst goes with requests-per-second; add that key".into());
        }
        Ok(Self(table))
    }
}

/// As many requests at once as a second lets through, and at least one.
fn a_second_of(per_second: f64) -> NonZeroU32 {
    // It is within its range, far below what the type holds.
    NonZeroU32::new(per_second.ceil() as u32).unwrap_or(NonZeroU32::MIN)
}

fn origin<'de, D: Deserializer<'de>>(from: D) -> Result<Origin, D::Error> {
    let given = String::deserialize(from)?;
    Origin::read(&given).map_err(|error| D::Error::custom(error.explain(&given)))
}

fn methods<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<Method>>, D::Error> {
    list(from, |given| {
        let method = Method::from_bytes(given.to_ascii_uppercase().as_bytes());
        let method =
            method.ok().filter(|method| ![Method::CONNECT, Method::TRACE].contains(method));
        method.ok_or_else(|| format!("{given:?} is no method; write it like \"GET\""))
    })
}

fn paths<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<Prefix>>, D::Error> {
    list(from, Prefix::read)
}

fn list<'de, D: Deserializer<'de>, T>(
    from: D,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<Vec<T>>, D::Error> {
    let given = Vec::<String>::deserialize(from)?;
    if given.is_empty() {
        return Err(D::Error::custom("an empty list allows nothing; leave it out to allow all"));
    }
    let read: Result<_, _> = given.iter().map(|text| read(text)).collect();
    read.map(Some).map_err(D::Error::custom)
}

fn header<'de, D: Deserializer<'de>>(from: D) -> Result<Option<HeaderName>, D::Error> {
    let given = String::deserialize(from)?;
    let has_meaning =
        |name: &HeaderName| NO_KEYS.contains(&name.as_str()) || is_of_connection(name);
    let name = HeaderName::from_str(&given).ok().filter(|name| !has_meaning(name));
    name.map(Some).ok_or_else(|| {
        let text = format!("{given:?} is no header for a key; write it like \"Idempotency-Key\"");
        D::Error::custom(text)
    })
}

fn redirects<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    whole(from, 0..=MOST_REDIRECTS)
}

fn burst<'de, D: Deserializer<'de>>(from: D) -> Result<Option<NonZeroU32>, D::Error> {
    whole(from, 1..=MOST_REQUESTS_PER_SECOND).map(NonZeroU32::new)
}

fn at_once<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    whole(from, 1..=GRANT_AT_ONCE).map(Some)
}

fn attempts<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    whole(from, 1..=MOST_ATTEMPTS).map(Some)
}

fn per_second<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    number(from, SLOWEST_RATE..=f64::from(MOST_REQUESTS_PER_SECOND)).map(Some)
}

fn queue<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    seconds(from, Duration::ZERO..=LONGEST_TOTAL)
}

fn timeout<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    seconds(from, Duration::from_millis(1)..=LONGEST_TOTAL)
}

fn first_pause<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    seconds(from, Duration::ZERO..=LONGEST_PAUSE)
}

fn seconds<'de, D: Deserializer<'de>>(
    from: D,
    range: RangeInclusive<Duration>,
) -> Result<Option<Duration>, D::Error> {
    let seconds = number(from, range.start().as_secs_f64()..=range.end().as_secs_f64())?;
    Ok(Some(Duration::from_secs_f64(seconds)))
}

/// A size in MiB, in bytes.
fn mebibytes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    let size: usize = whole(from, 1..=GRANT_BODY_MIB)?;
    Ok(Some(size << 20))
}

fn whole<'de, D: Deserializer<'de>, T>(from: D, range: RangeInclusive<T>) -> Result<T, D::Error>
where
    T: TryFrom<i64> + PartialOrd + Display,
{
    let given = i64::deserialize(from)?;
    let number = T::try_from(given).ok().filter(|number| range.contains(number));
    number.ok_or_else(|| out_of(&given, &range))
}

fn number<'de, D: Deserializer<'de>>(from: D, range: RangeInclusive<f64>) -> Result<f64, D::Error> {
    let given = f64::deserialize(from)?;
    if range.contains(&given) { Ok(given) } else { Err(out_of(&given, &range)) }
}

fn out_of<E: Error>(given: &impl Display, range: &RangeInclusive<impl Display>) -> E {
    E::custom(format!("{given} is not between {} and {}", range.start(), range.end()))
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    fn read(line: &str) -> Option<Terms> {
        let table: GrantTable = toml::from_str(&format!("origin = {EXAMPLE:?}\n{line}")).ok()?;
        Some((*table.grant("a grant".into(), Path::new("")).terms).clone())
    }

    proptest! {
        #[test]
        fn a_field_for_a_key_is_one_that_means_nothing_else(name in "[ -~]{0,12}", upper: bool) {
            let known = NO_KEYS.iter().copied().chain(["host", "connection", "transfer-encoding"]);
            for name in known.map(str::to_owned).chain([name]) {
                let name = if upper { name.to_ascii_uppercase() } else { name };
                let line = format!("idempotency-header = {}", toml::Value::from(&*name));
                let field = read(&line).and_then(|terms| terms.idempotency_header);
                let means_more = NO_KEYS.contains(&&*name.to_ascii_lowercase());
                prop_assert!(field.is_none() || !means_more, "{}", name);
                prop_assert!(field.is_none_or(|field| field.as_str().eq_ignore_ascii_case(&name)));
            }
        }

        #[test]
        fn a_number_that_is_taken_is_within_its_range(whole: i64, number in prop::num::f64::ANY) {
            for key in ["attempts", "redirects", "at-once", "request-mib", "answer-mib"] {
                let _ = read(&format!("{key} = {whole}"));
            }
            let number = toml::Value::from(number);
            if let Some(terms) = read(&format!("requests-per-second = {number}")) {
                let rate = terms.rate.expect("it is set");
                prop_assert!((SLOWEST_RATE..=f64::from(MOST_REQUESTS_PER_SECOND)).contains(&rate.per_second));
            }
            for key in ["queue-seconds", "timeout-seconds", "first-pause-seconds"] {
                let terms = read(&format!("{key} = {number}")).unwrap_or_default();
                for time in [terms.queue, terms.timeout, terms.first_pause].into_iter().flatten() {
                    prop_assert!(time <= LONGEST_TOTAL);
                }
            }
        }
    }
}
