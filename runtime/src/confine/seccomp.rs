//! Seccomp: which system calls can be made.
//!
//! What may be called is listed; everything else does not exist (`ENOSYS`), and nothing is killed
//! for asking. A list of what is forbidden would let through each call that a new kernel brings, and on
//! x86-64 all of them a second time under the numbers of x32. The answer that a call does not exist
//! is the one for which libraries have a second way, since they must run on kernels that lack it: so
//! a C library that is newer than this list still works.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};

use super::Wall;
use super::calls::{self, Is, When};

/// `ENOSYS`, the same on every processor that the list is for.
const DOES_NOT_EXIST: u32 = libc::ENOSYS.unsigned_abs();

/// Puts the wall up for all threads.
pub(super) fn restrict() -> Wall {
    let applied = filter()
        .map_err(|error| format!("there is no list for this processor: {error}"))
        .and_then(|filter| {
            let applied = seccompiler::apply_filter_all_threads(&filter);
            applied.map_err(|error| format!("the kernel or the container refuses it: {error}"))
        });
    match applied {
        Ok(()) => Wall::Stands(format!("{} system calls", rules().len())),
        Err(why) => Wall::Missing(why),
    }
}

fn filter() -> Result<BpfProgram, BackendError> {
    let processor = std::env::consts::ARCH.try_into()?;
    let rules = rules()
        .into_iter()
        .map(|(call, whens)| Ok((call, whens.iter().map(rule).collect::<Result<_, _>>()?)))
        .collect::<Result<_, BackendError>>()?;
    let refused = SeccompAction::Errno(DOES_NOT_EXIST);
    SeccompFilter::new(rules, refused, SeccompAction::Allow, processor)?.try_into()
}

/// The calls, each with the cases in which it is allowed; none stands for all cases.
fn rules() -> BTreeMap<libc::c_long, Vec<When>> {
    let always = calls::ALWAYS.iter().flat_map(|(_, calls)| *calls).map(|call| (*call, Vec::new()));
    always.chain(calls::sometimes()).collect()
}

fn rule(when: &When) -> Result<SeccompRule, BackendError> {
    let condition = |(argument, is): &(u8, Is)| {
        let (operation, value) = match *is {
            Is::Equal(value) => (SeccompCmpOp::Eq, value),
            Is::Without(bits) => (SeccompCmpOp::MaskedEq(bits.into()), 0),
            Is::Masked(mask, value) => (SeccompCmpOp::MaskedEq(mask.into()), value),
        };
        // All of these arguments are 32 bits for the kernel, whatever is in the rest of the register.
        SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, operation, value.into())
    };
    SeccompRule::new(when.iter().map(condition).collect::<Result<_, _>>()?)
}
