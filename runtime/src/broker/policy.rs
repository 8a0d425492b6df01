//! What the operator lets a connector reach. Nothing, until granted.
//!
//! A refusal's text is part of the interface: it names the host and prints the flag that would
//! allow it.

mod binding;

use std::net::IpAddr;

use url::{Host, Url};

use self::binding::Bindings;
use super::address::{METADATA_NAMES, Special, special};

/// The grants of one connector. Never changes.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    public: Vec<Grant>,
    private: Vec<Grant>,
    bindings: Bindings,
}

/// A grant that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flag} {given:?} is no origin: {reason}; write it like {flag} {example}")]
pub struct PolicyError {
    flag: &'static str,
    given: String,
    reason: String,
    example: String,
}

/// What a policy says of an origin that it lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    origin: String,
    host: String,
    reach: Reach,
}

/// A refusal. Its text is for whoever runs the connector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

/// Which addresses a permit reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Public,
    /// Special-purpose addresses too, but for cloud metadata.
    Private,
    Everything,
}

#[derive(Clone, Debug)]
struct Grant {
    scheme: Scheme,
    host: HostPattern,
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

#[derive(Clone, Debug)]
enum HostPattern {
    Any,
    Exactly(Host<String>),
    /// `.example.com`: whatever ends in it, never the name itself.
    Below(String),
}

const ALLOW: &str = "--allow";
const ALLOW_PRIVATE: &str = "--allow-private";

impl Policy {
    /// Reads grants: `scheme://host[:port]`, with `*.` before the host for its subdomains. `*` for
    /// any public host is for `allow` only.
    pub fn parse(allow: &[String], allow_private: &[String]) -> Result<Self, PolicyError> {
        let grants = |flag, origins: &[String]| {
            origins.iter().map(|origin| Grant::parse(flag, origin)).collect::<Result<Vec<_>, _>>()
        };
        let (public, private) = (grants(ALLOW, allow)?, grants(ALLOW_PRIVATE, allow_private)?);
        Ok(Self { public, private, bindings: Bindings::default() })
    }

    /// Whether the URL's origin may be reached, and which addresses behind it. A literal address is
    /// judged here, a name's addresses by [`Permit::judge`] once they are known.
    pub fn check(&self, url: &Url) -> Result<Permit, Refusal> {
        let origin = url.origin().ascii_serialization();
        let Some(host) = url.host() else {
            return Err(Refusal(format!("{origin} has no host")));
        };
        let host = host.to_owned();
        let Some(reach) = self.reach(url, &host) else {
            return Err(not_granted(&origin, &host));
        };
        let permit = Permit { origin, host: host.to_string(), reach };
        match literal(&host) {
            Some(address) => permit.judge(address).map(|()| permit),
            None => Ok(permit),
        }
    }

    /// The furthest reach that any grant gives.
    fn reach(&self, url: &Url, host: &Host<String>) -> Option<Reach> {
        let private = self.private.iter().filter(|grant| grant.matches(url, host));
        let furthest = private.fold(None, |reach, grant| match (reach, &grant.host) {
            (Some(Reach::Everything), _) => reach,
            (_, HostPattern::Exactly(host)) if is_itself(host) => Some(Reach::Everything),
            _ => Some(Reach::Private),
        });
        let public = || self.public.iter().any(|grant| grant.matches(url, host));
        furthest.or_else(|| public().then_some(Reach::Public))
    }
}

impl Refusal {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }
}

impl Permit {
    /// Whether this address may be dialled for the origin.
    pub fn judge(&self, address: IpAddr) -> Result<(), Refusal> {
        let Some(special) = special(address) else { return Ok(()) };
        let reached = match self.reach {
            Reach::Everything => true,
            Reach::Private => !special.metadata,
            Reach::Public => false,
        };
        if reached { Ok(()) } else { Err(self.refusal(address, special)) }
    }

    /// Whether the origin was granted with its private addresses.
    pub fn is_private(&self) -> bool {
        self.reach != Reach::Public
    }

