//! Takes secrets out of bytes by their value.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::spelling;

/// Shorter values are left where they are: they stand in innocent answers as well (`true`, `admin`),
/// which would be torn to shreds, and can be guessed anyway.
const SHORTEST: usize = 6;

/// Of a longer value only so many bytes are looked for: room for a certificate chain. All spellings of
/// this much take a few MB of memory and a tenth of a second to prepare.
const LONGEST: usize = 16 * 1024;

/// How much longer a text may become. A placeholder is longer than most secrets; past this, which
/// nobody but a guest that tries for it needs, a shorter mark stands in its place.
const GROWTH: usize = 1 << 20;

/// What then stands in place of a secret: no longer than the shortest spelling.
const MARK: &str = "*";

/// Finds every spelling of some values, and knows what to write instead. One pass over the bytes,
/// however many values there are.
///
/// It looks at whole texts. For one that comes in pieces, what could be the beginning of the longest
/// spelling has to be kept back until the next piece is there.
#[derive(Default)]
pub(crate) struct Scrubber {
    /// None where there is nothing to look for.
    spellings: Option<AhoCorasick>,
    /// What to write in place of each spelling.
    replacements: Vec<String>,
}

impl Scrubber {
    /// Looks for the first of each pair and writes the second.
    pub fn new<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let values = values.into_iter().filter(|(value, _)| value.len() >= SHORTEST);
        let (spellings, replacements): (Vec<_>, Vec<_>) = values
            .flat_map(|(value, replacement)| {
                let looked_for = &value[..value.floor_char_boundary(LONGEST)];
                let spellings = spelling::all(looked_for).into_iter();
                spellings.map(|spelling| (spelling, replacement.to_owned()))
            })
            .unzip();
        if spellings.is_empty() {
            return Self::default();
        }
        let automaton = AhoCorasick::builder()
            // Of two secrets, one of which begins with the other, the longer one is meant.
            .match_kind(MatchKind::LeftmostLongest)
            // Escapes come in both cases, and so do header values.
            .ascii_case_insensitive(true)
            // The fastest kind takes megabytes for a private key of a few kB.
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(spellings)
            .expect("only 2 GB of spellings would be too many, and no message holds such a form");
        Self { spellings: Some(automaton), replacements }
    }

    /// The bytes without the secrets. None where they hold none.
    pub fn scrub(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut matches = self.spellings.as_ref()?.find_iter(bytes).peekable();
        matches.peek()?;
        let mut scrubbed = Vec::with_capacity(bytes.len() + GROWTH.min(bytes.len()));
        let mut from = 0;
        for found in matches {
            scrubbed.extend_from_slice(&bytes[from..found.start()]);
            from = found.end();
            let replacement = self.replacements[found.pattern()].as_bytes();
            let has_room = scrubbed.len() + replacement.len() <= from + GROWTH;
            scrubbed.extend_from_slice(if has_room { replacement } else { MARK.as_bytes() });
        }
        scrubbed.extend_from_slice(&bytes[from..]);
        Some(scrubbed)
    }

    /// The text without the secrets.
    pub fn scrub_text(&self, text: String) -> String {
        match self.scrub(text.as_bytes()) {
            // Spellings are whole characters, so this loses none.
            Some(scrubbed) => String::from_utf8_lossy(&scrubbed).into_owned(),
            None => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrub(values: &[(&str, &str)], text: &str) -> String {
        Scrubber::new(values.iter().copied()).scrub_text(text.into())
    }

    #[test]
    fn values_are_taken_out_wherever_they_stand() {
        let values = [("the-secret", "<1>"), ("the-secret-two", "<2>"), ("short", "<3>")];
        for (text, expected) in [
            ("", ""),
            ("nothing", "nothing"),
            ("the-secret", "<1>"),
            ("the-secretthe-secret!", "<1><1>!"),
            ("the-secret-two", "<2>"),
            ("the-secret-three", "<1>-three"),
            ("THE-SECRET The-Secret", "<1> <1>"),
            ("Basic dXNlcjp0aGUtc2VjcmV0", "Basic dXNlcjp<1>"),
            ("short", "short"),
            ("ü the-secret ü", "ü <1> ü"),
        ] {
            assert_eq!(scrub(&values, text), expected, "{text}");
        }
    }

    #[test]
    fn of_a_very_long_value_the_beginning_is_taken_out() {
        let value = "0123456789abcdef".repeat(LONGEST / 8);
        let scrubbed = scrub(&[(&value, "<1>")], &format!("a{value}"));
        assert!(scrubbed.starts_with("a<1>") && scrubbed.len() <= value.len() - LONGEST + 4);
    }

    #[test]
    fn what_holds_no_secret_is_not_copied() {
        assert!(Scrubber::default().scrub(b"the-secret").is_none());
        assert!(Scrubber::new([("the-secret", "x")]).scrub(b"the secret").is_none());
    }

    #[test]
    fn many_secrets_do_not_make_a_text_grow_without_end() {
        let text = "secret".repeat(1 << 20);
        let scrubbed = scrub(&[("secret", &"p".repeat(45))], &text);
        assert!(!scrubbed.contains("secret"));
        assert!(scrubbed.len() <= text.len() + GROWTH);
    }
}
