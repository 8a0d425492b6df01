//! Waiting for time to pass.

use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::executor::Handle;
use crate::host;

/// Waits that long.
pub fn sleep(time: Duration) -> Sleep {
    Sleep { time, handle: None }
}

/// The future of [`sleep`]. Its time runs from when it is first polled.
#[derive(Debug)]
#[must_use = "time passes only while this is awaited"]
pub struct Sleep {
    time: Duration,
    handle: Option<Handle>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let time = self.time;
        let start = || Handle::new(host::timer(whole_milliseconds(time)));
        self.handle.get_or_insert_with(start).poll_done(context)
    }
}

/// Rounded up, because less than was asked for is too little.
fn whole_milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Waits for a future, but no longer than that. A future that is late is dropped, which gives up
/// its requests.
pub async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut limit = pin!(sleep(limit));
    std::future::poll_fn(|context| {
        // The future goes first: what is done in time counts even where both are.
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        limit.as_mut().poll(context).map(|()| Err(Elapsed))
    })
    .await
}

/// The time of [`timeout`] passed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("took too long")
    }
}

impl std::error::Error for Elapsed {}
