//! Requests by `wasi:http`, as code makes them that never heard of ours.

use aloma_connector::{Error, Result};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

use crate::Place;

/// The most that is read or written at once, in bytes.
pub const CHUNK: usize = 64 * 1024;

/// A request to a place.
///
/// # Errors
/// When that is none.
pub fn request(method: &Method, place: &Place, fields: Fields) -> Result<OutgoingRequest> {
    let (authority, path) = place.parts()?;
    let request = OutgoingRequest::new(fields);
    let set = request
        .set_method(method)
        .and_then(|()| request.set_scheme(Some(&Scheme::Http)))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(path)));
    set.map_err(|()| Error::invalid_arguments("this is no place to ask"))?;
    Ok(request)
}

/// Sends a request without a body.
///
/// # Errors
/// With the code of what went wrong.
pub fn send(request: OutgoingRequest, options: Option<RequestOptions>) -> Result<IncomingResponse> {
    answer(&handle(request, options).map_err(failed)?)
}

/// Waits for the answer.
///
/// # Errors
/// With the code of what went wrong.
pub fn answer(future: &FutureIncomingResponse) -> Result<IncomingResponse> {
    future.subscribe().block();
    match future.get() {
        Some(Ok(answer)) => answer.map_err(failed),
        _ => Err(Error::msg("no answer where one was promised")),
    }
}

/// Reads a body to its end and tells how long it is.
///
/// # Errors
/// When it breaks off.
pub fn read(response: IncomingResponse) -> Result<u64> {
    let body = response.consume().expect("the body is taken once");
    let stream = body.stream().expect("the stream is taken once");
    let mut seen = 0;
    loop {
        match piece(&stream)? {
            Some(piece) => seen += piece.len() as u64,
            None => return Ok(seen),
        }
    }
}

fn piece(stream: &InputStream) -> Result<Option<Vec<u8>>> {
    match stream.blocking_read(CHUNK as u64) {
        Ok(piece) => Ok(Some(piece)),
        Err(StreamError::Closed) => Ok(None),
        Err(error) => Err(broken(error)),
    }
}

/// Sends a body of so many bytes, piece by piece, and tells the status of the answer.
///
/// # Errors
/// With what went wrong, at whichever end.
pub fn upload(place: &Place, bytes: u64) -> Result<u16> {
    let request = request(&Method::Post, place, Fields::new())?;
    let body = request.body().expect("the body is asked for once");
    let future = handle(request, None).map_err(failed)?;
    let stream = body.write().expect("the stream is asked for once");
    let written = write(&stream, bytes);
    drop(stream);
    match written.and_then(|()| OutgoingBody::finish(body, None).map_err(failed)) {
        Ok(()) => Ok(answer(&future)?.status()),
        // The answer knows why nobody takes the body.
        Err(error) => Err(answer(&future).err().unwrap_or(error)),
    }
}

fn write(stream: &OutputStream, bytes: u64) -> Result<()> {
    let chunk = [b'x'; CHUNK];
    let mut left = bytes;
    while left > 0 {
        let room = stream.check_write().map_err(broken)?;
        if room == 0 {
            stream.subscribe().block();
            continue;
        }
        let now = room.min(left).min(CHUNK as u64);
        stream.write(&chunk[..now as usize]).map_err(broken)?;
        left -= now;
    }
    Ok(())
}

/// An error with the code of what went wrong.
pub fn failed(code: wasip2::http::types::ErrorCode) -> Error {
    Error::msg(format!("{code:?}"))
}

fn broken(error: StreamError) -> Error {
    match error {
        StreamError::Closed => Error::msg("the stream was closed"),
        StreamError::LastOperationFailed(why) => Error::msg(why.to_debug_string()),
    }
}
