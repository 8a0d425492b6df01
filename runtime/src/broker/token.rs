//! The token endpoint: what is sent there, and what its answers mean.

use bytes::Bytes;
use secrecy::ExposeSecret;
use serde_json::Value;
use url::form_urlencoded;

use super::limits::TOKEN_REQUEST;
use super::oauth::OAuthClient;
use super::request::{Error, Request, Response};

/// The arguments of a token request.
pub(super) type Form<'a> = Vec<(&'a str, &'a str)>;

/// Why the token endpoint gave no token.
pub(super) enum TokenError {
    /// The grant has ended.
    Dead(String),
    /// It may work later.
    Other(Error),
}

/// The form goes with the client's id and secret, in the body or in a header.
pub(super) fn token_request(client: &OAuthClient, form: Form<'_>) -> Request {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(form);
    let mut headers = vec![
        ("content-type".into(), b"application/x-www-form-urlencoded".to_vec()),
        ("accept".into(), b"application/json".to_vec()),
    ];
    if client.use_auth_header {
        headers.push(("authorization".into(), client.basic().into_bytes()));
    } else {
        body.append_pair("client_id", &client.client_id);
        if let Some(secret) = &client.client_secret {
            body.append_pair("client_secret", secret.expose_secret());
        }
    }
    Request {
        method: "POST".into(),
        url: client.token_url.clone(),
        headers,
        body: Some(Bytes::from(body.finish())),
        timeout: Some(TOKEN_REQUEST),
        ..Request::default()
    }
}

/// Reads a token endpoint's answer. Its body never gets into an error: it may hold secrets.
pub(super) fn read_answer(answer: &Response) -> Result<Value, TokenError> {
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok().filter(Value::is_object);
    let status = answer.status;
    let text = match (body.as_ref().and_then(error_code), &body) {
        (Some("invalid_grant"), _) => {
            let text = "the OAuth grant has ended (invalid_grant); connect again";
            return Err(TokenError::Dead(text.into()));
        }
        (Some(code), _) => format!("the token endpoint refused: {code} (status {status})"),
        (None, _) if status != 200 => format!("the token endpoint answered with status {status}"),
        (None, Some(answer)) if holds_token(answer) => return Ok(body.unwrap_or_default()),
        (None, Some(_)) => "the token endpoint's answer holds no access_token".into(),
        (None, None) => "the token endpoint's answer is not a JSON object".into(),
    };
    Err(TokenError::Other(Error::Credential(text)))
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

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Dead(text) => Self::Credential(text),
            TokenError::Other(error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::held::Budget;
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
            (400, r#"{"error":"invalid_grant","error_description":"SECRET"}"#, "dead"),
            (401, r#"{"error":"invalid_client"}"#, "invalid_client (status 401)"),
            (400, r#"{"error":"SECRET"}"#, "answered with status 400"),
            (503, "", "answered with status 503"),
        ] {
            let answer = Response {
                status,
                headers: http::HeaderMap::new(),
                body: Bytes::from_static(body.as_bytes()),
                held: Arc::new(Budget::default().hold()),
            };
            let told = match read_answer(&answer) {
                Ok(_) => "ok".into(),
                Err(TokenError::Dead(_)) => "dead".into(),
                Err(TokenError::Other(error)) => error.to_string(),
            };
            assert!(told.contains(expected) && !told.contains("SECRET"), "{body}: {told}");
        }
    }
}
