//! The bytes of bodies that one connector makes the host hold at once.
//!
//! A guest's own memory has a limit; what it has the host fetch and keep needs one, too, or it would
//! start requests and never take the answers.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::HELD_UNIT;
use super::request::Error;
use crate::envelope::{Breach, Limit, Limits};

/// What a connector may still have held. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    room: Arc<Semaphore>,
    breach: Breach,
}

/// Some bytes that are held, until it is dropped.
#[derive(Debug)]
pub struct Held {
    budget: Budget,
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Budget {
    /// That of a connector with these limits.
    pub fn new(limits: &Limits) -> Self {
        let room = Arc::new(Semaphore::new(limits.bytes(Limit::Held) / HELD_UNIT));
        Self { room, breach: limits.breach(Limit::Held) }
    }

    /// Nothing held yet.
    pub fn hold(&self) -> Held {
        Held { budget: self.clone(), permit: None, bytes: 0 }
    }
}

#[cfg(test)]
impl Default for Budget {
    fn default() -> Self {
        Self::new(&Limits::default())
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
            .and_then(|units| self.budget.room.clone().try_acquire_many_owned(units).ok());
        let more = more.ok_or(self.budget.breach)?;
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
        const HELD: usize = 3 << 20;
        let limits = Limits::default().with(Limit::Held, 3);
        let budget = Budget::new(&limits);
        let mut first = budget.hold();
        for _ in 0..HELD / 1000 {
            first.grow(1000).expect("room");
        }
        let breach = Error::from(limits.breach(Limit::Held));
        assert_eq!(budget.hold().grow(HELD_UNIT * 2), Err(breach));
        assert!(first.grow(HELD).is_err());
        drop(first);
        budget.hold().grow(HELD).expect("room again");
    }
}
