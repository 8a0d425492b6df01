//! Sealed values: JWE compact with RSA-OAEP-256 and A256GCM around a claim set, and nothing else.
//!
//! Every other algorithm, compression and extension is refused: what a workspace seals today needs
//! none of them, and each has opened a door somewhere.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use secrecy::{ExposeSecret, SecretString};
use serde::de::{Deserializer, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::keys::{KeyPair, PublicKey};

/// The largest sealed value. Grants with all their tokens are a hundredth of it.
pub const SEALED_BYTES: usize = 1024 * 1024;

/// What the platform puts into every sealed value.
const ISSUER: &str = "home.aloma.io";
const ALG: &str = "RSA-OAEP-256";
const ENC: &str = "A256GCM";
const HEADER: &str = r#"{"alg":"RSA-OAEP-256","enc":"A256GCM"}"#;
/// AES-256.
const KEY_BYTES: usize = 32;
/// What GCM gives when nobody cuts it. A shorter one would be easier to forge.
const TAG_BYTES: usize = 16;

/// Why a value could not be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// More than anybody would open.
    #[error("the value is larger than a sealed value may be ({SEALED_BYTES} bytes)")]
    TooLarge,
    /// The cryptography library gave up.
    #[error("the system could not encrypt the value")]
    Encrypt,
}

/// Which check a sealed value did not pass. Never shows anything of the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Longer than the limit.
    #[error("it is larger than a sealed value may be ({SEALED_BYTES} bytes)")]
    TooLarge,
    /// Not five parts of base64url.
    #[error("it is not sealed (no compact JWE)")]
    NotCompact,
    /// The first part is no header.
    #[error("its JWE header cannot be read")]
    Header,
    /// The key is wrapped in another way.
    #[error("it is not sealed with {ALG}")]
    Algorithm,
    /// The content is encrypted in another way.
    #[error("it is not encrypted with {ENC}")]
    Encryption,
    /// Compression or an extension.
    #[error("it uses compression or an extension of JWE, which are refused")]
    Extension,
    /// Either step failed. They are not told apart: whoever can ask which one it was learns
    /// something of the key.
    #[error("it was sealed for other keys, or altered on the way")]
    Decrypt,
    /// Not a claim set, or one without `_data`.
    #[error("it holds no claims with `_data`")]
    Claims,
    /// Not from the platform.
    #[error("its issuer is not {ISSUER}")]
    Issuer,
    /// For another connector.
    #[error("it was sealed for another connector id")]
    Audience,
    /// Too late.
    #[error("it has expired")]
    Expired,
    /// Too early.
    #[error("it is not valid yet; is the clock right?")]
    NotYet,
}

/// An opened value: the JSON text of its `_data`.
pub struct Unsealed(SecretString);

#[derive(Serialize)]
struct NewClaims<'a> {
    #[serde(rename = "_data")]
    data: &'a Value,
    iat: u64,
    iss: &'a str,
    aud: &'a str,
}

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(rename = "_data", borrow)]
    data: &'a RawValue,
    iss: Option<String>,
    aud: Option<Audience>,
    exp: Option<f64>,
    nbf: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    enc: String,
    #[serde(default)]
    zip: Present,
    #[serde(default)]
    crit: Present,
}

