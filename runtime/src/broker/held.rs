//! The bytes of bodies that one connector makes the host hold at once.
//!
//! A guest's own memory has a limit; what it has the host fetch and keep needs one, too, or it would
//! start requests and never take the answers.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::{HELD, HELD_UNIT};
use super::request::Error;

/// What a connector may still have held. Cheap to clone.
#[derive(Clone)]
pub(super) struct Budget(Arc<Semaphore>);

/// Some bytes that are held, until it is dropped.
#[derive(Debug)]
pub struct Held {
    budget: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(HELD / HELD_UNIT)))
    }
}

impl Budget {
    /// Nothing held yet.
    pub fn hold(&self) -> Held {
        Held { budget: self.0.clone(), permit: None, bytes: 0 }
    }
}

impl Held {
    /// Holds so many bytes more.
    ///
    /// # Errors
    /// When the connector has too much held already.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        let total = self.bytes.saturating_add(bytes);
        let units = total.div_ceil(HELD_UNIT) - self.bytes.div_ceil(HELD_UNIT);
        let more = u32::try_from(units)
            .ok()
            .and_then(|units| self.budget.clone().try_acquire_many_owned(units).ok());
        let more = more.ok_or_else(|| {
            Error::Limit(format!(
                "more than {} MiB of requests and answers are held for this connector; take or \
                 cancel some before you make more",
                HELD >> 20
            ))
        })?;
        self.bytes = total;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_can_be_held_again() {
        let budget = Budget::default();
        let mut first = budget.hold();
        for _ in 0..HELD / 1000 {
            first.grow(1000).expect("room");
        }
        assert!(budget.hold().grow(HELD_UNIT * 2).is_err());
        assert!(first.grow(HELD).is_err());
        drop(first);
        budget.hold().grow(HELD).expect("room again");
    }
}
