//! The connector's RSA keys, in the form in which `.env` and the registration hold them.
//!
//! A variable's value is the base64 of a PEM text: PKCS#8 for the private key, SPKI for the public one.

use std::fmt;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{
    KeySize, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::STANDARD as BASE64;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use pem::{EncodeConfig, LineEnding, Pem};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// The variable that holds the private key.
pub const PRIVATE_KEY: &str = "PRIVATE_KEY";
/// The variable that holds the public key.
pub const PUBLIC_KEY: &str = "PUBLIC_KEY";

/// The text of the largest key that is accepted (8192 bits, twice in base64) needs a quarter of it.
const KEY_TEXT_BYTES: usize = 32 * 1024;

/// As the Node SDK's own `keys`.
const NEW_KEY: KeySize = KeySize::Rsa2048;

const PRIVATE_TAG: &str = "PRIVATE KEY";
const PUBLIC_TAG: &str = "PUBLIC KEY";

/// People paste base64 with and without its padding.
const FORGIVING_BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A private key and the public key that belongs to it.
pub struct KeyPair {
    private: PrivateDecryptingKey,
    opener: OaepPrivateDecryptingKey,
    public: PublicKey,
}

/// The public half: what a workspace seals values with.
pub struct PublicKey {
    sealer: OaepPublicEncryptingKey,
    env: String,
}

/// Why there are no keys. Names the variable, never shows what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The system gave no random numbers, or no memory.
    #[error("the system could not make a key pair")]
    Generate,
    /// Set, but to nothing.
    #[error("{0} is empty; `aloma-wasm keys` makes a pair")]
    Empty(&'static str),
    /// Far longer than a key.
    #[error("{0} is too long to be a key; `aloma-wasm keys` makes a pair")]
    TooLong(&'static str),
    /// Not base64 of PEM, nor PEM.
    #[error("{0} is not the base64 of a PEM text; `aloma-wasm keys` makes a pair")]
    NotPem(&'static str),
    /// A PEM text of another kind.
    #[error(
        "{variable} must hold a `{wanted}` PEM block and holds another kind{hint}; \
         `aloma-wasm keys` makes a pair"
    )]
    WrongKind {
        /// The variable.
        variable: &'static str,
        /// The block that belongs there.
        wanted: &'static str,
        /// What to do about a kind that is often met.
        hint: &'static str,
    },
    /// No RSA key, or one of a size that is not accepted.
    #[error(
        "{variable} is no RSA key of 2048 to 8192 bits ({reason}); `aloma-wasm keys` makes a pair"
    )]
    Rejected {
        /// The variable.
        variable: &'static str,
        /// A word of the cryptography library.
        reason: &'static str,
    },
    /// Two keys of different pairs.
    #[error(
        "{PUBLIC_KEY} does not belong to {PRIVATE_KEY}; set both to the output of one run of \
         `aloma-wasm keys`"
    )]
    Mismatch,
}

impl KeyPair {
    /// A new pair. Takes a good part of a second.
    pub fn generate() -> Result<Self, KeyError> {
        let private = PrivateDecryptingKey::generate(NEW_KEY).map_err(|_| KeyError::Generate)?;
        Self::new(private)
    }

    /// Reads the pair from the values of `PRIVATE_KEY` and `PUBLIC_KEY`. PEM as it is will do, too.
    pub fn from_env(private: &SecretString, public: &str) -> Result<Self, KeyError> {
        let der = der(PRIVATE_KEY, private.expose_secret(), PRIVATE_TAG)?;
        let private = PrivateDecryptingKey::from_pkcs8(&der)
            .map_err(|reason| rejected(PRIVATE_KEY, reason.description_()))?;
        let pair = Self::new(private)?;
        if pair.public.env != PublicKey::from_env(public)?.env {
            return Err(KeyError::Mismatch);
        }
        Ok(pair)
    }

    fn new(private: PrivateDecryptingKey) -> Result<Self, KeyError> {
        // By way of its text, so that the public half cannot hold on to the private one.
        let public = private.public_key().as_der().map_err(|_| KeyError::Generate)?;
        let public = PublicKey::from_der(public.as_ref())?;
        let opener =
            OaepPrivateDecryptingKey::new(private.clone()).map_err(|_| KeyError::Generate)?;
        Ok(Self { private, opener, public })
    }