    /// The origin: `https://api.example.com`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    fn refusal(&self, address: IpAddr, special: Special) -> Refusal {
        let (host, what) = (&self.host, special.what);
        let is_literal = host.trim_matches(['[', ']']).parse() == Ok(address);
        let who = if is_literal { host.clone() } else { format!("{host} ({address})") };
        let is_itself = is_literal || METADATA_NAMES.contains(&host.as_str());
        let how = if special.metadata && !is_itself {
            // A grant of this name would not do: see `is_itself` below.
            format!("{} and name it by that address", self.at(address))
        } else {
            self.origin.clone()
        };
        Refusal(format!("{who} is {what}; allow it with {ALLOW_PRIVATE} {how}"))
    }

    /// The origin with the address in place of the host.
    fn at(&self, address: IpAddr) -> String {
        let literal = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        // With what stands before it: a short name may be a part of the scheme, too.
        self.origin.replacen(&format!("://{}", self.host), &format!("://{literal}"), 1)
    }
}

/// Whether a grant of exactly this host may reach cloud metadata: a literal address, which reaches
/// nothing else, or a name that clouds use for it. Any other name could be pointed there later.
fn is_itself(host: &Host<String>) -> bool {
    match host {
        Host::Domain(name) => METADATA_NAMES.contains(&name.as_str()),
        Host::Ipv4(_) | Host::Ipv6(_) => true,
    }
}

fn not_granted(origin: &str, host: &Host<String>) -> Refusal {
    let is_private = match host {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        host => literal(host).is_some_and(|address| special(address).is_some()),
    };
    let flag = if is_private { ALLOW_PRIVATE } else { ALLOW };
    Refusal(format!("{origin} is not granted; allow it with {flag} {origin}"))
}

/// The address that a host is, where it is no name.
pub(super) fn literal<S>(host: &Host<S>) -> Option<IpAddr> {
    match host {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some((*address).into()),
        Host::Ipv6(address) => Some((*address).into()),
    }
}

impl Grant {
    fn parse(flag: &'static str, given: &str) -> Result<Self, PolicyError> {
        let error = |(reason, example): (String, String)| PolicyError {
            flag,
            given: given.into(),
            reason,
            example,
        };
        let grant = Self::read(given.trim()).map_err(error)?;
        if flag == ALLOW_PRIVATE && matches!(grant.host, HostPattern::Any) {
            let reason = "private hosts are granted by name, never all at once";
            return Err(error((reason.into(), EXAMPLE.into())));
        }
        Ok(grant)
    }

    /// The grant, or what is wrong and what would be right.
    fn read(given: &str) -> Result<Self, (String, String)> {
        let Some((scheme, rest)) = given.split_once("://") else {
            return Err(("it does not begin with https:// or http://".into(), guess(given)));
        };
        let (wildcard, rest) = split_wildcard(rest);
        let url = Url::parse(&format!("{scheme}://{rest}"))
            .map_err(|error| (error.to_string(), EXAMPLE.into()))?;
        let (Some(scheme), Some(host), Some(port)) =
            (Scheme::of(&url), url.host(), url.port_or_known_default())
        else {
            return Err(("only http and https can be granted".into(), EXAMPLE.into()));
        };
        if let Some(more) = more_than_origin(&url) {
            return Err((more.into(), spelled(&url, wildcard)));
        }
        let host = wildcard.pattern(host.to_owned()).map_err(|why| (why, WILDCARD.into()))?;
        Ok(Self { scheme, host, port })
    }

    fn matches(&self, url: &Url, host: &Host<String>) -> bool {
        self.host.matches(host)
            && Some(self.scheme) == Scheme::of(url)
            && Some(self.port) == url.port_or_known_default()
    }
}

const EXAMPLE: &str = "https://api.example.com";
const WILDCARD: &str = "https://*.example.com";

