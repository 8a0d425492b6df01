//! Compressed answers: asking for them, and reading them.
//!
//! What comes out is limited while it comes, so a small answer that swells without end costs no more
//! than the limit. What unpacking itself holds is limited by the windows of the codings.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, RANGE};
use http::{HeaderMap, HeaderValue, Method};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _};
use tokio_util::io::StreamReader;

use super::cap::Cap;
use super::held::{Budget, Held};
use super::limits::{
    BROTLI_WINDOW, CODINGS, DECODED_CHUNK, DEFLATE_WINDOW, SMALL_BODY, ZSTD_WINDOW_LOG,
};
use super::request::Error;

/// What we read.
const READ: HeaderValue = HeaderValue::from_static("gzip, br, zstd");

/// Asks for a compressed answer, where the guest left that open. Gives whether the answer is to be
/// decoded: a guest that asked for a coding itself wants the bytes as they come.
pub(super) fn ask(headers: &mut HeaderMap, method: &Method) -> bool {
    // A part of something compressed cannot be read, and there is nothing to compress in no body.
    if headers.contains_key(ACCEPT_ENCODING)
        || headers.contains_key(RANGE)
        || method == Method::HEAD
    {
        return false;
    }
    headers.insert(ACCEPT_ENCODING, READ);
    true
}

/// The body of an answer, decoded where it has codings that we know. Its length and codings then
/// leave the header, and it ends with the error of the cap past so many bytes, or past twice as many
/// compressed ones. Other codings, and bodies without one, stay as they are. `origin` is for the texts
/// of errors.
///
/// # Errors
/// More codings than anyone means.
pub(super) fn decode<B>(
    headers: &mut HeaderMap,
    body: B,
    cap: Cap,
    origin: &str,
    budget: &Budget,
) -> Result<Decoded<B>, Error>
where
    B: Body<Data = Bytes, Error = Error> + Send + 'static,
{
    let Some(codings) = codings(headers).filter(|codings| !codings.is_empty()) else {
        return Ok(Decoded::AsItIs(Box::pin(body)));
    };
    if codings.len() > CODINGS {
        let text = format!("the answer of {origin} is compressed more than {CODINGS} times over");
        return Err(Error::Limit(text));
    }
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    let (trailers, limit) = (Trailers::default(), cap.bytes);
    let mut data = data(body, trailers.clone(), limit.saturating_mul(2).max(SMALL_BODY));
    // The last one was applied last.
    for coding in codings.into_iter().rev() {
        data = layer(coding, data, limit, budget.hold());
    }
    Ok(Decoded::Decoded(Decoding { data: Some(data), trailers, cap, origin: origin.into() }))
}

/// A body after [`decode`].
pub(super) enum Decoded<B> {
    AsItIs(Pin<Box<B>>),
    Decoded(Decoding),
}

/// What comes out of the decoders, and then the trailers.
pub(super) struct Decoding {
    /// None once it has ended.
    data: Option<Data>,
    trailers: Trailers,
    cap: Cap,
    origin: Arc<str>,
}

type Data = BoxStream<'static, io::Result<Bytes>>;
type Input = StreamReader<Data, Bytes>;

/// Set aside on the way into the decoders, which know none.
type Trailers = Arc<Mutex<Option<HeaderMap>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Brotli,
    Deflate,
    Gzip,
    Zstd,
}

/// What stops a layer besides broken input.
#[derive(Debug, thiserror::Error)]
#[error("over the limit")]
struct OverLimit;

/// The codings in the order in which they were applied. None where we do not know one of them.
fn codings(headers: &HeaderMap) -> Option<Vec<Coding>> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        for token in value.to_str().ok()?.split(',') {
            match token.trim().to_ascii_lowercase().as_str() {
                "" | "identity" => {}
                "gzip" | "x-gzip" => codings.push(Coding::Gzip),
                "br" => codings.push(Coding::Brotli),
                "zstd" => codings.push(Coding::Zstd),
                "deflate" => codings.push(Coding::Deflate),
                _ => return None,
            }
        }
    }
    Some(codings)
}

/// The data of a body, whose trailers are set aside. The broker's errors travel inside of io's.
///
/// Limited, too: a compressed body need not come to anything, however long it is.
fn data<B>(body: B, trailers: Trailers, limit: u64) -> Data
where
    B: Body<Data = Bytes, Error = Error> + Send + 'static,
{
    let next = |(mut body, left): (Pin<Box<B>>, u64), trailers: Trailers| async move {
        while let Some(frame) = body.frame().await {
            match frame.map_err(io::Error::other)?.into_data() {
                Ok(data) => {
                    let left = less(left, data.len())?;
                    return Ok(Some((data, (body, left))));
                }
                Err(other) => *trailers.lock() = other.into_trailers().ok(),
            }
        }
        Ok(None)
    };
    stream::try_unfold((Box::pin(body), limit), move |state| next(state, trailers.clone())).boxed()
}

/// What may still come.
fn less(left: u64, length: usize) -> io::Result<u64> {
    left.checked_sub(length as u64).ok_or_else(|| io::Error::other(OverLimit))
}

