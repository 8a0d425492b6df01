//! Signatures of Amazon's kind (SigV4) over a whole request.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::subscriber::{NoSubscriber, with_default};

use super::super::request::{Error, Parsed};

/// Keys and place of one signature.
pub(super) struct Signer<'a> {
    pub id: &'a str,
    pub secret: &'a str,
    pub session: Option<&'a str>,
    pub region: &'a str,
    pub service: &'a str,
}

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const CHECKSUM: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// Signs a request in which everything else stands. `body` is None for one that is not known yet,
/// which only S3 accepts.
pub(super) fn add_signature(
    request: &mut Parsed,
    body: Option<&[u8]>,
    signer: &Signer<'_>,
    now: SystemTime,
) -> Result<(), Error> {
    let is_s3 = matches!(signer.service, "s3" | "s3express" | "s3-outposts" | "s3-object-lambda");
    let body = match body {
        Some(bytes) => SignableBody::Bytes(bytes),
        None if is_s3 => SignableBody::UnsignedPayload,
        None => {
            return Err(failed("a body that is sent in pieces cannot be signed; send it whole"));
        }
    };
    // What the guest says of these is about another signature.
    for name in [DATE, TOKEN] {
        request.headers.remove(name);
    }
    if is_s3 {
        request.headers.remove(CHECKSUM);
    }
    let uri = request.uri.to_string();
    let fields = texts(&request.headers)?;
    let signed = SignableRequest::new(request.method.as_str(), uri, fields.into_iter(), body)
        .map_err(|_| failed("the request cannot be signed"))?;
    let headers = signature(signed, signer, settings(is_s3), now)?;
    for (name, value) in headers {
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| failed("the keys hold control characters; set them without"))?;
        value.set_sensitive(true);
        request.headers.insert(HeaderName::from_static(name), value);
    }
    Ok(())
}

fn signature(
    request: SignableRequest<'_>,
    signer: &Signer<'_>,
    settings: SigningSettings,
    now: SystemTime,
) -> Result<Vec<(&'static str, String)>, Error> {
    let session = signer.session.map(str::to_owned);
    let identity = Credentials::new(signer.id, signer.secret, session, None, "aloma-wasm").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(signer.region)
        .name(signer.service)
        .time(now)
        .settings(settings)
        .build()
        .map_err(|_| failed("the request cannot be signed"))?
        .into();
    // The library logs the whole request with its secrets, at a level that somebody could turn on.
    let outcome = with_default(NoSubscriber::default(), || sign(request, &parameters));
    let (instructions, _) =
        outcome.map_err(|_| failed("the request cannot be signed"))?.into_parts();
    let (headers, _) = instructions.into_parts();
    Ok(headers.iter().map(|header| (header.name(), header.value().to_owned())).collect())
}

