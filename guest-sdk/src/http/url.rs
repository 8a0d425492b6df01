//! Putting URLs together without surprises.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Error;

/// Everything but the unreserved characters of RFC 3986 is encoded.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes text for use in one segment of a path, or in a query.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// The URL of a base and path segments, each of them encoded: `url(base, ["users", id])`.
///
/// A segment that is empty, `.` or `..` is refused: it would make another path than the one that
/// was meant, and there is no way to write it.
pub fn url<S: AsRef<str>>(
    base: &str,
    segments: impl IntoIterator<Item = S>,
) -> Result<String, Error> {
    let mut url = base.trim_end_matches('/').to_owned();
    for segment in segments {
        let segment = segment.as_ref();
        if matches!(segment, "" | "." | "..") {
            let message = format!("`{segment}` cannot be a part of the path after {url}/");
            return Err(Error::InvalidRequest(message));
        }
        url.push('/');
        url.push_str(&encode(segment));
    }
    Ok(url)
}

/// The URL with this added to its query.
pub(super) fn with_query(url: &str, query: &str) -> String {
    if query.is_empty() {
        return url.to_owned();
    }
    // A fragment is never sent; a query behind it would be lost with it.
    let url = url.split('#').next().unwrap_or_default();
    let joint = match url.contains('?') {
        true if url.ends_with(['?', '&']) => "",
        true => "&",
        false => "?",
    };
    format!("{url}{joint}{query}")
}

/// The URL without its query, for messages: a query may hold what is nobody's business.
pub(super) fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_encoded() {
        let cases: [(&str, &[&str], &str); 4] = [
            ("https://a.example", &["users"], "https://a.example/users"),
            ("https://a.example/v1/", &["users", "7"], "https://a.example/v1/users/7"),
            ("https://a.example", &["a/b?c#d e"], "https://a.example/a%2Fb%3Fc%23d%20e"),
            ("https://a.example", &["ä~x.y-z_"], "https://a.example/%C3%A4~x.y-z_"),
        ];
        for (base, segments, expected) in cases {
            assert_eq!(url(base, segments).expect("a good URL"), expected);
        }
        for bad in ["", ".", ".."] {
            assert!(url("https://a.example", ["users", bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn queries_are_added() {
        let cases = [
            ("https://a.example", "", "https://a.example"),
            ("https://a.example", "a=1", "https://a.example?a=1"),
            ("https://a.example?", "a=1", "https://a.example?a=1"),
            ("https://a.example?a=1", "b=2", "https://a.example?a=1&b=2"),
            ("https://a.example#top", "b=2", "https://a.example?b=2"),
        ];
        for (url, query, expected) in cases {
            assert_eq!(with_query(url, query), expected);
        }
    }
}
