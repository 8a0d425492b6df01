//! Sealed secrets: a guest gets a placeholder, the broker puts the secret in its place on the way
//! out, and on the way in every spelling of the secret becomes the placeholder again.
//!
//! A [`Vault`] holds the secrets of one connector under one configuration. Where a secret may go is
//! not its business: that is the broker's policy.

mod automaton;
mod escapes;
mod fill_stream;
mod placeholder;
mod reading;
mod scrub;
mod search;
mod spelling;
mod stream;
mod substitute;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OwnedSemaphorePermit;

pub use fill_stream::{FillError, FillStream};
pub use placeholder::Placeholders;
pub(crate) use scrub::Scrubber;
pub use stream::ScrubStream;
pub use substitute::{Filled, Spelling};

use substitute::Finder;

/// The secrets of one connector under one configuration. Never changes.
#[derive(Default)]
pub struct Vault {
    secrets: BTreeMap<String, Secret>,
    /// The values of the other fields, which credentials may need beside a secret.
    plain: BTreeMap<String, SecretString>,
    finder: Finder,
    /// Knows the values that the guest does not.
    answers: Arc<Scrubber>,
    /// Knows all values.
    everything: Arc<Scrubber>,
    /// The room that this takes up.
    room: OnceLock<OwnedSemaphorePermit>,
}

/// One secret, under the key of its configuration field.
struct Secret {
    placeholder: String,
    value: SecretString,
    is_revealed: bool,
}

impl Vault {
    /// The vault of these values by field key. Fields without a placeholder are no secrets. The
    /// guest reads the fields in `revealed` as they are.
    pub fn new(
        values: BTreeMap<String, SecretString>,
        placeholders: &Placeholders,
        revealed: &BTreeSet<String>,
    ) -> Self {
        let (mut secrets, mut plain) = (BTreeMap::new(), BTreeMap::new());
        for (key, value) in values {
            let Some(placeholder) = placeholders.of(&key).map(str::to_owned) else {
                plain.insert(key, value);
                continue;
            };
            let is_revealed = revealed.contains(&key);
            secrets.insert(key, Secret { placeholder, value, is_revealed });
        }
        let scrubber = |known: fn(&&Secret) -> bool| {
            let secrets = secrets.values().filter(known);
            Scrubber::new(secrets.map(|one| (one.value.expose_secret(), &*one.placeholder)))
        };
        let everything = Arc::new(scrubber(|_| true));
        let answers = if secrets.values().any(|one| one.is_revealed) {
            Arc::new(scrubber(|one| !one.is_revealed))
        } else {
            everything.clone()
        };
        let placeholders = secrets.iter().map(|(key, one)| (&*one.placeholder, &**key));
        let (finder, room) = (Finder::new(placeholders), OnceLock::new());
        Self { finder, answers, everything, room, secrets, plain }
    }

    /// How many bytes finding the secrets takes up, which is most of what this does.
    pub fn weight(&self) -> usize {
        let is_one = Arc::ptr_eq(&self.answers, &self.everything);
        self.everything.weight() + if is_one { 0 } else { self.answers.weight() }
    }

