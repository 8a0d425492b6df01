//! Which origins a text stands for: `scheme://host[:port]`, with `*.` before the host for whatever is
//! below it, and `*` for every host.

use std::fmt;

use url::{Host, Url};

/// A pattern of origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: Scheme,
    host: HostPattern,
    port: u16,
    /// The same in its one spelling.
    text: String,
}

/// Why a text is no origin, and what would be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoOrigin {
    pub reason: String,
    pub example: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostPattern {
    Any,
    Exactly(Host<String>),
    /// `.example.com`: whatever ends in it, never the name itself.
    Below(String),
}

pub(super) const EXAMPLE: &str = "https://api.example.com";
const WILDCARD: &str = "https://*.example.com";

/// What stands for the host while a pattern for every host is parsed.
const STAND_IN: &str = "any.invalid";

impl Origin {
    /// Reads a pattern.
    pub fn read(given: &str) -> Result<Self, NoOrigin> {
        let given = given.trim();
        let Some((scheme, rest)) = given.split_once("://") else {
            return Err(no("it does not begin with https:// or http://", &guess(given)));
        };
        let (wildcard, rest) = split_wildcard(rest);
        let url = Url::parse(&format!("{scheme}://{rest}"))
            .map_err(|error| no(&error.to_string(), EXAMPLE))?;
        let (Some(scheme), Some(host), Some(port)) =
            (Scheme::of(&url), url.host(), url.port_or_known_default())
        else {
            return Err(no("only http and https can be granted", EXAMPLE));
        };
        let text = spelled(&url, wildcard);
        if let Some(more) = more_than_origin(&url) {
            return Err(no(more, &text));
        }
        let host = wildcard.pattern(host.to_owned()).map_err(|why| no(why, WILDCARD))?;
        Ok(Self { scheme, host, port, text })
    }

    /// Which hosts it stands for.
    pub fn host(&self) -> &HostPattern {
        &self.host
    }

    /// Whether the URL, whose host this is, has such an origin.
    pub fn matches(&self, url: &Url, host: &Host<String>) -> bool {
        self.host.matches(host)
            && Some(self.scheme) == Scheme::of(url)
            && Some(self.port) == url.port_or_known_default()
    }

    /// Whether everything that the other stands for is in this one, too.
    pub fn covers(&self, other: &Self) -> bool {
        self.host.covers(&other.host) && self.scheme == other.scheme && self.port == other.port
    }

    /// How closely it names a host. More is closer.
    pub fn closeness(&self) -> usize {
        match &self.host {
            HostPattern::Any => 0,
            HostPattern::Below(suffix) => suffix.len(),
            HostPattern::Exactly(_) => usize::MAX,
        }
    }
}

impl NoOrigin {
    /// What is wrong with a text in a file.
    pub fn explain(&self, given: &str) -> String {
        let Self { reason, example } = self;
        format!("{given:?} is no origin: {reason}; write it like {example:?}")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl HostPattern {
    fn matches(&self, host: &Host<String>) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Exactly(granted), host) => granted == host,
            (Self::Below(suffix), Host::Domain(name)) => {
                name.len() > suffix.len() && name.ends_with(suffix.as_str())
            }
            (Self::Below(_), _) => false,
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::Exactly(host)) => self.matches(host),
            (Self::Below(suffix), Self::Below(other)) => other.ends_with(suffix.as_str()),
            _ => false,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wildcard {
    None,
    Any,
    Below,
}

/// Takes the `*` off before the URL parser sees it, which knows no such thing.
fn split_wildcard(rest: &str) -> (Wildcard, String) {
    if let Some(parent) = rest.strip_prefix("*.") {
        return (Wildcard::Below, parent.into());
    }
    match rest.strip_prefix('*') {
        Some(after) if after.is_empty() || after.starts_with([':', '/', '?', '#']) => {
            (Wildcard::Any, format!("{STAND_IN}{after}"))
        }
        _ => (Wildcard::None, rest.into()),
    }
}

impl Wildcard {
    fn pattern(self, host: Host<String>) -> Result<HostPattern, &'static str> {
        match (self, host) {
            (_, Host::Domain(name)) if name.contains('*') => {
                Err("* stands alone, or before the first dot")
            }
            (Self::Any, _) => Ok(HostPattern::Any),
            (Self::None, host) => Ok(HostPattern::Exactly(host)),
            (Self::Below, Host::Domain(name)) => Ok(HostPattern::Below(format!(".{name}"))),
            (Self::Below, _) => Err("an address has no subdomains"),
        }
    }
}

