//! What a guest asks for and what it gets, and the reading of the first.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Uri};
use tokio::time::Instant;
use url::{Host, Position, Url};

use super::allowance::Allowance;
use super::cap::Cap;
use super::held::Held;
use super::limits::{
    ATTEMPT, HEADER_BYTES, HEADERS, IDEMPOTENCY_KEY_BYTES, LONGEST_TOTAL, METHOD, MOST_ATTEMPTS,
    NAME, NAME_PART, PAUSE, TOTAL, URL_BYTES,
};
use super::payload::Upload;
use crate::envelope::{Breach, Limit, Limits};
use crate::vault::Vault;

/// One request, as the guest gives it. Mirrors `request` of `wit/http.wit`.
#[derive(Clone, Default)]
pub struct Request {
    /// The method, in any case.
    pub method: String,
    /// An absolute `http` or `https` URL.
    pub url: String,
    /// Header fields in order; a name may come more than once.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Option<Bytes>,
    /// The time limit for all attempts together. For an answer in pieces, until its head is there.
    pub timeout: Option<Duration>,
    /// The time limit for a connection.
    pub connect_timeout: Option<Duration>,
    /// The longest pause between two pieces of an answer in pieces.
    pub pause_timeout: Option<Duration>,
    /// How often it may be sent at most.
    pub attempts: Option<u32>,
    /// Sent as `Idempotency-Key`, the same in every attempt.
    pub idempotency_key: Option<String>,
    /// The name of a credential to add.
    pub credential: Option<String>,
}

/// One answer, with its whole body.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, as it came over the wire.
    pub body: Bytes,
    /// Counts the body against what may be held for the connector.
    pub held: Arc<Held>,
}

/// Why there is no answer: the cases of `error` in `wit/http.wit`. The text says what happened and
/// what to do about it; it holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the cases are documented in wit/http.wit")]
pub enum Error {
    #[error("{0}")]
    InvalidRequest(String),
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Dns(String),
    #[error("{0}")]
    Connect(String),
    /// As `Connect`, by a time limit of the guest's own.
    #[error("{0}")]
    ConnectTimeout(String),
    /// As `Connect`: the server's certificate is not to be trusted.
    #[error("{0}")]
    Certificate(String),
    /// As `Connect`: no TLS for another reason.
    #[error("{0}")]
    Tls(String),
    #[error("{0}")]
    Timeout(String),
    #[error("{0}")]
    Interrupted(String),
    /// As `Interrupted`: what came was no HTTP.
    #[error("{0}")]
    Protocol(String),
    #[error("{0}")]
    Limit(String),
    /// As `Limit`: one of the connector's limits, which the text names with its value and setting.
    #[error("{1}")]
    Breach(Breach, String),
    /// As `Limit`: the answer is too large.
    #[error("{0}")]
    AnswerSize(String),
    #[error("{0}")]
    Credential(String),
}

impl Error {
    /// The same error with another text.
    pub(super) fn map(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::InvalidRequest(text) => Self::InvalidRequest(change(text)),
            Self::Denied(text) => Self::Denied(change(text)),
            Self::Dns(text) => Self::Dns(change(text)),
            Self::Connect(text) => Self::Connect(change(text)),
            Self::ConnectTimeout(text) => Self::ConnectTimeout(change(text)),
            Self::Certificate(text) => Self::Certificate(change(text)),
            Self::Tls(text) => Self::Tls(change(text)),
            Self::Timeout(text) => Self::Timeout(change(text)),
            Self::Interrupted(text) => Self::Interrupted(change(text)),
            Self::Protocol(text) => Self::Protocol(change(text)),
            Self::Limit(text) => Self::Limit(change(text)),
            Self::Breach(breach, text) => Self::Breach(breach, change(text)),
            Self::AnswerSize(text) => Self::AnswerSize(change(text)),
            Self::Credential(text) => Self::Credential(change(text)),
        }
    }
}

impl From<Breach> for Error {
    fn from(breach: Breach) -> Self {
        Self::Breach(breach, breach.to_string())
    }
}

