//! Who may come in: this machine's own user, through a page or a program on this machine.
//!
//! A page of another site can reach a loopback port too. It is kept out by the `Host` header
//! (against names that are made to point here), by `Origin`, and by the token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::hub::Hub;
use super::reply::Refusal;

/// Nothing comes from elsewhere, nothing is framed, nothing runs that is not a file of ours.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// The token for page and API, and the port that it is for.
pub struct Access {
    token: SecretString,
    port: u16,
}

/// Stands before every route.
pub async fn guard(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response {
    let mut response = match hub.access.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Stands before the API.
pub async fn signed_in(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response {
    if hub.access.knows(request.headers()) {
        return next.run(request).await;
    }
    let text = "send `Authorization: Bearer TOKEN`, or open the address of the page that the \
                workspace printed when it started; the token is in its data folder, file `token`";
    Refusal::new(StatusCode::UNAUTHORIZED, text).into_response()
}

impl Access {
    pub fn new(token: SecretString, port: u16) -> Self {
        Self { token, port }
    }

    pub fn token(&self) -> &SecretString {
        &self.token
    }

    pub fn is_token(&self, given: &str) -> bool {
        same(self.token.expose_secret(), given)
    }

    /// Keeps a browser signed in. No script can read it, no other site can send it. Cookies know no
    /// ports, so the name does.
    pub fn cookie(&self) -> String {
        let value = self.token.expose_secret();
        format!(
            "{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000",
            self.cookie_name()
        )
    }

    fn cookie_name(&self) -> String {
        format!("aloma-local-{}", self.port)
    }

    /// Whether the request has the token, as a bearer or in the cookie.
    pub fn knows(&self, headers: &HeaderMap) -> bool {
        let bearer =
            text(headers, header::AUTHORIZATION).and_then(|text| text.strip_prefix("Bearer "));
        let name = self.cookie_name();
        let cookie = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|cookies| cookies.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value);
        bearer.or(cookie).is_some_and(|given| self.is_token(given.trim()))
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = text(headers, header::HOST).unwrap_or_default();
        if !self.is_ours(host) {
            let text = format!(
                "`{}` is not an address of this workspace; use http://127.0.0.1:{}/",
                host.escape_default(),
                self.port
            );
            return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, text));
        }
        match headers.get(header::ORIGIN) {
            Some(origin) if origin.as_bytes() != format!("http://{host}").as_bytes() => {
                let text = "a page of another site cannot use this workspace";
                Err(Refusal::new(StatusCode::FORBIDDEN, text))
            }
            _ => Ok(()),
        }
    }

    /// Whether that `Host` is a loopback name or address with our port.
    fn is_ours(&self, host: &str) -> bool {
        let Ok(url) = Url::parse(&format!("http://{host}/")) else { return false };
        let is_only_host =
            url.path() == "/" && url.username().is_empty() && url.password().is_none();
        let is_loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        is_only_host && is_loopback && url.port_or_known_default() == Some(self.port)
    }
}

/// Compares secrets in the same time wherever they differ.
pub fn same(secret: &str, given: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(secret.as_bytes(), given.as_bytes()).is_ok()
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loopback_host_with_our_port_is_ours() {
        let access = Access::new("t".into(), 4711);
        for (host, ours) in [
            ("127.0.0.1:4711", true),
            ("localhost:4711", true),
            ("[::1]:4711", true),
            ("127.0.0.1", false),
            ("127.0.0.1:80", false),
            ("evil.example:4711", false),
            ("localhost.evil.example:4711", false),
            ("127.0.0.1.evil.example:4711", false),
            ("a@127.0.0.1:4711", false),
            ("127.0.0.1:4711/x", false),
            ("10.0.0.1:4711", false),
            ("", false),
        ] {
            assert_eq!(access.is_ours(host), ours, "{host}");
        }
    }

    #[test]
    fn the_token_comes_as_a_bearer_or_in_the_cookie_of_this_port() {
        let access = Access::new("secret".into(), 4711);
        for (name, value, known) in [
            ("authorization", "Bearer secret", true),
            ("authorization", "Bearer wrong", false),
            ("authorization", "secret", false),
            ("cookie", "a=b; aloma-local-4711=secret", true),
            ("cookie", "aloma-local-4712=secret", false),
            ("cookie", "aloma-local-4711=", false),
            ("accept", "secret", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(access.knows(&headers), known, "{name}: {value}");
        }
    }
}
