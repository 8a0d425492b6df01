//! Several futures at once.

use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs the futures at once and gives their outputs in their order.
///
/// The host limits how many requests are under way; for a long list use the `futures` crate's
/// `buffered`, which works here as well.
///
/// ```no_run
/// # async fn example() {
/// use aloma_connector::{http, join_all};
///
/// let urls = ["https://a.example", "https://b.example"];
/// let answers = join_all(urls.map(|url| http::get(url).send())).await;
/// # }
/// ```
pub fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> JoinAll<F> {
    let parts = futures.into_iter().map(|future| Part::Running(Box::pin(future))).collect();
    JoinAll { parts }
}

/// The future of [`join_all`].
#[must_use = "the futures run only while this is awaited"]
pub struct JoinAll<F: Future> {
    parts: Vec<Part<F>>,
}

enum Part<F: Future> {
    Running(Pin<Box<F>>),
    Done(F::Output),
    Taken,
}

/// Nothing in it is pinned in place: the futures have boxes of their own.
impl<F: Future> Unpin for JoinAll<F> {}

impl<F: Future> Future for JoinAll<F> {
    type Output = Vec<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut running = false;
        for part in &mut self.parts {
            let Part::Running(future) = part else { continue };
            match future.as_mut().poll(context) {
                Poll::Ready(output) => *part = Part::Done(output),
                Poll::Pending => running = true,
            }
        }
        if running {
            return Poll::Pending;
        }
        Poll::Ready(self.parts.iter_mut().filter_map(Part::take).collect())
    }
}

impl<F: Future> Part<F> {
    fn take(&mut self) -> Option<F::Output> {
        match std::mem::replace(self, Part::Taken) {
            Part::Done(output) => Some(output),
            _ => None,
        }
    }
}
