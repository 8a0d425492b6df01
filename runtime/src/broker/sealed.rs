//! Sealed secrets on their way through the broker: into a request, and out of its answer.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Uri};
use http_body_util::{BodyExt as _, Full};

use super::answer::{Answer, AnswerBody};
use super::credential::Credentials;
use super::limits::{HEADER_BYTES, URL_BYTES};
use super::payload::Upload;
use super::policy::{Permit, Policy};
use super::request::{Error, Parsed};
use super::sealed_body::{Filling, Scrubbing};
use crate::envelope::Limit;
use crate::vault::{Filled, Spelling, Vault};

/// Refuses a URL with a placeholder before its query. Looked at before the URL is read: a field that
/// holds a whole URL leaves none that could be.
pub(super) fn check_address(url: &str, vault: &Vault) -> Result<(), Error> {
    let address = url.split(['?', '#']).next().unwrap_or_default();
    let Some(key) = vault.fields_in(address.as_bytes()).next() else { return Ok(()) };
    Err(Error::Denied(format!(
        "the secret {key} is not sent in a host or path, which servers log; put it into a header, \
         the query or the body; where it is no secret, its field should be declared plain; where \
         the API leaves no choice, --reveal {key}, or in connector.toml: [secrets.{}] reveal = true, \
         lets the connector read it",
        super::policy::toml_key(key)
    )))
}

/// Puts the secrets in the place of their placeholders, everywhere or nowhere. Gives whether there
/// were any.
pub(super) fn fill_in(
    request: &mut Parsed,
    permit: &Permit,
    policy: &Policy,
    vault: &Arc<Vault>,
) -> Result<bool, Error> {
    if vault.is_empty() {
        return Ok(false);
    }
    // What is compressed in a way that the broker cannot read cannot be scrubbed, so it is the broker
    // that asks. This holds for every answer: what one request stored, another can ask for.
    request.headers.remove(ACCEPT_ENCODING);
    let filler = Filler { permit, policy, vault, request };
    let (headers, uri, body) = (filler.headers()?, filler.uri()?, filler.body()?);
    let is_filled = headers.is_some() || uri.is_some() || body.is_some();
    request.headers = headers.unwrap_or_else(|| std::mem::take(&mut request.headers));
    request.uri = uri.unwrap_or_else(|| std::mem::take(&mut request.uri));
    request.body = body.unwrap_or_else(|| std::mem::take(&mut request.body));
    let Some(upload) = request.upload.take() else { return Ok(is_filled) };
    let refused = refused(request, &upload, permit, policy, vault);
    // What a body in pieces holds is not known yet, unless nothing may go there.
    let may_hold = refused.len() < vault.keys().count();
    request.upload = Some(filled_upload(&upload, request, refused, vault));
    Ok(is_filled || may_hold)
}

/// The fields whose secrets may not go there, and why.
fn refused(
    request: &Parsed,
    upload: &Upload,
    permit: &Permit,
    policy: &Policy,
    vault: &Vault,
) -> BTreeMap<String, Error> {
    let length = upload.length();
    let refusal = |key: &str| {
        let refusal = policy.may_carry(key, &request.url, permit).err().map(Error::from);
        refusal.or_else(|| length.map(|length| does_not_fit(key, length)))
    };
    let refused = |key: &str| Some((key.to_owned(), refusal(key)?));
    vault.keys().filter_map(refused).collect()
}

/// The same body with its secrets. What may go is decided now, once for all of its pieces.
fn filled_upload(
    upload: &Upload,
    request: &Parsed,
    refused: BTreeMap<String, Error>,
    vault: &Arc<Vault>,
) -> Upload {
    let stream = vault.fill_stream(spelling(&request.headers), u64::MAX);
    upload.changed(|pieces| Filling::new(pieces, stream, refused).boxed_unsync())
}

