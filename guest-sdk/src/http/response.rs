//! One answer, with its whole body.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::url::without_query;
use super::{Error, Request};
use crate::limits::ANSWER_EXCERPT;

/// An answer as the broker gives it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// One answer, with its whole body. A status such as 404 is an answer too, until
/// [`error_for_status`](Self::error_for_status) makes an error of it.
#[derive(Clone, Debug)]
pub struct Response {
    answer: Answer,
    /// The method and URL of the request, without its query, for messages.
    request: String,
}

impl Response {
    pub(super) fn new(request: &Request, answer: Answer) -> Self {
        Self { answer, request: name(request) }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.answer.status
    }

    /// Whether the status is one of 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.answer.status)
    }

    /// The header fields in order.
    pub fn headers(&self) -> &[(String, String)] {
        &self.answer.headers
    }

    /// The first header field of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.answer.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text. Bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.answer.body)
    }

    /// The body.
    pub fn bytes(&self) -> &[u8] {
        &self.answer.body
    }

    /// The body, without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        self.answer.body
    }

    /// The body read as JSON. The error says where it is not as expected.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let mut reader = serde_json::Deserializer::from_slice(&self.answer.body);
        serde_path_to_error::deserialize(&mut reader).map_err(|error| self.unexpected(&error))
    }

    /// Makes an error of a status of 400 or more.
    pub fn error_for_status(self) -> Result<Self, Error> {
        if self.answer.status < 400 {
            return Ok(self);
        }
        let answer = self.text().chars().take(ANSWER_EXCERPT).collect();
        Err(Error::Status { request: self.request, status: self.answer.status, answer })
    }

    fn unexpected(&self, error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
        let place = match error.path().to_string().as_str() {
            "." => String::new(),
            path => format!(" at `{path}`"),
        };
        let (request, inner) = (&self.request, error.inner());
        Error::Body(format!("the answer of {request} is not as expected{place}: {inner}"))
    }
}

fn name(request: &Request) -> String {
    format!("{} {}", request.method.to_uppercase(), without_query(&request.url))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn response(status: u16, body: &str) -> Response {
        let request = crate::http::get("https://a.example/users?key=1").build();
        let headers = vec![("Content-Type".into(), "text/plain".into())];
        let answer = Answer { status, headers, body: body.into() };
        Response::new(&request.expect("a good request"), answer)
    }

    #[test]
    fn only_failures_become_errors() {
        for status in [200, 204, 304, 399] {
            assert!(response(status, "").error_for_status().is_ok(), "{status}");
        }
        let error = response(404, "no such user").error_for_status().expect_err("a failure");
        assert_eq!(error.to_string(), "GET https://a.example/users answered 404");
        assert!(
            matches!(error, Error::Status { status: 404, answer, .. } if answer == "no such user")
        );
    }

    #[test]
    fn headers_are_found_in_any_case() {
        assert_eq!(response(200, "").header("content-TYPE"), Some("text/plain"));
        assert_eq!(response(200, "").header("x-none"), None);
    }

    #[test]
    fn json_that_does_not_fit_says_where() {
        assert_eq!(response(200, "[1]").json::<Value>(), Ok(serde_json::json!([1])));
        let error = response(200, r#"[1,"x"]"#).json::<Vec<u8>>().expect_err("no number");
        assert!(error.to_string().starts_with(
            "the answer of GET https://a.example/users is not as expected at `[1]`: invalid type"
        ));
    }
}
