//! The calls of one connector that wait for one of its places: so many, for so long, and no more.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError};
use tokio::time::{Instant, timeout_at};

use super::error::CallError;
use crate::envelope::{Breach, Limit, Limits};

pub(super) struct Queue {
    places: Semaphore,
    waiting: AtomicUsize,
    most: usize,
    full: Breach,
    late: Breach,
}

/// One call in the queue.
struct Waiting<'a>(&'a AtomicUsize);

impl Queue {
    pub fn new(limits: &Limits) -> Self {
        Self {
            places: Semaphore::new(limits.count(Limit::Concurrency)),
            waiting: AtomicUsize::new(0),
            most: limits.count(Limit::Waiting),
            full: limits.breach(Limit::Waiting),
            late: limits.breach(Limit::QueueTime),
        }
    }

    /// Waits for a place until it is too late.
    ///
    /// # Errors
    /// When too many wait already, when it is too late, or after [`Queue::close`].
    pub async fn place(&self, late: Instant) -> Result<SemaphorePermit<'_>, CallError> {
        match self.places.try_acquire() {
            Ok(place) => return Ok(place),
            Err(TryAcquireError::Closed) => return Err(CallError::ShuttingDown),
            Err(TryAcquireError::NoPermits) => {}
        }
        let _waiting = self.join()?;
        match timeout_at(late, self.places.acquire()).await {
            Ok(place) => place.map_err(|_| CallError::ShuttingDown),
            Err(_) => Err(self.late.into()),
        }
    }

    /// Refuses those who wait and whoever comes.
    pub fn close(&self) {
        self.places.close();
    }

    fn join(&self) -> Result<Waiting<'_>, Breach> {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Waiting(&self.waiting);
        if waiting < self.most { Ok(place) } else { Err(self.full) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    fn queue() -> Queue {
        let limits = [(Limit::Concurrency, 1), (Limit::Waiting, 1), (Limit::QueueTime, 2)];
        let limits = limits
            .into_iter()
            .fold(Limits::default(), |all, (limit, value)| all.with(limit, value));
        Queue::new(&limits)
    }

    fn late() -> Instant {
        Instant::now() + std::time::Duration::from_secs(2)
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_refuses_at_once_and_a_slow_one_in_time() {
        let queue = queue();
        let held = queue.place(late()).await.expect("a place");
        let mut second = Box::pin(queue.place(late()));
        assert!(poll!(&mut second).is_pending());
        let third = queue.place(late()).await.map(drop).expect_err("one too many").to_string();
        assert!(third.contains("1 calls are waiting") && third.contains("waiting in [limits]"));
        let late = second.await.map(drop).expect_err("too late").to_string();
        assert!(
            late.contains("within 2 s") && late.contains("queue-seconds in [limits]"),
            "{late}"
        );
        drop(held);
        drop(queue.place(Instant::now()).await.expect("a place again"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_refused_when_it_closes() {
        let queue = queue();
        let held = queue.place(late()).await.expect("a place");
        let waiting = queue.place(late());
        let close = async { queue.close() };
        let (refused, ()) = tokio::join!(waiting, close);
        assert!(matches!(refused.map(drop), Err(CallError::ShuttingDown)));
        drop(held);
        assert!(matches!(queue.place(late()).await.map(drop), Err(CallError::ShuttingDown)));
    }
}
