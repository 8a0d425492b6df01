//! Amazon's side of a signature (SigV4), written independently of the runtime.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};

use crate::api::Received;

/// Whether a request is signed with this secret key, as the service would check it. Knows only
/// paths and queries that are spelled the same in every encoding.
pub fn is_signed(request: &Received, secret: &str) -> bool {
    let authorization = request.header("authorization").unwrap_or_default();
    let part = |name: &str| {
        let rest = authorization.split_once(&format!("{name}=")).map(|(_, rest)| rest);
        rest.and_then(|rest| rest.split(',').next()).unwrap_or_default()
    };
    let (names, (_, scope)) =
        (part("SignedHeaders"), part("Credential").split_once('/').unwrap_or_default());
    let headers: String = names
        .split(';')
        .map(|name| format!("{name}:{}\n", request.header(name).unwrap_or_default().trim()))
        .collect();
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{names}\n{}",
        request.method,
        request.path,
        request.query,
        hex(digest(&SHA256, &request.body).as_ref())
    );
    let date = request.header("x-amz-date").unwrap_or_default();
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex(digest(&SHA256, canonical.as_bytes()).as_ref())
    );
    let first = format!("AWS4{secret}").into_bytes();
    let key = scope.split('/').fold(first, |key, part| mac(&key, part));
    hex(&mac(&key, &text)) == part("Signature")
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
