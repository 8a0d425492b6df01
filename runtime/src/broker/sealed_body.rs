//! Bodies in pieces on whose way secrets are put in or taken out.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};

use super::credential::Credentials;
use super::payload::Pieces;
use super::request::Error;
use super::sealed::scrub_headers;
use crate::vault::{FillError, FillStream, ScrubStream, Scrubber};

/// An answer's body without the secrets.
pub(super) struct Scrubbing {
    body: Pieces,
    stream: ScrubStream,
    /// What the stream looks for.
    known: Vec<Arc<Scrubber>>,
    /// Where tokens may come from that were not there when the answer began.
    later: Option<Credentials>,
    end: End,
}

/// A request's body with the secrets.
pub(super) struct Filling {
    body: Pieces,
    stream: FillStream,
    /// The fields whose secrets may not go there, and why.
    refused: BTreeMap<String, Error>,
    end: End,
}

/// What comes after the last piece.
enum End {
    NotYet,
    /// What was held back has gone; these have not.
    Trailers(HeaderMap),
    Over,
}

type Polled = Poll<Option<Result<Frame<Bytes>, Error>>>;

impl Scrubbing {
    pub fn new(body: Pieces, known: Vec<Arc<Scrubber>>, later: Option<Credentials>) -> Self {
        let stream = known.iter().cloned().fold(ScrubStream::default(), ScrubStream::then);
        Self { body, stream, known, later, end: End::NotYet }
    }

    /// Looks for the tokens, too, that came in the meantime. No server can show one that was not sent
    /// yet, so none began in what was told before.
    fn catch_up(&mut self) {
        let Some(later) = &self.later else { return };
        for scrubber in later.scrubbers() {
            let is_known = self.known.iter().any(|known| Arc::ptr_eq(known, &scrubber));
            if !is_known && !scrubber.is_empty() {
                self.stream.add(scrubber.clone());
                self.known.push(scrubber);
            }
        }
    }

    fn trailers(&self, mut trailers: HeaderMap) -> HeaderMap {
        scrub_headers(&mut trailers, |bytes| self.stream.scrub(bytes));
        trailers
    }
}

impl Body for Scrubbing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        loop {
            if let Some(frame) = this.end.take() {
                return Poll::Ready(frame);
            }
            let next = ready!(next(&mut this.body, context));
            this.catch_up();
            let told = match next {
                Next::Piece(piece) => this.stream.push(piece),
                Next::End(trailers) => {
                    this.end = End::of(trailers.map(|trailers| this.trailers(trailers)));
                    this.stream.finish()
                }
                Next::Failed(error) => {
                    // What was held back could be the beginning of a secret, of which no more comes.
                    this.end = End::Over;
                    return Poll::Ready(Some(Err(error)));
                }
            };
            if !told.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(told))));
            }
        }
    }
}

impl Filling {
    pub fn new(body: Pieces, stream: FillStream, refused: BTreeMap<String, Error>) -> Self {
        Self { body, stream, refused, end: End::NotYet }
    }
}

impl Body for Filling {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let Self { body, stream, refused, end } = &mut *self;
        loop {
            if let Some(frame) = end.take() {
                return Poll::Ready(frame);
            }
            let may_carry = |key: &str| refused.get(key).cloned().map_or(Ok(()), Err);
            let filled = match ready!(next(body, context)) {
                Next::Piece(piece) => stream.push(piece, may_carry),
                Next::End(trailers) => {
                    *end = End::of(trailers);
                    stream.finish()
                }
                Next::Failed(error) => Err(FillError::Refused(error)),
            };
            match filled {
                Ok(filled) if filled.is_empty() => {}
                Ok(filled) => return Poll::Ready(Some(Ok(Frame::data(filled)))),
                Err(error) => {
                    *end = End::Over;
                    return Poll::Ready(Some(Err(error.into())));
                }
            }
        }
    }
}

impl End {
    fn of(trailers: Option<HeaderMap>) -> Self {
        trailers.map_or(Self::Over, Self::Trailers)
    }

    /// What comes next where only the end is left.
    fn take(&mut self) -> Option<Option<Result<Frame<Bytes>, Error>>> {
        match std::mem::replace(self, Self::Over) {
            Self::NotYet => {
                *self = Self::NotYet;
                None
            }
            Self::Trailers(trailers) => Some(Some(Ok(Frame::trailers(trailers)))),
            Self::Over => Some(None),
        }
    }
}

