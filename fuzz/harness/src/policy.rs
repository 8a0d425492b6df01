//! The policy of URLs, beside a second reading of what was granted: whatever is let through has the
//! scheme, host and port of a grant, stays below its path, and reaches no special address unless a
//! private grant names its host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use aloma_wasm::broker::{
    GrantTable, Mode, Permit, Policy, Standing, check_origin, covers, is_special,
};
use http::Method;
use percent_encoding::percent_decode;
use url::{Host, Url};

/// Grants of one case. More only take time.
const GRANTS: usize = 8;
/// URLs of one case.
const URLS: usize = 16;
/// How often a server may be thought to take off percent-encoding.
const DECODINGS: usize = 8;

/// A grant as it was written.
#[derive(Clone, Copy)]
struct Written<'a> {
    origin: &'a str,
    path: Option<&'a str>,
    is_private: bool,
}

/// Lines: `allow ORIGIN`, `private ORIGIN`, `path ORIGIN PATH`, `url URL`, `address ADDRESS`,
/// `report`; what is none of these is a URL.
pub fn policy(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (mut grants, mut urls, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
    let mut mode = Mode::Enforce;
    for line in text.split('\n') {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let whole = Written { origin: rest, path: None, is_private: false };
        match word {
            "allow" => grants.push(whole),
            "private" => grants.push(Written { is_private: true, ..whole }),
            "path" => {
                let (origin, path) = rest.split_once(' ').unwrap_or((rest, "/"));
                grants.push(Written { origin, path: Some(path), is_private: false });
            }
            "address" => addresses.extend(rest.parse::<IpAddr>()),
            "report" => mode = Mode::Report,
            "url" => urls.push(rest),
            _ => urls.push(line),
        }
    }
    grants.truncate(GRANTS);
    grants.retain(|grant| has_one_spelling(grant));
    let policy = policy_of(&grants).expect("each of them could be read").in_mode(mode);
    for url in urls.iter().take(URLS).filter_map(|url| Url::parse(url).ok()) {
        judges(&policy, &grants, &url, &addresses);
        is_covered(&grants, &url);
    }
}

fn policy_of(grants: &[Written<'_>]) -> Option<Policy> {
    let flags = |is_private| {
        let of_kind = grants.iter().filter(|grant| grant.path.is_none());
        let of_kind = of_kind.filter(|grant| grant.is_private == is_private);
        of_kind.map(|grant| grant.origin.to_owned()).collect::<Vec<_>>()
    };
    let tables = grants.iter().filter_map(|grant| Some((grant.origin, grant.path?)));
    let tables: Option<Vec<_>> = tables.map(|(origin, path)| table(origin, path)).collect();
    let policy = Policy::parse(&flags(false), &flags(true)).ok()?;
    Some(policy.with_tables(&tables?, Path::new("")))
}

fn table(origin: &str, path: &str) -> Option<GrantTable> {
    let text = |text: &str| toml::Value::from(text).to_string();
    toml::from_str(&format!("origin = {}\npaths = [{}]", text(origin), text(path))).ok()
}

/// Whether a grant can be read. Then what it says of itself can be read, too, and says the same.
fn has_one_spelling(grant: &Written<'_>) -> bool {
    let Some(policy) = policy_of(&[*grant]) else { return false };
    assert_eq!(check_origin(grant.origin), Ok(()));
    assert!(covers(grant.origin, grant.origin), "{}", grant.origin);
    assert!(policy.standing(grant.origin).is_some_and(|it| it != Standing::NotGranted));
    let line = policy.lines().next().expect("a grant has a line");
    let Some(origin) = shown_origin(&line) else { return true };
    let again = policy_of(&[Written { origin, ..*grant }]).expect("an origin that was shown");
    assert_eq!(again.lines().next(), Some(line), "{}", grant.origin);
    true
}

/// The origin of a line, in whichever quotes it stands. None where it holds both kinds.
fn shown_origin(line: &str) -> Option<&str> {
    let text = line.strip_prefix("origin = ").expect("a line names its origin");
    let quote = text.chars().next().expect("a text is quoted");
    let is_plain = !text.contains('\\') && !text.starts_with("\"\"") && !text.starts_with("''");
    text.split(quote).nth(1).filter(|_| is_plain)
}

fn judges(policy: &Policy, grants: &[Written<'_>], url: &Url, addresses: &[IpAddr]) {
    let origins: Vec<_> = grants.iter().filter(|grant| is_for(grant.origin, url)).collect();
    let is_private = origins.iter().any(|grant| grant.is_private);
    if let Ok(permit) = policy.check_origin(url) {
        reaches(&permit, url, is_private, addresses);
    }
    let permit = match policy.check(&Method::GET, url) {
        Ok(permit) => permit,
        Err(refusal) => {
            assert!(!refusal.to_string().is_empty());
            return;
        }
    };
    assert!(matches!(url.scheme(), "http" | "https") || permit.would_refuse().is_some());
    reaches(&permit, url, is_private, addresses);
    if permit.would_refuse().is_none() {
        let grants_it = |grant: &&Written<'_>| grant.path.is_none_or(|path| is_below(path, url));
        assert!(origins.iter().any(grants_it), "{url} is not granted");
    }
}

/// The second reading of an origin: the URL has the same scheme and port, and its host is the one, or
/// is below it, or may be any.
fn is_for(origin: &str, url: &Url) -> bool {
    let Some((scheme, rest)) = origin.trim().split_once("://") else { return false };
    let (parent, any) = (rest.strip_prefix("*."), rest.strip_prefix('*'));
    let host = match (parent, any) {
        (Some(parent), _) => parent.to_owned(),
        (None, Some(after)) => format!("any{after}"),
        (None, None) => rest.to_owned(),
    };
    let Ok(granted) = Url::parse(&format!("{scheme}://{host}")) else { return false };
    let is_host = match (granted.host(), url.host()) {
        (_, Some(_)) if parent.is_none() && any.is_some() => true,
        (Some(Host::Domain(parent)), Some(Host::Domain(name))) if any.is_some() => name
            .strip_suffix(parent)
            .and_then(|below| below.strip_suffix('.'))
            .is_some_and(|below| !below.is_empty()),
        (Some(granted), Some(host)) => any.is_none() && granted == host,
        _ => false,
    };
    is_host
        && granted.scheme() == url.scheme()
        && granted.port_or_known_default() == url.port_or_known_default()
}

/// No special address is reached without a private grant, neither as the host nor behind its name.
fn reaches(permit: &Permit, url: &Url, is_private: bool, addresses: &[IpAddr]) {
    let literal = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::from(address)),
        Some(Host::Ipv6(address)) => Some(address.into()),
        _ => None,
    };
    for address in literal.iter().chain(addresses) {
        let is_reached = literal == Some(*address) || permit.judge(*address).is_ok();
        assert!(!(is_reached && is_special(*address) && !is_private), "{url} reaches {address}");
        assert!(is_special(*address) || !is_never_public(*address), "{address} is special");
    }
    assert!(is_private || !permit.is_private(), "{url} is not granted as private");
}

/// What the standard library knows of special addresses.
fn is_never_public(address: IpAddr) -> bool {
    let v4 = |address: Ipv4Addr| {
        address.is_loopback()
            || address.is_private()
            || address.is_link_local()
            || address.is_unspecified()
            || address.is_broadcast()
            || address.is_multicast()
            || address.is_documentation()
    };
    let v6 = |address: Ipv6Addr| {
        address.is_loopback()
            || address.is_unspecified()
            || address.is_multicast()
            || address.is_unique_local()
            || address.is_unicast_link_local()
            || address.to_ipv4().is_some_and(v4)
    };
    match address {
        IpAddr::V4(address) => v4(address),
        IpAddr::V6(address) => v6(address),
    }
}

/// The second reading of a path: however often a server takes off its encoding, and at least once, it
/// stays below the prefix.
fn is_below(prefix: &str, url: &Url) -> bool {
    let Ok(prefix) = Url::parse(&format!("https://any.invalid{prefix}")) else { return false };
    (1..=DECODINGS).all(|times| {
        let mut prefix = walked(prefix.path(), times);
        if prefix.last().is_some_and(Vec::is_empty) {
            prefix.pop();
        }
        walked(url.path(), times).starts_with(&prefix)
    })
}

/// Where a server gets to that takes off percent-encoding so often, takes backslashes for slashes,
/// cuts off parameters, and then follows the dots.
fn walked(path: &str, decodings: usize) -> Vec<Vec<u8>> {
    let mut path = path.as_bytes().to_vec();
    for _ in 0..decodings {
        path = percent_decode(&path).collect();
    }
    let mut at: Vec<Vec<u8>> = Vec::new();
    for segment in path.split(|byte| matches!(byte, b'/' | b'\\')).skip(1) {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        match name.trim_ascii() {
            b"." => {}
            b".." => drop(at.pop()),
            _ => at.push(segment.to_vec()),
        }
    }
    at
}

/// What a narrow grant lets through, a wide one that covers it does, too.
fn is_covered(grants: &[Written<'_>], url: &Url) {
    let whole = |grant: &&Written<'_>| grant.path.is_none();
    for narrow in grants.iter().filter(whole) {
        for wide in grants.iter().filter(whole).filter(|wide| covers(wide.origin, narrow.origin)) {
            let let_through = |grant: &Written<'_>| {
                let private = Written { is_private: false, ..*grant };
                policy_of(&[private]).expect("a grant").check(&Method::GET, url).is_ok()
            };
            assert!(!let_through(narrow) || let_through(wide), "{} {url}", wide.origin);
        }
    }
}
