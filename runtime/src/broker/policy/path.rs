//! Which paths a prefix stands for.
//!
//! Whole segments are compared, each with its percent-encoding taken off. What a server could read as
//! a way up (`..%2F`, `%252e%252e`, `..;`, a backslash) is in no prefix, however it is written: what
//! the server makes of it is unknown here.

use std::fmt;

use url::Url;

use crate::broker::limits::PATH_DECODINGS;

/// A prefix of paths: `/v1/` stands for `/v1` and everything below it, and not for `/v1x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    text: String,
    segments: Vec<Vec<u8>>,
}

/// The path of a URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    segments: Vec<Vec<u8>>,
    leads_up: bool,
}

impl Prefix {
    /// Reads a prefix. Gives what is wrong with it and what would be right.
    pub fn read(given: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("{given:?} is no path: {why}; write it like \"/v1/\""));
        if !given.starts_with('/') {
            return wrong("it does not begin with /");
        }
        if given.contains(['?', '#', '*', '\\']) {
            return wrong("it holds one of ? # * \\, and a path stands for all that is below it");
        }
        if leads_up(given) {
            return wrong("it holds a dot segment");
        }
        let Ok(url) = Url::parse(&format!("https://any.invalid{given}")) else {
            return wrong("it cannot stand in a URL");
        };
        let mut segments = segments(&url);
        if segments.last().is_some_and(Vec::is_empty) {
            segments.pop();
        }
        Ok(Self { text: url.path().to_owned(), segments })
    }

    /// Whether the path is this one or below it.
    pub fn covers(&self, path: &Path) -> bool {
        !path.leads_up && path.segments.starts_with(&self.segments)
    }

    /// How closely it names a path. More is closer.
    pub fn closeness(&self) -> usize {
        self.segments.len()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl Path {
    /// The path of a URL, which was parsed as browsers do: there are no plain dot segments in it.
    pub fn of(url: &Url) -> Self {
        Self { segments: segments(url), leads_up: leads_up(url.path()) }
    }

    /// Whether it holds a way up in disguise.
    pub fn leads_up(&self) -> bool {
        self.leads_up
    }
}

fn segments(url: &Url) -> Vec<Vec<u8>> {
    let path = url.path();
    path.strip_prefix('/').unwrap_or(path).split('/').map(|part| decoded(part.as_bytes())).collect()
}

/// Whether a server could find a dot segment in it: after decoding it once or more, with a backslash
/// for a slash, with parameters after a semicolon, or in an overlong spelling of UTF-8.
fn leads_up(path: &str) -> bool {
    let mut path = path.as_bytes().to_vec();
    for _ in 0..PATH_DECODINGS {
        let is_overlong = path.iter().any(|byte| matches!(byte, 0xC0 | 0xC1));
        if is_overlong || path.split(|byte| matches!(byte, b'/' | b'\\')).any(is_dots) {
            return true;
        }
        let next = decoded(&path);
        if next == path {
            return false;
        }
        path = next;
    }
    // Nobody means a path that is encoded so often.
    true
}

fn is_dots(segment: &[u8]) -> bool {
    let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
    matches!(name.trim_ascii(), b"." | b"..")
}

/// The bytes with percent-encoding taken off once.
fn decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let pair = after.get(..2).filter(|_| first == b'%').and_then(hexadecimal);
        bytes.push(pair.unwrap_or(first));
        rest = if pair.is_some() { &after[2..] } else { after };
    }
    bytes
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let value = |digit: &u8| char::from(*digit).to_digit(16);
    let [high, low] = digits else { return None };
    u8::try_from(value(high)? << 4 | value(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_covers_whole_segments_and_nothing_that_leads_up() {
        for (prefix, path, covers) in [
            ("/", "/", true),
            ("/", "/anything/at/all", true),
            ("/v1/", "/v1", true),
            ("/v1/", "/v1/", true),
            ("/v1/", "/v1/users", true),
            ("/v1", "/v1/users", true),
            ("/v1", "/v1//users", true),
            ("/v1/", "/v1x", false),
            ("/v1", "/v1x/users", false),
            ("/v1", "/V1/users", false),
            ("/v1", "/", false),
            ("/v1", "//v1/users", false),
            ("/v1", "/v2/../v1/users", true),
            ("/v1", "/v1/../admin", false),
            ("/v1", "/v1/./users", true),
            ("/v1", "/v1/%2e%2e/admin", false),
            ("/v1", "/v1/.%2E/admin", false),
            ("/v1", "/v1/%2e%2e/v1/users", true),
            ("/v1", "/v1\\..\\admin", false),
            ("/v1", "/v1\\users", true),
            // What the URL parser leaves as it is, and a server may not.
            ("/v1", "/v1/..%2Fadmin", false),
            ("/v1", "/v1/..%2fadmin", false),
            ("/v1", "/v1%2F..%2Fadmin", false),
            ("/v1", "/v1/..%5Cadmin", false),
            ("/v1", "/v1/x%2F..%2F..%2Fadmin", false),
            ("/v1", "/v1/%252e%252e/admin", false),
            ("/v1", "/v1/%25252e%25252e/admin", false),
            ("/v1", "/v1/%2525252525252e/admin", false),
            ("/v1", "/v1/..;/admin", false),
            ("/v1", "/v1/..;x=1/admin", false),
            ("/v1", "/v1/..%3B/admin", false),
            ("/v1", "/v1/..%20/admin", false),
            ("/v1", "/v1/..%09/admin", false),
            ("/v1", "/v1/%c0%ae%c0%ae/admin", false),
            ("/v1", "/v1/..%c0%afadmin", false),
            ("/v1", "/v1%2Fusers", false),
            ("/v1", "/%2Fv1/users", false),
            // What an honest client sends.
            ("/v1", "/%76%31/users", true),
            ("/v1", "/v1/group%2Fproject", true),
            ("/v1", "/v1/100%25", true),
            ("/v1", "/v1/a..b/...", true),
            ("/v1", "/v1/x;y=1", true),
            ("/v1", "/v1/%C3%BC/%E2%82%AC", true),
            ("/v1", "/v1/broken%zz%", true),
            ("/a b/ü", "/a%20b/%C3%BC/x", true),
            ("/a%20b", "/a b", true),
            ("/v1/group%2Fproject", "/v1/group%2fproject/x", true),
            ("/v1/group%2Fproject", "/v1/group/project", false),
            ("/v1//x", "/v1//x/y", true),
            ("/v1//x", "/v1/x", false),
            ("/v1/%2A", "/v1/*", true),
            ("/v1/users", "/v1", false),
            ("/v1/users", "/v1/users?x=/v1/users", true),
            ("/v1/users", "/v1?/users", false),
        ] {
            let url = Url::parse(&format!("https://a.example{path}")).expect(path);
            let prefix = Prefix::read(prefix).expect(prefix);
            assert_eq!(prefix.covers(&Path::of(&url)), covers, "{prefix} {path}");
        }
    }

    #[test]
    fn a_prefix_that_cannot_be_one_is_explained() {
        for (given, why) in [
            ("", "does not begin with /"),
            ("v1/", "does not begin with /"),
            ("https://a.example/v1", "does not begin with /"),
            ("/v1/*", "stands for all that is below it"),
            ("/v1?x", "stands for all that is below it"),
            ("/v1\\x", "stands for all that is below it"),
            ("/v1/../v2", "dot segment"),
            ("/v1/%2e%2e", "dot segment"),
            ("/v1/..%2Fv2", "dot segment"),
        ] {
            let error = Prefix::read(given).expect_err(given);
            assert!(error.contains(why), "{given}: {error}");
            assert!(error.ends_with("write it like \"/v1/\""), "{error}");
        }
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    /// Pieces of which ways up are made.
    fn path() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("/"),
            Just("."),
            Just(".."),
            Just("%2e"),
            Just("%2E"),
            Just("%252e"),
            Just("%2f"),
            Just("%5c"),
            Just("\\"),
            Just(";"),
            Just("%3b"),
            Just("v1"),
            Just("%76"),
            Just("a"),
            Just("%25"),
            Just("%c0%ae"),
            Just("%09"),
            Just(" "),
            Just("?"),
            Just("%"),
            Just("ü"),
        ];
        prop::collection::vec(piece, 0..10).prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    /// Where a server gets to that takes off percent-encoding so often, takes a backslash for a slash
    /// and cuts off parameters.
    fn walked(path: &str, decodings: usize) -> Vec<Vec<u8>> {
        let mut path = path.as_bytes().to_vec();
        for _ in 0..decodings {
            path = decoded(&path);
        }
        let mut at: Vec<Vec<u8>> = Vec::new();
        for segment in path.split(|byte| matches!(byte, b'/' | b'\\')).skip(1) {
            match segment.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii() {
                b"." => {}
                b".." => drop(at.pop()),
                _ => at.push(segment.to_vec()),
            }
        }
        at
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_server_reads_a_covered_path_as_one_outside(path in path()) {
            let url = Url::parse(&format!("https://a.example{path}")).expect("a URL");
            let prefix = Prefix::read("/v1/").expect("a prefix");
            if prefix.covers(&Path::of(&url)) {
                for decodings in 0..PATH_DECODINGS + 2 {
                    let walked = walked(url.path(), decodings);
                    prop_assert_eq!(walked.first().map(Vec::as_slice), Some(&b"v1"[..]), "{}", url);
                }
            }
        }

        #[test]
        fn a_prefix_covers_itself_and_is_read_again_as_it_is_shown(path in path()) {
            let Ok(prefix) = Prefix::read(&path) else { return Ok(()) };
            let shown = prefix.to_string();
            prop_assert_eq!(&Prefix::read(&shown), &Ok(prefix.clone()));
            for below in [shown.clone(), format!("{}/x", shown.trim_end_matches('/'))] {
                let url = Url::parse(&format!("https://a.example{below}")).expect("a URL");
                let is_same = shown.trim_end_matches('/') == shown.strip_suffix('/').unwrap_or(&shown);
                prop_assert!(!is_same || prefix.covers(&Path::of(&url)), "{} {}", prefix, below);
            }
        }
    }
}
