//! How a text is spelled in the formats that carry it.

use base64::Engine;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use url::form_urlencoded::byte_serialize;

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

/// Every usual spelling, without those that are the same. Upper and lower case are not told apart by
/// whoever looks for them, so `%2F` stands for `%2f` too.
pub(super) fn all(text: &str) -> Vec<String> {
    let mut spellings = vec![text.to_owned(), percent(text)];
    spellings.extend(other_percent(text));
    spellings.extend(other_json(text));
    // A server that tells in JSON what JSON it got escapes it twice.
    spellings.extend(other_json(&json(text)));
    for base64 in base64(text.as_bytes()) {
        // Base64 in turn is put into JSON and URLs.
        spellings.extend([percent(&base64), base64.replace('/', "\\/"), base64]);
    }
    spellings.sort_unstable();
    spellings.dedup();
    spellings
}

/// Encoders disagree on the space and on these marks.
fn other_percent(text: &str) -> [String; 3] {
    let form = percent(text).replace("%20", "+");
    let rfc3986 = percent(text).replace('*', "%2A").replace("%7E", "~");
    let javascript = [("%21", "!"), ("%27", "'"), ("%28", "("), ("%29", ")"), ("%2A", "*")]
        .iter()
        .fold(rfc3986.clone(), |text, (escape, mark)| text.replace(escape, mark));
    [form, rfc3986, javascript]
}

/// Encoders may escape the slash, all that is not ASCII, and what HTML would read.
fn other_json(text: &str) -> [String; 5] {
    let least = json(text);
    let ascii: String =
        least.chars().map(|c| if c.is_ascii() { c.into() } else { utf16(c) }).collect();
    let html =
        ['<', '>', '&'].iter().fold(least.clone(), |text, mark| text.replace(*mark, &utf16(*mark)));
    let slash = |text: &str| text.replace('/', "\\/");
    [slash(&least), slash(&ascii), least, ascii, html]
}

fn utf16(character: char) -> String {
    character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// The base64 characters that a text alone decides, wherever in an encoded text it stands: three
/// alignments in two alphabets. Up to four bits at each end are shared with its neighbours, and stay.
fn base64(bytes: &[u8]) -> impl Iterator<Item = String> {
    let alphabets = [STANDARD_NO_PAD, URL_SAFE_NO_PAD];
    alphabets
        .into_iter()
        .flat_map(move |alphabet| (0..3).map(move |offset| core(&alphabet, bytes, offset)))
}

fn core(alphabet: &GeneralPurpose, bytes: &[u8], offset: usize) -> String {
    let encoded = alphabet.encode([&[0; 2][..offset], bytes].concat());
    let first = (offset * 8).div_ceil(6);
    let last = (offset + bytes.len()) * 8 / 6;
    encoded[first..last].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    #[test]
    fn a_text_is_found_in_every_usual_spelling() {
        for text in ["the-secret", "a b+c/d&e=f", "quote\"back\\slash", "ümläut~*!'()", "a<b>&c?"]
        {
            let spellings = all(text);
            for written in [
                text.to_owned(),
                serde_json::json!(text).to_string(),
                serde_json::json!(text).to_string().replace('/', "\\/"),
                serde_json::json!(serde_json::json!({"a": text}).to_string()).to_string(),
                byte_serialize(text.as_bytes()).collect(),
                url::Url::parse(&format!("http://a/?{}", percent(text))).expect("a URL").into(),
            ] {
                assert!(spellings.iter().any(|one| written.contains(one)), "{text} as {written}");
            }
        }
    }

    #[test]
    fn a_text_is_found_in_base64_wherever_it_stands() {
        for text in ["secret", "secret7", "secret78", "\u{ff}\u{fe}?>secret"] {
            let spellings = all(text);
            for before in ["", "u", "us", "user:"] {
                for after in ["", "1", "12", "123"] {
                    let whole = format!("{before}{text}{after}");
                    for written in [STANDARD.encode(&whole), URL_SAFE.encode(&whole)] {
                        let found = spellings.iter().any(|one| written.contains(one));
                        assert!(found, "{whole} as {written}");
                    }
                }
            }
        }
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
