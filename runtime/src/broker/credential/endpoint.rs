//! The token endpoint: what is sent there, and what its answers mean.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::form_urlencoded;

use super::super::limits::TOKEN_REQUEST;
use super::super::request::{Error, Request, Response};
use super::super::traffic::asked::retry_after;

/// Sends the requests to token endpoints, through the same guard as a guest's.
pub(in crate::broker) trait Sender: Send + Sync {
    /// Sends one, and never follows a redirect.
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, Error>>;
}

/// Who asks for a token.
#[derive(Clone)]
pub(super) struct Client {
    pub token_url: String,
    pub id: String,
    pub secret: Option<SecretString>,
    /// Send id and secret as a Basic header instead of in the body.
    pub use_header: bool,
}

/// The arguments of a token request.
pub(super) type Form<'a> = Vec<(&'a str, &'a str)>;

/// Why the token endpoint gave no token.
#[derive(Debug)]
pub(super) enum TokenError {
    /// It says no, with one of the codes that do not get better by themselves.
    Refused { code: Code, error: Error },
    /// It may work later; not before so long, where the endpoint says that.
    Other { error: Error, wait: Option<Duration> },
}

/// What the endpoint does not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// The refresh token, code or assertion.
    Grant,
    /// The client, or that it asks for this.
    Client,
}

impl Client {
    /// RFC 6749, 2.3.1: both are form-encoded before they are joined.
    pub fn basic(&self) -> String {
        let encoded =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let secret = self.secret.as_ref().map_or("", |secret| secret.expose_secret());
        let pair = format!("{}:{}", encoded(&self.id), encoded(secret));
        format!("Basic {}", STANDARD.encode(pair))
    }

    /// The form goes with the client's id and secret, in the body or in a header.
    pub fn request(&self, form: Form<'_>) -> Request {
        let mut request = request(&self.token_url, form, |body| {
            if self.use_header {
                return;
            }
            body.append_pair("client_id", &self.id);
            if let Some(secret) = &self.secret {
                body.append_pair("client_secret", secret.expose_secret());
            }
        });
        if self.use_header {
            request.headers.push(("authorization".into(), self.basic().into_bytes()));
        }
        request
    }
}

/// A token request of nobody in particular, with more in its form.
pub(super) fn request(
    token_url: &str,
    form: Form<'_>,
    more: impl FnOnce(&mut form_urlencoded::Serializer<'_, String>),
) -> Request {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(form);
    more(&mut body);
    Request {
        method: "POST".into(),
        url: token_url.to_owned(),
        headers: vec![
            ("content-type".into(), b"application/x-www-form-urlencoded".to_vec()),
            ("accept".into(), b"application/json".to_vec()),
        ],
        body: Some(Bytes::from(body.finish())),
        timeout: Some(TOKEN_REQUEST),
        ..Request::default()
    }
}

/// Reads a token endpoint's answer. Its body never gets into an error: it may hold secrets.
pub(super) fn read_answer(answer: &Response, now: SystemTime) -> Result<Value, TokenError> {
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok().filter(Value::is_object);
    let status = answer.status;
    let text = match (body.as_ref().and_then(error_code), &body) {
        (Some(code), _) => {
            let text = format!("the token endpoint refused: {code} (status {status})");
            // A server that is in trouble says more than it knows.
            match Code::of(code).filter(|_| status < 500 && status != 429) {
                Some(code) => {
                    return Err(TokenError::Refused { code, error: Error::Credential(text) });
                }
                None => text,
            }
        }
        (None, _) if status != 200 => format!("the token endpoint answered with status {status}"),
        (None, Some(answer)) if holds_token(answer) => return Ok(body.unwrap_or_default()),
        (None, Some(_)) => "the token endpoint's answer holds no access_token".into(),
        (None, None) => "the token endpoint's answer is not a JSON object".into(),
    };
    let wait = retry_after(&answer.headers, now).filter(|_| status == 429 || status >= 500);
    Err(TokenError::Other { error: Error::Credential(text), wait })
}

fn holds_token(answer: &Value) -> bool {
    answer["access_token"].as_str().is_some_and(|token| !token.is_empty())
}

/// The error's code (RFC 6749, 5.2), where it looks like one and not like somebody's secret.
fn error_code(body: &Value) -> Option<&str> {
    let is_code = |code: &&str| {
        (1..=40).contains(&code.len())
            && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    body["error"].as_str().filter(is_code)
}

impl Code {
    fn of(code: &str) -> Option<Self> {
        match code {
            "invalid_grant" => Some(Self::Grant),
            "invalid_client" | "unauthorized_client" => Some(Self::Client),
            _ => None,
        }
    }
}

impl From<Error> for TokenError {
    fn from(error: Error) -> Self {
        Self::Other { error, wait: None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::held::Budget;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_token_answer_is_read_and_its_body_never_told() {
        for (status, body, expected) in [
            (200, r#"{"access_token":"t","expires_in":"3600"}"#, "ok"),
            (200, r#"{"access_token":"t"}"#, "ok"),
            (201, r#"{"access_token":"SECRET"}"#, "answered with status 201"),
            (302, "SECRET", "answered with status 302"),
            (200, r#"{"access_token":""}"#, "holds no access_token"),
            (200, r#"{"access_token":7,"x":"SECRET"}"#, "holds no access_token"),
            (200, "<html>SECRET</html>", "not a JSON object"),
            (200, r#"["SECRET"]"#, "not a JSON object"),
            (200, r#"{"error":"bad_code","access_token":"SECRET"}"#, "bad_code"),
            (400, r#"{"error":"invalid_grant","error_description":"SECRET"}"#, "Grant"),
            (401, r#"{"error":"invalid_client"}"#, "Client"),
            (400, r#"{"error":"unauthorized_client"}"#, "Client"),
            (200, r#"{"error":"invalid_grant"}"#, "Grant"),
            (503, r#"{"error":"invalid_grant"}"#, "invalid_grant (status 503)"),
            (400, r#"{"error":"SECRET"}"#, "answered with status 400"),
            (503, "", "answered with status 503"),
        ] {
            let answer = Response {
                status,
                headers: http::HeaderMap::new(),
                body: Bytes::from_static(body.as_bytes()),
                held: Arc::new(Budget::default().hold()),
            };
            let told = match read_answer(&answer, SystemTime::now()) {
                Ok(_) => "ok".into(),
                Err(TokenError::Refused { code, .. }) => format!("{code:?}"),
                Err(TokenError::Other { error, .. }) => error.to_string(),
            };
            assert!(told.contains(expected) && !told.contains("SECRET"), "{body}: {told}");
        }
    }

    #[test]
    fn a_basic_header_holds_the_form_encoded_pair() {
        let client = Client {
            token_url: "https://id.example/token".into(),
            id: "c{{scope}} &1".into(),
            secret: Some("s:+1".into()),
            use_header: true,
        };
        let basic = client.basic();
        let pair =
            STANDARD.decode(basic.strip_prefix("Basic ").expect("a scheme")).expect("base64");
        assert_eq!(pair, b"c%7B%7Bscope%7D%7D+%261:s%3A%2B1");
    }
}
