//! A connector that leaks handles.

use std::task::{Context, Waker};
use std::time::Duration;

use aloma_connector::{Result, connector, time};
use misbehaving::WELL;
use wasip2::clocks::monotonic_clock::subscribe_duration;

/// The controller.
#[derive(Default)]
pub struct HandleLeak;

/// Leaks handles.
#[connector]
impl HandleLeak {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// makes timers without end and keeps them
    pub async fn misbehave(&self) -> Result<()> {
        loop {
            std::mem::forget(subscribe_duration(u64::MAX));
        }
    }

    /// makes timers of our own interface without end and keeps them
    pub async fn misbehave_with_ours(&self) -> Result<()> {
        loop {
            let mut timer = Box::pin(time::sleep(Duration::MAX));
            // A timer is made when it is first waited for.
            let _ = timer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            std::mem::forget(timer);
        }
    }
}
