//! An answer's body on its way in: read whole, or passed on as it comes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::held::Held;
use super::limits::UNREAD;
use super::payload::Pieces;
use super::request::{Error, Response};

/// An answer on its way through the broker.
pub(super) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: AnswerBody,
    /// Bytes of the body as they came over the wire, where it was decoded.
    pub wire_bytes: Option<WireBytes>,
}

/// Counts along with a body.
#[derive(Clone, Default)]
pub(super) struct WireBytes(Arc<AtomicU64>);

impl WireBytes {
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Watch for WireBytes {
    fn piece(&mut self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn end(self, _: Result<(), &Error>) {}
}

pub(super) enum AnswerBody {
    Whole(Bytes, Held),
    Pieces(Pieces),
}

impl AnswerBody {
    /// Whether it is certain that nothing comes: of HEAD, and with 204 and 304.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Whole(body, _) => body.is_empty(),
            Self::Pieces(body) => body.size_hint().exact() == Some(0),
        }
    }
}

/// One answer whose body is still on its way.
pub struct Streamed {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body. Dropping it gives up what has not come yet.
    pub body: Pieces,
}

/// How an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Read to its end, which belongs to the attempt: one that breaks off may be repeated.
    Whole,
    /// Handed on once its head is there.
    Pieces,
}

impl Answer {
    /// The whole answer; what is still on its way is waited for.
    pub async fn whole(self, limit: usize, mut held: Held) -> Result<Response, Error> {
        let Self { status, headers, body, .. } = self;
        let (body, held) = match body {
            AnswerBody::Whole(body, held) => (body, held),
            AnswerBody::Pieces(body) => {
                let body =
                    collect(body, limit as u64, &mut held).await.map_err(
                        |unread| match unread {
                            Unread::TooLarge => {
                                Error::AnswerSize(format!("the answer is over {limit} bytes"))
                            }
                            Unread::Failed(error) => error,
                        },
                    )?;
                (body, held)
            }
        };
        Ok(Response { status, headers, body, held: Arc::new(held) })
    }

    /// The answer with its body in pieces.
    pub fn streamed(self) -> Streamed {
        let Self { status, headers, body, .. } = self;
        let body = match body {
            AnswerBody::Pieces(body) => body,
            AnswerBody::Whole(body, held) => {
                let body = Full::new(body).map_err(|never| match never {});
                Watched::new(body, held).boxed_unsync()
            }
        };
        Streamed { status, headers, body }
    }
}

/// What is held is let go with the body.
impl Watch for Held {
    fn piece(&mut self, _: usize) {}
    fn end(self, _: Result<(), &Error>) {}
}

/// Why a body was not read to its end.
pub(super) enum Unread {
    TooLarge,
    Failed(Error),
}

/// Reads a body to its end.
pub(super) async fn collect(
    body: impl Body<Data = Bytes, Error = Error>,
    limit: u64,
    held: &mut Held,
) -> Result<Bytes, Unread> {
    // Said beforehand, it need not be read to be refused.
    if body.size_hint().lower() > limit {
        return Err(Unread::TooLarge);
    }
    let mut body = std::pin::pin!(body);
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Unread::Failed)?.into_data() else { continue };
        if (whole.len() + data.len()) as u64 > limit {
            return Err(Unread::TooLarge);
        }
        held.grow(data.len()).map_err(Unread::Failed)?;
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// A body that ends with an error past so many bytes.
pub(super) struct Capped<B> {
    body: B,
    left: u64,
    error: Error,
}

impl<B> Capped<B> {
    pub fn new(body: B, most: u64, error: Error) -> Self {
        Self { body, left: most, error }
    }
}

