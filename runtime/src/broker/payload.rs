//! A request's body on its way out: whole, or passed through as the guest makes it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;

use super::allowance::{Allowance, Flow, Metered};
use super::answer::Capped;
use super::request::Error;

/// A body in pieces, of either direction.
pub type Pieces = UnsyncBoxBody<Bytes, Error>;

/// A body that is sent while it is made. It can be sent once: from the first piece on that is taken,
/// no other attempt can have it. Clones are the same body.
#[derive(Clone)]
pub struct Upload(Arc<Source>);

struct Source {
    body: Mutex<Option<Pieces>>,
    length: Option<u64>,
    /// Shared with what it is changed into.
    progress: Arc<Progress>,
}

#[derive(Default)]
struct Progress {
    is_spent: AtomicBool,
    sent: AtomicU64,
    failed: OnceLock<Error>,
}

impl Upload {
    /// A body of so many bytes, where the length is known beforehand.
    pub fn new(
        body: impl Body<Data = Bytes, Error = Error> + Send + 'static,
        length: Option<u64>,
    ) -> Self {
        Self::of(body.boxed_unsync(), length, Arc::default())
    }

    fn of(body: Pieces, length: Option<u64>, progress: Arc<Progress>) -> Self {
        Self(Arc::new(Source { body: Mutex::new(Some(body)), length, progress }))
    }

    /// The same body with its pieces changed on their way. A length that was said beforehand stays:
    /// then none may be changed into something longer or shorter.
    pub(super) fn changed(&self, change: impl FnOnce(Pieces) -> Pieces) -> Self {
        let body = self.0.body.lock().take().unwrap_or_else(nothing_left);
        Self::of(change(body), self.0.length, self.0.progress.clone())
    }

    /// The same body, which ends with an error past so many bytes.
    pub(super) fn limited(&self, most: u64, error: Error) -> Self {
        self.changed(|pieces| Capped::new(pieces, most, error).boxed_unsync())
    }

    /// The same body, which ends with an error where the call has sent too much.
    pub(super) fn metered(&self, allowance: &Arc<Allowance>) -> Self {
        self.changed(|pieces| Metered::new(pieces, Flow::Sent, allowance).boxed_unsync())
    }

    /// How long it is, where that is known beforehand.
    pub(super) fn length(&self) -> Option<u64> {
        self.0.length
    }

    /// Whether a piece of it was taken.
    pub(super) fn is_spent(&self) -> bool {
        self.0.progress.is_spent.load(Ordering::Relaxed)
    }

    /// Why it ended before its end, if it did.
    pub(super) fn failure(&self) -> Option<Error> {
        self.0.progress.failed.get().cloned()
    }

    /// Bytes that were taken to be sent.
    pub(super) fn sent(&self) -> u64 {
        self.0.progress.sent.load(Ordering::Relaxed)
    }
}

/// What the HTTP library reads a request's body from.
pub(super) enum Payload {
    Whole(Full<Bytes>),
    Upload(Reader),
}

/// Takes the body at the first look, so that an attempt that finds no connection leaves it for the
/// next one.
pub(super) struct Reader {
    upload: Upload,
    taken: Option<Pieces>,
}

impl Payload {
    pub fn new(whole: &Bytes, upload: Option<&Upload>) -> Self {
        match upload {
            Some(upload) => Self::Upload(Reader { upload: upload.clone(), taken: None }),
            None => Self::Whole(Full::new(whole.clone())),
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Self::Upload(reader) => reader.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Upload(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Upload(reader) => reader.upload.0.length.map_or_else(SizeHint::new, |length| {
                SizeHint::with_exact(length.saturating_sub(reader.upload.sent()))
            }),
        }
    }
}

impl Reader {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let source = &self.upload.0;
        let body = self.taken.get_or_insert_with(|| {
            source.progress.is_spent.store(true, Ordering::Relaxed);
            source.body.lock().take().unwrap_or_else(nothing_left)
        });
        let frame = ready!(Pin::new(body).poll_frame(context));
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref);
        let more = data.map_or(0, Bytes::len) as u64;
        let sent = source.progress.sent.fetch_add(more, Ordering::Relaxed) + more;
        let is_over = frame.is_none();
        let frame = match source.length {
            Some(length) if sent > length => Some(Err(other_length(length))),
            Some(length) if is_over && sent < length => Some(Err(other_length(length))),
            _ => frame,
        };
        if let Some(Err(error)) = &frame {
            source.progress.failed.get_or_init(|| error.clone());
        }
        Poll::Ready(frame)
    }
}

fn other_length(length: u64) -> Error {
    Error::InvalidRequest(format!("the body is not of the {length} bytes that content-length says"))
}

/// What is read of a body that another attempt has taken.
fn nothing_left() -> Pieces {
    let error = || Error::Interrupted("the body was sent before, and cannot be sent again".into());
    let frames = futures_util::stream::once(async move { Err(error()) });
    http_body_util::StreamBody::new(frames).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn upload(text: &'static str, length: Option<u64>) -> Upload {
        let body = Full::new(Bytes::from_static(text.as_bytes()));
        Upload::new(body.map_err(|never| match never {}), length)
    }

    async fn read(upload: &Upload) -> Result<Bytes, Error> {
        let payload = Payload::new(&Bytes::new(), Some(upload));
        Ok(payload.collect().await?.to_bytes())
    }

    #[tokio::test]
    async fn an_upload_is_left_alone_until_it_is_read_and_can_be_read_once() {
        let upload = upload("hello", None);
        drop(Payload::new(&Bytes::new(), Some(&upload)));
        assert!(!upload.is_spent());
        assert_eq!(read(&upload).await.expect("the body"), "hello");
        assert!(upload.is_spent());
        assert_eq!(upload.sent(), 5);
        assert!(matches!(read(&upload).await, Err(Error::Interrupted(_))));
    }

    #[tokio::test]
    async fn an_upload_has_the_length_that_it_says() {
        for (length, fits) in [(None, true), (Some(5), true), (Some(4), false), (Some(6), false)] {
            let outcome = read(&upload("hello", length)).await;
            assert_eq!(outcome.is_ok(), fits, "{length:?}: {outcome:?}");
        }
    }
}