/// S3 takes the path as it is and wants the body's checksum; the others neither.
fn settings(is_s3: bool) -> SigningSettings {
    let mut settings = SigningSettings::default();
    let excluded = settings.excluded_headers.get_or_insert_default();
    // These are for whoever carries the request, and may change on the way.
    excluded.extend([ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH].map(|name| name.to_string().into()));
    if is_s3 {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    settings
}

fn texts(headers: &HeaderMap) -> Result<Vec<(&str, &str)>, Error> {
    let text = |(name, value): (_, &'_ HeaderValue)| {
        let name: &HeaderName = name;
        match std::str::from_utf8(value.as_bytes()) {
            Ok(_) => Ok(()),
            Err(_) => Err(failed(&format!("the header {name} is no text, and cannot be signed"))),
        }
    };
    headers.iter().try_for_each(text)?;
    let pairs = headers.iter().filter_map(|(name, value)| {
        Some((name.as_str(), std::str::from_utf8(value.as_bytes()).ok()?))
    });
    Ok(pairs.collect())
}

fn failed(text: &str) -> Error {
    Error::Credential(text.into())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use bytes::Bytes;
    use http::header::AUTHORIZATION;

    use super::super::super::request::Request;
    use super::*;

    /// The keys of Amazon's published test suite.
    const SIGNER: Signer<'_> = Signer {
        id: "AKIDEXAMPLE",
        secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        session: None,
        region: "us-east-1",
        service: "service",
    };

    /// 2015-08-30T12:36:00Z, the time of that suite.
    const NOON: Duration = Duration::from_secs(1_440_938_160);

    fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Parsed {
        let own = |(name, value): &(&str, &str)| ((*name).into(), value.as_bytes().to_vec());
        let mut parsed = Parsed::new(
            Request {
                method: method.into(),
                url: format!("https://example.amazonaws.com{target}"),
                headers: headers.iter().map(own).collect(),
                body: Some(Bytes::from(body.to_owned())),
                ..Request::default()
            },
            None,
            &std::sync::Arc::default(),
        )
        .expect("a request");
        // The suite's requests have it neither as a length nor at all.
        parsed.headers.remove(CONTENT_LENGTH);
        parsed
    }

    fn signed(mut parsed: Parsed, signer: &Signer<'_>) -> Parsed {
        let body = parsed.body.clone();
        add_signature(&mut parsed, Some(&body), signer, UNIX_EPOCH + NOON).expect("signed");
        parsed
    }

    fn authorization(parsed: &Parsed) -> &str {
        parsed.headers[AUTHORIZATION].to_str().expect("a text")
    }

    #[test]
    fn signatures_are_those_of_the_published_test_suite() {
        const LETTERS: &str = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let letters = (format!("/{LETTERS}"), format!("/?{LETTERS}={LETTERS}"));
        let own = [("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")];
        for (method, target, headers, signature) in [
            (
                "GET",
                "/",
                &[][..],
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            ("GET", "//", &[], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            (
                "GET",
                "/?Param2=value2&Param1=value1",
                &[],
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "GET",
                "/?Param1=value1",
                &[],
                "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
            ),
            (
                "GET",
                &letters.0,
                &[],
                "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
            ),
            (
                "GET",
                &letters.1,
                &[],
                "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
            ),
            (
                "GET",
                "/?\u{1234}=bar",
                &[],
                "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
            ),
            ("GET", "/", &own, "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
            ("POST", "/", &[], "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            (
                "POST",
                "/?Param1=value1",
                &[],
                "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
            ),
        ] {
            let names = if headers.is_empty() { "" } else { "my-header1;my-header2;" };
            let parsed = signed(request(method, target, headers, ""), &SIGNER);
            let expected = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                 SignedHeaders=host;{names}x-amz-date, Signature={signature}"
            );
            assert_eq!(authorization(&parsed), expected, "{method} {target}");
            assert_eq!(parsed.headers[DATE], "20150830T123600Z");
        }
    }

    #[test]
    fn a_session_token_is_signed_too() {
        let session = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
        let given = [("x-amz-date", "20000101T000000Z"), ("x-amz-security-token", "the guest's")];
        let signer = Signer { session: Some(session), ..SIGNER };
        let parsed = signed(request("GET", "/", &given, ""), &signer);
        let signature = "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8";
        assert!(authorization(&parsed).ends_with(signature), "{}", authorization(&parsed));
        assert_eq!(parsed.headers[TOKEN], session);
        assert!(parsed.headers[AUTHORIZATION].is_sensitive());
    }

    /// The example "GET Object" of the manual of S3's signatures.
    #[test]
    fn s3_signs_the_path_as_it_is_and_the_body() {
        let mut parsed = request("GET", "/test.txt", &[("Range", "bytes=0-9")], "");
        parsed.uri = http::Uri::from_static("https://examplebucket.s3.amazonaws.com/test.txt");
        let signer = Signer {
            id: "AKIAIOSFODNN7EXAMPLE",
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            service: "s3",
            ..SIGNER
        };
        parsed.headers.remove(http::header::USER_AGENT);
        let midnight = UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        add_signature(&mut parsed, Some(b""), &signer, midnight).expect("signed");
        let expected = "AWS4-HMAC-SHA256 \
            Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
            SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
            Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        assert_eq!(authorization(&parsed), expected);
    }

    #[test]
    fn a_body_in_pieces_is_for_s3_alone() {
        let sign = |service| {
            let mut parsed = request("PUT", "/x", &[], "");
            let signer = Signer { service, ..SIGNER };
            add_signature(&mut parsed, None, &signer, UNIX_EPOCH + NOON).map(|()| parsed)
        };
        assert_eq!(sign("s3").expect("signed").headers[CHECKSUM], "UNSIGNED-PAYLOAD");
        assert!(matches!(sign("sqs"), Err(Error::Credential(_))));
    }

    #[test]
    fn what_changes_on_the_way_is_not_signed_and_the_body_is() {
        let of = |headers: &[_], body| {
            let parsed = signed(request("POST", "/", headers, body), &SIGNER);
            authorization(&parsed).to_owned()
        };
        let plain = of(&[], "a");
        let carried = [("Accept-Encoding", "gzip"), ("User-Agent", "x"), ("Accept", "*/*")];
        assert_eq!(of(&carried, "a"), plain);
        assert_ne!(of(&[], "b"), plain);
        assert_ne!(of(&[("Content-Type", "text/plain")], "a"), plain);
    }
}
