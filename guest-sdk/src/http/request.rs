//! One request, and how it is put together.

use std::fmt::Display;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::{Error, Response, send, url};

/// One request as it goes to the broker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The absolute URL.
    pub url: String,
    /// Header fields in order; a name may come more than once.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<Vec<u8>>,
    /// How it is made.
    pub options: Options,
}

/// How a request is made. See the methods of [`RequestBuilder`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// The time limit in milliseconds.
    pub timeout_ms: Option<u64>,
    /// How often it may be sent at most.
    pub attempts: Option<u32>,
    /// The `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// The credential that the broker adds.
    pub credential: Option<String>,
}

/// Puts a request together. Nothing is sent before [`send`](Self::send) is awaited; what is wrong
/// with the request is told there too.
#[derive(Clone, Debug)]
#[must_use = "a request is sent by `.send().await`"]
pub struct RequestBuilder {
    request: Request,
    /// Headers for which the request has none of its own.
    defaults: Vec<(String, String)>,
    fault: Option<Error>,
}

impl RequestBuilder {
    pub(super) fn new(method: String, url: String) -> Self {
        let request = Request { method, url, ..Request::default() };
        Self { request, defaults: Vec::new(), fault: None }
    }

    pub(super) fn with_defaults(
        mut self,
        headers: Vec<(String, String)>,
        options: Options,
    ) -> Self {
        self.defaults = headers;
        self.request.options = options;
        self
    }

    /// Adds a header field. A second one of the same name is sent beside the first.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.headers.push((name.into(), value.into()));
        self
    }

    /// Adds `Authorization: Bearer …`.
    pub fn bearer_auth(self, token: impl AsRef<str>) -> Self {
        self.header("Authorization", bearer(token.as_ref()))
    }

    /// Adds `Authorization: Basic …`.
    pub fn basic_auth(self, user: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        self.header("Authorization", basic(user.as_ref(), password.as_ref()))
    }

    /// Adds to the query: a struct, a map, or a list of pairs. Fields that are `None` are left out.
    pub fn query(mut self, query: &(impl Serialize + ?Sized)) -> Self {
        match serde_urlencoded::to_string(query) {
            Ok(query) => self.request.url = url::with_query(&self.request.url, &query),
            Err(error) => self.note_fault("the query", &error),
        }
        self
    }

    /// Sends this as JSON.
    pub fn json(mut self, body: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => self.typed_body("application/json", body),
            Err(error) => {
                self.note_fault("the JSON body", &error);
                self
            }
        }
    }

    /// Sends this as a form: a struct, a map, or a list of pairs.
    pub fn form(mut self, form: &(impl Serialize + ?Sized)) -> Self {
        match serde_urlencoded::to_string(form) {
            Ok(body) => self.typed_body("application/x-www-form-urlencoded", body.into_bytes()),
            Err(error) => {
                self.note_fault("the form", &error);
                self
            }
        }
    }

    /// Sends this body. Set a `Content-Type` with it.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.request.body = Some(body.into());
        self
    }

    /// The time limit for the request and all its attempts together; half an hour at most. Without
    /// one an attempt has 60 seconds, and all have 180. The operator's limit and the deadline of the
    /// call hold beside it.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.request.options.timeout_ms = Some(milliseconds(limit));
        self
    }

    /// How often the request may be sent at most, the first time included: 1 to 10, and no more than
    /// the operator's grant says. Default: what that says, or else 3. Only what is safe to repeat is
    /// repeated: GET, HEAD, OPTIONS, PUT and DELETE, any method with an
    /// [`idempotency_key`](Self::idempotency_key), requests that were certainly not sent, and those
    /// that were refused with status 429.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.request.options.attempts = Some(attempts);
        self
    }

    /// Sent as `Idempotency-Key`, the same in every attempt: 1 to 255 visible ASCII characters. Says
    /// that the API promises to do the work once per key.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.request.options.idempotency_key = Some(key.into());
        self
    }

    /// The name of a credential that the broker adds and the connector never sees: one that the
    /// connector [declares](crate::Setup::credential), one that the operator has set up under that
    /// name, or `oauth`, the OAuth grant that the connector declares. Where the operator's grant adds
    /// one by itself, none need be named, and naming another one is an error.
    pub fn credential(mut self, name: impl Into<String>) -> Self {
        self.request.options.credential = Some(name.into());
        self
    }

    /// The request as it would be sent.
    pub fn build(self) -> Result<Request, Error> {
        let Self { mut request, defaults, fault } = self;
        if let Some(fault) = fault {
            return Err(fault);
        }
        for (name, value) in defaults {
            if !has_header(&request.headers, &name) {
                request.headers.push((name, value));
            }
        }
        Ok(request)
    }

    /// Sends the request and waits for the whole answer. Dropping the future gives the request up;
    /// the API may have carried it out all the same.
    pub async fn send(self) -> Result<Response, Error> {
        send::send(self.build()?).await
    }

    fn typed_body(mut self, kind: &str, body: Vec<u8>) -> Self {
        if !has_header(&self.request.headers, "Content-Type") {
            self = self.header("Content-Type", kind);
        }
        self.body(body)
    }

    /// The first fault is told.
    fn note_fault(&mut self, what: &str, error: &dyn Display) {
        let fault = || Error::InvalidRequest(format!("{what} cannot be written: {error}"));
        self.fault.get_or_insert_with(fault);
    }
}

fn has_header(headers: &[(String, String)], name: &str) -> bool {
    headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
}

pub(super) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A limit longer than `u64` milliseconds is none that anybody would notice.
pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Client, get, post};

    #[test]
    fn a_request_is_put_together() {
        let request = post("https://api.example.com/users")
            .header("X-A", "1")
            .basic_auth("user", "pass")
            .query(&[("a", "1 2"), ("b", "ä")])
            .json(&serde_json::json!({"name": "x"}))
            .timeout(Duration::from_secs(2))
            .attempts(1)
            .idempotency_key("k")
            .credential("oauth")
            .build()
            .expect("a good request");
        assert_eq!(request.url, "https://api.example.com/users?a=1+2&b=%C3%A4");
        let headers = [
            ("X-A", "1"),
            ("Authorization", "Basic dXNlcjpwYXNz"),
            ("Content-Type", "application/json"),
        ];
        assert_eq!(request.headers, headers.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(request.body.as_deref(), Some(&br#"{"name":"x"}"#[..]));
        let options = Options {
            timeout_ms: Some(2_000),
            attempts: Some(1),
            idempotency_key: Some("k".into()),
            credential: Some("oauth".into()),
        };
        assert_eq!(request.options, options);
    }

    #[test]
    fn what_a_request_sets_wins_over_its_client() {
        let client = Client::new().bearer_auth("theirs").header("X-B", "b");
        let request = client
            .get("https://a.example")
            .header("authorization", "mine")
            .build()
            .expect("a good request");
        let headers = [("authorization", "mine"), ("X-B", "b")];
        assert_eq!(request.headers, headers.map(|(name, value)| (name.into(), value.into())));
    }

    #[test]
    fn what_cannot_be_written_is_told_when_sending() {
        let fault = get("https://a.example").query("just text").build();
        assert!(matches!(fault, Err(Error::InvalidRequest(text)) if text.starts_with("the query")));
    }
}