/// On whose behalf a request is made.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The call's id; none between calls.
    pub call: Option<Arc<str>>,
    /// No request goes on past it.
    pub deadline: Instant,
    /// The secrets of the connector, as it is configured for the call.
    pub vault: Arc<Vault>,
    /// What the call may use up, shared by all its requests.
    pub allowance: Arc<Allowance>,
}

/// A request that can be sent: everything in it was checked.
#[derive(Clone)]
pub(super) struct Parsed {
    pub method: Method,
    pub url: Url,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Sent in place of `body`.
    pub upload: Option<Upload>,
    /// Whether a second one does no more than the first, by its key.
    pub keyed: bool,
    /// How often it may be sent at most, where the guest says.
    pub attempts: Option<u32>,
    /// The time for one attempt.
    pub attempt: Duration,
    /// The time for all of them.
    pub total: Duration,
    /// The time for a connection.
    pub connect: Option<Duration>,
    /// The time between two pieces of an answer.
    pub pause: Duration,
    pub credential: Option<String>,
    /// The connector's.
    pub limits: Arc<Limits>,
    /// The largest body of an answer that is read whole.
    pub answer_cap: Cap,
    /// Whether the answer is to be decoded.
    pub decodes: bool,
    /// Whether another server chose where it goes.
    pub is_led: bool,
}

/// The key's field. Draft-ietf-httpapi-idempotency-key-header.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Sent where the guest names no agent: some APIs refuse a request without one.
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("aloma-wasm/", env!("CARGO_PKG_VERSION")));

/// Fields that belong to the connection, which is ours, and not to the request.
const CONNECTION_FIELDS: &[&str] =
    &["connection", "host", "http2-settings", "keep-alive", "te", "transfer-encoding", "upgrade"];

impl Parsed {
    /// Reads what the guest gave.
    pub fn new(
        request: Request,
        upload: Option<Upload>,
        limits: &Arc<Limits>,
    ) -> Result<Self, Error> {
        let method = method(&request.method)?;
        let (url, uri) = read_url(&request.url)?;
        let body = body(request.body, limits)?;
        let length = if upload.is_some() { None } else { Some(body.len()) };
        let mut headers = headers(request.headers, length)?;
        add_key(&mut headers, request.idempotency_key)?;
        add_defaults(&mut headers, &method, length);
        // A body of any length takes any time; the call's own limit ends it.
        let (attempt, total) =
            if upload.is_some() { (LONGEST_TOTAL, LONGEST_TOTAL) } else { (ATTEMPT, TOTAL) };
        Ok(Self {
            // A key that the guest wrote into the header itself makes the same promise.
            keyed: headers.contains_key(IDEMPOTENCY_KEY),
            attempts: request.attempts.map(|attempts| attempts.clamp(1, MOST_ATTEMPTS)),
            attempt: request.timeout.unwrap_or(attempt).min(LONGEST_TOTAL),
            total: request.timeout.unwrap_or(total).min(LONGEST_TOTAL),
            connect: request.connect_timeout,
            pause: request.pause_timeout.unwrap_or(PAUSE).min(LONGEST_TOTAL),
            credential: request.credential,
            limits: limits.clone(),
            answer_cap: Cap::of_connector(limits),
            decodes: false,
            is_led: false,
            upload,
            method,
            url,
            uri,
            headers,
            body,
        })
    }

    /// When the request must be over.
    pub fn until(&self, scope: &Scope) -> Instant {
        scope.deadline.min(Instant::now() + self.total)
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        // It holds no user name: such URLs are refused.
        &self.url[..Position::BeforePath]
    }
}

/// Whether a request could have this URL.
pub fn is_url(text: &str) -> bool {
    read_url(text).is_ok()
}

fn invalid(text: impl Into<String>) -> Error {
    Error::InvalidRequest(text.into())
}

fn method(text: &str) -> Result<Method, Error> {
    let no_method = || invalid("the method is no HTTP method; write it like GET or POST");
    // Refusals repeat it, and are remembered.
    if text.len() > METHOD {
        return Err(no_method());
    }
    let method =
        Method::from_bytes(text.to_ascii_uppercase().as_bytes()).map_err(|_| no_method())?;
    if [Method::CONNECT, Method::TRACE].contains(&method) {
        return Err(invalid(format!("the method {method} is not for connectors")));
    }
    Ok(method)
}