    /// The private key as the value of `PRIVATE_KEY`.
    pub fn private_env(&self) -> SecretString {
        let der = self.private.as_der().expect("a key that was made or read can be written");
        SecretString::from(env_text(PRIVATE_TAG, der.as_ref()).as_str())
    }

    /// The public key as the value of `PUBLIC_KEY`, which is also what `register` sends.
    pub fn public_env(&self) -> &str {
        self.public.env()
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn opener(&self) -> &OaepPrivateDecryptingKey {
        &self.opener
    }
}

impl PublicKey {
    /// Reads the value of `PUBLIC_KEY`. PEM as it is will do, too.
    pub fn from_env(text: &str) -> Result<Self, KeyError> {
        Self::from_der(&der(PUBLIC_KEY, text, PUBLIC_TAG)?)
    }

    /// The key as the value of `PUBLIC_KEY`, however it was spelled when it was read.
    pub fn env(&self) -> &str {
        &self.env
    }

    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let key = PublicEncryptingKey::from_der(der)
            .map_err(|reason| rejected(PUBLIC_KEY, reason.description_()))?;
        let der = key.as_der().map_err(|_| rejected(PUBLIC_KEY, "cannot be written"))?;
        let env = env_text(PUBLIC_TAG, der.as_ref()).to_string();
        let sealer = OaepPublicEncryptingKey::new(key)
            .map_err(|_| rejected(PUBLIC_KEY, "cannot encrypt"))?;
        Ok(Self { sealer, env })
    }

    pub(super) fn sealer(&self) -> &OaepPublicEncryptingKey {
        &self.sealer
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({} bits)", self.private.key_size_bits())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} bits)", self.sealer.key_size_bits())
    }
}

fn rejected(variable: &'static str, reason: &'static str) -> KeyError {
    KeyError::Rejected { variable, reason }
}

/// The bytes of the key that a variable holds.
fn der(
    variable: &'static str,
    text: &str,
    wanted: &'static str,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(KeyError::Empty(variable));
    }
    if text.len() > KEY_TEXT_BYTES {
        return Err(KeyError::TooLong(variable));
    }
    let block = pem::parse(pem_text(text).ok_or(KeyError::NotPem(variable))?.as_bytes())
        .map_err(|_| KeyError::NotPem(variable))?;
    let hint = wrong_kind(block.tag(), wanted);
    let der = Zeroizing::new(block.into_contents());
    match hint {
        None => Ok(der),
        Some(hint) => Err(KeyError::WrongKind { variable, wanted, hint }),
    }
}

/// The PEM text, whichever of the usual spellings the variable has.
fn pem_text(text: &str) -> Option<Zeroizing<String>> {
    if text.starts_with("-----BEGIN") {
        // Where a variable cannot hold lines (`docker --env-file`), people write them as `\n`.
        return Some(Zeroizing::new(text.replace("\\n", "\n")));
    }
    let packed: Zeroizing<String> =
        Zeroizing::new(text.chars().filter(|c| !c.is_whitespace()).collect());
    let bytes = Zeroizing::new(FORGIVING_BASE64.decode(packed.as_bytes()).ok()?);
    Some(Zeroizing::new(std::str::from_utf8(&bytes).ok()?.trim().to_owned()))
}

/// None for the right kind, else a hint, which may be empty.
fn wrong_kind(found: &str, wanted: &str) -> Option<&'static str> {
    match found {
        _ if found == wanted => None,
        PRIVATE_TAG => Some(" (a private key; are the two variables swapped?)"),
        PUBLIC_TAG => Some(" (a public key; are the two variables swapped?)"),
        "RSA PRIVATE KEY" => Some(" (PKCS#1; `openssl pkcs8 -topk8 -nocrypt` converts it)"),
        "ENCRYPTED PRIVATE KEY" => {
            Some(" (protected by a password; `openssl pkcs8 -topk8 -nocrypt` removes it)")
        }
        _ => Some(""),
    }
}

