//! A request's body on its way from the guest to the broker.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::{Error as WasiError, WasiBody};

use super::codes;
use crate::broker::{Error, Held, Upload};

/// A body that is whole within this size and time is sent with its length, which some servers insist
/// on, and again where that is safe. A guest may also wait for the answer before it goes on writing;
/// then it is sent as it comes.
const GATHERED: usize = 64 * 1024;
const GATHERING: Duration = Duration::from_millis(100);

/// What the guest did wrong with its own body, once it did. Clones are the same.
#[derive(Clone, Default)]
pub struct Mishap(Arc<Mutex<Option<WasiError>>>);

impl Mishap {
    /// The code for it.
    pub fn take(&self) -> Option<WasiError> {
        self.0.lock().take()
    }

    fn tell(&self, error: WasiError) -> Error {
        let text = format!("the request's body was not finished: {error}");
        *self.0.lock() = Some(error);
        Error::InvalidRequest(text)
    }
}

/// The body, whole where it is small, else as an upload that begins with what was read. What was read
/// is held.
pub async fn gather(
    mut body: WasiBody,
    length: Option<u64>,
    held: &mut Held,
    mishap: &Mishap,
) -> Result<(Option<Bytes>, Option<Upload>), WasiError> {
    let until = Instant::now() + GATHERING;
    let mut begin = BytesMut::new();
    let mut trailers = None;
    while begin.len() <= GATHERED && trailers.is_none() {
        match timeout_at(until, body.frame()).await {
            Ok(None) => return Ok(((!begin.is_empty()).then(|| begin.freeze()), None)),
            Ok(Some(frame)) => match frame?.into_data() {
                Ok(data) => {
                    held.grow(data.len()).map_err(|error| codes::of_answer(error, false))?;
                    begin.extend_from_slice(&data);
                }
                Err(frame) => trailers = Some(frame),
            },
            Err(_) => break,
        }
    }
    let begin = (!begin.is_empty()).then(|| Frame::data(begin.freeze()));
    let begin = stream::iter(begin.into_iter().chain(trailers).map(Ok));
    let frames = begin.chain(rest(body, mishap.clone()));
    Ok((None, Some(Upload::new(StreamBody::new(frames), length))))
}

type Piece = Result<Frame<Bytes>, Error>;

fn rest(body: WasiBody, mishap: Mishap) -> impl stream::Stream<Item = Piece> {
    stream::unfold((body, mishap), |(mut body, mishap)| async move {
        let frame = body.frame().await?.map_err(|error| mishap.tell(error));
        Some((frame, (body, mishap)))
    })
}
