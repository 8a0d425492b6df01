//! What a process of root may do beyond its user's rights, and never does.

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// What stays: the files that were named belong to anybody, and a workspace may listen on a low port.
const KEPT: CapabilitySet = CapabilitySet::DAC_OVERRIDE
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::NET_BIND_SERVICE);

/// Gives the others up, for this thread and those that it makes. Without privileges there is nothing to
/// do.
pub(super) fn give_up() {
    let given_up = capabilities(None).and_then(|now| {
        let kept = CapabilitySets {
            effective: now.effective & KEPT,
            permitted: now.permitted & KEPT,
            inheritable: CapabilitySet::empty(),
        };
        if now == kept { Ok(()) } else { set_capabilities(None, kept) }
    });
    if let Err(error) = given_up {
        tracing::warn!("this process keeps its privileges: {error}");
    }
}

/// Whether there is any that this program never uses.
pub(crate) fn are_left() -> bool {
    capabilities(None).is_ok_and(|now| !(now.effective | now.permitted).difference(KEPT).is_empty())
}
