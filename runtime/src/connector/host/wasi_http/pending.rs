//! The requests of one call that are not over: how many there may be, and an end to all of them.
//!
//! Wasmtime keeps them in the guest's table, where they would outlive the call that made them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::{Error as WasiError, WasiBody};

/// What the requests of a call share. Clones are the same.
#[derive(Clone)]
pub struct Pending {
    places: Arc<Semaphore>,
    over: CancellationToken,
}

/// The right to one request, until its answer is dropped.
pub struct Place {
    _permit: OwnedSemaphorePermit,
    over: CancellationToken,
}

impl Pending {
    /// None yet, and at most so many at once.
    pub fn new(most: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(most)), over: CancellationToken::new() }
    }

    /// Ends them all.
    pub fn end(&self) {
        self.over.cancel();
    }

    /// A place for one more. None where there are too many.
    pub fn place(&self) -> Option<Place> {
        let permit = self.places.clone().try_acquire_owned().ok()?;
        Some(Place { _permit: permit, over: self.over.clone() })
    }
}

impl Place {
    /// Works on the request until the call is over.
    pub async fn work<T>(
        &self,
        request: impl Future<Output = Result<T, WasiError>>,
    ) -> Result<T, WasiError> {
        let done = self.over.run_until_cancelled(request).await;
        done.unwrap_or(Err(WasiError::ConnectionTerminated))
    }

    /// Keeps the place for the body of the answer. With it comes what has to run beside it.
    pub fn keep(self, body: WasiBody) -> (WasiBody, impl Future<Output = ()> + Send + use<>) {
        let over = self.over.clone();
        let open = Arc::new(Mutex::new(Some(Open { body, _place: self })));
        let weak = Arc::downgrade(&open);
        let end = async move {
            over.cancelled().await;
            // Nobody may ever look at the body again.
            if let Some(open) = weak.upgrade() {
                drop(open.lock().take());
            }
        };
        (Ending(open).boxed_unsync(), end)
    }
}

struct Open {
    body: WasiBody,
    _place: Place,
}

/// A body that is there until its call is over.
struct Ending(Arc<Mutex<Option<Open>>>);

impl Body for Ending {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WasiError>>> {
        match &mut *self.0.lock() {
            Some(open) => Pin::new(&mut open.body).poll_frame(context),
            None => Poll::Ready(Some(Err(WasiError::ConnectionTerminated))),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;

    use super::*;

    fn nothing() -> WasiBody {
        Empty::new().map_err(|never| match never {}).boxed_unsync()
    }

    #[tokio::test]
    async fn a_place_is_kept_until_the_body_is_dropped() {
        let pending = Pending::new(1);
        let place = pending.place().expect("the first");
        place.work(async { Ok(()) }).await.expect("it ends by itself");
        assert!(pending.place().is_none());
        let (body, _beside) = place.keep(nothing());
        assert!(pending.place().is_none());
        drop(body);
        assert!(pending.place().is_some());
    }

    #[tokio::test]
    async fn what_is_pending_ends_with_its_call() {
        let pending = Pending::new(2);
        let [first, second] = [(); 2].map(|()| pending.place().expect("room for two"));
        let (mut body, beside) = first.keep(nothing());
        pending.end();
        let asked = second.work(std::future::pending::<Result<(), _>>()).await;
        assert!(matches!(asked, Err(WasiError::ConnectionTerminated)));
        beside.await;
        assert!(pending.place().is_some());
        assert!(matches!(body.frame().await, Some(Err(WasiError::ConnectionTerminated))));
    }
}
