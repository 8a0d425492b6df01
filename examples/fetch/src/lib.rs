//! One action that passes a request on, in the shape of the platform's own `connectors.fetch`.

use std::collections::BTreeMap;

use aloma_connector::{Result, connector, http};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The controller.
#[derive(Default)]
pub struct Fetch;

/// A request.
#[derive(Deserialize, JsonSchema)]
pub struct Request {
    /// The absolute URL.
    url: String,
    /// `GET` where it is left out.
    method: Option<String>,
    /// Header fields by name.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Text is sent as it is.
    body: Option<String>,
}

/// An answer, whatever its status.
#[derive(Serialize, JsonSchema)]
pub struct Answer {
    /// The status code.
    status: u16,
    /// Header fields by name, in lower case. Fields of the same name are joined by commas.
    headers: BTreeMap<String, String>,
    /// The body as text.
    body: String,
}

/// Makes HTTP requests to whatever the operator allows.
#[connector]
impl Fetch {
    /// Makes a request and gives the answer
    ///
    /// A redirect is an answer, unless the operator lets it be followed. A status such as 404 is an
    /// answer, too, and not an error.
    pub async fn get(&self, request: Request) -> Result<Answer> {
        let method = request.method.unwrap_or_else(|| "GET".into());
        let mut outgoing = http::request(method, request.url);
        for (name, value) in request.headers {
            outgoing = outgoing.header(name, value);
        }
        if let Some(body) = request.body {
            outgoing = outgoing.body(body);
        }
        let answer = outgoing.send().await?;
        Ok(Answer {
            status: answer.status(),
            headers: by_name(answer.headers()),
            body: answer.text().into_owned(),
        })
    }
}

fn by_name(headers: &[(String, String)]) -> BTreeMap<String, String> {
    let mut by_name = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        by_name
            .entry(name.to_lowercase())
            .and_modify(|joined| *joined = format!("{joined}, {value}"))
            .or_insert_with(|| value.clone());
    }
    by_name
}

#[cfg(test)]
mod tests {
    use super::*;
    use aloma_connector::testing::{Host, Reply};
    use serde_json::json;

    #[test]
    fn a_get_needs_only_a_url() {
        let host =
            Host::new().http(|_| Reply::text(200, "hi").header("X-A", "1").header("x-a", "2"));
        let answer = host.call::<Fetch>("get", json!({"url": "https://a.example/x?y=1"}));
        let headers = json!({"content-type": "text/plain; charset=utf-8", "x-a": "1, 2"});
        assert_eq!(answer, Ok(json!({"status": 200, "headers": headers, "body": "hi"})));
        assert_eq!(host.requests()[0].line(), "GET https://a.example/x?y=1");
    }

    #[test]
    fn method_headers_and_body_are_passed_on() {
        let host = Host::new().http(|_| Reply::status(404));
        let arguments = json!({
            "url": "https://a.example", "method": "PUT", "headers": {"X-B": "b"}, "body": "text",
        });
        let answer = host.call::<Fetch>("get", arguments).expect("a 404 is an answer");
        assert_eq!(answer["status"], 404);
        let request = &host.requests()[0];
        assert_eq!(
            (&*request.method, request.header("x-b"), request.text()),
            ("PUT", Some("b"), "text")
        );
    }

    #[test]
    fn what_is_not_granted_is_told() {
        let error = Host::new()
            .call::<Fetch>("get", json!({"url": "https://a.example"}))
            .expect_err("nothing is granted");
        assert_eq!(error.code(), "http-denied");
    }
}
