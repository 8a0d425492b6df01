//! How many of a connector's requests may be repeats.
//!
//! Each request by itself may be worth another try; all of them together would be a flood just when
//! a server is in trouble.

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::broker::limits::{REPEAT_EVERY, REPEATS_AT_ONCE, REQUESTS_PER_REPEAT};

/// Said in the record of a request that was not sent again.
pub(in crate::broker) const SPENT: &str =
    "not sent again: too many of this connector's requests are repeats";

/// The repeats that a connector may still make. Some at once; each request adds a part of one, and so
/// does time, for a connector that makes few.
pub(in crate::broker) struct Repeats(Mutex<Bucket>);

struct Bucket {
    /// In whole repeats.
    left: f64,
    at: Instant,
}

impl Default for Repeats {
    fn default() -> Self {
        Self(Mutex::new(Bucket { left: REPEATS_AT_ONCE, at: Instant::now() }))
    }
}

impl Repeats {
    /// Counts a request: its first attempt.
    pub fn request(&self) {
        self.0.lock().add(1.0 / REQUESTS_PER_REPEAT);
    }

    /// Takes a repeat, if one is left.
    pub fn may_repeat(&self) -> bool {
        let mut bucket = self.0.lock();
        bucket.refill();
        let may = bucket.left >= 1.0;
        if may {
            bucket.left -= 1.0;
        }
        may
    }
}

impl Bucket {
    fn refill(&mut self) {
        let passed = self.at.elapsed();
        self.at += passed;
        self.add(passed.as_secs_f64() / REPEAT_EVERY.as_secs_f64());
    }

    fn add(&mut self, repeats: f64) {
        self.left = (self.left + repeats).min(REPEATS_AT_ONCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(repeats: &Repeats) -> usize {
        (0..1000).take_while(|_| repeats.may_repeat()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn repeats_are_some_at_once_and_then_a_part_of_all_requests() {
        let repeats = Repeats::default();
        assert_eq!(taken(&repeats), REPEATS_AT_ONCE as usize);
        for _ in 0..30 {
            repeats.request();
        }
        assert!(taken(&repeats).abs_diff((30.0 / REQUESTS_PER_REPEAT) as usize) <= 1);
        for _ in 0..10_000 {
            repeats.request();
        }
        assert_eq!(taken(&repeats), REPEATS_AT_ONCE as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn time_gives_repeats_back_too() {
        let repeats = Repeats::default();
        taken(&repeats);
        tokio::time::advance(REPEAT_EVERY * 2).await;
        assert_eq!(taken(&repeats), 2);
        tokio::time::advance(REPEAT_EVERY * 1000).await;
        assert_eq!(taken(&repeats), REPEATS_AT_ONCE as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_that_fails_is_hardly_larger_than_the_requests() {
        let repeats = Repeats::default();
        let mut sent = 0;
        for _ in 0..1000 {
            repeats.request();
            sent += 1 + (0..2).take_while(|_| repeats.may_repeat()).count();
        }
        let most = 1000.0 * (1.0 + 1.0 / REQUESTS_PER_REPEAT) + REPEATS_AT_ONCE;
        assert!(sent as f64 <= most, "{sent}");
    }
}
