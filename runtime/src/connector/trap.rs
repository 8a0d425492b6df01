//! Why a guest trapped, in a few words for whoever called. The whole story goes to the log.

use wasmtime::Trap;
use wasmtime::component::ResourceTableError;

use super::error::CallError;
use super::sandbox::State;
use crate::envelope::{Breach, Limit, Limits};

/// What wasmtime says where it has no type for it. A test for each is in `tests/`, so that another
/// wording is noticed.
const SAYINGS: &[(&str, Limit)] = &[
    ("resource limit exceeded: instance count", Limit::CoreInstances),
    ("resource limit exceeded: memory count", Limit::Memories),
    ("resource limit exceeded: table count", Limit::Tables),
    ("fuel allocated for hostcalls has been exhausted", Limit::HostCall),
    ("store handle limit exceeded", Limit::Handles),
    ("core module instances, which exceeds", Limit::CoreInstances),
    ("linear memories, which exceeds", Limit::Memories),
    ("tables, which exceeds", Limit::Tables),
    ("requested len", Limit::Random),
    ("total size of fields exceeds limit", Limit::Fields),
];

/// What wasmtime says of an instance that begins with more than it may have.
const TOO_LARGE_AT_THE_START: [&str; 2] = ["exceeds memory limits", "exceeds table limits"];

/// Says why.
pub(super) fn explain(error: &wasmtime::Error, state: &State) -> CallError {
    tracing::debug!("trap: {error:?}");
    if let Some(breach) = breach(error, state) {
        return breach.into();
    }
    CallError::Crashed(match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => "its recursion went too deep".to_owned(),
        Some(Trap::UnreachableCodeReached) => "it panicked".to_owned(),
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    })
}

fn breach(error: &wasmtime::Error, state: &State) -> Option<Breach> {
    if let Some(breach) = error.downcast_ref::<Breach>() {
        return Some(*breach);
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref() {
        return Some(state.limits.breach(Limit::Handles));
    }
    let said = error.root_cause().to_string();
    if let Some(breach) = told(&said, &state.limits) {
        return Some(breach);
    }
    let at_the_start = TOO_LARGE_AT_THE_START.iter().any(|saying| said.contains(saying));
    // What a program does when it gets no more memory: some panic, some run into a bad address.
    (at_the_start || error.is::<Trap>()).then(|| state.memory.refused()).flatten()
}

/// The limit that a text of wasmtime is about.
pub(super) fn told(text: &str, limits: &Limits) -> Option<Breach> {
    let saying = SAYINGS.iter().find(|(saying, _)| text.contains(saying));
    saying.map(|(_, limit)| limits.breach(*limit))
}
