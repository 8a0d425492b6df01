//! How many of a connector's requests may be repeats.
//!
//! Each request by itself may be worth another try; all of them together would be a flood just when
//! a server is in trouble.

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::broker::limits::{REPEAT_EVERY, REQUESTS_PER_REPEAT};

/// Said in the record of a request that was not sent again.
pub(in crate::broker) const SPENT: &str =
    "not sent again: too many of this connector's requests are repeats";

/// The repeats that a connector may still make. Some at once; each request adds a part of one, and so
/// does time, for a connector that makes few.
pub(in crate::broker) struct Repeats(Mutex<Bucket>);

struct Bucket {
    /// In whole repeats, as `most`.
    left: f64,
    most: f64,
    at: Instant,
}

impl Repeats {
    /// So many at once.
    pub fn new(at_once: usize) -> Self {
        let most = at_once as f64;
        Self(Mutex::new(Bucket { left: most, most, at: Instant::now() }))
    }

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
        self.left = (self.left + repeats).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: usize = 64;

    fn taken(repeats: &Repeats) -> usize {
        (0..1000).take_while(|_| repeats.may_repeat()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn repeats_are_some_at_once_and_then_a_part_of_all_requests() {
        let repeats = Repeats::new(AT_ONCE);
        assert_eq!(taken(&repeats), AT_ONCE);
        for _ in 0..30 {
            repeats.request();
        }
        assert!(taken(&repeats).abs_diff((30.0 / REQUESTS_PER_REPEAT) as usize) <= 1);
        for _ in 0..10_000 {
            repeats.request();
        }
        assert_eq!(taken(&repeats), AT_ONCE);
    }

    #[tokio::test(start_paused = true)]
    async fn time_gives_repeats_back_too() {
        let repeats = Repeats::new(AT_ONCE);
        taken(&repeats);
        tokio::time::advance(REPEAT_EVERY * 2).await;
        assert_eq!(taken(&repeats), 2);
        tokio::time::advance(REPEAT_EVERY * 1000).await;
        assert_eq!(taken(&repeats), AT_ONCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_that_fails_is_hardly_larger_than_the_requests() {
        let repeats = Repeats::new(AT_ONCE);
        let mut sent = 0;
        for _ in 0..1000 {
            repeats.request();
            sent += 1 + (0..2).take_while(|_| repeats.may_repeat()).count();
        }
        let most = 1000.0 * (1.0 + 1.0 / REQUESTS_PER_REPEAT) + AT_ONCE as f64;
        assert!(sent as f64 <= most, "{sent}");
    }
}
