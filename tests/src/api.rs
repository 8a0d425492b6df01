//! A fake API: routes that a test programs, and a record of every request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use crate::gate::Gate;
use crate::limits::LARGEST_REQUEST;
use crate::log::Log;
use crate::process::within;
use crate::server::Server;

/// A running fake API. A route that was not programmed answers 404.
pub struct FakeApi {
    server: Server,
    desk: Arc<Desk>,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// What follows the question mark.
    pub query: String,
    /// All header fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
    after: Option<Gate>,
}

type Handler = Arc<dyn Fn(&Received) -> Answer + Send + Sync>;

#[derive(Default)]
struct Desk {
    routes: Mutex<Vec<(String, String, Handler)>>,
    received: watch::Sender<Vec<Received>>,
}

impl FakeApi {
    /// Starts one at a free port.
    pub fn start() -> Self {
        let desk = Arc::new(Desk::default());
        let router = Router::new().fallback(answer).with_state(desk.clone());
        Self { server: Server::start(router), desk }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Programs a route. The latest one for a method and path counts.
    pub fn on(
        &self,
        method: &str,
        path: &str,
        handler: impl Fn(&Received) -> Answer + Send + Sync + 'static,
    ) -> &Self {
        let route = (method.into(), path.into(), Arc::new(handler) as Handler);
        self.desk.routes.lock().expect("no handler panics").insert(0, route);
        self
    }

    /// Programs a route that gives these answers one after the other, and the last one for ever.
    pub fn answers(&self, method: &str, path: &str, answers: impl Into<Vec<Answer>>) -> &Self {
        let mut answers = answers.into();
        answers.reverse();
        let answers = Mutex::new(answers);
        self.on(method, path, move |_| {
            let mut answers = answers.lock().expect("nothing in here panics");
            match &answers[..] {
                [last] => last.clone(),
                _ => answers.pop().expect("there is at least one answer"),
            }
        })
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.desk.received.borrow().clone()
    }

    /// How many requests came for this path.
    pub fn count(&self, path: &str) -> usize {
        self.desk.received.borrow().iter().filter(|request| request.path == path).count()
    }

    /// Waits until so many requests have come, answered or not.
    pub async fn wait_for(&self, count: usize, log: &Log) {
        let mut watch = self.desk.received.subscribe();
        let came = watch.wait_for(|received| received.len() >= count);
        within(&format!("{count} requests to the API"), log, came).await.expect("the desk stays");
    }
}

impl Received {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A field of a form in the body.
    pub fn form(&self, name: &str) -> Option<String> {
        form(&self.body, name)
    }
}

impl Answer {
    /// An answer with a JSON body.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, body.to_string()).header("content-type", "application/json")
    }

    /// An answer with any body.
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), after: None }
    }

    /// With one more header field.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Held back until the gate opens.
    pub fn after(mut self, gate: &Gate) -> Self {
        self.after = Some(gate.clone());
        self
    }
}

async fn answer(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let received = receive(request).await;
    let handler = {
        let routes = desk.routes.lock().expect("no handler panics");
        let fits = |(method, path, _): &&(String, String, Handler)| {
            (method, path) == (&received.method, &received.path)
        };
        routes.iter().find(fits).map(|(_, _, handler)| handler.clone())
    };
    let answer = handler.map(|handler| handler(&received));
    desk.received.send_modify(|all| all.push(received));
    let answer = answer.unwrap_or_else(|| Answer::new(404, "the fake API has no such route"));
    if let Some(gate) = &answer.after {
        gate.pass().await;
    }
    respond(answer)
}

async fn receive(request: Request) -> Received {
    let (head, body) = request.into_parts();
    Received {
        method: head.method.to_string(),
        path: head.uri.path().into(),
        query: head.uri.query().unwrap_or_default().into(),
        headers: head.headers,
        // A request that breaks off is seen as far as it came.
        body: to_bytes(body, LARGEST_REQUEST).await.unwrap_or_default(),
    }
}

fn respond(answer: Answer) -> Response {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).unwrap_or_else(|error| {
        (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
    })
}

fn form(body: &[u8], name: &str) -> Option<String> {
    let body = std::str::from_utf8(body).ok()?;
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| unescape(value))
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                let digits = String::from_utf8_lossy(&digits).into_owned();
                bytes.push(u8::from_str_radix(&digits, 16).expect("two hexadecimal digits"));
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).expect("a form is UTF-8")
}
