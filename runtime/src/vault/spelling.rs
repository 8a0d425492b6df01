//! How a text is spelled in the formats that carry it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use url::form_urlencoded::byte_serialize;

use super::escapes;

/// As it stands in a JSON string, without the quotes.
pub(super) fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// As it stands in a query, a form or any other part of a URL: a space is `%20`, which a form reads
/// as well.
pub(super) fn percent(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// The most usual spellings as text, in lower case, without those that are the same: whoever looks for
/// them reads in lower case, too.
pub(super) fn texts(text: &str) -> Vec<String> {
    lower(lines(text).iter().flat_map(|text| plain(text)).collect())
}

/// What is left of any spelling once its escapes are read. What in the text itself looks like an escape
/// was either escaped, and then it is as it is, or is read like one.
pub(super) fn read(text: &str) -> Vec<String> {
    let both = |text: String| [text.replace(' ', "+"), text];
    let texts = lines(text).into_iter().flat_map(both).flat_map(|text| {
        let read = String::from_utf8_lossy(&escapes::read_all(&text)).into_owned();
        [text, read]
    });
    lower(texts.collect())
}

/// Forms and mail end lines in two characters.
fn lines(text: &str) -> Vec<String> {
    let mut texts = vec![text.to_owned()];
    if text.contains('\n') && !text.contains('\r') {
        texts.push(text.replace('\n', "\r\n"));
    }
    texts
}

/// Every usual code, as its reader sees it: in lower case, with one alphabet, without padding and
/// line breaks.
pub(super) fn codes(text: &str) -> Vec<String> {
    let mut codes = vec![hex(text.as_bytes())];
    for spelling in [text.to_owned(), json(text), percent(text), form(text)] {
        codes.extend(base64(spelling.as_bytes()));
    }
    // Who tells in base64 what header it got encodes a Basic header's pair twice.
    let twice =
        base64(text.as_bytes()).flat_map(|code| base64(code.as_bytes()).collect::<Vec<_>>());
    codes.extend(twice);
    lower(codes)
}

fn plain(text: &str) -> Vec<String> {
    let mut spellings = vec![text.to_owned()];
    spellings.extend(other_percent(text));
    spellings.extend(other_json(text));
    // A server that tells in JSON what JSON it got escapes it twice.
    spellings.extend(other_json(&json(text)));
    spellings
}

fn lower(mut spellings: Vec<String>) -> Vec<String> {
    spellings.iter_mut().for_each(|spelling| spelling.make_ascii_lowercase());
    spellings.sort_unstable();
    spellings.dedup();
    spellings
}

/// As a form has it.
fn form(text: &str) -> String {
    percent(text).replace("%20", "+")
}

/// Encoders disagree on the space and on these marks.
fn other_percent(text: &str) -> [String; 4] {
    let rfc3986 = percent(text).replace('*', "%2A").replace("%7E", "~");
    let javascript = [("%21", "!"), ("%27", "'"), ("%28", "("), ("%29", ")"), ("%2A", "*")]
        .iter()
        .fold(rfc3986.clone(), |text, (escape, mark)| text.replace(escape, mark));
    [percent(text), form(text), rfc3986, javascript]
}

/// Encoders may escape the slash, all that is not ASCII, and what HTML would read.
fn other_json(text: &str) -> [String; 5] {
    let least = json(text);
    let ascii = escaped(&least, |c| !c.is_ascii());
    let html = escaped(&least, |c| matches!(c, '<' | '>' | '&'));
    let slash = |text: &str| text.replace('/', "\\/");
    [slash(&least), slash(&ascii), least, ascii, html]
}

fn escaped(text: &str, which: impl Fn(char) -> bool) -> String {
    text.chars().map(|c| if which(c) { utf16(c) } else { c.into() }).collect()
}

/// In UTF-16, as JavaScript and JSON do.
fn utf16(c: char) -> String {
    c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The base64 characters that a text alone decides, at each of the three places where it can begin.
/// Up to four bits at each end are shared with its neighbours, and stay.
fn base64(bytes: &[u8]) -> impl Iterator<Item = String> {
    (0..3).map(move |offset| {
        let encoded = STANDARD_NO_PAD.encode([&[0; 2][..offset], bytes].concat());
        let first = (offset * 8).div_ceil(6);
        let last = (offset + bytes.len()) * 8 / 6;
        encoded[first..last].to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    /// Whether it is found in what is written, in whichever way it is looked for.
    fn is_found(text: &str, written: &str) -> bool {
        super::super::Scrubber::new([(text, "x")]).scrub(written.as_bytes()).is_some()
    }

    #[test]
    fn a_text_is_found_in_every_usual_spelling() {
        for text in ["the-secret", "a b+c/d&e=f", "quote\"back\\slash", "ümläut~*!'()", "a<b>&c?"]
        {
            let json = serde_json::json!(text).to_string();
            let twice = serde_json::json!(serde_json::json!({"a": text}).to_string()).to_string();
            let query: String = byte_serialize(text.as_bytes()).collect();
            let url = url::Url::parse(&format!("http://a/?{}", percent(text))).expect("a URL");
            for written in [
                text.to_owned(),
                text.to_uppercase().to_lowercase(),
                json.replace('/', "\\/"),
                json,
                twice,
                url.to_string(),
                serde_json::json!({"url": url.as_str()}).to_string(),
                byte_serialize(query.as_bytes()).collect(),
                query,
                hex(text.as_bytes()),
                hex(text.as_bytes()).to_uppercase(),
                text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
            ] {
                assert!(is_found(text, &written), "{text} as {written}");
            }
        }
    }

    #[test]
    fn escapes_of_every_dialect_are_known() {
        const TEXT: &str = "a\"b'c<d>e&f+g/h=i`jé";
        for written in [
            "a&quot;b&#39;c&lt;d&gt;e&amp;f+g/h=i`jé",
            "a&quot;b&#039;c&lt;d&gt;e&amp;f+g/h=i`jé",
            "a&quot;b&apos;c&lt;d&gt;e&amp;f+g/h=i`j&#233;",
            "a&#34;b&#39;c&lt;d&gt;e&amp;f&#43;g/h=i`jé",
            "a&quot;b&#x27;c&lt;d&gt;e&amp;f&#x2B;g&#x2F;h=i`j&#xE9;",
            "a&quot;b&#39;c&lt;d&gt;e&amp;f+g&#x2F;h&#x3D;i&#x60;jé",
            "a&#34;b&#39;c&#60;d&#62;e&#38;f&#43;g&#47;h&#61;i&#96;j&#233;",
            "a&#x22;b&#x27;c&#x3c;d&#x3e;e&#x26;f&#x2b;g&#x2f;h&#x3d;i&#x60;j&#xe9;",
            r#"a\u0022b\u0027c\u003Cd\u003Ee\u0026f\u002Bg/h=i\u0060j\u00E9"#,
            r#"a\"b'c\u003cd\u003ee\u0026f+g/h=i`jé"#,
            r#"a\"b'c<d>e&f+g\/h=i`j\u00e9"#,
            "a%22b%27c%3Cd%3Ee%26f%2Bg%2Fh%3Di%60j%C3%A9",
            "a%2522b%2527c%253Cd%253Ee%2526f%252Bg%252Fh%253Di%2560j%25C3%25A9",
            r#"a\"b'c<d>e&f+g/h=i`j\xc3\xa9"#,
            "a&quot;b&#x27;c\\u0026lt;d%3Ee&amp;f&#43;g\\/h=i`j&#233;",
            "%7B%22key%22%3A%22a%5C%22b%27c%3Cd%3Ee%26f%2Bg%2Fh%3Di%60j%5Cu00e9",
        ] {
            assert!(is_found(TEXT, written), "{written}");
        }
        assert!(is_found("secret", "%73%65%63%72%65%74"));
        assert!(is_found("one\ntwo", "one%0D%0Atwo") && is_found("one\ntwo", "one\r\ntwo"));
    }

    #[test]
    fn a_text_is_found_in_base64_wherever_it_stands_and_however_it_is_wrapped() {
        let long = "0123456789abc\u{ff}\u{fe}?>~".repeat(12);
        for text in ["secret", "secret7", "secret78", "\u{ff}\u{fe}?>secret", &long] {
            for (before, after) in [("", ""), ("u", "1"), ("us", "12"), ("user:", "123")] {
                let whole = format!("{before}{text}{after}");
                for code in [STANDARD.encode(&whole), URL_SAFE.encode(&whole)] {
                    for written in wrapped(&code) {
                        assert!(is_found(text, &written), "{whole} as {written}");
                    }
                }
                let hex = hex(whole.as_bytes());
                let dumped: Vec<_> =
                    hex.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
                assert!(is_found(text, &dumped.join(":")) && is_found(text, &dumped.join(" ")));
            }
        }
        assert!(is_found("secret", &STANDARD.encode(STANDARD.encode("user:secret"))));
        assert!(is_found("sec\"ret", &STANDARD.encode(r#"{"a":"sec\"ret"}"#)));
    }

    /// Base64 as mail, PEM, JSON, HTML and URLs carry it.
    fn wrapped(code: &str) -> Vec<String> {
        let lines = |width: usize, end: &str| {
            let lines = code.as_bytes().chunks(width).map(String::from_utf8_lossy);
            lines.collect::<Vec<_>>().join(end)
        };
        vec![
            code.to_owned(),
            lines(76, "\r\n"),
            lines(64, "\n"),
            lines(7, "\r\n    "),
            lines(76, "=\r\n"),
            serde_json::json!(lines(64, "\n")).to_string(),
            serde_json::json!(serde_json::json!(lines(76, "\r\n")).to_string()).to_string(),
            percent(&lines(76, "\r\n")),
            percent(&percent(code)),
            code.replace('/', "\\/").replace('+', "\\u002B"),
            code.replace('/', "&#x2F;").replace('+', "&#43;"),
        ]
    }

    #[test]
    fn what_is_filled_in_is_spelled_for_its_place() {
        for (text, as_json, as_query) in [
            ("plain-1", "plain-1", "plain-1"),
            ("a \"b\"\n", r#"a \"b\"\n"#, "a%20%22b%22%0A"),
            ("1+1&x=%", "1+1&x=%", "1%2B1%26x%3D%25"),
        ] {
            assert_eq!((json(text).as_str(), percent(text).as_str()), (as_json, as_query));
        }
    }
}
