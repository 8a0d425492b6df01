//! Compressed answers: every coding, broken ones, and bombs.

use async_compression::Level;
use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use async_compression::zstd::CParameter;
use futures_util::{Stream, stream};
use http::{HeaderMap, Method};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::broker::cap::Cap;
use crate::broker::decode::{Decoded, ask, decode};
use crate::broker::held::Budget;

const ORIGIN: &str = "https://api.example";
const TEXT: &str = "a text with a text within a text, and some more of the text";

pub(super) async fn encoded(coding: &str, plain: &[u8]) -> Vec<u8> {
    macro_rules! through {
        ($encoder:expr) => {{
            let mut encoder = $encoder;
            encoder.write_all(plain).await.expect("it is written");
            encoder.shutdown().await.expect("it ends");
            encoder.into_inner()
        }};
    }
    match coding {
        "gzip" => through!(GzipEncoder::new(Vec::new())),
        "br" => through!(BrotliEncoder::with_quality(Vec::new(), Level::Fastest)),
        "zstd" => through!(ZstdEncoder::new(Vec::new())),
        "deflate" => through!(ZlibEncoder::new(Vec::new())),
        other => panic!("{other}"),
    }
}

fn header(coding: &str) -> HeaderMap {
    let fields = [("content-encoding", coding), ("content-length", "1"), ("x-kept", "x")];
    fields
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect()
}

type Chunk = Result<Frame<Bytes>, Error>;

fn body(
    chunks: impl IntoIterator<Item = Bytes, IntoIter: Send + 'static>,
) -> StreamBody<impl Stream<Item = Chunk> + Send> {
    StreamBody::new(stream::iter(chunks.into_iter().map(|chunk| Ok(Frame::data(chunk)))))
}

fn pieces(bytes: &[u8], size: usize) -> Vec<Bytes> {
    bytes.chunks(size).map(Bytes::copy_from_slice).collect()
}

/// Decodes a body that comes in chunks of this size.
async fn plain(coding: &str, bytes: &[u8], size: usize, limit: usize) -> Result<Vec<u8>, Error> {
    let cap = Cap::fixed(limit);
    let mut headers = header(coding);
    let decoded = decode(&mut headers, body(pieces(bytes, size)), cap, ORIGIN, &Budget::default())?;
    assert!(!headers.contains_key("content-encoding") && !headers.contains_key("content-length"));
    assert!(headers.contains_key("x-kept"));
    Ok(decoded.collect().await?.to_bytes().to_vec())
}

