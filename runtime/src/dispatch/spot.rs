//! Calls begun on the spot, in the dispatcher's own task.
//!
//! Most calls of a connector take microseconds: less than it takes to hand them to another thread. So
//! a call is begun where its packet was read, and goes to a task of its own only when it has to wait. A
//! connector whose calls compute for longer gets tasks at once, for the link waits meanwhile.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::poll;
use tokio::task::JoinSet;
use tokio_util::sync::ReusableBoxFuture;

/// What a call may compute on the spot: a few times what handing it over costs.
const QUICK: Duration = Duration::from_micros(200);

/// Calls that are handed over after one that took longer. The next one is tried on the spot again.
const HANDED_OVER: u32 = 100;

#[derive(Default)]
pub(super) struct Spot {
    to_hand_over: u32,
    /// The box of the last call that needed no task, for the next.
    spare: Option<Boxed>,
}

/// A call in its box: whether it went through without a panic.
type Boxed = ReusableBoxFuture<'static, Result<(), Box<dyn Any + Send>>>;

impl Spot {
    /// Begins a call here, or hands it over. It is made in the place where it stays, for it is large.
    pub async fn begin<F>(&mut self, call: impl FnOnce() -> F, work: &mut JoinSet<()>)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut call = self.boxed(call);
        if self.is_quick() {
            let since = Instant::now();
            let begun = poll!(&mut call);
            self.note(since.elapsed());
            match begun {
                Poll::Ready(Ok(())) => return self.spare = Some(call),
                Poll::Ready(Err(_)) => return crashed(),
                Poll::Pending => {}
            }
        }
        work.spawn(async move { call.await.unwrap_or_else(|_| crashed()) });
    }

    fn boxed<F>(&mut self, call: impl FnOnce() -> F) -> Boxed
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // A panic is a fault of ours, and ends only this call: its reply answers as it is dropped.
        let Some(mut spare) = self.spare.take() else {
            return ReusableBoxFuture::new(AssertUnwindSafe(call()).catch_unwind());
        };
        spare.set(AssertUnwindSafe(call()).catch_unwind());
        spare
    }

    fn is_quick(&mut self) -> bool {
        let is_quick = self.to_hand_over == 0;
        self.to_hand_over = self.to_hand_over.saturating_sub(1);
        is_quick
    }

    fn note(&mut self, took: Duration) {
        if took > QUICK {
            self.to_hand_over = HANDED_OVER;
        }
    }
}

fn crashed() {
    tracing::error!("a call handler crashed, which is a fault of this program");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_quick_call_is_done_at_once_and_one_that_waits_gets_a_task() {
        let (mut spot, mut work) = (Spot::default(), JoinSet::new());
        spot.begin(|| async {}, &mut work).await;
        assert!(work.is_empty());
        spot.begin(tokio::task::yield_now, &mut work).await;
        assert_eq!(work.len(), 1);
        assert!(work.join_next().await.is_some_and(|ended| ended.is_ok()));
    }

    #[tokio::test]
    async fn after_one_that_computes_for_long_calls_get_tasks_for_a_while() {
        let (mut spot, mut work) = (Spot::default(), JoinSet::new());
        spot.note(QUICK * 2);
        for _ in 0..HANDED_OVER {
            spot.begin(|| async {}, &mut work).await;
        }
        assert_eq!(work.len(), HANDED_OVER as usize);
        spot.begin(|| async {}, &mut work).await;
        assert_eq!(work.len(), HANDED_OVER as usize);
    }

    #[tokio::test]
    async fn a_panic_ends_only_its_call() {
        let (mut spot, mut work) = (Spot::default(), JoinSet::new());
        spot.begin(|| async { panic!("on purpose") }, &mut work).await;
        assert!(work.is_empty());
        // A panic is not quick.
        spot.begin(|| async {}, &mut work).await;
        while let Some(ended) = work.join_next().await {
            assert!(ended.is_ok(), "{ended:?}");
        }
    }
}
