//! Handles: taken twice, dropped early, waited for together.

use serde_json::{Map, Value, json};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    Fields, FutureIncomingResponse, IncomingBody, OutgoingBody, OutgoingResponse,
};
use wasip2::io::poll::poll;

use crate::answer::{self, arrived, tell};
use crate::request::{get, to};
use crate::stream::write_all;

/// Builds an answer as a server does.
pub fn build_response() -> Value {
    let fields = Fields::new();
    fields.append("content-type", b"application/text").expect("a right field");
    let response = OutgoingResponse::new(fields);
    let before = response.status_code();
    let set = [response.set_status_code(204), response.set_status_code(99)];
    let body = response.body().expect("the body is asked for once");
    let again = response.body().is_err();
    let stream = body.write().expect("the stream is asked for once");
    let written = write_all(&stream, b"hello").is_ok();
    drop(stream);
    let finished = OutgoingBody::finish(body, None).is_ok();
    json!({
        "status": [before, response.status_code()],
        "set": set.map(|set| set.is_ok()),
        "headers": answer::told(&response.headers()),
        "secondBody": !again,
        "written": written,
        "finished": finished,
    })
}

/// Takes the second of everything. Each should be refused, and none should end the guest.
pub fn take_twice(authority: &str) -> Value {
    let request = to(authority, "/", Fields::new());
    let outgoing = request.body().expect("the first body");
    let second_body = request.body().is_err();
    let writer = outgoing.write().expect("the first stream");
    let second_writer = outgoing.write().is_err();
    drop(writer);
    let future = handle(request, None).expect("a plain request is taken");
    OutgoingBody::finish(outgoing, None).expect("an empty body is finished");
    let response = arrived(&future).expect("an answer");
    let second_answer = future.get();
    let body = response.consume().expect("the first body");
    let second_consume = response.consume().is_err();
    let stream = body.stream().expect("the first stream");
    let second_stream = body.stream().is_err();
    drop(stream);
    let trailers = IncomingBody::finish(body);
    trailers.subscribe().block();
    let first = trailers.get();
    json!({
        "body": second_body,
        "writer": second_writer,
        "answer": matches!(second_answer, Some(Err(()))),
        "consume": second_consume,
        "stream": second_stream,
        "trailers": matches!(first, Some(Ok(Ok(_)))) && matches!(trailers.get(), Some(Err(()))),
    })
}

/// Drops something before its time, then makes a request to see that all is well.
pub fn drop_early(authority: &str, order: &str) -> Value {
    match order {
        "request" => drop(to(authority, "/dropped", Fields::new())),
        "requestBeforeItsBody" => {
            let request = to(authority, "/dropped", Fields::new());
            let body = request.body().expect("the first body");
            drop(request);
            let stream = body.write().expect("the first stream");
            // Nobody will read it; whether it is taken is the host's affair.
            let _ = write_all(&stream, b"lost");
        }
        "bodyUnused" => {
            let request = to(authority, "/dropped", Fields::new());
            drop(request.body().expect("the first body"));
            drop(handle(request, None).expect("a plain request is taken"));
        }
        "future" => drop(get(authority, "/dropped")),
        "futureAfterPolling" => {
            let future = get(authority, "/dropped");
            let pollable = future.subscribe();
            let _is_ready = pollable.ready();
            drop(pollable);
            drop(future);
        }
        "futureBeforeAnswer" => {
            let future = get(authority, "/kept");
            let response = arrived(&future).expect("an answer");
            drop(future);
            tell(response, &mut Map::new());
        }
        "responseBeforeBody" => {
            let response = arrived(&get(authority, "/kept")).expect("an answer");
            let body = response.consume().expect("the first body");
            drop(response);
            let stream = body.stream().expect("the first stream");
            answer::read(&stream, |_| {}).expect("the body is there");
        }
        "bodyUnread" => drop(arrived(&get(authority, "/kept")).expect("an answer").consume()),
        "streamUnread" => {
            let response = arrived(&get(authority, "/kept")).expect("an answer");
            let body = response.consume().expect("the first body");
            drop(body.stream().expect("the first stream"));
            answer::trailers(body);
        }
        other => return json!({"unknown": other}),
    }
    let mut seen = Map::new();
    answer::wait(&get(authority, "/after"), &mut seen);
    seen.remove("headers");
    Value::Object(seen)
}

/// Asks for all paths at once.
pub fn race(authority: &str, paths: &[String], then: &str) -> Value {
    let mut open: Vec<(&str, FutureIncomingResponse)> =
        paths.iter().map(|path| (path.as_str(), get(authority, path))).collect();
    let mut order = Vec::new();
    while !open.is_empty() {
        let pollables: Vec<_> = open.iter().map(|(_, future)| future.subscribe()).collect();
        let mut ready = poll(&pollables.iter().collect::<Vec<_>>());
        drop(pollables);
        // From the back, so that the others keep their places.
        ready.sort_unstable_by(|one, other| other.cmp(one));
        for index in ready {
            let (path, future) = open.remove(index as usize);
            let outcome = arrived(&future).map(|response| response.status());
            order.push(json!({"path": path, "outcome": format!("{outcome:?}")}));
        }
        if order.len() == 1 {
            answer::wait(&get(authority, then), &mut Map::new());
        }
    }
    Value::Array(order)
}
