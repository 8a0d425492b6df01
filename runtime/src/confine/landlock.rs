//! Landlock: which files can be opened, which ports bound, which processes signalled.

use std::path::{Path, PathBuf};

use ::landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, RestrictionStatus,
    Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, Scope, make_bitflags, path_beneath_rules,
};

use super::{Needs, Wall, system};

/// The rights on files that are taken away unless they are granted: those of Linux 6.10. An older
/// kernel knows fewer, and does what it can. That of connecting to sockets by path (Linux 7.1) is left
/// to seccomp, which refuses such sockets on every kernel.
const KNOWN: ABI = ABI::V5;

const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});

/// The program itself is read as it is started.
const EXECUTE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | Execute});

const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | WriteFile | Truncate});

/// Files and folders: no devices, sockets or links, and nothing that can be executed.
const KEEP: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | RemoveFile | RemoveDir | MakeReg | MakeDir | Refer
});

/// Puts the wall up for this thread, and for threads and children that it makes from now on.
pub(super) fn restrict(needs: &Needs) -> Wall {
    match try_restrict(needs) {
        Err(error) => Wall::Missing(error.to_string()),
        Ok(status) => wall(&status),
    }
}

fn try_restrict(needs: &Needs) -> Result<RestrictionStatus, RulesetError> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        // A port that nobody meant to open. Connecting to any port stays allowed: to which host and
        // port a request goes is for the grants to say, and the broker knows names where the kernel
        // knows numbers.
        .handle_access(AccessNet::BindTcp)?
        // Other programs of this user are none of ours. The child that compiles lives in the same
        // domain, so it can still be stopped.
        .scope(make_bitflags!(Scope::{AbstractUnixSocket | Signal}))?
        .create()?;
    allow(&mut rules, &system::readable(), READ);
    allow(&mut rules, &system::executable(), EXECUTE);
    allow(&mut rules, &[PathBuf::from(system::NOWHERE)], WRITE);
    allow(&mut rules, &needs.read, READ);
    allow(&mut rules, &needs.alone, READ);
    allow(&mut rules, &needs.keep, KEEP);
    allow(&mut rules, &needs.write, WRITE);
    for port in &needs.ports {
        (&mut rules).add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
    }
    rules.restrict_self()
}

/// What is not there needs no grant. Neither does what no rule can be about, such as a pipe that
/// `/dev/stdout` leads to: it is none of Landlock's business.
fn allow(rules: &mut RulesetCreated, paths: &[impl AsRef<Path>], access: BitFlags<AccessFs>) {
    for path in paths {
        for rule in path_beneath_rules([path], access) {
            let added = rule.and_then(|rule| rules.add_rule(rule).map(drop));
            if let Err(error) = added {
                tracing::debug!("no access to {}: {error}", path.as_ref().display());
            }
        }
    }
}

fn wall(status: &RestrictionStatus) -> Wall {
    match (&status.ruleset, &status.landlock) {
        (
            RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced,
            LandlockStatus::Available { effective_abi, kernel_abi },
        ) => {
            let abi = kernel_abi.unwrap_or(*effective_abi as i32);
            Wall::Stands(format!("ABI {abi}"))
        }
        (_, LandlockStatus::NotEnabled) => Wall::Missing(
            "the kernel has it and it is switched off; add landlock to the boot parameter lsm="
                .into(),
        ),
        _ => Wall::Missing("the kernel or the container does not offer it (Linux 5.13)".into()),
    }
}