fn env_text(tag: &str, der: &[u8]) -> Zeroizing<String> {
    let block = Pem::new(tag, der);
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    let text = Zeroizing::new(pem::encode_config(&block, config));
    drop(Zeroizing::new(block.into_contents()));
    Zeroizing::new(BASE64.encode(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> KeyPair {
        KeyPair::generate().expect("a pair")
    }

    fn pem_of(env: &str) -> String {
        String::from_utf8(BASE64.decode(env).expect("base64")).expect("text")
    }

    fn rsa1024() -> &'static str {
        include_str!("testdata/rsa-1024.txt")
    }

    #[test]
    fn a_pair_survives_its_variables() {
        let pair = pair();
        let again = KeyPair::from_env(&pair.private_env(), pair.public_env()).expect("the pair");
        assert_eq!(again.public_env(), pair.public_env());
        assert_eq!(again.private_env().expose_secret(), pair.private_env().expose_secret());
        assert!(pem_of(pair.public_env()).starts_with("-----BEGIN PUBLIC KEY-----\n"));
        let private = pem_of(pair.private_env().expose_secret());
        assert!(private.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert!(private.ends_with("-----END PRIVATE KEY-----\n"));
    }

    #[test]
    fn every_usual_spelling_is_read() {
        let pair = pair();
        let env = pair.public_env();
        let folded = env.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line) + "\r\n");
        for text in [
            env.to_owned(),
            format!("  {env}\n"),
            folded.collect(),
            env.trim_end_matches('=').to_owned(),
            pem_of(env),
            pem_of(env).replace('\n', "\r\n"),
            pem_of(env).replace('\n', "\\n"),
            format!("\n{}", pem_of(env).trim_end()),
        ] {
            assert_eq!(PublicKey::from_env(&text).expect("the key").env(), env, "{text}");
        }
        let private = SecretString::from(pem_of(pair.private_env().expose_secret()));
        KeyPair::from_env(&private, env).expect("the pair");
    }

    #[test]
    fn what_is_no_pair_is_told_by_variable() {
        let (pair, other) = (pair(), pair());
        let private = pair.private_env();
        let private = private.expose_secret();
        let public = pair.public_env();
        let pkcs1 = pem_of(private).replace(" PRIVATE", " RSA PRIVATE");
        let broken = pem_of(public).replacen("\nM", "\nN", 1);
        for (private, public, told) in [
            ("", public, "PRIVATE_KEY is empty; `aloma-wasm keys` makes a pair"),
            (private, " \n", "PUBLIC_KEY is empty; `aloma-wasm keys` makes a pair"),
            ("secret!", public, "PRIVATE_KEY is not the base64 of a PEM text"),
            ("c2VjcmV0", public, "PRIVATE_KEY is not the base64 of a PEM text"),
            (&private[..private.len() / 2], public, "PRIVATE_KEY is not the base64 of a PEM text"),
            (private, "-----BEGIN PUBLIC KEY-----", "PUBLIC_KEY is not the base64 of a PEM text"),
            (public, private, "are the two variables swapped?"),
            (private, private, "PUBLIC_KEY must hold a `PUBLIC KEY` PEM block"),
            (&pkcs1, public, "openssl pkcs8 -topk8 -nocrypt"),
            (private, &broken, "PUBLIC_KEY is no RSA key of 2048 to 8192 bits"),
            (private, rsa1024(), "PUBLIC_KEY is no RSA key of 2048 to 8192 bits (TooSmall)"),
            (private, other.public_env(), "PUBLIC_KEY does not belong to PRIVATE_KEY"),
            (&"A".repeat(KEY_TEXT_BYTES + 1), public, "PRIVATE_KEY is too long to be a key"),
        ] {
            let error = KeyPair::from_env(&SecretString::from(private), public).expect_err(told);
            assert!(error.to_string().contains(told), "{error} should say {told}");
            assert!(!error.to_string().contains("secret"), "{error} shows the value");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let pair = pair();
        assert_eq!(
            format!("{pair:?} {:?}", pair.public()),
            "KeyPair(2048 bits) PublicKey(2048 bits)"
        );
    }
}
