//! The host's side of the imports: one file for each interface of `wit/`, one for each part of WASI
//! that leads outside.

mod config;
pub mod http;
pub mod journal;
mod logging;
pub mod wasi_http;
pub mod workspace;

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::bindings::aloma::connector::types;
use super::sandbox::State;

impl types::Host for State {}

/// Begins something that may go to a task: its outcome, or what is left of it. What can be said at
/// once, as that a request is refused, is found out on the account of the guest that asks.
fn begin_here<F: Future>(work: F) -> Result<F::Output, Pin<Box<F>>> {
    let mut work = Box::pin(work);
    // Whoever goes on with it polls it first, and is woken from then on.
    match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Ok(outcome),
        Poll::Pending => Err(work),
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn what_is_over_at_once_needs_no_task_and_the_rest_can_go_on_in_one() {
        assert_eq!(begin_here(async { 1 }).ok(), Some(1));
        let rest = begin_here(async {
            yield_now().await;
            2
        });
        let Err(rest) = rest else { panic!("it waits") };
        assert_eq!(tokio::spawn(rest).await.ok(), Some(2));
    }
}
