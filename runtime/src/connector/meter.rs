//! What a guest uses of the CPU: counted, limited, and shared out among connectors.
//!
//! A guest runs while its future is polled, so the time is taken around polls. The engine's clock
//! interrupts it every [`limits::EPOCH`]; from then on it is a heavy one and runs only while it holds
//! one of the engine's places for such, which connectors get in turn. One CPU is left for all others,
//! so that a neighbour that needs a moment never waits behind those that need seconds.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use tokio::task::yield_now;
use wasmtime::UpdateDeadline;

use super::engine::Engine;
use super::limits;
use crate::envelope::{Breach, Limit, Limits};
use crate::fair::Seat;

/// Counts the CPU time of one instance, a job at a time.
pub(super) struct Meter {
    engine: Engine,
    connector: Arc<str>,
    limit: Breach,
    made: Instant,
    /// Nanoseconds of this job, without the slice that runs.
    spent: AtomicU64,
    /// When the slice began, by the clock that [`Meter::clock`] chose for it.
    began: AtomicU64,
    /// Nanoseconds since it last had its turn among the heavy ones, without the slice that runs.
    unseated: AtomicU64,
    /// The right to go on, of a heavy one.
    seat: Mutex<Option<Seat>>,
}

impl Meter {
    pub fn new(engine: Engine, connector: Arc<str>, limits: &Limits) -> Arc<Self> {
        let limit = limits.breach(Limit::CpuTime);
        let (spent, began, unseated, seat) = Default::default();
        let made = Instant::now();
        Arc::new(Self { engine, connector, limit, made, spent, began, unseated, seat })
    }

    /// Runs a job of the guest. Ends it where it has used up its time.
    ///
    /// # Errors
    /// When it has. The guest's future is dropped then, so nothing can be called any more.
    pub async fn run<T>(&self, job: impl Future<Output = T>) -> Result<T, Breach> {
        let _ticking = self.engine.ticking();
        self.spent.store(0, Ordering::Relaxed);
        self.unseated.store(0, Ordering::Relaxed);
        let mut job = pin!(job);
        let outcome = poll_fn(|context| {
            let exact = self.begin();
            let polled = job.as_mut().poll(context);
            self.end(exact);
            match polled {
                Poll::Ready(done) => Poll::Ready(Ok(done)),
                Poll::Pending if self.is_spent(0) => Poll::Ready(Err(self.limit)),
                Poll::Pending => {
                    // It waits: for its turn without a seat, for an answer not with one.
                    self.seat.lock().take();
                    Poll::Pending
                }
            }
        })
        .await;
        self.seat.lock().take();
        outcome
    }

    /// What the engine's clock does to a running guest.
    ///
    /// # Errors
    /// When its time is used up: it traps with that.
    pub fn tick(self: &Arc<Self>) -> wasmtime::Result<UpdateDeadline> {
        let slice = self.now(self.is_exact()).saturating_sub(self.began.load(Ordering::Relaxed));
        if self.is_spent(slice) {
            return Err(self.limit.into());
        }
        // Also of one that waits for a moment now and then.
        let unseated = self.unseated.load(Ordering::Relaxed).saturating_add(slice);
        if unseated < nanoseconds(limits::SLICE) {
            return Ok(UpdateDeadline::Continue(1));
        }
        self.seat.lock().take();
        let meter = self.clone();
        let turn = async move {
            // Even where nobody else is heavy: what is light has its turn.
            yield_now().await;
            let seat = meter.engine.turn(&meter.connector).await;
            *meter.seat.lock() = Some(seat);
            meter.unseated.store(0, Ordering::Relaxed);
        };
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(turn)))
    }

    /// Begins a slice. A job that needs next to nothing is timed by the clock that costs nothing.
    fn begin(&self) -> bool {
        let exact = self.is_exact();
        self.began.store(self.now(exact), Ordering::Relaxed);
        exact
    }

    fn end(&self, exact: bool) {
        let slice = self.now(exact).saturating_sub(self.began.load(Ordering::Relaxed));
        self.spent.fetch_add(slice, Ordering::Relaxed);
        self.unseated.fetch_add(slice, Ordering::Relaxed);
    }

    fn is_spent(&self, more: u64) -> bool {
        let spent = self.spent.load(Ordering::Relaxed).saturating_add(more);
        spent >= nanoseconds(Duration::from_secs(self.limit.value))
    }

    /// Whether the CPU time of the thread is asked, a system call, in place of the wall's. Constant
    /// during a slice.
    fn is_exact(&self) -> bool {
        self.spent.load(Ordering::Relaxed) >= nanoseconds(limits::CHEAP_JOB)
    }

    fn now(&self, exact: bool) -> u64 {
        if !exact {
            return nanoseconds(self.made.elapsed());
        }
        let time = clock_gettime(ClockId::ThreadCPUTime);
        // It is not negative, and overflows after centuries.
        (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
