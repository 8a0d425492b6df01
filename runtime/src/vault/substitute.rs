//! Puts secrets in the place of their placeholders.

use aho_corasick::AhoCorasick;

use super::spelling;

/// How a secret is written in the place that it goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// As it is.
    Raw,
    /// In a query or a form.
    Percent,
    /// In a JSON string.
    Json,
}

/// What became of bytes with placeholders.
#[derive(Debug, PartialEq, Eq)]
pub enum Filled {
    /// They hold the secrets now.
    Whole(Vec<u8>),
    /// They would be longer than the limit.
    TooLong,
}

/// Finds placeholders.
#[derive(Default)]
pub(super) struct Finder {
    /// None where there is nothing to look for.
    placeholders: Option<AhoCorasick>,
    /// The placeholders, each with its field.
    fields: Vec<(String, String)>,
}

impl Finder {
    /// Looks for the first of each pair, which stands for the field in the second.
    pub fn new<'a>(placeholders: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let owned = |(text, field): (&str, &str)| (text.to_owned(), field.to_owned());
        let fields: Vec<_> = placeholders.into_iter().map(owned).collect();
        if fields.is_empty() {
            return Self::default();
        }
        let texts = fields.iter().map(|(text, _)| text);
        let automaton = AhoCorasick::new(texts).expect("placeholders are short");
        Self { placeholders: Some(automaton), fields }
    }

    /// Where the placeholders are, and for which fields they stand.
    pub fn find<'a>(
        &'a self,
        bytes: &'a [u8],
    ) -> impl Iterator<Item = (std::ops::Range<usize>, &'a str)> {
        let matches = self.placeholders.iter().flat_map(move |all| all.find_iter(bytes));
        matches.map(|found| (found.range(), &*self.fields[found.pattern()].1))
    }

    /// Where the bytes end in what may be the beginning of a placeholder.
    pub fn begun(&self, bytes: &[u8]) -> usize {
        let longest = self.fields.iter().map(|(text, _)| text.len()).max().unwrap_or_default();
        let first = (bytes.len() + 1).saturating_sub(longest.max(1));
        // The last byte of a whole placeholder is not the first of another.
        let settled = self.find(bytes).last().map_or(0, |(place, _)| place.end);
        let first = first.max(settled);
        let may_begin =
            |from: &usize| self.fields.iter().any(|(text, _)| begins(text, &bytes[*from..]));
        (first..bytes.len()).find(may_begin).unwrap_or(bytes.len())
    }

    /// The bytes with the secrets in them. None where they hold no placeholders.
    pub fn fill<'a>(
        &self,
        bytes: &[u8],
        spelling: Spelling,
        limit: usize,
        value: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<Filled> {
        let mut found = self.find(bytes).peekable();
        found.peek()?;
        let mut filled = Vec::new();
        let mut from = 0;
        for (place, field) in found {
            filled.extend_from_slice(&bytes[from..place.start]);
            from = place.end;
            spelling.write(value(field).unwrap_or_default(), &mut filled);
            // Checked on the way: a body of nothing but placeholders could become gigabytes.
            if filled.len() > limit {
                return Some(Filled::TooLong);
            }
        }
        filled.extend_from_slice(&bytes[from..]);
        Some(if filled.len() > limit { Filled::TooLong } else { Filled::Whole(filled) })
    }
}

fn begins(text: &str, with: &[u8]) -> bool {
    text.as_bytes().starts_with(with)
}

impl Spelling {
    pub(super) fn write(self, value: &str, to: &mut Vec<u8>) {
        match self {
            Self::Raw => to.extend_from_slice(value.as_bytes()),
            Self::Percent => to.extend_from_slice(spelling::percent(value).as_bytes()),
            Self::Json => to.extend_from_slice(spelling::json(value).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_and_nothing_else_is() {
        let finder = Finder::new([("{A}", "a"), ("{B}", "b")]);
        let value = |field: &str| Some(if field == "a" { "1 \"" } else { "22" });
        for (text, spelling, expected) in [
            ("nothing", Spelling::Raw, None),
            ("{A}", Spelling::Raw, Some("1 \"")),
            ("x{A}{B}y{A", Spelling::Raw, Some("x1 \"22y{A")),
            ("{A}", Spelling::Percent, Some("1%20%22")),
            ("\"{A}\"", Spelling::Json, Some("\"1 \\\"\"")),
        ] {
            let filled = finder.fill(text.as_bytes(), spelling, 100, value);
            assert_eq!(filled, expected.map(|text| Filled::Whole(text.into())), "{text}");
        }
    }

    #[test]
    fn nothing_is_filled_in_past_the_limit() {
        let finder = Finder::new([("{A}", "a")]);
        let value = |_: &str| Some("12345");
        for (text, limit, fits) in [("{A}", 5, true), ("{A}", 4, false), ("{A}6", 5, false)] {
            let filled = finder.fill(text.as_bytes(), Spelling::Raw, limit, value);
            assert_eq!(filled != Some(Filled::TooLong), fits, "{text} {limit}");
        }
    }
}
