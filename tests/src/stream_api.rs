//! An API with bodies of any length. It makes them and checks them piece by piece, and holds none.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request};
use axum::http::header::CONTENT_LENGTH;
use axum::response::Json;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};

use crate::server::Server;

/// The bytes of a body come round after so many. A prime number, so that a piece that is lost,
/// doubled or out of order is noticed.
const ROUND: usize = 65_521;

/// A running streaming API. `GET /bytes?bytes=N` gives so many bytes, `POST /bytes` takes any number
/// and tells how many came, and whether they were the right ones. `POST /echo` gives back what comes
/// as it comes.
pub struct StreamApi(Server);

impl StreamApi {
    /// Starts one at a free port.
    pub fn start() -> Self {
        let router = Router::new().route("/bytes", get(give).post(take)).route("/echo", post(echo));
        Self(Server::start(router))
    }

    /// `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.0.address())
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }
}

/// How many bytes are wanted.
#[derive(serde::Deserialize)]
struct Wanted {
    bytes: u64,
}

async fn give(Query(wanted): Query<Wanted>) -> Body {
    Body::from_stream(pattern(wanted.bytes))
}

async fn echo(request: Request) -> Body {
    Body::from_stream(request.into_body().into_data_stream())
}

async fn take(request: Request) -> Json<Value> {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|text| text.to_str().ok());
    let length = length.map(String::from);
    let mut pieces = request.into_body().into_data_stream();
    let mut check = Check::default();
    let mut is_broken = false;
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => check.piece(&piece),
            Err(_) => is_broken = true,
        }
    }
    let intact = !check.is_spoilt && !is_broken;
    Json(json!({"bytes": check.bytes, "intact": intact, "declared": length}))
}

fn pattern(bytes: u64) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let round = Bytes::from(round());
    stream::unfold(bytes, move |left| {
        let size = round.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let piece = (size > 0).then(|| (Ok(round.slice(..size)), left - size as u64));
        std::future::ready(piece)
    })
}

/// Compares what comes with what should come.
struct Check {
    round: Vec<u8>,
    bytes: u64,
    is_spoilt: bool,
}

impl Default for Check {
    fn default() -> Self {
        Self { round: round(), bytes: 0, is_spoilt: false }
    }
}

impl Check {
    fn piece(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let at = (self.bytes % ROUND as u64) as usize;
            let (now, later) = piece.split_at(piece.len().min(ROUND - at));
            self.is_spoilt |= now != &self.round[at..at + now.len()];
            self.bytes += now.len() as u64;
            piece = later;
        }
    }
}

/// The bytes of one round: those of a linear congruential generator, as the guest makes them, too.
fn round() -> Vec<u8> {
    let next = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((*state >> 24) as u8)
    };
    std::iter::repeat_n((), ROUND).scan(1, |state, ()| next(state)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn checked(pieces: Vec<Bytes>) -> (u64, bool) {
        let mut check = Check::default();
        pieces.iter().for_each(|piece| check.piece(piece));
        (check.bytes, check.is_spoilt)
    }

    #[tokio::test]
    async fn a_body_that_lost_a_piece_is_noticed() {
        let pieces: Vec<Bytes> =
            pattern(200_000).map(|piece| piece.expect("bytes")).collect().await;
        assert_eq!(checked(pieces.clone()).await, (200_000, false));
        let mut shifted = pieces;
        shifted[1] = shifted[1].slice(1..);
        assert_eq!(checked(shifted).await, (199_999, true));
    }
}
