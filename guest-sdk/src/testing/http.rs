//! Requests as a test sees them, and the replies it gives.

use std::ops::Deref;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::http::{self, Answer, Error};

/// A request that the controller made.
#[derive(Clone, Debug, PartialEq)]
pub struct Request(pub(super) http::Request);

/// The fields of [`http::Request`]: method, URL, headers, body, options.
impl Deref for Request {
    type Target = http::Request;

    fn deref(&self) -> &http::Request {
        &self.0
    }
}

impl Request {
    /// The first header field of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The credential that the host is to add. What it adds is not in the headers.
    pub fn credential(&self) -> Option<&str> {
        self.options.credential.as_deref()
    }

    /// The body as text.
    ///
    /// # Panics
    /// Where it is not UTF-8.
    pub fn text(&self) -> &str {
        let body = self.body.as_deref().unwrap_or_default();
        std::str::from_utf8(body).expect("a text body")
    }

    /// The body read as JSON.
    ///
    /// # Panics
    /// Where it is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(self.text()).expect("a JSON body")
    }

    /// Method and URL: `GET https://api.example.com/users`.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.url)
    }
}

/// What a fake API answers.
#[derive(Clone, Debug)]
#[must_use]
pub struct Reply {
    outcome: Result<Answer, Error>,
    after: Duration,
}

impl Reply {
    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self::bytes(status, Vec::new())
    }

    /// A status with a body.
    pub fn bytes(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let answer = Answer { status, headers: Vec::new(), body: body.into() };
        Self { outcome: Ok(answer), after: Duration::ZERO }
    }

    /// A status with text.
    pub fn text(status: u16, body: &str) -> Self {
        Self::bytes(status, body).header("Content-Type", "text/plain; charset=utf-8")
    }

    /// A status with JSON.
    ///
    /// # Panics
    /// Where the body cannot be written as JSON.
    pub fn json(status: u16, body: impl Serialize) -> Self {
        let body = serde_json::to_vec(&body).expect("a body that can be JSON");
        Self::bytes(status, body).header("Content-Type", "application/json")
    }

    /// No answer: `Reply::error(http::Error::Timeout("no answer".into()))`.
    pub fn error(error: Error) -> Self {
        Self { outcome: Err(error), after: Duration::ZERO }
    }

    /// Adds a header field.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Ok(answer) = &mut self.outcome {
            answer.headers.push((name.into(), value.into()));
        }
        self
    }

    /// The answer takes that long, in virtual time.
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    /// When the request is done, and how, under its own time limit.
    pub(super) fn within(self, limit_ms: Option<u64>) -> (Duration, Result<Answer, Error>) {
        let limit = limit_ms.map_or(Duration::MAX, Duration::from_millis);
        if self.after <= limit {
            return (self.after, self.outcome);
        }
        let message = format!("no answer within {} ms", limit.as_millis());
        (limit, Err(Error::Timeout(message)))
    }
}

/// So that the fake API's closure may return a `Result`.
impl From<Result<Reply, Error>> for Reply {
    fn from(outcome: Result<Reply, Error>) -> Self {
        outcome.unwrap_or_else(Reply::error)
    }
}
