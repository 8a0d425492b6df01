//! How long to wait before the next attempt: near a second first, doubling with jitter up to a cap.

use std::time::Duration;

use rand::Rng;

/// Every wait is spread by this share in both directions, so that a thousand connectors do not come
/// back in the same instant.
const JITTER: f64 = 0.25;

/// The waits between attempts.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits from about `first` up to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// The next wait, longer than the one before.
    pub fn next_wait(&mut self) -> Duration {
        let spread = rand::rng().random_range(1.0 - JITTER..1.0 + JITTER);
        let wait = self.steady_wait().mul_f64(spread);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// Starts again at the first wait.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Without jitter, and with room for it below the cap.
    fn steady_wait(&self) -> Duration {
        let factor = 2u32.saturating_pow(self.failures);
        self.first.saturating_mul(factor).min(self.longest.div_f64(1.0 + JITTER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_cap_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        for around in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 48.0, 48.0] {
            let wait = backoff.next_wait().as_secs_f64();
            assert!((around * 0.75..=around * 1.25).contains(&wait), "{wait} is not near {around}");
        }
        backoff.reset();
        assert!(backoff.next_wait() < Duration::from_millis(1250));
    }

    #[test]
    fn many_failures_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        backoff.failures = u32::MAX;
        assert!(backoff.next_wait() <= Duration::from_secs(60));
    }
}