/// Reads a URL as browsers do (WHATWG), so that every spelling of a host is judged and dialled as
/// the same host.
pub(super) fn read_url(text: &str) -> Result<(Url, Uri), Error> {
    if text.len() > URL_BYTES {
        return Err(invalid(format!("the URL is longer than {URL_BYTES} bytes")));
    }
    let mut url = Url::parse(text)
        .map_err(|error| invalid(format!("the URL cannot be read: {error}; write it in full")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid(format!(
            "the URL begins with {}:, not with http or https",
            url.scheme()
        )));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("the URL holds a user name or password; send them in a header"));
    }
    if url.port() == Some(0) {
        return Err(invalid("the URL's port is 0, which no server has"));
    }
    check_name(&url)?;
    url.set_fragment(None);
    let uri = Uri::try_from(url.as_str())
        .map_err(|error| invalid(format!("the URL cannot be sent: {error}")))?;
    Ok((url, uri))
}

/// A name must be one that DNS could hold. The URL parser lets others through, and what a resolver
/// makes of them is its own affair.
fn check_name(url: &Url) -> Result<(), Error> {
    let Some(Host::Domain(name)) = url.host() else { return Ok(()) };
    // The dot at the end stands for the root.
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > NAME {
        return Err(invalid(format!("the URL's host is longer than {NAME} characters")));
    }
    if name.split('.').any(str::is_empty) {
        return Err(invalid("the URL's host has an empty part before or between its dots"));
    }
    if name.split('.').any(|part| part.len() > NAME_PART) {
        return Err(invalid(format!(
            "the URL's host has a part that is longer than {NAME_PART} characters"
        )));
    }
    Ok(())
}

fn body(body: Option<Bytes>, limits: &Limits) -> Result<Bytes, Error> {
    let body = body.unwrap_or_default();
    if body.len() > limits.bytes(Limit::RequestBody) {
        return Err(limits.breach(Limit::RequestBody).into());
    }
    Ok(body)
}

/// `length` is that of the body; an upload sees to its own.
fn headers(fields: Vec<(String, Vec<u8>)>, length: Option<usize>) -> Result<HeaderMap, Error> {
    // Counted before a map is built: the map has limits of its own, and panics past them.
    if fields.len() > HEADERS {
        return Err(Error::Limit(format!("the request has more than {HEADERS} header fields")));
    }
    let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > HEADER_BYTES {
        return Err(Error::Limit(format!("the header is larger than {HEADER_BYTES} bytes")));
    }
    let mut headers = HeaderMap::with_capacity(fields.len() + 2);
    for (name, value) in fields {
        let (name, value) = field(&name, &value)?;
        match length {
            _ if name != CONTENT_LENGTH => drop(headers.append(name, value)),
            Some(length) => check_length(&value, length)?,
            None => {}
        }
    }
    Ok(headers)
}

fn field(name: &str, value: &[u8]) -> Result<(HeaderName, HeaderValue), Error> {
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| invalid(format!("{:?} is no header name", shortened(name))))?;
    if is_of_connection(&name) {
        return Err(invalid(format!("the header {name} belongs to the connection; leave it out")));
    }
    // The text of the error must not repeat the value, which may be a secret.
    let value = HeaderValue::from_bytes(value)
        .map_err(|_| invalid(format!("the header {name} holds control characters")))?;
    Ok((name, value))
}

/// Whether a field is about the connection.
pub(super) fn is_of_connection(name: &HeaderName) -> bool {
    CONNECTION_FIELDS.contains(&name.as_str()) || name.as_str().starts_with("proxy-")
}

/// The length is written by whoever writes the body. Said right, it is dropped; said wrong, the
/// request would be read differently by different servers.
fn check_length(value: &HeaderValue, body: usize) -> Result<(), Error> {
    if value.as_bytes() == body.to_string().as_bytes() {
        return Ok(());
    }
    Err(invalid(format!("content-length is not the body's length of {body} bytes; leave it out")))
}

