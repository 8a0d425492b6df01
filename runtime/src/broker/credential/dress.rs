//! Puts a credential into a request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderValue, Uri};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::super::limits::URL_BYTES;
use super::super::request::{Error, Parsed};
use super::settings::Kind;
use super::tokens::Bearer;
use crate::vault::Vault;

pub(super) fn add_bearer(request: &mut Parsed, bearer: &Bearer) -> Result<(), Error> {
    request.headers.insert(AUTHORIZATION, bearer.header()?);
    Ok(())
}

/// `authorization: SCHEME VALUE`.
pub(super) fn add_authorization(
    request: &mut Parsed,
    credential: &str,
    scheme: &str,
    value: &str,
) -> Result<(), Error> {
    let text = Zeroizing::new(format!("{scheme} {value}"));
    add_header(request, credential, &AUTHORIZATION, &text)
}

pub(super) fn add_header(
    request: &mut Parsed,
    credential: &str,
    name: &HeaderName,
    value: &str,
) -> Result<(), Error> {
    let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
        Error::Credential(format!(
            "the header {name} cannot hold the credential {credential:?}: it has a line break or \
             another control character; set it without"
        ))
    })?;
    value.set_sensitive(true);
    request.headers.insert(name, value);
    Ok(())
}

/// The pair of a Basic header.
pub(super) fn pair(username: &str, password: &str) -> Zeroizing<String> {
    let pair = Zeroizing::new(format!("{username}:{password}"));
    Zeroizing::new(STANDARD.encode(pair.as_bytes()))
}

/// Adds to the URI that is sent, and not to the URL that is told in records.
pub(super) fn add_parameter(
    request: &mut Parsed,
    credential: &str,
    name: &str,
    value: &str,
) -> Result<(), Error> {
    let unfit =
        || Error::Credential(format!("the query cannot hold the credential {credential:?}"));
    let encoded = |text: &str| {
        form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
    };
    let mut url = Url::parse(&request.uri.to_string()).map_err(|_| unfit())?;
    let parameter = Zeroizing::new(format!("{}={}", encoded(name), encoded(value)));
    let query = match url.query() {
        Some(query) if !query.is_empty() => Zeroizing::new(format!("{query}&{}", *parameter)),
        _ => parameter,
    };
    url.set_query(Some(&query));
    if url.as_str().len() > URL_BYTES {
        let text = format!("with its credential, the URL is longer than {URL_BYTES} bytes");
        return Err(Error::Limit(text));
    }
    request.uri = Uri::try_from(url.as_str()).map_err(|_| unfit())?;
    Ok(())
}

/// Puts a credential in that needs no token and no signature.
pub(super) fn add_fixed(
    request: &mut Parsed,
    credential: &str,
    kind: &Kind,
    vault: &Vault,
) -> Result<(), Error> {
    match kind {
        Kind::Bearer(token) => {
            add_authorization(request, credential, "Bearer", token.get(credential, vault)?)
        }
        Kind::Basic { username, password } => {
            let username = username.get(credential, vault)?;
            if username.contains(':') {
                let text = format!("the user name of the credential {credential:?} has a colon");
                return Err(Error::Credential(text));
            }
            let pair = pair(username, password.get(credential, vault)?);
            add_authorization(request, credential, "Basic", &pair)
        }
        Kind::Header { name, value } => {
            add_header(request, credential, name, value.get(credential, vault)?)
        }
        Kind::Query { name, value } => {
            add_parameter(request, credential, name, value.get(credential, vault)?)
        }
        Kind::Token(_) | Kind::Aws(_) | Kind::Workspace => Ok(()),
    }
}

/// What a guest must not set beside the credential, because the two would contradict each other.
pub(super) fn conflict(request: &Parsed, kind: &Kind) -> Option<String> {
    match kind {
        Kind::Query { name, .. } => {
            let has_it = request.url.query_pairs().any(|(own, _)| own == *name);
            has_it.then(|| format!("the parameter {name:?} in its query"))
        }
        Kind::Header { name, .. } => header_conflict(request, name),
        _ => header_conflict(request, &AUTHORIZATION),
    }
}

fn header_conflict(request: &Parsed, name: &HeaderName) -> Option<String> {
    request.headers.contains_key(name).then(|| format!("a header {name}"))
}
