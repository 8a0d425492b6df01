//! A request under way.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Error, Request, Response};
use crate::executor::Handle;
use crate::host;

/// Sends the request when the future is first polled.
pub(super) async fn send(request: Request) -> Result<Response, Error> {
    let handle = Handle::new(host::http_start(&request));
    let answer = Taken(handle).await?;
    Ok(Response::new(&request, answer))
}

/// The outcome of a request that was started.
struct Taken(Handle);

impl Future for Taken {
    type Output = Result<super::Answer, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.0.poll_done(context).is_pending() {
            return Poll::Pending;
        }
        // The host says that it is done, so there is an outcome unless the host is wrong.
        let lost = || Err(Error::Interrupted("the host has no outcome of this request".into()));
        Poll::Ready(host::http_take(self.0.id()).unwrap_or_else(lost))
    }
}