/// The secret would change the length that the guest has said, on which some servers insist.
fn does_not_fit(key: &str, length: u64) -> Error {
    Error::InvalidRequest(format!(
        "the secret {key} cannot be put into a body that is sent while it is made and whose length \
         was said to be {length}; leave content-length out, or send a body of less than 64 kB at once"
    ))
}

/// Whether a header's value, a query or a body holds placeholders: what must not go on to another
/// origin that the guest did not name.
pub(super) fn has_placeholders(bytes: &[u8], vault: &Vault) -> bool {
    let basic = basic(bytes);
    vault.fields_in(basic.as_ref().map_or(bytes, |(_, pair)| pair)).next().is_some()
}

/// Fills in one request. Each part is None where it has no placeholders.
struct Filler<'a> {
    permit: &'a Permit,
    policy: &'a Policy,
    vault: &'a Vault,
    request: &'a Parsed,
}

impl Filler<'_> {
    fn headers(&self) -> Result<Option<HeaderMap>, Error> {
        let mut headers = self.request.headers.clone();
        let mut is_filled = false;
        for (name, value) in headers.iter_mut() {
            if let Some(filled) = self.header(name, value)? {
                *value = filled;
                is_filled = true;
            }
        }
        Ok(is_filled.then_some(headers))
    }

    fn header(&self, name: &HeaderName, value: &HeaderValue) -> Result<Option<HeaderValue>, Error> {
        let value = value.as_bytes();
        let basic = basic(value);
        let given = basic.as_ref().map_or(value, |(_, pair)| pair);
        let Some(mut filled) = self.fill(given, Spelling::Raw, HEADER_BYTES, too_long("header"))?
        else {
            return Ok(None);
        };
        if let Some((scheme, _)) = basic {
            filled = [scheme, BASIC.encode(filled).as_bytes()].concat();
        }
        let mut value = HeaderValue::from_bytes(&filled).map_err(|_| {
            let keys: Vec<_> = self.vault.fields_in(given).collect();
            Error::Credential(format!(
                "the header {name} cannot hold the secret {}: its value has a line break or \
                 another control character; set it without",
                keys.join(" or ")
            ))
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn uri(&self) -> Result<Option<Uri>, Error> {
        let url = &self.request.url;
        let query = url.query().unwrap_or_default().as_bytes();
        let Some(filled) = self.fill(query, Spelling::Percent, URL_BYTES, too_long("query"))?
        else {
            return Ok(None);
        };
        let mut url = url.clone();
        url.set_query(Some(&String::from_utf8_lossy(&filled)));
        // Not told why: the reason could show a part of it.
        let uri = Uri::try_from(url.as_str())
            .map_err(|_| Error::Credential("the query with its secrets cannot be sent".into()))?;
        Ok(Some(uri))
    }

    fn body(&self) -> Result<Option<Bytes>, Error> {
        let spelling = spelling(&self.request.headers);
        let limits = &self.request.limits;
        let too_long = |_| {
            let breach = Error::from(limits.breach(Limit::RequestBody));
            breach.map(|text| format!("with its secrets, {text}"))
        };
        let most = limits.bytes(Limit::RequestBody);
        let filled = self.fill(&self.request.body, spelling, most, too_long)?;
        Ok(filled.map(Bytes::from))
    }

    fn fill(
        &self,
        bytes: &[u8],
        spelling: Spelling,
        limit: usize,
        too_long: impl FnOnce(usize) -> Error,
    ) -> Result<Option<Vec<u8>>, Error> {
        for key in self.vault.fields_in(bytes) {
            self.policy.may_carry(key, &self.request.url, self.permit)?;
        }
        match self.vault.fill(bytes, spelling, limit) {
            None => Ok(None),
            Some(Filled::Whole(filled)) => Ok(Some(filled)),
            Some(Filled::TooLong) => Err(too_long(limit)),
        }
    }
}

fn too_long(what: &str) -> impl FnOnce(usize) -> Error {
    move |limit| Error::Limit(format!("with its secrets, the {what} is longer than {limit} bytes"))
}

/// Clients disagree on padding; what we write has it.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The scheme of a Basic header with its space, and the pair behind it, decoded.
fn basic(value: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    const SCHEME: &[u8] = b"basic ";
    let (scheme, encoded) = value.split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    Some((scheme, BASIC.decode(encoded.trim_ascii()).ok()?))
}

/// How the body's type spells a text.
fn spelling(headers: &HeaderMap) -> Spelling {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = given.and_then(|text| text.split(';').next()).unwrap_or_default();
    match media_type.trim().to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => Spelling::Percent,
        json if json.ends_with("/json") || json.ends_with("+json") => Spelling::Json,
        _ => Spelling::Raw,
    }
}

/// Refuses an answer that could hold the request's secrets where scrubbing does not see them: what
/// the broker could decode it has decoded before.
pub(super) fn check_encoding(answer: &Answer, origin: &str) -> Result<(), Error> {
    let is_plain = answer.headers.get_all(CONTENT_ENCODING).iter().all(is_identity);
    if is_plain || answer.body.is_empty() {
        return Ok(());
    }
    Err(Error::Credential(format!(
        "{origin} compressed its answer in a way that was not asked for and cannot be read, so the \
         secrets in it cannot be found; the request may have been carried out; with --reveal KEY of \
         the secret in the request the connector may have the answer"
    )))
}

fn is_identity(value: &HeaderValue) -> bool {
    value.is_empty() || value.as_bytes().eq_ignore_ascii_case(b"identity")
}

/// Takes secrets out of an answer's header and body, whether it is whole or still comes. Tokens that
/// are renewed while it comes are taken out, too.
pub(super) fn scrub_all(answer: &mut Answer, vault: &Vault, credentials: &Credentials) {
    let mut scrubbers = credentials.scrubbers();
    scrubbers.insert(0, vault.answers());
    scrubbers.retain(|one| !one.is_empty());
    scrub(answer, |bytes| {
        scrubbers.iter().fold(None, |clean: Option<Vec<u8>>, scrubber| {
            scrubber.scrub(clean.as_deref().unwrap_or(bytes)).or(clean)
        })
    });
    let later = credentials.have_tokens().then(|| credentials.clone());
    if scrubbers.is_empty() && later.is_none() {
        return;
    }
    // What stands in an answer to HEAD is the length of another one.
    if answer.body.is_empty() {
        return;
    }
    let AnswerBody::Pieces(body) = &mut answer.body else { return };
    // How long it will be is not known before it has come.
    answer.headers.remove(CONTENT_LENGTH);
    let nothing = Full::default().map_err(|never: Infallible| match never {}).boxed_unsync();
    let pieces = std::mem::replace(body, nothing);
    *body = Scrubbing::new(pieces, scrubbers, later).boxed_unsync();
}

/// Takes secrets out of an answer's header, and out of its body where it is whole.
pub(super) fn scrub(answer: &mut Answer, scrubbed: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    scrub_headers(&mut answer.headers, &scrubbed);
    let AnswerBody::Whole(body, _) = &mut answer.body else { return };
    let Some(clean) = scrubbed(body) else { return };
    // A client that believed the old length would cut the body off, or wait for more.
    if answer.headers.contains_key(CONTENT_LENGTH) {
        answer.headers.insert(CONTENT_LENGTH, clean.len().into());
    }
    *body = clean.into();
}

pub(super) fn scrub_headers(headers: &mut HeaderMap, scrubbed: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let names = headers.keys().filter(|name| scrubbed(name.as_str().as_bytes()).is_some());
    // No server means anything by it.
    for name in names.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
    for value in headers.values_mut() {
        if let Some(clean) = scrubbed(value.as_bytes()) {
            *value = HeaderValue::from_bytes(&clean)
                .expect("a header value with visible ASCII in the place of some of it is one");
        }
    }
}
