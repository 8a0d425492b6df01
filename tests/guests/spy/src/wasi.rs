//! Requests by `wasi:http`, whose answers come in pieces and with trailers.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions,
    Scheme,
};
use wasip2::io::streams::InputStream;

/// The most that is read at once, in bytes: little, so that a secret is cut.
const CHUNK: u64 = 16;

/// In nanoseconds.
const PATIENCE: u64 = 500_000_000;

/// Everything that there is to know of the answers, or of the failures.
pub fn ask(url: &str, key: &str) -> Vec<String> {
    let without_scheme = url.trim_start_matches("http://");
    let (authority, path) = without_scheme.split_once('/').unwrap_or((without_scheme, ""));
    let bodies = [None, Some(key)];
    bodies.into_iter().map(|body| one(authority, &format!("/{path}"), key, body)).collect()
}

fn one(authority: &str, path: &str, key: &str, body: Option<&str>) -> String {
    let fields = Fields::new();
    if let Err(error) = fields.append("x-key", key.as_bytes()) {
        return format!("{error:?}");
    }
    let request = OutgoingRequest::new(fields);
    let method = if body.is_some() { Method::Post } else { Method::Get };
    let is_set = request.set_scheme(Some(&Scheme::Http)).is_ok()
        && request.set_method(&method).is_ok()
        && request.set_authority(Some(authority)).is_ok()
        && request.set_path_with_query(Some(path)).is_ok();
    let sending = request.body();
    let options = RequestOptions::new();
    let is_set = is_set
        && options.set_first_byte_timeout(Some(PATIENCE)).is_ok()
        && options.set_between_bytes_timeout(Some(PATIENCE)).is_ok();
    let answer = match handle(request, Some(options)) {
        Err(code) => return format!("{is_set} {code:?}"),
        Ok(answer) => answer,
    };
    if let Ok(sending) = sending {
        // In pieces, in case that only whole placeholders are seen.
        write(sending, body.unwrap_or_default());
    }
    answer.subscribe().block();
    match answer.get() {
        Some(Ok(Ok(response))) => read(&response),
        other => format!("{other:?}"),
    }
}

fn write(body: OutgoingBody, text: &str) {
    if let Ok(stream) = body.write() {
        for piece in text.as_bytes().chunks(7) {
            // Who does not want the rest has answered.
            let _ = stream.blocking_write_and_flush(piece);
        }
    }
    let _ = OutgoingBody::finish(body, None);
}

fn read(response: &IncomingResponse) -> String {
    let mut seen = format!("{} {:?}", response.status(), response.headers().entries());
    let Ok(body) = response.consume() else { return seen };
    if let Ok(stream) = body.stream() {
        seen += &read_body(&stream);
    }
    let trailers = IncomingBody::finish(body);
    trailers.subscribe().block();
    let trailers = trailers.get();
    if let Some(Ok(Ok(Some(fields)))) = &trailers {
        seen += &format!("{:?}", fields.entries());
    }
    seen + &format!("{trailers:?}")
}

fn read_body(stream: &InputStream) -> String {
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(CHUNK) {
            Ok(chunk) => bytes.extend(chunk),
            Err(error) => {
                return format!("{} {error:?} {bytes:?}", String::from_utf8_lossy(&bytes));
            }
        }
    }
}