/// One coding taken off.
fn layer(coding: Coding, data: Data, limit: u64, held: Held) -> Data {
    let stage = Stage::Before(StreamReader::new(data));
    let state = Layer { coding, stage, left: limit, window: coding.window(), held };
    stream::try_unfold(state, Layer::next).boxed()
}

struct Layer {
    coding: Coding,
    stage: Stage,
    /// How many bytes may still come out.
    left: u64,
    /// How much the decoder's window can still grow: it holds what came out last.
    window: usize,
    held: Held,
}

enum Stage {
    Before(Input),
    Within(Decoder),
}

impl Layer {
    /// The next bytes, or the end.
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let mut decoder = match self.stage {
            Stage::Within(decoder) => decoder,
            Stage::Before(mut input) => {
                // Nothing decodes to nothing: an answer to HEAD says what its body would have been.
                match input.fill_buf().await?.first() {
                    None => return Ok(None),
                    Some(&first) => self.coding.check(first)?,
                }
                self.coding.decoder(input)
            }
        };
        let mut chunk = BytesMut::with_capacity(DECODED_CHUNK);
        if decoder.output().read_buf(&mut chunk).await? == 0 {
            return decoder.check_end().await.map(|()| None);
        }
        self.left = less(self.left, chunk.len())?;
        let more = chunk.len().min(self.window);
        self.window -= more;
        self.held.grow(more).map_err(io::Error::other)?;
        self.stage = Stage::Within(decoder);
        Ok(Some((chunk.freeze(), self)))
    }
}

enum Decoder {
    Brotli(BrotliDecoder<Input>),
    Deflate(ZlibDecoder<Input>),
    Gzip(GzipDecoder<Input>),
    Zstd(ZstdDecoder<Input>),
}

impl Coding {
    /// Bytes that its decoder holds at most.
    fn window(self) -> usize {
        match self {
            Self::Brotli => BROTLI_WINDOW,
            Self::Zstd => 1 << ZSTD_WINDOW_LOG,
            Self::Deflate | Self::Gzip => DEFLATE_WINDOW,
        }
    }

    fn decoder(self, input: Input) -> Decoder {
        match self {
            Self::Brotli => Decoder::Brotli(BrotliDecoder::new(input)),
            Self::Deflate => Decoder::Deflate(ZlibDecoder::new(input)),
            Self::Gzip => {
                let mut decoder = GzipDecoder::new(input);
                decoder.multiple_members(true);
                Decoder::Gzip(decoder)
            }
            Self::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
                let mut decoder = ZstdDecoder::with_params(input, &[window]);
                decoder.multiple_members(true);
                Decoder::Zstd(decoder)
            }
        }
    }

    /// Looks at the first byte. Brotli's decoder takes windows of up to a gigabyte, which are no part
    /// of the coding for HTTP (RFC 7932 calls this byte invalid), and cannot be told not to.
    fn check(self, first: u8) -> io::Result<()> {
        const LARGE_WINDOW: u8 = 0x11;
        if self == Self::Brotli && first == LARGE_WINDOW {
            return Err(io::Error::other("its window is too large"));
        }
        Ok(())
    }
}

impl Decoder {
    fn output(&mut self) -> &mut (dyn AsyncRead + Send + Unpin) {
        match self {
            Self::Brotli(decoder) => decoder,
            Self::Deflate(decoder) => decoder,
            Self::Gzip(decoder) => decoder,
            Self::Zstd(decoder) => decoder,
        }
    }

    fn input(&mut self) -> &mut Input {
        match self {
            Self::Brotli(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }

    /// Reads to the end, so that the connection can be used again, and so that nothing hides there.
    async fn check_end(&mut self) -> io::Result<()> {
        if self.input().fill_buf().await?.is_empty() {
            return Ok(());
        }
        Err(io::Error::other("more comes after its end"))
    }
}

impl<B> Body for Decoded<B>
where
    B: Body<Data = Bytes, Error = Error>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.get_mut() {
            Self::AsItIs(body) => body.as_mut().poll_frame(context),
            Self::Decoded(decoding) => decoding.poll_next_unpin(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::AsItIs(body) => body.is_end_stream(),
            Self::Decoded(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::AsItIs(body) => body.size_hint(),
            Self::Decoded(_) => SizeHint::default(),
        }
    }
}

impl Stream for Decoding {
    type Item = Result<Frame<Bytes>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(data) = &mut self.data {
            match ready!(data.poll_next_unpin(context)) {
                Some(Ok(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Err(error)) => {
                    self.data = None;
                    self.trailers.lock().take();
                    return Poll::Ready(Some(Err(self.error(error))));
                }
                None => self.data = None,
            }
        }
        Poll::Ready(self.trailers.lock().take().map(|trailers| Ok(Frame::trailers(trailers))))
    }
}

impl Decoding {
    fn error(&self, error: io::Error) -> Error {
        let origin = &self.origin;
        if error.get_ref().is_some_and(|inner| inner.is::<OverLimit>()) {
            return self.cap.error(origin).map(|text| format!("{text}, unpacked"));
        }
        error.downcast().unwrap_or_else(|error| {
            Error::Interrupted(format!(
                "the body of the answer of {origin} cannot be unpacked: {error}; the request may \
                 have been carried out"
            ))
        })
    }
}
