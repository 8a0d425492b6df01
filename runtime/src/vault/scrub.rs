//! Takes secrets out of bytes by their value.

use super::reading::Reading;
use super::search::{Cursor, Found, Spellings};
use super::spelling;

/// Shorter values are left where they are: they stand in innocent answers as well (`true`, `admin`),
/// which would be torn to shreds, and can be guessed anyway.
const SHORTEST: usize = 6;

/// Of a longer value only so many bytes are looked for: room for a certificate chain. Measured: all
/// spellings of this much take up 6 MB, or 23 MB where most of it has to be escaped, and are ready in
/// 0.05 s.
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

    /// How many bytes it takes up.
    pub fn weight(&self) -> usize {
        self.passes.iter().map(|pass| pass.spellings.weight()).sum()
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
        let mut cursor = Cursor::new();
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
        let replacement = found.spelling.map_or("", |spelling| &self.replacements[spelling]);
        let replacement = replacement.as_bytes();
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
    use super::super::automaton::steps;
    use super::*;

    fn scrub(values: &[(&str, &str)], text: &str) -> String {
        Scrubber::new(values.iter().copied()).scrub_text(text.into())
    }

    #[test]
    fn values_are_taken_out_wherever_they_stand() {
        let values =
            [("the-secret", "<1>"), ("the-secret-two", "<2>"), ("short", "<3>"), ("er-one", "<4>")];
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
            // What overlaps goes as a whole.
            ("no-thexthe-secret-twosecretive", "no-thex<2>secretive"),
            ("a-longer-onetwo", "a-long<4>two"),
            ("ü the-secret ü", "ü <1> ü"),
        ] {
            assert_eq!(scrub(&values, text), expected, "{text}");
        }
    }

    #[test]
    fn where_secrets_overlap_all_of_them_is_taken_out() {
        let values = [("abcdefgh", "<1>"), ("efghijkl", "<2>"), ("ijklmnop-qrst", "<3>")];
        for (text, expected) in [
            ("abcdefghijkl", "<1>"),
            ("abcdefghijklmnop", "<1>mnop"),
            // The second one overlaps the first, which is named; the third one overlaps the second.
            ("-abcdefghijklmnop-qrst-", "-<1><3>-"),
            ("efghijklabcdefgh", "<2><1>"),
            ("abcdefghijklmnop-qrs", "<1>mnop-qrs"),
        ] {
            assert_eq!(scrub(&values, text), expected, "{text}");
        }
        // One after the other, each is named; the rest overlaps the last one.
        assert_eq!(scrub(&[("abcabc", "<1>")], "abcabcabcabcabc"), "<1><1>");
    }

    #[test]
    fn no_secret_makes_it_read_a_text_again_and_again() {
        // A short one is found everywhere, and a long one is begun everywhere and comes to nothing.
        let value = format!("{}\n{}b", "a".repeat(KEY_LINE), "a".repeat(LONGEST - 100));
        let scrubber = Scrubber::new([(&*value, "<1>")]);
        for text in ["a", "%61", "&#97;", "61", "6\n1", "YWFh"].map(|one| one.repeat(1 << 17)) {
            let before = steps();
            let scrubbed = scrubber.scrub(text.as_bytes()).unwrap_or_default();
            assert!(scrubbed.len() < 1000, "{}", scrubbed.len());
            let most = 2 * scrubber.passes.len() * text.len();
            assert!((1..=most).contains(&(steps() - before)), "{}", steps() - before);
        }
    }

    #[test]
    fn a_long_secret_takes_up_a_fixed_share_of_its_length() {
        let plain = "0123456789abcdef".repeat(LONGEST / 16);
        let escaped = "é\"/\n".repeat(LONGEST / 5);
        let lines = format!("{}\n", "a".repeat(KEY_LINE)).repeat(LONGEST / (KEY_LINE + 1));
        for (value, most) in [(plain, 400), (escaped, 1500), (lines, 700)] {
            let bytes = Scrubber::new([(&*value, "<1>")]).weight();
            assert!(bytes <= most * value.len(), "{}", bytes / value.len());
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

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    /// What is left of a text where everything is cut out that is one of these.
    fn left(text: &str, values: &[String]) -> String {
        let mut is_found = vec![false; text.len()];
        for value in values {
            for start in 0..text.len() {
                if text[start..].starts_with(value.as_str()) {
                    is_found[start..start + value.len()].fill(true);
                }
            }
        }
        text.chars().zip(is_found).filter(|(_, is_found)| !is_found).map(|(c, _)| c).collect()
    }

    proptest! {
        #[test]
        fn every_secret_is_taken_out_whatever_it_overlaps(
            values in prop::collection::vec("[ab]{1,12}", 1..6),
            text in "[ab]{0,200}",
        ) {
            let marked: Vec<_> = values.iter().map(|value| (value.as_str(), "")).collect();
            let pass = Pass::new(&marked, |value| vec![value.to_owned()], Reading::Text);
            let scrubbed = pass.expect("values").scrub(text.as_bytes());
            let scrubbed = scrubbed.map(|bytes| String::from_utf8(bytes).expect("ASCII"));
            prop_assert_eq!(scrubbed.unwrap_or(text.clone()), left(&text, &values));
        }
    }
}