fn more_than_origin(url: &Url) -> Option<&'static str> {
    if !url.username().is_empty() || url.password().is_some() {
        return Some("it holds a user name or password");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Some("it holds more than scheme, host and port");
    }
    (url.port() == Some(0)).then_some("no server has port 0")
}

/// The origin of a pattern's URL, with its wildcard.
fn spelled(url: &Url, wildcard: Wildcard) -> String {
    let mut url = url.clone();
    if url.port() == Some(0) {
        // It is what is wrong. An http URL takes any port.
        let _ = url.set_port(None);
    }
    let origin = url.origin().ascii_serialization();
    match wildcard {
        Wildcard::None => origin,
        Wildcard::Any => origin.replacen(STAND_IN, "*", 1),
        Wildcard::Below => origin.replacen("://", "://*.", 1),
    }
}

/// What was meant by a pattern without a scheme.
fn guess(given: &str) -> String {
    let host = given.split(['/', '?', '#', '@']).next().unwrap_or_default();
    let with_scheme = format!("https://{host}");
    if Origin::read(&with_scheme).is_ok() { with_scheme } else { EXAMPLE.into() }
}

fn no(reason: &str, example: &str) -> NoOrigin {
    NoOrigin { reason: reason.into(), example: example.into() }
}

impl Scheme {
    fn of(url: &Url) -> Option<Self> {
        match url.scheme() {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_is_narrower() {
        for (wide, narrow, covers) in [
            ("https://*", "https://a.example", true),
            ("https://*", "https://*.example", true),
            ("https://*", "http://a.example", false),
            ("https://*.example", "https://a.example", true),
            ("https://*.example", "https://*.a.example", true),
            ("https://*.example", "https://*.example", true),
            ("https://*.example", "https://example", false),
            ("https://*.a.example", "https://*.example", false),
            ("https://a.example", "https://a.example:443", true),
            ("https://a.example", "https://*.a.example", false),
            ("https://a.example", "https://*", false),
            ("https://a.example:8443", "https://a.example", false),
        ] {
            let read = |text| Origin::read(text).expect(text);
            assert_eq!(read(wide).covers(&read(narrow)), covers, "{wide} {narrow}");
        }
    }

    #[test]
    fn a_pattern_has_one_spelling() {
        for (given, text) in [
            ("https://API.Example.com:443/", "https://api.example.com"),
            (" http://*.bücher.example:8080", "http://*.xn--bcher-kva.example:8080"),
            ("https://*:8443", "https://*:8443"),
            ("http://2130706433", "http://127.0.0.1"),
        ] {
            assert_eq!(Origin::read(given).expect(given).to_string(), text);
        }
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    fn given() -> impl Strategy<Value = String> {
        let scheme =
            prop_oneof![Just("https://"), Just("http://"), Just("HTTPS://"), Just("ftp://")];
        let wildcard =
            prop_oneof![4 => Just(""), 2 => Just("*."), 1 => Just("*"), 1 => Just("*.*.")];
        let host = prop_oneof![
            "[a-zA-Z0-9.-]{0,12}",
            "\\PC{0,6}",
            "0x[0-9a-f]{1,8}",
            "[0-9]{1,3}(\\.[0-9]{1,3}){0,4}",
            "\\[[0-9a-f:.]{0,12}\\]",
        ];
        let port = prop_oneof![Just(String::new()), ":[0-9]{0,5}"];
        let rest =
            prop_oneof![6 => Just(String::new()), 1 => Just("/".into()), 1 => "[/?#@].{0,4}"];
        (scheme, wildcard, host, port, rest).prop_map(|(scheme, wildcard, host, port, rest)| {
            format!("{scheme}{wildcard}{host}{port}{rest}")
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn an_origin_is_read_again_as_it_is_shown(given in given()) {
            let Ok(origin) = Origin::read(&given) else { return Ok(()) };
            prop_assert_eq!(Origin::read(&origin.to_string()), Ok(origin.clone()));
            prop_assert!(origin.covers(&origin));
            if let HostPattern::Exactly(host) = origin.host() {
                let url = Url::parse(&given.trim().replacen("*", "", 0)).expect("a URL");
                prop_assert!(origin.matches(&url, host), "{}", given);
            }
        }

        #[test]
        fn what_is_no_origin_is_told_with_one_that_is(given: String) {
            if let Err(error) = Origin::read(&given) {
                prop_assert!(Origin::read(&error.example).is_ok(), "{}", error.example);
            }
        }
    }
}