    /// Keeps room that was found for this until its end.
    pub fn occupy(&self, room: Option<OwnedSemaphorePermit>) {
        if let Some(room) = room {
            // It is asked once. Where it has some, it goes back.
            let _ = self.room.set(room);
        }
    }

    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// The fields that are secret and set.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.secrets.keys().map(String::as_str)
    }

    /// What the guest reads of a secret field. None where the field is none, or not set.
    pub fn visible(&self, key: &str) -> Option<&str> {
        let secret = self.secrets.get(key)?;
        let value = || secret.value.expose_secret();
        Some(if secret.is_revealed { value() } else { &secret.placeholder })
    }

    /// The value of a secret field. None where the field is none, or not set.
    pub(crate) fn value(&self, key: &str) -> Option<&SecretString> {
        self.secrets.get(key).map(|secret| &secret.value)
    }

    /// The value of a field that the guest reads, secret or not. None where it is not set.
    pub(crate) fn value_of_any(&self, key: &str) -> Option<&SecretString> {
        self.value(key).or_else(|| self.plain.get(key))
    }

    /// The value of a field that is no secret. None where it is one, or not set.
    pub(crate) fn plain(&self, key: &str) -> Option<&str> {
        self.plain.get(key).map(ExposeSecret::expose_secret)
    }

    /// The fields whose placeholders are in there, in order.
    pub fn fields_in<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = &'a str> {
        self.finder.find(bytes).map(|(_, key)| key)
    }

    /// Puts the secrets in the place of their placeholders. None where there are no placeholders.
    pub fn fill(&self, bytes: &[u8], spelling: Spelling, limit: usize) -> Option<Filled> {
        self.finder.fill(bytes, spelling, limit, |key| self.exposed(key))
    }

    fn exposed(&self, key: &str) -> Option<&str> {
        self.value(key).map(ExposeSecret::expose_secret)
    }

    /// Puts the secrets in the place of their placeholders in a body that comes in pieces, up to that
    /// many bytes.
    pub fn fill_stream(self: &Arc<Self>, spelling: Spelling, limit: u64) -> FillStream {
        FillStream::new(self.clone(), spelling, limit)
    }

    /// Finds the secrets that the guest does not know.
    pub(crate) fn answers(&self) -> Arc<Scrubber> {
        self.answers.clone()
    }

    /// Takes all secrets out of a text that leaves the connector: a log line, a failure, a result.
    pub fn scrub(&self, text: String) -> String {
        self.everything.scrub_text(text)
    }

    /// So many bytes of such a text, and where there are more, how many those are. However long it is,
    /// only its beginning is read.
    pub fn scrub_and_cut(&self, text: &str, most: usize) -> String {
        let (mut clean, rest) = self.scrub_beginning(text, most);
        if rest > 0 {
            clean.push_str(&format!("… ({rest} bytes cut)"));
        }
        clean
    }

    fn scrub_beginning(&self, text: &str, most: usize) -> (String, usize) {
        // It tells nothing that may be half a secret, wherever it is cut.
        let mut stream = ScrubStream::default().then(self.everything.clone());
        let (mut clean, mut rest) = (Vec::new(), text);
        while clean.len() <= most && !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.ceil_char_boundary(most.max(1)));
            clean.extend_from_slice(&stream.push(Bytes::copy_from_slice(piece.as_bytes())));
            rest = after;
        }
        // Where there is more, this comes after the cut.
        clean.extend_from_slice(&stream.finish());
        // Spellings are whole characters, so this loses none.
        let mut clean = String::from_utf8_lossy(&clean).into_owned();
        let cut = clean.split_off(clean.floor_char_boundary(most)).len();
        (clean, cut + rest.len())
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.secrets.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(revealed: &[&str]) -> Vault {
        let values = [("KEY", "the-secret"), ("OTHER", "another-secret"), ("PLAIN", "not secret")];
        let values = values.map(|(key, value)| (key.to_owned(), value.into())).into();
        let placeholders = Placeholders::new(["KEY", "OTHER", "UNSET"].map(str::to_owned));
        Vault::new(values, &placeholders, &revealed.iter().map(|key| (*key).to_owned()).collect())
    }

    #[test]
    fn a_guest_reads_placeholders_but_for_what_is_revealed() {
        let vault = vault(&["OTHER"]);
        assert!(vault.visible("KEY").is_some_and(placeholder::is_one));
        assert_eq!(vault.visible("OTHER"), Some("another-secret"));
        assert_eq!((vault.visible("PLAIN"), vault.visible("UNSET")), (None, None));
        assert_eq!((vault.plain("PLAIN"), vault.plain("KEY")), (Some("not secret"), None));
    }

    #[test]
    fn a_revealed_secret_is_left_in_answers_and_taken_out_of_what_leaves() {
        let vault = vault(&["OTHER"]);
        assert!(vault.answers().scrub(b"another-secret").is_none());
        assert!(vault.answers().scrub(b"the-secret").is_some());
        assert!(!vault.scrub("an another-secret".into()).contains("another-secret"));
        assert_eq!(vault.scrub("not secret".into()), "not secret");
    }

    #[test]
    fn a_text_is_cut_where_no_secret_is_halved() {
        let vault = vault(&[]);
        let whole = |text: &str| vault.scrub(text.to_owned());
        for before in 0..60 {
            for text in ["the-secret", "another-secret and the-secret", "dGhlLXNlY3JldA=="] {
                let text = format!("{}{text}{}", "é".repeat(before), " and more".repeat(9));
                let expected = whole(&text);
                for most in [0, 1, 10, 50, 1000] {
                    let (beginning, _) = vault.scrub_beginning(&text, most);
                    let end = expected.floor_char_boundary(most);
                    assert_eq!(beginning, expected[..end], "{most} of {text}");
                }
            }
        }
    }

    #[test]
    fn what_is_cut_off_is_counted() {
        let vault = vault(&[]);
        for (text, most, left) in [("", 5, 0), ("12345", 5, 0), ("123456", 5, 1), ("1234é", 5, 2)]
        {
            assert_eq!(vault.scrub_beginning(text, most).1, left, "{text}");
        }
        let long = "x".repeat(100_000);
        assert_eq!(vault.scrub_beginning(&long, 1000), ("x".repeat(1000), 99_000));
    }

    #[test]
    fn a_vault_is_shown_by_its_fields() {
        assert_eq!(format!("{:?}", vault(&[])), r#"{"KEY", "OTHER"}"#);
    }
}
