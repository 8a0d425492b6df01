//! The signed assertion of the JWT bearer grant (RFC 7523).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::super::limits::ASSERTION_SKEW;

/// What an assertion says, but for the time.
#[derive(Clone, Debug)]
pub(super) struct Assertion {
    pub issuer: String,
    pub subject: String,
    pub audience: String,
    pub key_id: Option<String>,
    /// Without one, what the key is made for.
    pub algorithm: Option<Signing>,
    pub lifetime: Duration,
    pub claims: Map<String, Json>,
}

/// The signatures that authorization servers know.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the names of RFC 7518")]
pub enum Signing {
    RS256,
    PS256,
    ES256,
    EdDSA,
}

impl Assertion {
    /// The assertion, signed with a private key in PEM. A server accepts it once.
    pub fn sign(&self, pem: &str, now: SystemTime) -> Result<String, String> {
        let (algorithm, key) = read_key(pem, self.algorithm)?;
        let header = Header { kid: self.key_id.clone(), ..Header::new(algorithm) };
        jsonwebtoken::encode(&header, &self.claims(now), &key)
            .map_err(|_| format!("the key cannot sign with {algorithm:?}"))
    }

    fn claims(&self, now: SystemTime) -> Map<String, Json> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        // Servers refuse what was issued in their future.
        let issued = now.saturating_sub(ASSERTION_SKEW).as_secs();
        let mut claims = self.claims.clone();
        let id = format!("{:032x}", rand::random::<u128>());
        claims.entry("jti").or_insert(id.into());
        claims.insert("iss".into(), self.issuer.clone().into());
        claims.insert("sub".into(), self.subject.clone().into());
        claims.insert("aud".into(), self.audience.clone().into());
        claims.insert("iat".into(), issued.into());
        claims.insert("exp".into(), (issued + self.lifetime.as_secs()).into());
        claims
    }
}

/// Whether a key can be read and signs that way.
pub(super) fn check_key(pem: &str, algorithm: Option<Signing>) -> Result<(), String> {
    let (algorithm, key) = read_key(pem, algorithm)?;
    // Only the signing shows whether the key is whole.
    jsonwebtoken::encode(&Header::new(algorithm), &Map::new(), &key)
        .map(drop)
        .map_err(|_| format!("the key cannot sign with {algorithm:?}"))
}

/// The reasons of the library are not told: they could show a part of the key.
fn read_key(pem: &str, wanted: Option<Signing>) -> Result<(Algorithm, EncodingKey), String> {
    let wanted = match wanted {
        Some(one) => vec![one],
        None => vec![Signing::RS256, Signing::ES256, Signing::EdDSA],
    };
    let key = wanted.iter().find_map(|one| Some((one.algorithm(), one.key(pem.as_bytes())?)));
    key.ok_or_else(|| match wanted.as_slice() {
        [one] => format!("the key is no private key of the kind that {one:?} needs, in PEM"),
        _ if pem.contains("BEGIN EC PRIVATE KEY") => "the key is in the form SEC1; turn it into \
            PKCS #8 with `openssl pkcs8 -topk8 -nocrypt`"
            .into(),
        _ => "the key is no private key of the kind RSA, EC (P-256) or Ed25519, in PEM".into(),
    })
}

impl Signing {
    fn algorithm(self) -> Algorithm {
        match self {
            Self::RS256 => Algorithm::RS256,
            Self::PS256 => Algorithm::PS256,
            Self::ES256 => Algorithm::ES256,
            Self::EdDSA => Algorithm::EdDSA,
        }
    }

    fn key(self, pem: &[u8]) -> Option<EncodingKey> {
        let key = match self {
            Self::RS256 | Self::PS256 => EncodingKey::from_rsa_pem(pem),
            Self::ES256 => EncodingKey::from_ec_pem(pem),
            Self::EdDSA => EncodingKey::from_ed_pem(pem),
        };
        key.ok()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode};

    use super::*;

    /// Keys made for these tests, good for nothing else.
    pub const ED25519: &str = include_str!("testdata/ed.pem");
    pub const EC: &str = include_str!("testdata/ec.pem");
    const EC_SEC1: &str = include_str!("testdata/ec1.pem");
    const RSA: &str = include_str!("testdata/rsa.pem");

    pub const EC_PUBLIC: &str = include_str!("testdata/ec.pub");

    fn assertion(algorithm: Option<Signing>) -> Assertion {
        Assertion {
            issuer: "me".into(),
            subject: "user".into(),
            audience: "https://id.example".into(),
            key_id: Some("k1".into()),
            algorithm,
            lifetime: Duration::from_secs(300),
            claims: Map::from_iter([("scope".to_owned(), "a b".into())]),
        }
    }

    #[test]
    fn an_assertion_can_be_verified_with_the_public_key() {
        let rsa = || DecodingKey::from_rsa_pem(include_bytes!("testdata/rsa.pub"));
        let ec = || DecodingKey::from_ec_pem(EC_PUBLIC.as_bytes());
        let ed = || DecodingKey::from_ed_pem(include_bytes!("testdata/ed.pub"));
        let now = SystemTime::now();
        let seconds = now.duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        for (wanted, key, public, algorithm) in [
            (None, RSA, rsa(), Algorithm::RS256),
            (Some(Signing::PS256), RSA, rsa(), Algorithm::PS256),
            (None, EC, ec(), Algorithm::ES256),
            (None, ED25519, ed(), Algorithm::EdDSA),
        ] {
            let text = assertion(wanted).sign(key, now).expect("signed");
            let mut validation = Validation::new(algorithm);
            validation.set_audience(&["https://id.example"]);
            let public = public.expect("a public key");
            let read = decode::<Map<String, Json>>(&text, &public, &validation).expect("verified");
            assert_eq!(read.header.kid.as_deref(), Some("k1"));
            let claims = read.claims;
            for (claim, expected) in [("iss", "me"), ("sub", "user"), ("scope", "a b")] {
                assert_eq!(claims[claim], expected, "{algorithm:?}");
            }
            assert_eq!(claims["iat"], seconds - ASSERTION_SKEW.as_secs());
            assert_eq!(claims["exp"], seconds - ASSERTION_SKEW.as_secs() + 300);
        }
    }

    #[test]
    fn no_two_assertions_are_the_same() {
        let signed = || assertion(None).sign(ED25519, UNIX_EPOCH).expect("signed");
        assert_ne!(signed(), signed());
    }

    #[test]
    fn a_key_of_the_wrong_kind_is_refused_without_showing_it() {
        for (wanted, key, expected) in [
            (Some(Signing::RS256), EC, "no private key of the kind that RS256 needs"),
            (Some(Signing::EdDSA), RSA, "no private key of the kind that EdDSA needs"),
            (None, EC_SEC1, "openssl pkcs8"),
            (None, EC_PUBLIC, "no private key"),
            (None, "the-secret", "no private key"),
            (None, "", "no private key"),
        ] {
            let error = check_key(key, wanted).expect_err("refused");
            assert!(error.contains(expected) && !error.contains("the-secret"), "{error}");
        }
    }
}
