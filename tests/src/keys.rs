//! A key pair as an operator has it in `.env`: base64 of PEM text.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pem::{EncodeConfig, LineEnding, Pem};

/// A pair.
#[derive(Clone)]
pub struct KeyPair {
    /// PKCS#8.
    pub private: String,
    /// SPKI.
    pub public: String,
}

impl KeyPair {
    /// The pair of all scenes. Made once, because making one takes a while.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<KeyPair> = LazyLock::new(KeyPair::fresh);
        &SHARED
    }

    /// A new pair.
    pub fn fresh() -> Self {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).expect("an RSA key");
        let private: Pkcs8V1Der = key.as_der().expect("a key has a DER form");
        let public: PublicKeyX509Der = key.public_key().as_der().expect("a key has a DER form");
        Self {
            private: armor("PRIVATE KEY", private.as_ref()),
            public: armor("PUBLIC KEY", public.as_ref()),
        }
    }
}

fn armor(label: &str, der: &[u8]) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    STANDARD.encode(pem::encode_config(&Pem::new(label, der), config))
}

/// The DER form of a key in an operator's form.
pub(crate) fn der(key: &str) -> Vec<u8> {
    let text = STANDARD.decode(key).expect("a key is base64");
    pem::parse(text).expect("a key is PEM").into_contents()
}
