//! What the operator lets a connector reach. Nothing, until granted.
//!
//! A refusal's text is part of the interface: it names the host and prints the flag and the lines of
//! connector.toml that would allow it.

mod binding;
mod grant;
mod origin;
mod path;
mod refusal;
mod table;
mod terms;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use http::Method;
use serde::{Deserialize, Serialize};
use url::{Host, Position, Url};

use self::binding::Bindings;
use self::grant::{Asked, Grant};
use self::origin::{EXAMPLE, HostPattern, Origin};
use super::address::{METADATA_NAMES, special};

pub use self::refusal::Refusal;
pub(super) use self::refusal::key as toml_key;
pub use self::table::GrantTable;
pub use self::terms::{ClientCertificate, Jitter, Rate, Terms};

/// The grants of one connector. Never changes.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// In the order in which they were written, those of the file first.
    grants: Vec<Grant>,
    bindings: Bindings,
    mode: Mode,
}

/// What becomes of a request that is not granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is refused.
    #[default]
    Enforce,
    /// It is let through to public addresses, without secrets, and the record says what would have
    /// been refused.
    Report,
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

/// What a policy says of a request that it lets through.
#[derive(Clone, Debug)]
pub struct Permit {
    origin: String,
    host: String,
    reach: Reach,
    grant: Arc<str>,
    terms: Arc<Terms>,
    would_refuse: Option<Refusal>,
}

/// How an origin that a connector asks for stands to what is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// All of it.
    Granted,
    /// Some hosts, methods or paths of it.
    InPart,
    /// Nothing of it.
    NotGranted,
}

/// Which addresses a permit reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Public,
    /// Special-purpose addresses too, but for cloud metadata.
    Private,
    Everything,
}

const ALLOW: &str = "--allow";
const ALLOW_PRIVATE: &str = "--allow-private";

/// The grant of what is only reported.
const NO_GRANT: &str = "none";

impl Policy {
    /// Reads grants as flags give them: `scheme://host[:port]`, with `*.` before the host for its
    /// subdomains. `*` for any public host is for `allow` only.
    pub fn parse(allow: &[String], allow_private: &[String]) -> Result<Self, PolicyError> {
        let public = allow.iter().map(|origin| read_grant(ALLOW, origin));
        let private = allow_private.iter().map(|origin| read_grant(ALLOW_PRIVATE, origin));
        let grants = public.chain(private).collect::<Result<_, _>>()?;
        Ok(Self { grants, bindings: Bindings::default(), mode: Mode::default() })
    }

    /// Adds the grants of a settings file, before the others. What files they name is found in the
    /// folder.
    #[must_use]
    pub fn with_tables(mut self, tables: &[GrantTable], folder: &Path) -> Self {
        let grant = |(at, table): (usize, &GrantTable)| {
            let id = format!("grant {} ({})", at + 1, table.origin());
            table.grant(id.into(), folder)
        };
        self.grants.splice(0..0, tables.iter().enumerate().map(grant));
        self
    }

    /// The same policy in another mode.
    #[must_use]
    pub fn in_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// What becomes of a request that is not granted.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether the request may be made, on which terms, and which addresses may be dialled for it. A
    /// literal address is judged here, a name's addresses by [`Permit::judge`] once they are known.
    pub fn check(&self, method: &Method, url: &Url) -> Result<Permit, Refusal> {
        self.permit(url, Some(&Asked::new(method, url)))
    }

    /// Whether the URL's origin may be reached at all, and which addresses behind it. For who sees
    /// neither method nor path; each request is checked on its own.
    pub fn check_origin(&self, url: &Url) -> Result<Permit, Refusal> {
        self.permit(url, None)
    }

    /// How an asked origin stands to what is granted. None where it is no origin.
    pub fn standing(&self, asked: &str) -> Option<Standing> {
        let asked = Origin::read(asked).ok()?;
        let is_whole = |grant: &Grant| grant.methods.is_none() && grant.paths.is_none();
        if self.grants.iter().any(|grant| is_whole(grant) && grant.origin.covers(&asked)) {
            return Some(Standing::Granted);
        }
        let touches = |grant: &Grant| grant.origin.covers(&asked) || asked.covers(&grant.origin);
        let in_part = self.grants.iter().any(touches);
        Some(if in_part { Standing::InPart } else { Standing::NotGranted })
    }

    /// The credentials that grants attach.
    pub fn credentials(&self) -> impl Iterator<Item = &str> {
        self.grants.iter().filter_map(|grant| grant.terms.credential.as_deref())
    }

    /// The client certificates that grants name, and which grant.
    pub fn client_certificates(&self) -> impl Iterator<Item = (&str, &ClientCertificate)> {
        self.grants
            .iter()
            .filter_map(|grant| Some((&*grant.id, grant.terms.client_certificate.as_ref()?)))
    }