/// What stands for the host while a grant of every host is parsed.
const STAND_IN: &str = "any.invalid";

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
    fn pattern(self, host: Host<String>) -> Result<HostPattern, String> {
        match (self, host) {
            (_, Host::Domain(name)) if name.contains('*') => {
                Err("* stands alone, or before the first dot".into())
            }
            (Self::Any, _) => Ok(HostPattern::Any),
            (Self::None, host) => Ok(HostPattern::Exactly(host)),
            (Self::Below, Host::Domain(name)) => Ok(HostPattern::Below(format!(".{name}"))),
            (Self::Below, _) => Err("an address has no subdomains".into()),
        }
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

/// The origin of a grant's URL, with its wildcard.
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

/// What was meant by a grant without a scheme.
fn guess(given: &str) -> String {
    let host = given.split(['/', '?', '#', '@']).next().unwrap_or_default();
    let with_scheme = format!("https://{host}");
    if Grant::read(&with_scheme).is_ok() { with_scheme } else { EXAMPLE.into() }
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

    fn policy(allow: &[&str], allow_private: &[&str]) -> Policy {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.into()).collect::<Vec<_>>();
        Policy::parse(&owned(allow), &owned(allow_private)).expect("grants")
    }

    /// The refusal of a URL whose host, if a name, has this address.
    fn refusal(policy: &Policy, url: &str, address: &str) -> Option<String> {
        let permit = match policy.check(&Url::parse(url).expect(url)) {
            Ok(permit) => permit,
            Err(refusal) => return Some(refusal.to_string()),
        };
        permit.judge(address.parse().expect(address)).err().map(|refusal| refusal.to_string())
    }

    #[test]
    fn nothing_is_reachable_until_granted() {
        let nothing = Policy::default();
        for (url, flag) in [
            ("https://api.example.com/x?key=secret", "--allow https://api.example.com"),
            ("http://api.example.com:8080/", "--allow http://api.example.com:8080"),
            ("http://bücher.example/", "--allow http://xn--bcher-kva.example"),
            ("http://8.8.8.8/", "--allow http://8.8.8.8"),
            ("http://localhost:3000/", "--allow-private http://localhost:3000"),
            ("http://127.0.0.1:3000/", "--allow-private http://127.0.0.1:3000"),
            ("http://2130706433/", "--allow-private http://127.0.0.1"),
            ("http://[::1]/", "--allow-private http://[::1]"),
        ] {
            let (_, origin) = flag.split_once(' ').expect("a flag and an origin");
            let expected = format!("{origin} is not granted; allow it with {flag}");
            assert_eq!(refusal(&nothing, url, "8.8.8.8"), Some(expected), "{url}");
        }
    }

    #[test]
    fn a_grant_reaches_its_origin_and_no_other() {
        let policy = policy(
            &["https://api.example.com", "https://*.wild.example", "http://odd.example:8080/"],
            &["http://db.internal:81"],
        );
        for (url, granted) in [
            ("https://api.example.com/", true),
            ("https://API.EXAMPLE.COM:443/deep?x", true),
            ("http://api.example.com/", false),
            ("https://api.example.com:8443/", false),
            ("https://api.example.com./", false),
            ("https://x.api.example.com/", false),
            ("https://api.example.com.evil.example/", false),
            ("https://evilapi.example.com/", false),
            ("https://a.wild.example/", true),
            ("https://a.b.wild.example/", true),
            ("https://wild.example/", false),
            ("https://evilwild.example/", false),
            ("https://.wild.example/", false),
            ("http://odd.example:8080/", true),
            ("http://odd.example/", false),
            ("http://db.internal:81/", true),
            ("http://db.internal/", false),
        ] {
            assert_eq!(refusal(&policy, url, "8.8.8.8").is_none(), granted, "{url}");
        }
    }

    #[test]
    fn a_special_address_is_refused_by_name_and_prints_the_flag() {
        let policy = policy(
            &["https://api.internal", "http://*", "http://metadata.google.internal"],
            &["https://db.internal", "http://*.google.internal"],
        );
        let refused = |url, address, text: &str| {
            assert_eq!(refusal(&policy, url, address).as_deref(), Some(text));
        };
        refused(
            "https://api.internal/",
            "10.0.0.7",
            "api.internal (10.0.0.7) is a private address (RFC 1918); \
             allow it with --allow-private https://api.internal",
        );
        refused(
            "http://127.1/",
            "127.0.0.1",
            "127.0.0.1 is a loopback address; allow it with --allow-private http://127.0.0.1",
        );
        refused(
            "http://[::ffff:10.0.0.1]/",
            "::1",
            "[::ffff:a00:1] is a private address (RFC 1918); \
             allow it with --allow-private http://[::ffff:a00:1]",
        );
        refused(
            "http://169.254.169.254/latest/",
            "169.254.169.254",
            "169.254.169.254 is a cloud metadata address; \
             allow it with --allow-private http://169.254.169.254",
        );
        refused(
            "https://db.internal/",
            "169.254.169.254",
            "db.internal (169.254.169.254) is a cloud metadata address; \
             allow it with --allow-private https://169.254.169.254 and name it by that address",
        );
        refused(
            "http://metadata.google.internal/",
            "169.254.169.254",
            "metadata.google.internal (169.254.169.254) is a cloud metadata address; \
             allow it with --allow-private http://metadata.google.internal",
        );
        assert_eq!(refusal(&policy, "https://db.internal/", "10.0.0.7"), None);
        assert_eq!(refusal(&policy, "http://any.example/", "8.8.8.8"), None);
    }

    #[test]
    fn cloud_metadata_is_granted_only_under_its_own_name() {
        for (grant, url, granted) in [
            ("http://169.254.169.254", "http://169.254.169.254/", true),
            ("http://169.254.169.254", "http://2852039166/", true),
            ("http://metadata.google.internal", "http://metadata.google.internal/", true),
            ("http://*.google.internal", "http://metadata.google.internal/", false),
            ("http://evil.example", "http://evil.example/", false),
        ] {
            let policy = policy(&[], &[grant]);
            let refusal = refusal(&policy, url, "169.254.169.254");
            assert_eq!(refusal.is_none(), granted, "{grant} {url} {refusal:?}");
        }
    }

    #[test]
    fn a_grant_that_cannot_be_read_says_what_would_be_right() {
        let parse = |flag: &str, given: &str| {
            let given = [given.to_owned()];
            let parsed = match flag {
                ALLOW => Policy::parse(&given, &[]),
                _ => Policy::parse(&[], &given),
            };
            parsed.map(|_| ()).map_err(|error| error.to_string())
        };
        for (flag, given, expected) in [
            (ALLOW, "api.example.com", "https://api.example.com"),
            (ALLOW, "api.example.com/users", "https://api.example.com"),
            (ALLOW, "*.example.com", "https://*.example.com"),
            (ALLOW, "", "https://api.example.com"),
            (ALLOW, "*", "https://*"),
            (ALLOW, "https://api.example.com/v1", "https://api.example.com"),
            (ALLOW, "https://api.example.com?x", "https://api.example.com"),
            (ALLOW, "https://u:p@api.example.com", "https://api.example.com"),
            (ALLOW, "https://*.example.com/v1", "https://*.example.com"),
            (ALLOW, "https://*:8443/v1", "https://*:8443"),
            (ALLOW, "https://a.*.example.com", "https://*.example.com"),
            (ALLOW, "https://*.*.example.com", "https://*.example.com"),
            (ALLOW, "https://*example.com", "https://*.example.com"),
            (ALLOW, "https://*.10.0.0.1", "https://*.example.com"),
            (ALLOW, "https://api.example.com:0", "https://api.example.com"),
            (ALLOW, "https://", "https://api.example.com"),
            (ALLOW, "ftp://api.example.com", "https://api.example.com"),
            (ALLOW, "file:///etc", "https://api.example.com"),
            (ALLOW_PRIVATE, "https://*", "https://api.example.com"),
            (ALLOW_PRIVATE, "localhost:3000", "https://localhost:3000"),
        ] {
            let error = parse(flag, given).expect_err(given);
            let right = format!("write it like {flag} {expected}");
            assert!(error.starts_with(&format!("{flag} {given:?} is no origin: ")), "{error}");
            assert!(error.ends_with(&right), "{given}: {error}");
            assert!(parse(ALLOW, expected).is_ok(), "{expected}");
        }
    }
}