/// Whether a member is there, whatever its value.
#[derive(Default)]
struct Present(bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

/// Seals a value for the connector `audience`, the holder of the private half of `key`.
pub fn seal(value: &Value, audience: &str, key: &PublicKey) -> Result<String, SealError> {
    let iat = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let claims = NewClaims { data: value, iat, iss: ISSUER, aud: audience };
    let claims = serde_json::to_vec(&claims).expect("claims have string keys");
    let sealed = encrypt(HEADER, Zeroizing::new(claims), key)?;
    if sealed.len() > SEALED_BYTES {
        return Err(SealError::TooLarge);
    }
    Ok(sealed)
}

impl KeyPair {
    /// Opens a value that was sealed for the connector `audience`. Costs about a millisecond.
    pub fn open(&self, jwe: &str, audience: &str, now: SystemTime) -> Result<Unsealed, OpenError> {
        if jwe.len() > SEALED_BYTES {
            return Err(OpenError::TooLarge);
        }
        let parts = Parts::split(jwe.trim())?;
        check_header(parts.header)?;
        let plaintext = parts.decrypt(self.opener()).ok_or(OpenError::Decrypt)?;
        let claims: Claims = serde_json::from_slice(&plaintext).map_err(|_| OpenError::Claims)?;
        claims.check(audience, now)?;
        Ok(Unsealed(compact(claims.data.get())))
    }
}

impl Unsealed {
    /// The value as configuration has it: a string as it is, everything else as compact JSON text.
    /// None for `null`.
    pub fn into_text(self) -> Option<SecretString> {
        let json = self.0.expose_secret();
        if json == "null" {
            return None;
        }
        match serde_json::from_str::<String>(json).map(Zeroizing::new) {
            Ok(text) => Some(SecretString::from(text.as_str())),
            Err(_) => Some(self.0),
        }
    }

    /// The value as compact JSON text.
    pub fn into_json(self) -> SecretString {
        self.0
    }
}

impl fmt::Debug for Unsealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unsealed(…)")
    }
}

/// The five parts of a compact JWE.
struct Parts<'a> {
    /// Still in base64url: that is what the tag protects.
    header: &'a str,
    key: Vec<u8>,
    nonce: Vec<u8>,
    /// Becomes the plaintext in place, so it is wiped.
    body: Zeroizing<Vec<u8>>,
    tag: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn split(jwe: &'a str) -> Result<Self, OpenError> {
        let mut parts = jwe.split('.');
        let mut next = || parts.next().ok_or(OpenError::NotCompact);
        let (header, key, nonce, text, tag) = (next()?, next()?, next()?, next()?, next()?);
        if parts.next().is_some() {
            return Err(OpenError::NotCompact);
        }
        Ok(Self {
            header,
            key: bytes(key)?,
            nonce: bytes(nonce)?,
            body: Zeroizing::new(bytes(text)?),
            tag: bytes(tag)?,
        })
    }

    fn decrypt(mut self, opener: &OaepPrivateDecryptingKey) -> Option<Zeroizing<Vec<u8>>> {
        let mut buffer = Zeroizing::new(vec![0; opener.min_output_size()]);
        let key = opener.decrypt(&OAEP_SHA256_MGF1SHA256, &self.key, &mut buffer, None).ok()?;
        let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
        let nonce = Nonce::try_assume_unique_for_key(&self.nonce).ok()?;
        if self.tag.len() != TAG_BYTES {
            return None;
        }
        self.body.extend_from_slice(&self.tag);
        let length =
            cipher.open_in_place(nonce, Aad::from(self.header), &mut self.body).ok()?.len();
        self.body.truncate(length);
        Some(self.body)
    }
}

fn bytes(part: &str) -> Result<Vec<u8>, OpenError> {
    BASE64URL.decode(part).map_err(|_| OpenError::NotCompact)
}

fn check_header(part: &str) -> Result<(), OpenError> {
    let header: Header = serde_json::from_slice(&bytes(part)?).map_err(|_| OpenError::Header)?;
    if header.zip.0 || header.crit.0 {
        return Err(OpenError::Extension);
    }
    if header.alg != ALG {
        return Err(OpenError::Algorithm);
    }
    if header.enc != ENC {
        return Err(OpenError::Encryption);
    }
    Ok(())
}