enum Next {
    Piece(Bytes),
    End(Option<HeaderMap>),
    Failed(Error),
}

fn next(body: &mut Pieces, context: &mut Context<'_>) -> Poll<Next> {
    loop {
        let frame = match ready!(Pin::new(&mut *body).poll_frame(context)) {
            None => return Poll::Ready(Next::End(None)),
            Some(Err(error)) => return Poll::Ready(Next::Failed(error)),
            Some(Ok(frame)) => frame,
        };
        match frame.into_data().map_err(Frame::into_trailers) {
            Ok(piece) => return Poll::Ready(Next::Piece(piece)),
            // Nothing comes after trailers.
            Err(Ok(trailers)) => return Poll::Ready(Next::End(Some(trailers))),
            Err(Err(_)) => {}
        }
    }
}

impl From<FillError<Error>> for Error {
    fn from(error: FillError<Error>) -> Self {
        match error {
            FillError::Refused(error) => error,
            FillError::TooLong => Self::Limit("with its secrets, the body is too long".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http::HeaderValue;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;
    use crate::vault::{Placeholders, Spelling, Vault};

    fn vault() -> Arc<Vault> {
        let values = [("KEY".to_owned(), "the-secret".into())].into();
        let placeholders = Placeholders::new(["KEY".to_owned()]);
        Arc::new(Vault::new(values, &placeholders, &Default::default()))
    }

    fn pieces(frames: Vec<Result<Frame<Bytes>, Error>>) -> Pieces {
        StreamBody::new(stream::iter(frames)).boxed_unsync()
    }

    fn data(text: &str) -> Result<Frame<Bytes>, Error> {
        Ok(Frame::data(Bytes::copy_from_slice(text.as_bytes())))
    }

    fn trailers(value: &str) -> Result<Frame<Bytes>, Error> {
        let value = HeaderValue::from_str(value).expect("a value");
        Ok(Frame::trailers([("x-end".parse().expect("a name"), value)].into_iter().collect()))
    }

    /// Every frame as text.
    async fn frames(mut body: impl Body<Data = Bytes, Error = Error> + Unpin) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(frame) = body.frame().await {
            seen.push(match frame.map(Frame::into_data) {
                Ok(Ok(data)) => String::from_utf8_lossy(&data).into_owned(),
                Ok(Err(frame)) => match frame.into_trailers() {
                    Ok(trailers) => format!("{trailers:?}"),
                    Err(_) => "another frame".into(),
                },
                Err(error) => format!("error: {error}"),
            });
        }
        seen
    }

    #[tokio::test]
    async fn an_answer_in_pieces_is_scrubbed_with_its_trailers() {
        let vault = vault();
        let key = vault.visible("KEY").expect("a secret");
        let frames_in =
            vec![data("a the-"), data("sec"), data("ret b the"), trailers("x the-secret")];
        let body = Scrubbing::new(pieces(frames_in), vec![vault.answers()], None);
        let mut seen = frames(body).await;
        assert_eq!(seen.pop(), Some(format!(r#"{{"x-end": "x {key}"}}"#)));
        assert_eq!((&*seen[0], seen.concat()), ("a ", format!("a {key} b the")));
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_keeps_what_was_held_back() {
        let broken = Err(Error::Interrupted("broken".into()));
        let body = pieces(vec![data("a the-sec"), broken]);
        let body = Scrubbing::new(body, vec![vault().answers()], None);
        assert_eq!(frames(body).await, ["a ", "error: broken"]);
    }

    #[tokio::test]
    async fn a_request_in_pieces_is_filled_in_and_keeps_its_trailers() {
        let vault = vault();
        let (one, two) = vault.visible("KEY").expect("a secret").split_at(20);
        let all = vec![data(&format!("a {one}")), data(&format!("{two} b alo")), trailers("x")];
        let stream = || vault.fill_stream(Spelling::Raw, u64::MAX);
        let body = Filling::new(pieces(all), stream(), BTreeMap::new());
        let trailer = r#"{"x-end": "x"}"#;
        assert_eq!(frames(body).await, ["a ", "the-secret b ", "alo", trailer]);
        let all = vec![data("a "), data(&format!("{one}{two}")), data(" b")];
        let refused = [("KEY".to_owned(), Error::Denied("not bound".into()))].into();
        let body = Filling::new(pieces(all), stream(), refused);
        assert_eq!(frames(body).await, ["a ", "error: not bound"]);
    }
}
