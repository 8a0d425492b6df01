//! Few prefixes for many paths: the segments that all have in common, without what is an id.

use std::collections::BTreeMap;

use url::Url;

/// First segments that are kept apart. More are no parts of an API, but ids.
const MOST: usize = 16;

/// Characters of a segment that a person would give to a part of an API.
const LONGEST_WORD: usize = 32;

/// Prefixes of the paths that were seen: for each first segment what its paths have in common.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    common: BTreeMap<String, Common>,
    /// Nothing less than everything holds all the paths.
    all: bool,
}

#[derive(Debug)]
struct Common {
    segments: Vec<String>,
    /// Whether something was seen below it.
    goes_on: bool,
}

impl Prefixes {
    /// Adds the path of a URL.
    pub fn add(&mut self, url: &Url) {
        let segments: Vec<_> = url.path().split('/').skip(1).collect();
        let is_end = |segment: &&str| segment.is_empty() || is_id(segment);
        let words: Vec<_> = segments.iter().copied().take_while(|word| !is_end(word)).collect();
        let goes_on = words.len() < segments.len();
        let Some(first) = words.first() else {
            self.all = true;
            return;
        };
        let own = || words.iter().map(|&word| word.to_owned()).collect();
        let common = self.common.entry((*first).to_owned());
        let common = common.or_insert_with(|| Common { segments: own(), goes_on });
        common.narrow(&words, goes_on);
        self.all |= self.common.len() > MOST;
        if self.all {
            self.common.clear();
        }
    }

    /// The prefixes as a grant has them. None of them stands for all paths.
    pub fn to_texts(&self) -> Vec<String> {
        if self.all {
            return Vec::new();
        }
        let text = |common: &Common| {
            let end = if common.goes_on { "/" } else { "" };
            // A star would be taken for a wildcard, which there is none.
            format!("/{}{end}", common.segments.join("/")).replace('*', "%2A")
        };
        self.common.values().map(text).collect()
    }
}

impl Common {
    fn narrow(&mut self, words: &[&str], goes_on: bool) {
        let pairs = self.segments.iter().zip(words);
        let same = pairs.take_while(|(own, other)| *own == *other).count();
        self.goes_on |= goes_on || same < self.segments.len() || same < words.len();
        self.segments.truncate(same);
    }
}

/// Whether a segment looks like the name of one thing out of many, and not of a part of an API.
fn is_id(segment: &str) -> bool {
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    let is_version = segment.strip_prefix('v').is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_digit())
            && rest.chars().all(|c| c.is_ascii_digit() || c == '.')
    });
    // A word with a few digits is a word: oauth2, sha256sum.
    let is_number = digits * 3 >= segment.len().max(1) && digits > 0 && !is_version;
    let is_no_word = segment.contains(['@', '%', ':', ';', ',', '=', '(', '\'']);
    is_number || is_no_word || segment.len() > LONGEST_WORD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(paths: &[&str]) -> Vec<String> {
        let mut prefixes = Prefixes::default();
        for path in paths {
            prefixes.add(&Url::parse(&format!("https://a.example{path}")).expect(path));
        }
        prefixes.to_texts()
    }

    #[test]
    fn paths_become_what_they_have_in_common() {
        for (paths, expected) in [
            (&["/v1/users"][..], &["/v1/users"][..]),
            (&["/v1/users", "/v1/users"], &["/v1/users"]),
            (&["/v1/users/"], &["/v1/users/"]),
            (&["/v1/users", "/v1/users/17"], &["/v1/users/"]),
            (&["/v1/users/ann", "/v1/users/bob"], &["/v1/users/"]),
            (&["/v1/users", "/v1/groups"], &["/v1/"]),
            (&["/v1/users", "/oauth2/token"], &["/oauth2/token", "/v1/users"]),
            (&["/users/17/mails/3"], &["/users/"]),
            (&["/users/0b9f4e1c-0d5e-4c57-9a4e-3f2a51bb1f0c"], &["/users/"]),
            (&["/users/507f1f77bcf86cd799439011/x"], &["/users/"]),
            (&["/users/ann@example.com"], &["/users/"]),
            (&["/a/group%2Fproject"], &["/a/"]),
            (&["/a/..%2F..%2Fadmin"], &["/a/"]),
            (&["/files/report*"], &["/files/report%2A"]),
            (&["/api/v2.1/x"], &["/api/v2.1/x"]),
            (&["/"], &[]),
            (&["/17"], &[]),
            (&["/v1/users", "/17"], &[]),
        ] {
            assert_eq!(prefixes(paths), expected, "{paths:?}");
        }
    }

    #[test]
    fn many_first_segments_are_ids() {
        let paths: Vec<_> = ('a'..='z').map(|name| format!("/{name}/profile")).collect();
        let paths: Vec<_> = paths.iter().map(String::as_str).collect();
        assert_eq!(prefixes(&paths[..MOST]).len(), MOST);
        assert_eq!(prefixes(&paths), Vec::<String>::new());
    }
}