    /// The grants in order, as lines for people.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.grants.iter().map(refusal::shown)
    }

    fn permit(&self, url: &Url, asked: Option<&Asked<'_>>) -> Result<Permit, Refusal> {
        let origin = url[..Position::BeforePath].to_owned();
        let Some(host) = url.host().map(|host| host.to_owned()) else {
            return Err(Refusal(format!("{origin} has no host")));
        };
        let of_origin: Vec<_> =
            self.grants.iter().filter(|grant| grant.is_for(url, &host)).collect();
        let (grant, terms, would_refuse) = match closest(&of_origin, asked) {
            Some(grant) => (grant.id.clone(), grant.terms.clone(), None),
            None => {
                let refusal = refusal_of(&of_origin, asked, url, &origin, &host);
                // A report reaches public addresses alone, also where the rest of a private origin
                // is granted.
                if self.mode == Mode::Enforce || reach(&of_origin) != Reach::Public {
                    return Err(refusal);
                }
                (NO_GRANT.into(), Arc::default(), Some(refusal))
            }
        };
        let (reach, name) = (reach(&of_origin), host.to_string());
        let permit = Permit { origin, host: name, reach, grant, terms, would_refuse };
        match literal(&host) {
            Some(address) => permit.judge(address).map(|()| permit),
            None => Ok(permit),
        }
    }
}

/// The grant that decides on the terms: the one that names the request most closely; of several the
/// first.
fn closest<'a>(of_origin: &[&'a Grant], asked: Option<&Asked<'_>>) -> Option<&'a Grant> {
    let closeness = |grant: &&'a Grant| {
        let closeness = asked.map_or(Some(grant.closeness()), |asked| grant.grants(asked));
        Some((closeness?, *grant))
    };
    // Of equals the last is taken.
    let last_to_first = of_origin.iter().rev();
    let granting = last_to_first.filter_map(closeness);
    granting.max_by_key(|(closeness, _)| *closeness).map(|(_, grant)| grant)
}

/// Where nothing of the origin is granted, that; else the grant is named that lacks the least.
fn refusal_of(
    of_origin: &[&Grant],
    asked: Option<&Asked<'_>>,
    url: &Url,
    origin: &str,
    host: &Host<String>,
) -> Refusal {
    let Some(asked) = asked else { return Refusal::of_origin(origin, host) };
    let lacks_least = |grant: &&&Grant| {
        let path = grant.grants_path(&asked.path);
        (path, grant.grants_method(asked.method), grant.closeness())
    };
    match of_origin.iter().rev().max_by_key(lacks_least) {
        Some(grant) => Refusal::of_request(grant, asked, origin, url),
        None => Refusal::of_origin(origin, host),
    }
}

/// The furthest reach that any grant of the origin gives, whatever paths it is for: requests to an
/// origin share their connections.
fn reach(of_origin: &[&Grant]) -> Reach {
    let private = of_origin.iter().filter(|grant| grant.is_private);
    private.fold(Reach::Public, |reach, grant| match (reach, grant.origin.host()) {
        (Reach::Everything, _) => reach,
        (_, HostPattern::Exactly(host)) if is_itself(host) => Reach::Everything,
        _ => Reach::Private,
    })
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
        if reached { Ok(()) } else { Err(Refusal::of_address(self, address, special)) }
    }

    /// Whether the origin was granted with its private addresses.
    pub fn is_private(&self) -> bool {
        self.reach != Reach::Public
    }

    /// The origin: `https://api.example.com`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The terms of the grant that lets the request through.
    pub fn terms(&self) -> &Arc<Terms> {
        &self.terms
    }

    /// The grant that lets the request through, in words for people. The same for as long as the
    /// policy is in force, and no two grants on different terms have the same.
    pub fn grant_id(&self) -> &Arc<str> {
        &self.grant
    }

    /// What would have been said, had the policy not only reported.
    pub fn would_refuse(&self) -> Option<&Refusal> {
        self.would_refuse.as_ref()
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

/// Checks an origin of a settings file.
///
/// # Errors
/// What is wrong with it and what would be right.
pub fn check_origin(given: &str) -> Result<(), String> {
    Origin::read(given).map(|_| ()).map_err(|error| error.explain(given))
}

/// Whether all origins of the second pattern are in the first. Never, where one is no pattern.
pub fn covers(wide: &str, narrow: &str) -> bool {
    let (Ok(wide), Ok(narrow)) = (Origin::read(wide), Origin::read(narrow)) else { return false };
    wide.covers(&narrow)
}

/// Whether an address is no public one, so that it needs a grant of its own.
pub fn is_special(address: IpAddr) -> bool {
    special(address).is_some()
}

/// The address that a host is, where it is no name.
pub(super) fn literal<S>(host: &Host<S>) -> Option<IpAddr> {
    match host {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some((*address).into()),
        Host::Ipv6(address) => Some((*address).into()),
    }
}

/// Reads the grant that a flag gives.
fn read_grant(flag: &'static str, given: &str) -> Result<Grant, PolicyError> {
    let origin = read_origin(flag, given)?;
    let is_private = flag == ALLOW_PRIVATE;
    if is_private && *origin.host() == HostPattern::Any {
        let reason = "private hosts are granted by name, never all at once".into();
        return Err(PolicyError { flag, given: given.into(), reason, example: EXAMPLE.into() });
    }
    Ok(Grant::whole(format!("{flag} {origin}").into(), origin, is_private))
}

fn read_origin(flag: &'static str, given: &str) -> Result<Origin, PolicyError> {
    Origin::read(given).map_err(|error| PolicyError {
        flag,
        given: given.into(),
        reason: error.reason,
        example: error.example,
    })
}