impl Claims<'_> {
    fn check(&self, audience: &str, now: SystemTime) -> Result<(), OpenError> {
        if self.iss.as_deref() != Some(ISSUER) {
            return Err(OpenError::Issuer);
        }
        if !self.aud.as_ref().is_some_and(|aud| aud.holds(audience)) {
            return Err(OpenError::Audience);
        }
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        if self.exp.is_some_and(|exp| exp <= now) {
            return Err(OpenError::Expired);
        }
        if self.nbf.is_some_and(|nbf| nbf > now) {
            return Err(OpenError::NotYet);
        }
        Ok(())
    }
}

impl Audience {
    fn holds(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}

/// JSON text without the blanks between its tokens. Numbers keep their spelling, which a parsed
/// value would lose.
fn compact(json: &str) -> SecretString {
    let mut text = Zeroizing::new(String::with_capacity(json.len()));
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string || !c.is_ascii_whitespace() {
            text.push(c);
        }
        in_string ^= c == '"' && !escaped;
        escaped = in_string && c == '\\' && !escaped;
    }
    SecretString::from(text.as_str())
}

fn encrypt(
    header: &str,
    mut body: Zeroizing<Vec<u8>>,
    key: &PublicKey,
) -> Result<String, SealError> {
    let header = BASE64URL.encode(header);
    let content_key = random::<KEY_BYTES>()?;
    let nonce = random::<NONCE_LEN>()?;
    let cipher = UnboundKey::new(&AES_256_GCM, content_key.as_slice()).map_err(failed)?;
    let tag = LessSafeKey::new(cipher)
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(header.as_str()),
            &mut body,
        )
        .map_err(failed)?;
    let mut wrapped = vec![0; key.sealer().ciphertext_size()];
    let wrapped = key
        .sealer()
        .encrypt(&OAEP_SHA256_MGF1SHA256, content_key.as_slice(), &mut wrapped, None)
        .map_err(failed)?;
    let parts =
        [&*wrapped, nonce.as_slice(), &body, tag.as_ref()].map(|part| BASE64URL.encode(part));
    Ok(format!("{header}.{}", parts.join(".")))
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, SealError> {
    let mut bytes = Zeroizing::new([0; N]);
    rand::fill(bytes.as_mut_slice()).map_err(failed)?;
    Ok(bytes)
}

