//! The name of an entry: what was compiled, with which compiler and settings.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use aws_lc_rs::digest;

use crate::connector::limits;

/// Counts the ways in which entries have been written, so that none is taken for another.
const FORMAT: u32 = 2;
/// Hexadecimal digits of a SHA-256, and of a hash of settings.
const DIGITS: (usize, usize) = (64, 16);

/// The name of one entry: the component's SHA-256, and a hash of the compiler and its settings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::connector) struct Name(String);

impl Name {
    /// The entry's name for a component under an engine's version and settings.
    pub(in crate::connector) fn new(component: &[u8], engine: &wasmtime::Engine) -> Self {
        let content = digest::digest(&digest::SHA256, component);
        let hex: String = content.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{hex}-{}", settings_of(engine)))
    }

    /// The name, where it is one.
    pub(super) fn read(text: &str) -> Option<Self> {
        let is_hex = |text: &str, digits: usize| {
            let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            text.len() == digits && text.bytes().all(is_digit)
        };
        let (content, settings) = text.split_once('-')?;
        let is_one = is_hex(content, DIGITS.0) && is_hex(settings, DIGITS.1);
        is_one.then(|| Self(text.to_owned()))
    }

    /// The beginning of the component's SHA-256: enough to tell one component from another.
    pub(in crate::connector) fn digest(&self) -> &str {
        self.0.get(..limits::DIGEST_DIGITS).unwrap_or_default()
    }

    pub(super) fn settings(&self) -> &str {
        self.0.get(DIGITS.0 + 1..).unwrap_or_default()
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The part of a name that says how it was compiled.
///
/// Another Rust may hash in another way. Then everything is compiled once more, and no harm is done:
/// what is loaded has passed its MAC, and wasmtime checks its own version and settings.
pub fn settings_of(engine: &wasmtime::Engine) -> String {
    let mut settings = DefaultHasher::new();
    FORMAT.hash(&mut settings);
    engine.precompile_compatibility_hash().hash(&mut settings);
    format!("{:016x}", settings.finish())
}
