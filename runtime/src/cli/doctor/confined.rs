//! Whether the process is held to what it needs, tried out after it has confined itself.

use std::net::ToSocketAddrs as _;

use super::finding::Finding;
use crate::confine::privileges::are_left;
use crate::confine::probe::{self, Probe};
use crate::confine::{Report, Wall};

pub(super) fn kernel() -> Finding {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let (release, processor) = (release.trim(), std::env::consts::ARCH);
    let release = if release.is_empty() { "of unknown version" } else { release };
    Finding::ok("kernel", format!("Linux {release} on {processor}"))
}

/// What can be done while nothing is given up.
pub(super) fn before() -> Vec<Probe> {
    probe::files(&[])
}

pub(super) fn all(report: &Report, before: &[Probe]) -> [Finding; 3] {
    [
        privileges(),
        wall("landlock", &report.files, probe::files(before), "before Linux 5.13 there is none"),
        wall(
            "seccomp",
            &report.calls,
            probe::calls(),
            "there is a list for x86-64 and 64-bit ARM; a container's own profile may forbid to set \
             another",
        ),
    ]
}

fn privileges() -> Finding {
    const WHAT: &str = "privileges";
    if are_left() {
        let advice = "run as a user of its own, without capabilities";
        return Finding::problem(WHAT, "some of root's could not be given up", advice);
    }
    let is_root = rustix::process::geteuid().is_root();
    let user = if is_root { "root, without those that are never used" } else { "none" };
    Finding::ok(WHAT, user)
}

fn wall(name: &'static str, wall: &Wall, probes: Vec<Probe>, hint: &str) -> Finding {
    let how = match wall {
        Wall::Stands(how) => how,
        Wall::Missing(why) => {
            let advice = format!(
                "connectors run all the same, with one wall less behind their sandbox; {hint}"
            );
            return Finding::note(name, format!("not in force: {why}"), advice);
        }
    };
    let of = |refused: bool| -> Vec<&str> {
        let probes = probes.iter().filter(|probe| probe.refused == Some(refused));
        probes.map(|probe| probe.what).collect()
    };
    let (refused, went_through) = (of(true).join(", "), of(false).join(", "));
    if !went_through.is_empty() {
        let text = format!("said to be in force ({how}), but not refused: {went_through}");
        let advice = "the kernel or the container does not do what it promises; look for an update";
        return Finding::problem(name, text, advice);
    }
    Finding::ok(name, format!("in force ({how}); refused: {refused}"))
}

/// Look-ups load libraries and read files, of which some may be where nobody thought of.
pub(super) fn names() -> Finding {
    const WHAT: &str = "names";
    match ("localhost", 0).to_socket_addrs() {
        Ok(found) => {
            let found: Vec<_> = found.map(|address| address.ip().to_string()).collect();
            Finding::ok(WHAT, format!("localhost is found while confined: {}", found.join(", ")))
        }
        Err(error) => Finding::problem(
            WHAT,
            format!("localhost is not found while confined: {error}"),
            "look at /etc/hosts and /etc/nsswitch.conf; if names are found with --no-confinement, \
             tell us which modules nsswitch.conf names",
        ),
    }
}

/// The same as before, so that a store in an unusual place is noticed.
pub(super) fn roots() -> Finding {
    const WHAT: &str = "tls";
    let found = rustls_native_certs::load_native_certs();
    let unread = found.errors.iter().find(|error| error.to_string().contains("denied"));
    match unread {
        None => Finding::ok(WHAT, "root certificates can be read while confined"),
        Some(error) => Finding::problem(
            WHAT,
            format!("root certificates cannot be read while confined: {error}"),
            "name their file in SSL_CERT_FILE or their folder in SSL_CERT_DIR",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Standing;
    use super::*;

    #[test]
    fn a_wall_that_lets_something_through_is_a_problem() {
        let probe = |what, refused| Probe { what, refused };
        let stands = Wall::Stands("ABI 7".into());
        for (standing, probes, found, text) in [
            (
                &stands,
                vec![probe("a", Some(true)), probe("b", None), probe("c", Some(true))],
                Standing::Ok,
                "in force (ABI 7); refused: a, c",
            ),
            (
                &stands,
                vec![probe("a", Some(true)), probe("b", Some(false))],
                Standing::Problem,
                "said to be in force (ABI 7), but not refused: b",
            ),
            (
                &Wall::Missing("too old".into()),
                vec![probe("a", Some(false))],
                Standing::Note,
                "not in force: too old",
            ),
        ] {
            let finding = wall("landlock", standing, probes, "");
            assert_eq!((finding.standing, finding.text.as_str()), (found, text));
        }
    }
}
