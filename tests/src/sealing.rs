//! The workspace's side of sealed values: JWE, compact, written independently of the runtime.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    PrivateDecryptingKey, PublicEncryptingKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::keys::der;

/// The issuer that the platform names.
const ISSUER: &str = "home.aloma.io";
/// AES-GCM's tag, in bytes.
const TAG: usize = 16;

/// How a value is sealed. The parts can be made wrong one by one.
#[derive(Clone, Debug)]
pub struct Seal {
    /// The receiver's public key, as it registers it.
    pub public_key: String,
    /// The receiver's connector id.
    pub audience: String,
    /// Who seals.
    pub issuer: String,
    /// `RSA-OAEP-256`, or `RSA-OAEP`, which a receiver must refuse.
    pub algorithm: &'static str,
    /// When the value goes bad.
    pub expires: Option<SystemTime>,
}

impl Seal {
    /// Sealed as the platform does it.
    pub fn new(public_key: &str, audience: &str) -> Self {
        Self {
            public_key: public_key.into(),
            audience: audience.into(),
            issuer: ISSUER.into(),
            algorithm: "RSA-OAEP-256",
            expires: None,
        }
    }

    /// Seals a value.
    pub fn seal(&self, value: &Value) -> String {
        let header = json!({"alg": self.algorithm, "enc": "A256GCM"}).to_string();
        let header = URL_SAFE_NO_PAD.encode(header);
        let (key, nonce): ([u8; 32], [u8; 12]) = (random(), random());
        let mut text = self.claims(value).to_string().into_bytes();
        cipher(&key)
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(header.as_bytes()),
                &mut text,
            )
            .expect("a short text can be sealed");
        let (text, tag) = text.split_at(text.len() - TAG);
        let encoded =
            [&self.wrap(&key), &nonce[..], text, tag].map(|part| URL_SAFE_NO_PAD.encode(part));
        format!("{header}.{}", encoded.join("."))
    }

    fn claims(&self, value: &Value) -> Value {
        let mut claims = json!({
            "_data": value,
            "iat": seconds(SystemTime::now()),
            "iss": self.issuer,
            "aud": self.audience,
        });
        if let Some(expires) = self.expires {
            claims["exp"] = seconds(expires).into();
        }
        claims
    }

    fn wrap(&self, key: &[u8]) -> Vec<u8> {
        let public = PublicEncryptingKey::from_der(&der(&self.public_key)).expect("an SPKI key");
        let public = OaepPublicEncryptingKey::new(public).expect("a key for OAEP");
        let algorithm = match self.algorithm {
            "RSA-OAEP-256" => &OAEP_SHA256_MGF1SHA256,
            "RSA-OAEP" => &OAEP_SHA1_MGF1SHA1,
            other => panic!("this harness cannot seal with {other}"),
        };
        let mut wrapped = vec![0; public.ciphertext_size()];
        let wrapped = public.encrypt(algorithm, key, &mut wrapped, None).expect("room for the key");
        wrapped.to_vec()
    }
}

/// Opens what a connector sealed with its own key, and gives all claims.
pub fn open(private_key: &str, token: &str) -> Value {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, key, nonce, text, tag] = parts[..] else { panic!("not a compact JWE: {token}") };
    let decode = |part| URL_SAFE_NO_PAD.decode(part).expect("the parts of a JWE are base64url");
    let fields: Value = serde_json::from_slice(&decode(header)).expect("a JWE header is JSON");
    assert_eq!((&fields["alg"], &fields["enc"]), (&json!("RSA-OAEP-256"), &json!("A256GCM")));
    let mut sealed = [decode(text), decode(tag)].concat();
    let nonce = Nonce::try_assume_unique_for_key(&decode(nonce)).expect("a nonce of 12 bytes");
    let text = cipher(&unwrap(private_key, &decode(key)))
        .open_in_place(nonce, Aad::from(header.as_bytes()), &mut sealed)
        .expect("a value that was not changed on its way");
    serde_json::from_slice(text).expect("claims are JSON")
}

fn unwrap(private_key: &str, wrapped: &[u8]) -> Vec<u8> {
    let private = PrivateDecryptingKey::from_pkcs8(&der(private_key)).expect("a PKCS#8 key");
    let private = OaepPrivateDecryptingKey::new(private).expect("a key for OAEP");
    let mut key = vec![0; private.min_output_size()];
    let key = private
        .decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, &mut key, None)
        .expect("a value sealed for this key");
    key.to_vec()
}

fn cipher(key: &[u8]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("a key of 32 bytes"))
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("random bytes");
    bytes
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeyPair;

    #[test]
    fn what_is_sealed_can_be_opened() {
        let keys = KeyPair::shared();
        let token = Seal::new(&keys.public, "1234").seal(&json!("secret"));
        let claims = open(&keys.private, &token);
        assert_eq!(claims["_data"], "secret");
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(ISSUER), &json!("1234")));
    }
}