fn add_key(headers: &mut HeaderMap, key: Option<String>) -> Result<(), Error> {
    let Some(key) = key else { return Ok(()) };
    let fits = (1..=IDEMPOTENCY_KEY_BYTES).contains(&key.len());
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits || !visible {
        return Err(invalid(format!(
            "the idempotency key must have 1 to {IDEMPOTENCY_KEY_BYTES} visible ASCII characters"
        )));
    }
    if headers.contains_key(IDEMPOTENCY_KEY) {
        return Err(invalid("the idempotency key is given twice: as an option and as a header"));
    }
    let value = HeaderValue::try_from(key).expect("visible ASCII characters make a header value");
    headers.insert(IDEMPOTENCY_KEY, value);
    Ok(())
}

fn add_defaults(headers: &mut HeaderMap, method: &Method, length: Option<usize>) {
    headers.entry(USER_AGENT).or_insert(AGENT);
    // hyper says nothing of an empty body, and some servers refuse a POST without a length.
    let expects_body = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    if expects_body && length == Some(0) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

/// Enough of a guest's text to recognise it by.
fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(request: Request) -> Result<Parsed, Error> {
        Parsed::new(request, None, &Arc::default())
    }

    fn get(url: &str) -> Request {
        Request { method: "get".into(), url: url.into(), ..Request::default() }
    }

    fn with_header(name: &str, value: &[u8]) -> Request {
        let headers = vec![(name.into(), value.to_vec())];
        Request { headers, body: Some(Bytes::from_static(b"12345")), ..get("http://a.example/") }
    }

    #[test]
    fn a_url_is_read_in_its_canonical_form() {
        for (text, canonical) in [
            ("HTTPS://API.Example.COM", "https://api.example.com/"),
            ("https://api.example.com:443/x?y#z", "https://api.example.com/x?y"),
            ("http://bücher.example/ü", "http://xn--bcher-kva.example/%C3%BC"),
            ("http://2130706433/", "http://127.0.0.1/"),
            ("http://0x7f000001/", "http://127.0.0.1/"),
            ("http://0177.0.0.1/", "http://127.0.0.1/"),
            ("http://127.1/", "http://127.0.0.1/"),
            ("http://127.0.0.1./", "http://127.0.0.1/"),
            ("http://①②⑦.⓪.⓪.①/", "http://127.0.0.1/"),
            ("http://127.0.0.1/", "http://127.0.0.1/"),
            ("http://0/", "http://0.0.0.0/"),
            ("http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
            ("https:api.example.com", "https://api.example.com/"),
            ("https:\\\\api.example.com\\x", "https://api.example.com/x"),
            (" https://api.example.com/\n", "https://api.example.com/"),
        ] {
            let parsed = parse(get(text)).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(parsed.uri.to_string(), canonical, "{text}");
            assert_eq!(parsed.url.as_str(), canonical, "{text}");
        }
    }

    #[test]
    fn a_url_that_is_none_is_refused() {
        let long = format!("https://a.example/{}", "x".repeat(URL_BYTES));
        for text in [
            "",
            "/users",
            "api.example.com",
            "https://",
            "ftp://a.example/",
            "file:///etc/passwd",
            "data:text/plain,x",
            "ws://a.example/",
            "unix:/run/x.sock",
            "https://user@a.example/",
            "https://user:secret@a.example/",
            "https://:secret@a.example/",
            "http://a.example:0/",
            "http://a.example:65536/",
            "http://256.256.256.256/",
            "http://[::1/",
            "http://a b/",
            "http://[fe80::1%25eth0]/",
            &long,
        ] {
            let error = parse(get(text)).err();
            assert!(matches!(error, Some(Error::InvalidRequest(_))), "{text}: {error:?}");
            assert!(!error.expect("an error").to_string().contains("secret"), "{text}");
        }
    }

    #[test]
    fn a_header_of_the_connection_is_refused() {
        for name in [
            "Host",
            "HOST",
            "Connection",
            "Keep-Alive",
            "Proxy-Authorization",
            "proxy-connection",
            "Transfer-Encoding",
            "Upgrade",
            "TE",
            "HTTP2-Settings",
            ":authority",
            "a b",
            "",
            "x\r\ny",
        ] {
            let error = parse(with_header(name, b"x")).err();
            assert!(matches!(error, Some(Error::InvalidRequest(_))), "{name}: {error:?}");
        }
    }

    #[test]
    fn control_characters_in_a_header_are_refused_without_telling_the_value() {
        for value in ["secret\r\nx: y", "secret\n", "secret\0", "secret\x7f"] {
            let error = parse(with_header("x", value.as_bytes())).err().expect("refused");
            assert_eq!(error, invalid("the header x holds control characters"));
        }
    }

    #[test]
    fn a_right_content_length_is_dropped_and_a_wrong_one_refused() {
        let parsed = parse(with_header("Content-Length", b"5")).expect("a right length");
        assert!(!parsed.headers.contains_key(CONTENT_LENGTH));
        for wrong in ["4", "6", "+5", "05", "5, 5", ""] {
            let error = parse(with_header("content-length", wrong.as_bytes())).err();
            assert!(matches!(error, Some(Error::InvalidRequest(_))), "{wrong}");
        }
    }

    #[test]
    fn methods_are_read_in_any_case_and_two_are_refused() {
        for (text, expected) in
            [("get", Some("GET")), ("Post", Some("POST")), ("query", Some("QUERY"))]
                .into_iter()
                .chain(["connect", "TRACE", "", "GET /", "a b", "GÉT"].map(|text| (text, None)))
        {
            let request = Request { method: text.into(), ..get("http://a.example/") };
            let parsed = parse(request).ok();
            assert_eq!(parsed.as_ref().map(|parsed| parsed.method.as_str()), expected, "{text}");
        }
    }

    #[test]
    fn a_request_has_limits() {
        let limit = |request| matches!(parse(request), Err(Error::Limit(_)));
        let fields = |count| vec![("x".to_owned(), b"y".to_vec()); count];
        assert!(limit(Request { headers: fields(HEADERS + 1), ..get("http://a.example/") }));
        assert!(!limit(Request { headers: fields(HEADERS), ..get("http://a.example/") }));
        assert!(limit(with_header("x", &vec![b'y'; HEADER_BYTES])));
        let limits = Arc::new(Limits::default().with(Limit::RequestBody, 1));
        for (size, fits) in [(1 << 20, true), ((1 << 20) + 1, false)] {
            let body = Some(Bytes::from(vec![0; size]));
            let parsed = Parsed::new(Request { body, ..get("http://a.example/") }, None, &limits);
            let breach = Error::from(limits.breach(Limit::RequestBody));
            assert_eq!(parsed.err(), (!fits).then_some(breach), "{size}");
        }
    }

    #[test]
    fn times_and_attempts_stay_within_bounds() {
        let request = Request {
            timeout: Some(Duration::MAX),
            attempts: Some(u32::MAX),
            ..get("http://a.example/")
        };
        let parsed = parse(request).expect("a request");
        assert_eq!((parsed.total, parsed.attempts), (LONGEST_TOTAL, Some(MOST_ATTEMPTS)));
        let request = Request { attempts: Some(0), ..get("http://a.example/") };
        assert_eq!(parse(request).expect("a request").attempts, Some(1));
    }

    #[test]
    fn an_idempotency_key_is_sent_once() {
        let keyed =
            |key: &str| Request { idempotency_key: Some(key.into()), ..get("http://a.example/") };
        let parsed = parse(keyed("k-1")).expect("a request");
        assert_eq!(parsed.headers[IDEMPOTENCY_KEY], "k-1");
        assert!(parsed.keyed);
        assert!(!parse(get("http://a.example/")).expect("a request").keyed);
        assert!(parse(with_header("Idempotency-Key", b"k")).expect("a request").keyed);
        for bad in ["", "a b", "ü", "a\n", &"k".repeat(256)] {
            assert!(parse(keyed(bad)).is_err(), "{bad}");
        }
        let both =
            Request { idempotency_key: Some("k".into()), ..with_header("Idempotency-Key", b"k") };
        assert!(parse(both).is_err());
    }
}
