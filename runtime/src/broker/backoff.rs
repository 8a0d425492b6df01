//! How long to wait before a request is sent again.
//!
//! What the server asks for is in `traffic/asked.rs`.

use std::time::Duration;

use serde::Deserialize;

use super::limits::{DECORRELATED_GROWTH, FIRST_PAUSE, JITTER, LONGEST_PAUSE};

/// How pauses grow and how they are spread, so that clients that failed together do not return
/// together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Jitter {
    /// Each is twice the last, and up to 30 % more.
    #[default]
    Doubling,
    /// Each is drawn between the first pause and three times the last. Spreads further; for an API
    /// that many clients share.
    Decorrelated,
}

/// The pauses of one request, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Pauses {
    jitter: Jitter,
    first: Duration,
    /// Without the part that is added by chance to a doubled one.
    last: Option<Duration>,
}

impl Default for Pauses {
    fn default() -> Self {
        Self::new(Jitter::Doubling, FIRST_PAUSE)
    }
}

impl Pauses {
    /// None taken yet.
    pub fn new(jitter: Jitter, first: Duration) -> Self {
        Self { jitter, first: first.min(LONGEST_PAUSE), last: None }
    }

    /// The next pause. `random` lies between 0 and 1.
    pub fn next(&mut self, random: f64) -> Duration {
        let random = random.clamp(0.0, 1.0);
        let last = self.last;
        match self.jitter {
            Jitter::Doubling => {
                let pause = last.map_or(self.first, |last| last.saturating_mul(2));
                let pause = pause.min(LONGEST_PAUSE);
                self.last = Some(pause);
                pause.mul_f64(1.0 + JITTER * random)
            }
            Jitter::Decorrelated => {
                let most = last.unwrap_or(self.first).saturating_mul(DECORRELATED_GROWTH);
                let most = most.min(LONGEST_PAUSE).max(self.first);
                let pause = self.first + (most - self.first).mul_f64(random);
                self.last = Some(pause);
                pause
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Jitter::{Decorrelated, Doubling};

    #[test]
    fn pauses_grow_as_their_jitter_says() {
        for (jitter, first, random, expected) in [
            (Doubling, 1.0, 0.0, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]),
            (Doubling, 1.0, 1.0, [1.3, 2.6, 5.2, 10.4, 20.8, 39.0, 39.0]),
            (Doubling, 0.5, 0.0, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]),
            (Doubling, 90.0, 0.0, [30.0; 7]),
            (Doubling, 0.0, 1.0, [0.0; 7]),
            (Decorrelated, 1.0, 0.0, [1.0; 7]),
            (Decorrelated, 1.0, 1.0, [3.0, 9.0, 27.0, 30.0, 30.0, 30.0, 30.0]),
            (Decorrelated, 2.0, 0.5, [4.0, 7.0, 11.5, 16.0, 16.0, 16.0, 16.0]),
            (Decorrelated, 90.0, 1.0, [30.0; 7]),
            (Decorrelated, 0.0, 1.0, [0.0; 7]),
        ] {
            let mut pauses = Pauses::new(jitter, Duration::from_secs_f64(first));
            let taken: Vec<_> = (0..7).map(|_| pauses.next(random).as_secs_f64()).collect();
            let same = taken.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-6);
            assert!(same, "{jitter:?} {first} {random}: {taken:?}");
        }
    }

    #[test]
    fn a_pause_lies_within_its_bounds_whatever_the_chance() {
        for random in [f64::NEG_INFINITY, -1.0, 0.0, 0.3, 1.0, 2.0, f64::INFINITY] {
            for jitter in [Doubling, Decorrelated] {
                let mut pauses = Pauses::new(jitter, FIRST_PAUSE);
                for _ in 0..2000 {
                    let pause = pauses.next(random);
                    assert!(pause >= FIRST_PAUSE && pause <= LONGEST_PAUSE.mul_f64(1.0 + JITTER));
                }
            }
        }
    }

    #[test]
    fn pauses_of_clients_that_failed_together_spread() {
        let mut clients: Vec<_> =
            (0..1000).map(|_| Pauses::new(Decorrelated, FIRST_PAUSE)).collect();
        let third = |pauses: &mut Pauses| {
            (0..3).map(|_| pauses.next(rand::random())).last().expect("three pauses")
        };
        let mut taken: Vec<_> = clients.iter_mut().map(third).collect();
        taken.sort();
        taken.dedup();
        assert!(taken.len() > 900, "{}", taken.len());
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_pause_is_longer_than_the_longest(
            first: Duration,
            random in prop::collection::vec(any::<f64>(), 0..80),
            decorrelated: bool,
        ) {
            let jitter = if decorrelated { Jitter::Decorrelated } else { Jitter::Doubling };
            let mut pauses = Pauses::new(jitter, first);
            for random in random {
                let pause = pauses.next(random);
                prop_assert!(pause <= LONGEST_PAUSE.mul_f64(1.0 + JITTER), "{:?}", pause);
                prop_assert!(pause >= first.min(LONGEST_PAUSE), "{:?}", pause);
            }
        }
    }
}