impl<B: Body<Data = Bytes, Error = Error> + Unpin> Body for Capped<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref);
        match self.left.checked_sub(data.map_or(0, Bytes::len) as u64) {
            Some(left) => {
                self.left = left;
                Poll::Ready(frame)
            }
            None => Poll::Ready(Some(Err(self.error.clone()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that comes within its time: so long between two pieces, and all of it before the end of the
/// call.
pub(super) struct Timed<B> {
    body: B,
    pause: Duration,
    until: Instant,
    alarm: Pin<Box<Sleep>>,
    is_over: bool,
}

impl<B> Timed<B> {
    pub fn new(body: B, pause: Duration, until: Instant) -> Self {
        let alarm = Box::pin(sleep_until(until.min(Instant::now() + pause)));
        Self { body, pause, until, alarm, is_over: false }
    }
}

impl<B: Body<Data = Bytes, Error = Error> + Unpin> Body for Timed<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            let next = self.until.min(Instant::now() + self.pause);
            self.alarm.as_mut().reset(next);
            // A server that always has a piece ready would outrun the alarm.
            let is_late = Instant::now() >= self.until && frame.is_some();
            if !is_late {
                return Poll::Ready(frame);
            }
        } else {
            ready!(self.alarm.as_mut().poll(context));
        }
        self.is_over = true;
        let error = if Instant::now() >= self.until {
            call_is_over()
        } else {
            let pause = self.pause.as_secs_f64();
            Error::Timeout(format!("no more of the answer came for {pause} s"))
        };
        Poll::Ready(Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn call_is_over() -> Error {
    let text = "the time of the call was over before the whole answer had come";
    Error::Timeout(text.into())
}

/// A body that ends with its call also where nobody reads it any more: a guest may keep what it does
/// not read, and with it the place of a request.
pub(super) struct Mortal<B> {
    body: Arc<Mutex<Option<B>>>,
    is_over: bool,
    _end: AbortOnDropHandle<()>,
}

impl<B: Send + 'static> Mortal<B> {
    pub fn new(body: B, until: Instant) -> Self {
        let body = Arc::new(Mutex::new(Some(body)));
        let held = body.clone();
        let end = tokio::spawn(async move {
            // Whoever is waiting for a piece at the end is told by the body itself.
            sleep_until(until + UNREAD).await;
            let left = held.lock().take();
            drop(left);
        });
        Self { body, is_over: false, _end: AbortOnDropHandle::new(end) }
    }
}

impl<B: Body<Data = Bytes, Error = Error> + Unpin> Body for Mortal<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(body) = &mut *self.body.lock() {
            return Pin::new(body).poll_frame(context);
        }
        let was_over = std::mem::replace(&mut self.is_over, true);
        Poll::Ready((!was_over).then(|| Err(call_is_over())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.lock().as_ref().map_or(self.is_over, Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.lock().as_ref().map_or_else(SizeHint::new, Body::size_hint)
    }
}

/// A body that keeps something until it is over, and tells it how it ended and what came.
pub(super) struct Watched<B, W: Watch> {
    body: B,
    watch: Option<W>,
}

/// Sees a body go by.
pub(super) trait Watch: Unpin {
    /// A piece of so many bytes came.
    fn piece(&mut self, bytes: usize);
    /// The body is over. Not called where it is dropped before.
    fn end(self, outcome: Result<(), &Error>);
}

impl<B, W: Watch> Watched<B, W> {
    pub fn new(body: B, watch: W) -> Self {
        Self { body, watch: Some(watch) }
    }
}

impl<B, W> Body for Watched<B, W>
where
    B: Body<Data = Bytes, Error = Error> + Unpin,
    W: Watch,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                if let Some(watch) = &mut self.watch {
                    watch.piece(bytes);
                }
            }
            Some(Err(error)) => {
                if let Some(watch) = self.watch.take() {
                    watch.end(Err(error));
                }
            }
            None => {
                if let Some(watch) = self.watch.take() {
                    watch.end(Ok(()));
                }
            }
        }
        Poll::Ready(frame)
    }

    // Not passed on: whoever asks would stop before the end is seen here.
    fn is_end_stream(&self) -> bool {
        self.watch.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
