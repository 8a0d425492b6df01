//! The limits of one grant: how many of a connector's requests may be under way under it, and how
//! many may begin in a second.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Pace;
use super::late::Limit;
use crate::broker::limits::{LEAST_RATE, LONGEST_BURST};
use crate::broker::policy::Rate;

/// The way through one grant.
pub(super) struct Lane {
    pub pace: Pace,
    places: Option<(usize, Arc<Semaphore>)>,
    /// Whose turn it is waits for the limiter; the others wait for their turn, so that they go in the
    /// order in which they came. The lock is held across the wait for that purpose.
    rate: Option<(Rate, Mutex<Limiter>)>,
}

pub(super) type Limiter =
    RateLimiter<NotKeyed, InMemoryState, RuntimeClock, NoOpMiddleware<Duration>>;

/// The runtime's clock, which tests can pause: the time since the limiter was made.
#[derive(Clone)]
pub(super) struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Somebody's turn at a rate. Kept until the request has all its places: what waited for one would
/// otherwise go out with others, all at once.
pub(super) type Turn<'a> = Option<MutexGuard<'a, Limiter>>;

impl Lane {
    pub fn new(pace: Pace) -> Self {
        let places = pace.at_once.map(|most| {
            let most = most.clamp(1, Semaphore::MAX_PERMITS);
            (most, Arc::new(Semaphore::new(most)))
        });
        let rate = pace.rate.map(|rate| (rate, Mutex::new(limiter(rate))));
        Self { pace, places, rate }
    }

    /// Waits for a place under the grant, or gives the limit that let none come in time.
    pub async fn place(&self, by: Instant) -> Result<Option<OwnedSemaphorePermit>, Limit> {
        let Some((most, places)) = &self.places else { return Ok(None) };
        let place = timeout_at(by, places.clone().acquire_owned()).await;
        place.ok().and_then(Result::ok).map(Some).ok_or(Limit::AtOnce(*most))
    }

    /// Waits until the rate lets one more begin, or gives the limit, as soon as it is sure that it
    /// does not in time.
    pub async fn turn(&self, by: Instant) -> Result<Turn<'_>, Limit> {
        let Some((rate, turn)) = &self.rate else { return Ok(None) };
        let limiter = timeout_at(by, turn.lock()).await.map_err(|_| Limit::Rate(*rate))?;
        while let Err(refused) = limiter.check() {
            let now = limiter.clock().now();
            let next = Instant::now() + refused.wait_time_from(now);
            if next > by {
                return Err(Limit::Rate(*rate));
            }
            sleep_until(next).await;
        }
        Ok(Some(limiter))
    }
}

fn limiter(rate: Rate) -> Limiter {
    let per_second = if rate.per_second.is_nan() { LEAST_RATE } else { rate.per_second };
    // Nothing waits less than a nanosecond, and nothing more than a day.
    let period = Duration::from_secs_f64(1.0 / per_second.max(LEAST_RATE));
    let period = period.max(Duration::from_nanos(1));
    let most = u32::try_from(LONGEST_BURST.as_nanos() / period.as_nanos()).unwrap_or(u32::MAX);
    let burst = NonZeroU32::new(rate.burst.get().min(most)).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(period).expect("at least a nanosecond").allow_burst(burst);
    RateLimiter::direct_with_clock(quota, RuntimeClock(Instant::now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds after which so many requests, made at once, have begun.
    async fn begins(per_second: f64, burst: u32, requests: usize) -> Vec<f64> {
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let lane = Lane::new(Pace { rate: Some(Rate { per_second, burst }), ..Pace::unlimited(0) });
        let start = Instant::now();
        let far = start + Duration::from_secs(1 << 30);
        let mut times = Vec::new();
        for _ in 0..requests {
            drop(lane.turn(far).await.expect("in time"));
            times.push((start.elapsed().as_secs_f64() * 10.0).round() / 10.0);
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        for (per_second, burst, expected) in [
            (1.0, 1, [0.0, 1.0, 2.0, 3.0]),
            (2.0, 2, [0.0, 0.0, 0.5, 1.0]),
            (0.1, 3, [0.0, 0.0, 0.0, 10.0]),
            (10.0, 0, [0.0, 0.1, 0.2, 0.3]),
        ] {
            assert_eq!(begins(per_second, burst, 4).await, expected, "{per_second} {burst}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_rate_is_too_strange() {
        let day = 24.0 * 60.0 * 60.0;
        for (per_second, second) in [
            (f64::INFINITY, 0.0),
            (f64::MAX, 0.0),
            (f64::NAN, day),
            (f64::NEG_INFINITY, day),
            (-1.0, day),
            (0.0, day),
            (f64::MIN_POSITIVE, day),
        ] {
            assert_eq!(begins(per_second, 1, 2).await, [0.0, second], "{per_second}");
            assert_eq!(begins(per_second, u32::MAX, 2).await, [0.0, 0.0], "{per_second}");
        }
    }
}
