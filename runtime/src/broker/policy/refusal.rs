//! What a refusal says: what was refused, the flag that would allow it, and the lines of
//! connector.toml that would. Where a grant is too narrow, all its lines are shown as they would have
//! to be.
//!
//! These texts are part of the interface.

use std::net::IpAddr;

use http::Method;
use url::{Host, Url};

use super::grant::{Asked, Grant};
use super::{ALLOW, ALLOW_PRIVATE, Permit, literal};
use crate::broker::address::{METADATA_NAMES, Special, special};
use crate::broker::limits::REFUSED_PATH;

/// A refusal. Its text is for whoever runs the connector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub(super) String);

impl Refusal {
    /// A refusal for a reason of its own.
    pub(in crate::broker) fn new(text: String) -> Self {
        Self(text)
    }

    /// Nothing at all of the origin is granted.
    pub(super) fn of_origin(origin: &str, host: &Host<String>) -> Self {
        Self(format!("{origin} is not granted; allow it with {}", grant(origin, is_local(host))))
    }

    /// An address is reached by no public grant.
    pub(super) fn of_address(permit: &Permit, address: IpAddr, special: Special) -> Self {
        let (host, what) = (&permit.host, special.what);
        let is_literal = host.trim_matches(['[', ']']).parse() == Ok(address);
        let who = if is_literal { host.clone() } else { format!("{host} ({address})") };
        let is_itself = is_literal || METADATA_NAMES.contains(&host.as_str());
        let how = if special.metadata && !is_itself {
            // A grant of this name would not do: see `is_itself`.
            let at = at(&permit.origin, host, address);
            format!("name it by that address and allow it with {}", grant(&at, true))
        } else {
            format!("allow it with {}", grant(&permit.origin, true))
        };
        Self(format!("{who} is {what}; {how}"))
    }

    /// The origin is granted, and not what is asked of it. `grant` comes closest.
    pub(super) fn of_request(grant: &Grant, asked: &Asked<'_>, origin: &str, url: &Url) -> Self {
        let path = shown_path(url);
        if !grant.grants_path(&asked.path) && asked.path.leads_up() {
            return Self(format!(
                "{origin}{path} holds a dot segment in disguise, which is in no path that is \
                 granted; send the path that is meant"
            ));
        }
        let what = if grant.grants_path(&asked.path) {
            format!("{} to {origin}", asked.method)
        } else {
            format!("{origin}{path}")
        };
        // Flags grant all of an origin, so it is one of the file, and its name begins with its number.
        let number = grant.id.split(" (").next().unwrap_or(&grant.id);
        Self(format!(
            "{what} is not granted; allow it by {number} in connector.toml: [[grant]] {}",
            shown(&grant.widened(asked, &path))
        ))
    }
}

/// The flag and the lines that grant an origin.
pub(super) fn grant(origin: &str, is_private: bool) -> String {
    let (flag, key) = if is_private { (ALLOW_PRIVATE, " private = true") } else { (ALLOW, "") };
    format!("{flag} {origin}, or in connector.toml: [[grant]] origin = {}{key}", quoted(origin))
}

/// A grant as its lines in connector.toml would be.
pub(super) fn shown(grant: &Grant) -> String {
    let mut text = format!("origin = {}", quoted(&grant.origin.to_string()));
    if grant.is_private {
        text += " private = true";
    }
    if let Some(methods) = &grant.methods {
        text += &format!(" methods = {}", list(methods.iter().map(Method::as_str)));
    }
    if let Some(paths) = &grant.paths {
        let paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
        text += &format!(" paths = {}", list(paths.iter().map(String::as_str)));
    }
    text + &grant.written
}

/// A TOML list of texts.
pub(super) fn list<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", texts.map(quoted).collect::<Vec<_>>().join(", "))
}

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A TOML key.
pub(in crate::broker) fn key(text: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let bare = !text.is_empty() && text.chars().all(is_bare);
    if bare { text.to_owned() } else { quoted(text) }
}

/// The path, or as many of its first segments as people read.
fn shown_path(url: &Url) -> String {
    // In a grant a star would be taken for a wildcard, which there is none.
    let path = url.path().replace('*', "%2A");
    // A URL is ASCII.
    let head = path.get(..REFUSED_PATH).unwrap_or(&path);
    match head.rfind('/') {
        Some(end) if end > 0 && head.len() < path.len() => head[..=end].to_owned(),
        _ => path,
    }
}

/// Whether a host is of this machine or network by the way it is written.
fn is_local(host: &Host<String>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        host => literal(host).is_some_and(|address| special(address).is_some()),
    }
}

/// The origin with the address in place of the host.
fn at(origin: &str, host: &str, address: IpAddr) -> String {
    let literal = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    // With what stands before it: a short name may be a part of the scheme, too.
    origin.replacen(&format!("://{host}"), &format!("://{literal}"), 1)
}