fn failed(_: aws_lc_rs::error::Unspecified) -> SealError {
    SealError::Encrypt
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::LazyLock;
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    static PAIR: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate().expect("a pair"));

    /// Keys and values that the npm package `jose` made, as the platform and its SDK use it.
    #[derive(Deserialize)]
    struct Jose {
        private: String,
        public: String,
        tokens: BTreeMap<String, String>,
    }

    fn jose() -> (KeyPair, BTreeMap<String, String>) {
        let jose: Jose = serde_json::from_str(include_str!("testdata/jose.json")).expect("jose");
        (KeyPair::from_env(&jose.private.into(), &jose.public).expect("the pair"), jose.tokens)
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn sealed(claims: &str) -> String {
        sealed_with(HEADER, claims)
    }

    fn sealed_with(header: &str, claims: &str) -> String {
        encrypt(header, Zeroizing::new(claims.into()), PAIR.public()).expect("sealed")
    }

    fn open(jwe: &str) -> Result<String, OpenError> {
        PAIR.open(jwe, "1234", at(1000)).map(|value| value.into_json().expose_secret().to_owned())
    }

    fn claims(rest: &str) -> String {
        format!(r#"{{"_data":"s3cret","iss":"home.aloma.io",{rest}}}"#)
    }

    #[test]
    fn what_is_sealed_can_be_opened() {
        for value in [
            json!("s3cret"),
            json!(""),
            json!("line\n\"quoted\" \\ ünïcode \u{1F511}"),
            json!(12.5),
            json!(false),
            json!(null),
            json!({"access_token": "a b", "expires_in": 3600, "nested": [1, {"x": " "}]}),
            json!("x".repeat(500_000)),
        ] {
            let jwe = seal(&value, "1234", PAIR.public()).expect("sealed");
            assert_eq!(open(&jwe).expect("opened"), value.to_string());
        }
    }

    #[test]
    fn sealing_never_repeats_itself() {
        let seal = || seal(&json!("s3cret"), "1234", PAIR.public()).expect("sealed");
        let (one, two) = (seal(), seal());
        assert!(one.split('.').skip(1).zip(two.split('.').skip(1)).all(|(a, b)| a != b));
        assert!(one.starts_with("eyJhbGciOiJSU0EtT0FFUC0yNTYiLCJlbmMiOiJBMjU2R0NNIn0."));
    }

    #[test]
    fn a_value_too_large_is_not_sealed() {
        let value = json!("x".repeat(SEALED_BYTES));
        assert_eq!(seal(&value, "1234", PAIR.public()), Err(SealError::TooLarge));
    }

    #[test]
    fn what_jose_sealed_is_opened_or_refused_as_jose_would() {
        let (pair, tokens) = jose();
        let oauth = r#"{"access_token":"at-1","refresh_token":"rt-1","expires_in":3600}"#;
        for (name, outcome) in [
            ("text", Ok(r#""s3cret ünïcode""#)),
            ("number", Ok("42.5")),
            ("oauth", Ok(oauth)),
            ("audiences", Ok("\"many\"")),
            ("valid", Ok("\"in time\"")),
            ("expired", Err(OpenError::Expired)),
            ("early", Err(OpenError::NotYet)),
            ("issuer", Err(OpenError::Issuer)),
            ("audience", Err(OpenError::Audience)),
            ("no-data", Err(OpenError::Claims)),
            ("oaep-sha1", Err(OpenError::Algorithm)),
            ("oaep-512", Err(OpenError::Algorithm)),
            ("direct", Err(OpenError::Algorithm)),
            ("cbc", Err(OpenError::Encryption)),
        ] {
            let opened = pair.open(&tokens[name], "1234", at(1_800_000_000));
            let opened = opened.map(Unsealed::into_json);
            let opened = opened.as_ref().map(|json| json.expose_secret());
            assert_eq!(opened, outcome.as_ref().map(|text| *text), "{name}");
        }
    }

    #[test]
    fn only_the_one_header_is_accepted() {
        let inner = claims(r#""aud":"1234""#);
        for (header, outcome) in [
            (r#"{"enc":"A256GCM","alg":"RSA-OAEP-256","kid":"1","typ":"JWT"}"#, None),
            (r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#, Some(OpenError::Algorithm)),
            (r#"{"alg":"RSA1_5","enc":"A256GCM"}"#, Some(OpenError::Algorithm)),
            (r#"{"alg":"none","enc":"A256GCM"}"#, Some(OpenError::Algorithm)),
            (r#"{"alg":"rsa-oaep-256","enc":"A256GCM"}"#, Some(OpenError::Algorithm)),
            (r#"{"alg":"RSA-OAEP-256","enc":"A128GCM"}"#, Some(OpenError::Encryption)),
            (r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","zip":"DEF"}"#, Some(OpenError::Extension)),
            (r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","zip":null}"#, Some(OpenError::Extension)),
            (
                r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","crit":["exp"],"exp":1}"#,
                Some(OpenError::Extension),
            ),
            (r#"{"alg":"none","alg":"RSA-OAEP-256","enc":"A256GCM"}"#, Some(OpenError::Header)),
            (r#"{"alg":["RSA-OAEP-256"],"enc":"A256GCM"}"#, Some(OpenError::Header)),
            (r#"{"alg":"RSA-OAEP-256"}"#, Some(OpenError::Header)),
            ("null", Some(OpenError::Header)),
            ("", Some(OpenError::Header)),
        ] {
            assert_eq!(open(&sealed_with(header, &inner)).err(), outcome, "{header}");
        }
    }

    #[test]
    fn the_claims_are_checked() {
        for (rest, outcome) in [
            (r#""aud":"1234""#, None),
            (r#""aud":["x","1234"],"iat":1,"exp":1001,"nbf":1000,"other":{}"#, None),
            (r#""aud":"1234","exp":1000.5"#, None),
            (r#""aud":"1234","exp":1000"#, Some(OpenError::Expired)),
            (r#""aud":"1234","exp":-1"#, Some(OpenError::Expired)),
            (r#""aud":"1234","nbf":1001"#, Some(OpenError::NotYet)),
            (r#""aud":"1234","exp":"1001""#, Some(OpenError::Claims)),
            (r#""aud":"12345""#, Some(OpenError::Audience)),
            (r#""aud":[]"#, Some(OpenError::Audience)),
            (r#""iat":1"#, Some(OpenError::Audience)),
            (r#""aud":{"1234":1}"#, Some(OpenError::Claims)),
            (r#""aud":"1234","_data":"twice""#, Some(OpenError::Claims)),
        ] {
            assert_eq!(open(&sealed(&claims(rest))).err(), outcome, "{rest}");
        }
        for (text, outcome) in [
            (r#"{"_data":1,"aud":"1234"}"#, OpenError::Issuer),
            (r#"{"_data":1,"aud":"1234","iss":"home.aloma.io.evil"}"#, OpenError::Issuer),
            (r#"{"iss":"home.aloma.io","aud":"1234"}"#, OpenError::Claims),
            ("\"s3cret\"", OpenError::Claims),
            ("s3cret", OpenError::Claims),
            ("", OpenError::Claims),
        ] {
            assert_eq!(open(&sealed(text)), Err(outcome), "{text}");
        }
    }

    #[test]
    fn an_altered_value_does_not_open() {
        let jwe = sealed(&claims(r#""aud":"1234""#));
        let parts: Vec<&str> = jwe.split('.').collect();
        for part in 1..5 {
            let mut altered: Vec<String> = parts.iter().map(|part| (*part).into()).collect();
            let mut raw = BASE64URL.decode(&altered[part]).expect("base64url");
            raw[3] ^= 1;
            altered[part] = BASE64URL.encode(raw);
            assert_eq!(open(&altered.join(".")), Err(OpenError::Decrypt), "part {part}");
        }
        let header = BASE64URL.encode(r#"{"enc":"A256GCM","alg":"RSA-OAEP-256"}"#);
        let other = [&[header.as_str()], &parts[1..]].concat().join(".");
        assert_eq!(open(&other), Err(OpenError::Decrypt));
        let stranger = KeyPair::generate().expect("a pair");
        let opened = stranger.open(&jwe, "1234", at(1000));
        assert_eq!(opened.err(), Some(OpenError::Decrypt));
    }

    #[test]
    fn what_is_no_jwe_is_refused() {
        let jwe = sealed(&claims(r#""aud":"1234""#));
        assert!(open(&format!(" {jwe}\n")).is_ok(), "blanks around it do no harm");
        let parts: Vec<&str> = jwe.split('.').collect();
        let with = |index: usize, text: &str| {
            let mut parts = parts.clone();
            parts[index] = text;
            parts.join(".")
        };
        for (text, outcome) in [
            (String::new(), OpenError::NotCompact),
            ("s3cret".into(), OpenError::NotCompact),
            ("....".into(), OpenError::Header),
            ("a.b.c".into(), OpenError::NotCompact),
            (parts[..4].join("."), OpenError::NotCompact),
            (format!("{jwe}.AA"), OpenError::NotCompact),
            (format!("{jwe}=="), OpenError::NotCompact),
            (with(2, "s3cret!"), OpenError::NotCompact),
            (with(4, &parts[4][..16]), OpenError::Decrypt),
            (with(1, ""), OpenError::Decrypt),
            (with(2, "AAAA"), OpenError::Decrypt),
            (with(3, ""), OpenError::Decrypt),
            ("A".repeat(SEALED_BYTES + 1), OpenError::TooLarge),
        ] {
            let error = open(&text).expect_err("no jwe");
            assert_eq!(error, outcome, "{:.80}", text);
            assert!(!error.to_string().contains("s3cret"), "{error} shows the value");
        }
    }

    #[test]
    fn the_text_form_is_what_configuration_wants() {
        for (data, text) in [
            (r#""a \"b\"\n""#, Some("a \"b\"\n")),
            (r#""""#, Some("")),
            ("null", None),
            ("0", Some("0")),
            ("false", Some("false")),
            ("1.50", Some("1.50")),
            ("12345678901234567890123", Some("12345678901234567890123")),
            (
                "{ \"a\" : [ 1 , \"x \\\\\" , \" \\\" y\" ] ,\n\"b\": null }",
                Some(r#"{"a":[1,"x \\"," \" y"],"b":null}"#),
            ),
        ] {
            let jwe = sealed(&format!(r#"{{"_data":{data},"iss":"home.aloma.io","aud":"1234"}}"#));
            let value = PAIR.open(&jwe, "1234", at(1)).expect(data);
            assert_eq!(format!("{value:?}"), "Unsealed(…)");
            let opened = value.into_text();
            assert_eq!(opened.as_ref().map(|text| text.expose_secret()), text, "{data}");
        }
    }
}

#[cfg(test)]
mod properties {
    use std::sync::LazyLock;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    static PAIR: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate().expect("a pair"));

    fn open(jwe: &str, audience: &str) -> Result<String, OpenError> {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let opened = PAIR.open(jwe, audience, now)?;
        Ok(opened.into_json().expose_secret().to_owned())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_text_comes_back_and_opens_for_nobody_else(text: String, audience: String) {
            let jwe = seal(&text.as_str().into(), &audience, PAIR.public()).expect("sealed");
            prop_assert_eq!(open(&jwe, &audience), Ok(Value::from(text).to_string()));
            let other = open(&jwe, &format!("{audience}1"));
            prop_assert_eq!(other, Err(OpenError::Audience));
        }

        #[test]
        fn a_value_that_was_altered_does_not_open(at: prop::sample::Index, with in "[A-Za-z0-9_.-]") {
            let jwe = seal(&"s3cret".into(), "1234", PAIR.public()).expect("sealed");
            let at = at.index(jwe.len());
            let altered = format!("{}{with}{}", &jwe[..at], &jwe[at + 1..]);
            prop_assert_eq!(open(&altered, "1234").is_ok(), altered == jwe);
        }

        /// Whoever has the public key can seal anything.
        #[test]
        fn hostile_claims_are_read_or_refused(inner: String, times: (f64, f64)) {
            let (exp, nbf) = (Value::from(times.0), Value::from(times.1));
            for claims in [
                inner.clone(),
                format!(r#"{{"_data":{inner},"iss":"{ISSUER}","aud":"1234"}}"#),
                format!(r#"{{"_data":1,"iss":{},"aud":"1234"}}"#, Value::from(inner.as_str())),
                format!(r#"{{"_data":1,"iss":"{ISSUER}","aud":["1234"],"exp":{exp},"nbf":{nbf}}}"#),
            ] {
                let jwe = encrypt(HEADER, Zeroizing::new(claims.into()), PAIR.public());
                let opened = open(&jwe.expect("sealed"), "1234");
                if let Ok(data) = opened {
                    prop_assert!(serde_json::from_str::<&RawValue>(&data).is_ok(), "{}", data);
                }
            }
        }

        #[test]
        fn blanks_go_and_nothing_else_does(value: std::collections::BTreeMap<String, Vec<String>>) {
            let value = serde_json::to_value(value).expect("a value");
            let pretty = serde_json::to_string_pretty(&value).expect("JSON");
            let text = compact(&pretty);
            prop_assert_eq!(text.expose_secret(), &value.to_string());
        }
    }
}