#[track_caller]
fn assert_broken(outcome: Result<Vec<u8>, Error>, what: &str) {
    match outcome {
        Err(Error::Interrupted(text)) => {
            let start = "the body of the answer of https://api.example cannot be unpacked: ";
            assert!(text.starts_with(start), "{what}: {text}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

const CODINGS: [&str; 4] = ["gzip", "br", "zstd", "deflate"];

#[tokio::test]
async fn every_coding_is_read_however_it_is_cut_into_chunks() {
    let long = TEXT.repeat(10_000);
    for coding in CODINGS {
        for text in [TEXT, "", &long] {
            let bytes = encoded(coding, text.as_bytes()).await;
            for size in [1, 7, 100_000] {
                let read = plain(coding, &bytes, size, 1 << 20).await;
                assert_eq!(read, Ok(text.as_bytes().to_vec()), "{coding} by {size}");
            }
        }
    }
}

#[tokio::test]
async fn a_coding_is_known_by_each_of_its_names() {
    let gzip = encoded("gzip", TEXT.as_bytes()).await;
    for name in ["GZIP", "x-gzip", "identity, gzip", " gzip ,", "gzip, identity"] {
        let read = plain(name, &gzip, 10, 1 << 20).await;
        assert_eq!(read, Ok(TEXT.as_bytes().to_vec()), "{name}");
    }
}

#[tokio::test]
async fn several_codings_are_taken_off_from_the_last_to_the_first() {
    let gzip = encoded("gzip", TEXT.as_bytes()).await;
    let br = encoded("br", &gzip).await;
    let zstd = encoded("zstd", &br).await;
    let read = plain("gzip, br, zstd", &zstd, 1, 1 << 20).await;
    assert_eq!(read, Ok(TEXT.as_bytes().to_vec()));
    let mut headers = header("gzip");
    headers.append("content-encoding", "br".parse().expect("a value"));
    let decoded =
        decode(&mut headers, body(pieces(&br, 5)), Cap::fixed(1 << 20), ORIGIN, &Budget::default())
            .expect("it is known");
    assert_eq!(decoded.collect().await.expect("a body").to_bytes(), TEXT);
    let mut headers = header("gzip, gzip, gzip, gzip");
    let error =
        decode(&mut headers, body([]), Cap::fixed(1 << 20), ORIGIN, &Budget::default()).err();
    let text = "the answer of https://api.example is compressed more than 3 times over";
    assert_eq!(error, Some(Error::Limit(text.into())));
}

#[tokio::test]
async fn what_has_no_coding_or_an_unknown_one_stays_as_it_is() {
    for coding in ["identity", "", "compress", "aws-chunked", "gzip, dcb", "gzip;q=1"] {
        let mut headers = header(coding);
        let before = headers.clone();
        let chunks = pieces(b"anything", 3);
        let decoded = decode(&mut headers, body(chunks), Cap::fixed(1), ORIGIN, &Budget::default())
            .expect("a body");
        assert!(matches!(decoded, Decoded::AsItIs(_)), "{coding}");
        assert_eq!(headers, before, "{coding}");
        assert_eq!(decoded.collect().await.expect("a body").to_bytes(), "anything", "{coding}");
    }
}

#[tokio::test]
async fn an_answer_without_a_body_is_empty() {
    for coding in ["gzip", "br", "zstd", "deflate", "gzip, br, zstd"] {
        assert_eq!(plain(coding, b"", 1, 10).await, Ok(Vec::new()), "{coding}");
    }
}

#[tokio::test]
async fn members_one_after_the_other_are_one_body() {
    for coding in ["gzip", "zstd"] {
        let mut bytes = encoded(coding, b"one ").await;
        bytes.extend(encoded(coding, b"").await);
        bytes.extend(encoded(coding, b"two").await);
        for size in [1, 1000] {
            assert_eq!(plain(coding, &bytes, size, 10).await, Ok(b"one two".to_vec()), "{coding}");
        }
    }
}

#[tokio::test]
async fn a_broken_body_is_an_error() {
    for coding in CODINGS {
        let bytes = encoded(coding, TEXT.as_bytes()).await;
        for size in [1, 1000] {
            for end in 1..bytes.len() {
                let cut = plain(coding, &bytes[..end], size, 1 << 20).await;
                assert_broken(cut, &format!("{coding} cut after {end}"));
            }
            for garbage in ["x", "garbage", "\0\0\0\0"] {
                let more = [&bytes[..], garbage.as_bytes()].concat();
                let outcome = plain(coding, &more, size, 1 << 20).await;
                assert_broken(outcome, &format!("{coding} with {garbage:?}"));
            }
        }
        assert_broken(plain(coding, b"<html>no</html>", 4, 1 << 20).await, coding);
    }
    for coding in ["gzip", "deflate"] {
        let mut bytes = encoded(coding, TEXT.as_bytes()).await;
        // In the checksum.
        let at = bytes.len() - 5;
        bytes[at] ^= 1;
        if coding == "deflate" {
            let at = bytes.len() - 1;
            bytes[at] ^= 1;
        }
        assert_broken(plain(coding, &bytes, 9, 1 << 20).await, coding);
    }
}

#[tokio::test]
async fn an_error_of_the_connection_stays_itself() {
    let gzip = encoded("gzip", TEXT.as_bytes()).await;
    for coding in ["gzip", "gzip, br, gzip"] {
        let broken = Error::Interrupted("the connection broke".into());
        let first = Frame::data(Bytes::copy_from_slice(&gzip[..12]));
        let chunks = stream::iter([Ok(first), Err(broken.clone())]);
        let decoded = decode(
            &mut header(coding),
            StreamBody::new(chunks),
            Cap::fixed(1 << 20),
            ORIGIN,
            &Budget::default(),
        );
        let outcome = decoded.expect("it is known").collect().await;
        assert_eq!(outcome.err(), Some(broken), "{coding}");
    }
}

#[tokio::test]
async fn trailers_come_after_the_decoded_body() {
    let gzip = encoded("gzip", TEXT.as_bytes()).await;
    let trailers = header("x");
    let frames = [Ok(Frame::data(gzip.into())), Ok(Frame::trailers(trailers.clone()))];
    let body = StreamBody::new(stream::iter(frames));
    let decoded =
        decode(&mut header("gzip"), body, Cap::fixed(1 << 20), ORIGIN, &Budget::default())
            .expect("it is known");
    let whole = decoded.collect().await.expect("a body");
    assert_eq!(whole.trailers(), Some(&trailers));
    assert_eq!(whole.to_bytes(), TEXT);
}

#[tokio::test]
async fn a_body_is_read_up_to_the_limit() {
    for coding in CODINGS {
        let bytes = encoded(coding, TEXT.as_bytes()).await;
        let length = TEXT.len();
        for size in [1, 1000] {
            assert!(plain(coding, &bytes, size, length).await.is_ok(), "{coding}");
            let text = format!(
                "the body of the answer of https://api.example is over {} bytes, unpacked",
                length - 1
            );
            let outcome = plain(coding, &bytes, size, length - 1).await;
            assert_eq!(outcome, Err(Error::AnswerSize(text)), "{coding}");
        }
    }
}

#[tokio::test]
async fn a_bomb_costs_no_more_than_the_limit() {
    for coding in ["gzip", "zstd"] {
        // A body may have as many members as it likes.
        let once = Bytes::from(encoded(coding, &vec![0; 1 << 20]).await);
        let taken = Arc::new(AtomicUsize::new(0));
        let (count, length) = (taken.clone(), once.len());
        // 10 GB and more, in a few MB.
        let chunks = std::iter::repeat_n(once, 10 * 1024).inspect(move |chunk| {
            count.fetch_add(chunk.len(), Ordering::SeqCst);
        });
        let limit = 5 << 20;
        let mut decoded = decode(
            &mut header(coding),
            body(chunks),
            Cap::fixed(limit),
            ORIGIN,
            &Budget::default(),
        )
        .expect("known");
        let (mut out, mut largest) = (0, 0);
        let error = loop {
            match decoded.frame().await.expect("no end") {
                Ok(frame) => {
                    let length = frame.data_ref().expect("data").len();
                    (out, largest) = (out + length, largest.max(length));
                }
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::AnswerSize(_)), "{error:?}");
        assert!(out <= limit && largest <= 64 * 1024, "{coding}: {out}, {largest} at once");
        assert!(taken.load(Ordering::SeqCst) <= 7 * length, "{coding} read on");
        assert!(decoded.frame().await.is_none(), "it has ended");
    }
}

#[tokio::test]
async fn a_body_that_comes_to_nothing_ends_at_a_limit_too() {
    for coding in ["gzip", "zstd"] {
        let nothing = encoded(coding, b"").await.repeat(100);
        let chunks = std::iter::repeat_n(Bytes::from(nothing), usize::MAX);
        let decoded = decode(
            &mut header(coding),
            body(chunks),
            Cap::fixed(1 << 20),
            ORIGIN,
            &Budget::default(),
        )
        .expect("known");
        let error = decoded.collect().await.err();
        assert!(matches!(error, Some(Error::AnswerSize(_))), "{coding}: {error:?}");
    }
}

#[tokio::test]
async fn a_bomb_within_a_bomb_costs_no_more_than_the_limit() {
    for coding in CODINGS {
        let inner = encoded(coding, &vec![0; 32 << 20]).await;
        let middle = encoded(coding, &inner).await;
        let outer = encoded(coding, &middle).await;
        let codings = [coding; 3].join(", ");
        let outcome = plain(&codings, &outer, 1000, 1 << 20).await;
        assert!(matches!(outcome, Err(Error::AnswerSize(_))), "{coding}");
    }
}

#[tokio::test]
async fn windows_are_no_larger_than_http_allows() {
    for (log, expected) in [(23, true), (24, false)] {
        let parameters = [CParameter::window_log(log), CParameter::nb_workers(0)];
        let mut encoder =
            ZstdEncoder::with_quality_and_params(Vec::new(), Level::Fastest, &parameters);
        // Flushed, so that the length is not known beforehand and the window is the one set.
        for _ in 0..2 {
            encoder.write_all(TEXT.as_bytes()).await.expect("it is written");
            encoder.flush().await.expect("it is written");
        }
        encoder.shutdown().await.expect("it ends");
        let outcome = plain("zstd", &encoder.into_inner(), 10, 1 << 20).await;
        assert_eq!(outcome.is_ok(), expected, "{log}: {outcome:?}");
    }
    // Large-window brotli, 2^30 bytes.
    assert_broken(plain("br", &[0x11, 0x1e, 0x03], 10, 1 << 20).await, "brotli");
}

#[test]
fn a_compressed_answer_is_asked_for_unless_the_guest_says_what_it_wants() {
    for (field, method, expected) in [
        ("x-any", Method::GET, Some("gzip, br, zstd")),
        ("x-any", Method::POST, Some("gzip, br, zstd")),
        ("x-any", Method::HEAD, None),
        ("range", Method::GET, None),
        ("accept-encoding", Method::GET, Some("as given")),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(field, "as given".parse().expect("a value"));
        let asked = ask(&mut headers, &method);
        let value = headers.get("accept-encoding").map(|value| value.to_str().expect("text"));
        assert_eq!(value, expected, "{field} {method}");
        assert_eq!(asked, expected == Some("gzip, br, zstd"), "{field} {method}");
    }
}
