//! Bodies of any length, moved piece by piece and never held.

use serde_json::{Map, Value, json};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, FutureIncomingResponse, Method, OutgoingBody};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

use crate::Transfer;
use crate::answer::{self, CHUNK, arrived, shown};
use crate::request::to;

/// The bytes of a body come round after so many. A prime number, so that a piece that is lost, doubled
/// or out of order is noticed.
const ROUND: usize = 65_521;

/// Writes all of it, waiting where the host wants no more for now.
pub fn write_all(stream: &OutputStream, mut bytes: &[u8]) -> Result<(), StreamError> {
    while !bytes.is_empty() {
        let room = stream.check_write()?;
        if room == 0 {
            stream.subscribe().block();
            continue;
        }
        let (now, later) =
            bytes.split_at(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
        stream.write(now)?;
        bytes = later;
    }
    Ok(())
}

/// POSTs a body of so many bytes.
pub fn upload(transfer: &Transfer) -> Value {
    let (future, body) = match post(transfer) {
        Ok(begun) => begun,
        Err(refused) => return refused,
    };
    let mut seen = Map::new();
    let stream = body.write().expect("the stream is asked for once");
    let written = write_pattern(&stream, transfer.bytes);
    drop(stream);
    finish(written, body, &mut seen);
    answer::wait(&future, &mut seen);
    Value::Object(seen)
}

/// GETs a body of so many bytes, and checks each.
pub fn download(transfer: &Transfer) -> Value {
    let path = format!("{}?bytes={}", transfer.path, transfer.bytes);
    let response = match arrived(&crate::request::get(&transfer.authority, &path)) {
        Ok(response) => response,
        Err(code) => return json!({"error": code}),
    };
    let body = response.consume().expect("the body is taken once");
    let stream = body.stream().expect("the stream is taken once");
    let mut check = Check::default();
    let outcome = answer::read(&stream, |piece| check.piece(piece));
    json!({
        "status": response.status(),
        "bytes": check.bytes,
        "intact": !check.is_spoilt,
        "broken": outcome.err(),
    })
}

/// GETs a body of so many bytes, and POSTs it while it comes.
pub fn pipe(transfer: &Transfer) -> Value {
    let path = format!("{}?bytes={}", transfer.path, transfer.bytes);
    let response = match arrived(&crate::request::get(&transfer.authority, &path)) {
        Ok(response) => response,
        Err(code) => return json!({"error": code}),
    };
    let (future, body) = match post(transfer) {
        Ok(begun) => begun,
        Err(refused) => return refused,
    };
    let mut seen = Map::new();
    let incoming = response.consume().expect("the body is taken once");
    let source = incoming.stream().expect("the stream is taken once");
    let sink = body.write().expect("the stream is asked for once");
    let copied = copy(&source, &sink);
    drop(sink);
    finish(copied, body, &mut seen);
    answer::wait(&future, &mut seen);
    Value::Object(seen)
}

/// POSTs line after line in one request, each after the echo of the one before.
pub fn converse(transfer: &Transfer) -> Value {
    let (future, body) = match post(transfer) {
        Ok(begun) => begun,
        Err(refused) => return refused,
    };
    let sink = body.write().expect("the stream is asked for once");
    let mut outcome = write_all(&sink, b"hello\n").map_err(|error| shown(&error));
    // The answer begins while the request is not over.
    let response = match arrived(&future) {
        Ok(response) => response,
        Err(code) => return json!({"error": code}),
    };
    let incoming = response.consume().expect("the body is taken once");
    let source = incoming.stream().expect("the stream is taken once");
    let mut lines = Vec::new();
    while outcome.is_ok() && (lines.len() as u64) < transfer.bytes {
        outcome = read_line(&source).map(|line| lines.push(line));
        let next = format!("line {}\n", lines.len());
        outcome =
            outcome.and_then(|()| write_all(&sink, next.as_bytes()).map_err(|error| shown(&error)));
    }
    drop(sink);
    let mut seen = Map::new();
    finish(outcome, body, &mut seen);
    seen.insert("lines".into(), json!(lines));
    Value::Object(seen)
}

fn read_line(source: &InputStream) -> Result<String, String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        line.extend(source.blocking_read(1).map_err(|error| shown(&error))?);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn post(transfer: &Transfer) -> Result<(FutureIncomingResponse, OutgoingBody), Value> {
    let headers = Fields::new();
    if transfer.declared {
        let length = transfer.bytes.to_string();
        headers.append("content-length", length.as_bytes()).expect("a number");
    }
    let request = to(&transfer.authority, &transfer.path, headers);
    request.set_method(&Method::Post).expect("a method");
    let body = request.body().expect("the body is asked for once");
    match handle(request, None) {
        Ok(future) => Ok((future, body)),
        Err(code) => Err(json!({"handle": format!("{code:?}")})),
    }
}

/// Finishes what was written whole; gives up what was not.
fn finish(written: Result<(), String>, body: OutgoingBody, seen: &mut Map<String, Value>) {
    let outcome =
        written.and_then(|()| OutgoingBody::finish(body, None).map_err(|code| format!("{code:?}")));
    if let Err(error) = outcome {
        seen.insert("write".into(), json!(error));
    }
}

fn write_pattern(stream: &OutputStream, bytes: u64) -> Result<(), String> {
    let round = round();
    let mut left = bytes;
    while left > 0 {
        let now = round.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        write_all(stream, &round[..now]).map_err(|error| shown(&error))?;
        left -= now as u64;
    }
    Ok(())
}

fn copy(source: &InputStream, sink: &OutputStream) -> Result<(), String> {
    loop {
        match source.blocking_read(CHUNK) {
            Ok(piece) => write_all(sink, &piece).map_err(|error| shown(&error))?,
            Err(StreamError::Closed) => return Ok(()),
            Err(error) => return Err(shown(&error)),
        }
    }
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

/// The bytes of one round: those of a linear congruential generator, which repeat nowhere in it.
fn round() -> Vec<u8> {
    let next = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((*state >> 24) as u8)
    };
    std::iter::repeat_n((), ROUND).scan(1, |state, ()| next(state)).collect()
}
