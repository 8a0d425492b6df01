//! Takes secrets out of bytes by their value.

use super::reading::Reading;
use super::search::{Cursor, Found, Spellings};
use super::spelling;

/// Shorter values are left where they are: they stand in innocent answers as well (`true`, `admin`),
/// which would be torn to shreds, and can be guessed anyway.
const SHORTEST: usize = 6;

/// Of a longer value only so many bytes are looked for: room for a certificate chain. Measured: all
/// spellings of a private key of 4 kB take 16 MB of memory and are ready in 0.15 s, without
/// optimisation; those of this much take 51 MB and 0.6 s.
const LONGEST: usize = 16 * 1024;

/// A line of a secret is one of a key, rather than of a text around it, from so many characters without
/// a space.
const KEY_LINE: usize = 24;

/// Of all values together, so many bytes are looked for. With more, the long ones are cut shorter.
const ALL: usize = 2 * LONGEST;

/// How much longer a text may become. A placeholder is longer than most secrets; past this, which
/// nobody but a guest that tries for it needs, a shorter mark stands in its place.
const GROWTH: u64 = 1 << 20;

/// What then stands in place of a secret: no longer than the shortest spelling.
const MARK: &str = "*";

/// Finds every spelling of some values, and knows what to write instead. It passes over the bytes once
/// for each way of reading them: as they are, through escapes, and as base64 and hexadecimal digits.
///
/// A text that comes in pieces is for a [`super::ScrubStream`].
#[derive(Default)]
pub(crate) struct Scrubber {
    passes: Vec<Pass>,
}

/// One way of reading, and what is looked for in it.
pub(super) struct Pass {
    pub spellings: Spellings,
    /// What to write in place of each spelling.
    replacements: Vec<String>,
}

/// How much longer a text became by now.
#[derive(Default)]
pub(super) struct Growth {
    read: u64,
    written: u64,
}

impl Scrubber {
    /// Looks for the first of each pair and writes the second.
    pub fn new<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let parts = |(value, mark): (&'a str, &'a str)| parts(value).map(move |part| (part, mark));
        let mut values: Vec<_> = values.into_iter().flat_map(parts).collect();
        let longest = longest(&values);
        for (value, _) in &mut values {
            *value = &value[..value.floor_char_boundary(longest)];
        }
        let text = Pass::new(&values, spelling::texts, Reading::Text);
        let escaped = Pass::new(&values, spelling::read, Reading::Escaped);
        let code = Pass::new(&values, spelling::codes, Reading::Code);
        Self { passes: [text, escaped, code].into_iter().flatten().collect() }
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.passes.is_empty()
    }

    pub(super) fn passes(&self) -> &[Pass] {
        &self.passes
    }

    /// The bytes without the secrets. None where they hold none.
    pub fn scrub(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.passes.iter().fold(None, |clean: Option<Vec<u8>>, pass| {
            pass.scrub(clean.as_deref().unwrap_or(bytes)).or(clean)
        })
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

/// What is looked for of one value: all of it, and each line of a key, because what is printed comes in
/// lines.
fn parts(value: &str) -> impl Iterator<Item = &str> {
    let is_of_key = |line: &&str| line.len() >= KEY_LINE && !line.contains(char::is_whitespace);
    let lines = value.split_once('\n').map(|_| value.lines().map(str::trim).filter(is_of_key));
    let whole = Some(value).filter(|value| value.len() >= SHORTEST);
    whole.into_iter().chain(lines.into_iter().flatten())
}

/// How much of each value is looked for.
fn longest(values: &[(&str, &str)]) -> usize {
    let all =
        |longest: usize| values.iter().map(|(value, _)| value.len().min(longest)).sum::<usize>();
    let fits = |longest: &usize| all(*longest) <= ALL;
    let shorter = |longest: &usize| (*longest >= 2 * SHORTEST).then_some(longest / 2);
    std::iter::successors(Some(LONGEST), shorter).find(fits).unwrap_or(SHORTEST)
}

impl Pass {
    fn new(
        values: &[(&str, &str)],
        spell: fn(&str) -> Vec<String>,
        reading: Reading,
    ) -> Option<Self> {
        let (spellings, replacements): (Vec<_>, Vec<_>) = values
            .iter()
            .flat_map(|(value, mark)| spell(value).into_iter().map(|one| (one, (*mark).to_owned())))
            .unzip();
        Some(Self { spellings: Spellings::new(&spellings, reading)?, replacements })
    }

    /// The bytes without what is looked for. None where they hold none of it.
    pub fn scrub(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut cursor = Cursor::new(&self.spellings);
        let mut growth = Growth::default();
        let mut next = cursor.next(&self.spellings, bytes, true);
        next?;
        let (mut scrubbed, mut from) = (Vec::with_capacity(bytes.len()), 0);
        while let Some(found) = next {
            self.replace(&found, &bytes[from..found.start], &mut growth, &mut scrubbed);
            from = found.end;
            next = cursor.next(&self.spellings, bytes, true);
        }
        scrubbed.extend_from_slice(&bytes[from..]);
        Some(scrubbed)
    }

    /// Writes what stands before a spelling, and then what is to stand in its place.
    pub fn replace(&self, found: &Found, before: &[u8], growth: &mut Growth, to: &mut Vec<u8>) {
        let replacement = self.replacements[found.spelling].as_bytes();
        growth.pass(before.len());
        growth.read += (found.end - found.start) as u64;
        let has_room = growth.written + replacement.len() as u64 <= growth.read + GROWTH;
        let replacement = if has_room { replacement } else { MARK.as_bytes() };
        growth.written += replacement.len() as u64;
        to.extend_from_slice(before);
        to.extend_from_slice(replacement);
    }
}

impl Growth {
    /// So many bytes stay as they are.
    pub fn pass(&mut self, bytes: usize) {
        self.read += bytes as u64;
        self.written += bytes as u64;
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
    fn a_key_is_taken_out_line_by_line() {
        const KEY: &str =
            "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\r\n  aGVsbG8gd29ybGQgaGVsbG8g\nAQ==\n";
        for (text, expected) in [
            (KEY, "<1>"),
            ("-----BEGIN KEY-----", "-----BEGIN KEY-----"),
            ("> MIIEvQIBADANBgkqhkiG9w0B", "> <1>"),
            ("aGVsbG8gd29ybGQgaGVsbG8g", "<1>"),
        ] {
            assert_eq!(scrub(&[(KEY, "<1>")], text), expected, "{text}");
        }
    }

    #[test]
    fn many_long_values_are_cut_shorter() {
        let value = "0123456789abcdef".repeat(LONGEST / 16);
        for (count, expected) in [(1, LONGEST), (2, LONGEST), (3, LONGEST / 2), (17, 1024)] {
            assert_eq!(longest(&vec![(&*value, ""); count]), expected, "{count}");
        }
        assert_eq!(longest(&[("short", "")].repeat(200)), LONGEST);
        assert!(longest(&vec![(&*value, ""); 100_000]) >= SHORTEST);
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
        assert!(scrubbed.len() <= text.len() + (GROWTH as usize));
    }
}
