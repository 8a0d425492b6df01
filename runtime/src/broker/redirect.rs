//! Redirects, where a grant turns them on: the next request, which then passes every check anew.

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE, COOKIE,
    HeaderName, LOCATION,
};
use http::{HeaderMap, Method};
use url::Url;

use super::credential::has_mark;
use super::request::{Error, Parsed, read_url};
use super::retry::not_unsent;
use super::sealed::{check_address, has_placeholders};
use crate::vault::Vault;

/// Where an answer sends a request, if anywhere.
pub(super) enum Next {
    /// The answer is the answer.
    Stay,
    /// To make this request instead, which still has its placeholders.
    Go(Box<Parsed>),
}

const OF_THE_BODY: [HeaderName; 4] =
    [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION];

/// Reads an answer to `request`, as it was before secrets were filled in.
pub(super) fn next(
    request: &Parsed,
    status: u16,
    headers: &HeaderMap,
    vault: &Vault,
) -> Result<Next, Error> {
    let (301 | 302 | 303 | 307 | 308, Some(location)) = (status, headers.get(LOCATION)) else {
        return Ok(Next::Stay);
    };
    // A body that passes through is had once.
    if request.upload.is_some() && keeps_body(request, status) {
        return Ok(Next::Stay);
    }
    let origin = request.origin();
    let bad = |why: &str| Error::InvalidRequest(format!("{origin} redirects to {why}"));
    let location = location.to_str().map_err(|_| bad("something that is no text"))?;
    let mut url = request.url.join(location).map_err(|_| bad("something that is no URL"))?;
    check_address(url.as_str(), vault).map_err(|error| after(error, Some(origin)))?;
    if url.origin() == request.url.origin() {
        drop_marks(&mut url);
    }
    if has_mark(url.as_str()) {
        return Err(bad("a URL that holds a credential, which does not go there"));
    }
    let (url, uri) = read_url(url.as_str()).map_err(|error| {
        Error::InvalidRequest(format!("{origin} redirects to a URL that is refused: {error}"))
    })?;
    let mut next = Parsed { url, uri, ..request.clone() };
    if !keeps_body(request, status) {
        drop_body(&mut next);
    }
    if next.url.origin() != request.url.origin() {
        drop_secrets(&mut next, vault)?;
    }
    Ok(Next::Go(Box::new(next)))
}

/// The error of a request that a redirect of that origin led to. It must not say that nothing was
/// sent: who redirects may have carried the request out.
pub(super) fn after(error: Error, by: Option<&str>) -> Error {
    let Some(by) = by else { return error };
    not_unsent(error).map(|text| format!("after a redirect by {by}: {text}"))
}

/// A server that keeps the query gives back the parameter that a credential had added, in which now
/// stands that it was taken out. The next request gets it anew.
fn drop_marks(url: &mut Url) {
    let Some(query) = url.query().filter(|query| has_mark(query)) else { return };
    let kept: Vec<_> = query.split('&').filter(|pair| !has_mark(pair)).collect();
    let kept = kept.join("&");
    url.set_query(Some(&*kept).filter(|kept| !kept.is_empty()));
}

/// 303 always becomes a GET, and so does a POST at 301 and 302, as every client has done for ever
/// (RFC 9110, 15.4).
fn keeps_body(request: &Parsed, status: u16) -> bool {
    match status {
        303 => request.method == Method::HEAD,
        301 | 302 => request.method != Method::POST,
        _ => true,
    }
}

fn drop_body(request: &mut Parsed) {
    request.method = Method::GET;
    request.body = bytes::Bytes::new();
    request.upload = None;
    request.headers.remove(http::header::CONTENT_LENGTH);
    for name in OF_THE_BODY {
        request.headers.remove(name);
    }
}

/// What was meant for one server is not for the one that it names.
fn drop_secrets(request: &mut Parsed, vault: &Vault) -> Result<(), Error> {
    request.is_led = true;
    request.credential = None;
    request.headers.remove(AUTHORIZATION);
    request.headers.remove(COOKIE);
    let holds = |bytes: &[u8]| has_placeholders(bytes, vault);
    let sealed: Vec<_> = request
        .headers
        .iter()
        .filter(|(_, value)| holds(value.as_bytes()))
        .map(|(name, _)| name.clone())
        .collect();
    for name in sealed {
        request.headers.remove(name);
    }
    let query = request.url.query().unwrap_or_default();
    for (what, bytes) in [("body", &*request.body), ("query", query.as_bytes())] {
        if holds(bytes) {
            return Err(Error::Denied(format!(
                "a redirect to {} is not followed, because its {what} holds a secret; send it there \
                 yourself",
                request.origin()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod properties {
    use std::sync::Arc;

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::broker::Request;

    fn location() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ -~]{0,30}",
            "(https?:)?//[a-z0-9.:@%\\[\\]-]{0,20}/[a-z.%/]{0,10}",
            "[a-z]{2,6}:[ -~]{0,10}",
            "\\.\\./[./%2ef?#]{0,10}",
            Just("http://a.example/x".into()),
            Just("//other.example/x?y".into()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn wherever_a_redirect_leads_it_is_a_url_that_may_be_asked_for(
            location in location(),
            status in prop_oneof![Just(200u16), 300u16..309],
            method in prop_oneof![Just("GET"), Just("POST"), Just("HEAD"), Just("PUT")],
        ) {
            let request = Request {
                method: method.into(),
                url: "http://a.example/v1/users?q=1".into(),
                headers: vec![
                    ("authorization".into(), b"Bearer x".to_vec()),
                    ("cookie".into(), b"a=b".to_vec()),
                ],
                credential: Some("api".into()),
                ..Request::default()
            };
            let request = Parsed::new(request, None, &Arc::default()).expect("a request");
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::try_from(location).expect("a value"));
            let Ok(Next::Go(next)) = next(&request, status, &headers, &Vault::default()) else {
                return Ok(());
            };
            prop_assert!(matches!(status, 301 | 302 | 303 | 307 | 308));
            let again = read_url(next.url.as_str());
            prop_assert_eq!(again.map(|(url, _)| url), Ok(next.url.clone()));
            prop_assert!(next.url.username().is_empty() && next.url.fragment().is_none());
            let is_same = next.url.origin() == request.url.origin();
            prop_assert_eq!(next.headers.contains_key(AUTHORIZATION), is_same);
            prop_assert_eq!(next.headers.contains_key(COOKIE), is_same);
            prop_assert_eq!(next.credential.is_some(), is_same);
            prop_assert!(status != 303 || matches!(next.method, Method::GET | Method::HEAD));
        }
    }
}
