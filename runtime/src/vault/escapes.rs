//! Reads through the escapes of URLs, JSON, programming languages and HTML, whichever an encoder chose
//! to write and however they are mixed.

use super::reading::Token;

/// Backslashes that escape one another: what is escaped three times over has so many.
const BACKSLASHES: usize = 7;

/// Characters of the longest name or number of an HTML escape: the last character there is, in
/// hexadecimal digits with zeros before them.
const ENTITY: usize = 10;

/// The first character, and how many bytes stand for it. None where more bytes are needed to know,
/// which are said not to come where these are the last.
pub(super) fn read(bytes: &[u8], is_last: bool) -> Option<(Token, usize)> {
    let bytes = Bytes { bytes, is_last };
    match bytes.at(0)? {
        Some((b'\\', next)) => bytes.backslash(next),
        Some((b'&', next)) => bytes.entity(next, next, 0),
        Some((byte, next)) => Some((byte_token(byte), next)),
        None => None,
    }
}

/// A text as it is read: its own escapes, too, are taken for what they look like.
pub(super) fn read_all(text: &str) -> Vec<u8> {
    let (mut rest, mut read_so_far) = (text.as_bytes(), Vec::new());
    while let Some((token, length)) = read(rest, true) {
        match token {
            Token::Char(byte) => read_so_far.push(byte),
            Token::Wide(c) => read_so_far.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            Token::Gap { .. } => {}
        }
        rest = &rest[length..];
    }
    read_so_far
}

/// Whether an escape may begin with this byte.
pub(super) fn is_lead(byte: u8) -> bool {
    matches!(byte, b'%' | b'\\' | b'&')
}

/// Bytes without the escapes of URLs, which may stand around all others.
#[derive(Clone, Copy)]
struct Bytes<'a> {
    bytes: &'a [u8],
    is_last: bool,
}

impl Bytes<'_> {
    /// The byte there, and where the next one is. None where more is needed to know; `Some(None)` at
    /// the end.
    fn at(self, place: usize) -> Option<Option<(u8, usize)>> {
        let rest = &self.bytes[place..];
        let Some(first) = rest.first() else { return self.is_last.then_some(None) };
        if *first != b'%' {
            return Some(Some((*first, place + 1)));
        }
        // What was escaped twice.
        let skipped = if rest.starts_with(b"%25") { 2 } else { 0 };
        for skipped in [skipped, 0] {
            match rest.get(skipped + 1..skipped + 3).map(hex) {
                Some(Some(byte)) => return Some(Some((byte as u8, place + skipped + 3))),
                Some(None) => {}
                None if self.is_last => {}
                None if rest[skipped + 1..].iter().all(u8::is_ascii_hexdigit) => return None,
                None => {}
            }
        }
        Some(Some((b'%', place + 1)))
    }

    /// So many hexadecimal digits. `Some(None)` where there are others.
    fn hex(self, mut place: usize, count: usize) -> Option<Option<(u32, usize)>> {
        let mut number = 0;
        for _ in 0..count {
            let Some((byte, next)) = self.at(place)? else { return Some(None) };
            let Some(digit) = char::from(byte).to_digit(16) else { return Some(None) };
            (number, place) = (number * 16 + digit, next);
        }
        Some(Some((number, place)))
    }

    /// What follows a backslash. Several of them were escaped again.
    fn backslash(self, place: usize) -> Option<(Token, usize)> {
        let place = self.backslashes(place)?;
        let plain = Some((Token::Char(b'\\'), place));
        let Some((byte, next)) = self.at(place)? else { return plain };
        let byte = match byte {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 0x08,
            b'f' => 0x0c,
            b'"' | b'\'' | b'/' => byte,
            b'u' => return self.unicode(next).map(|read| read.or(plain))?,
            b'x' => {
                let byte = |(byte, next)| (byte_token(byte as u8), next);
                return self.hex(next, 2)?.map(byte).or(plain);
            }
            _ => return plain,
        };
        Some((Token::Char(byte), next))
    }

    fn backslashes(self, mut place: usize) -> Option<usize> {
        for _ in 1..BACKSLASHES {
            match self.at(place)? {
                Some((b'\\', next)) => place = next,
                _ => break,
            }
        }
        Some(place)
    }

    /// Four digits, or twice four for what UTF-16 writes in two. `Some(None)` where they are others.
    fn unicode(self, place: usize) -> Option<Option<(Token, usize)>> {
        let Some((unit, next)) = self.hex(place, 4)? else { return Some(None) };
        if unit == u32::from(b'&') {
            return self.entity(next, next, 0).map(Some);
        }
        if let Some(c) = char::from_u32(unit) {
            return Some(Some((char_token(c), next)));
        }
        let digits = match self.at(self.backslashes(next)?)? {
            Some((b'u', digits)) => digits,
            _ => return Some(None),
        };
        let Some((low, end)) = self.hex(digits, 4)? else { return Some(None) };
        let c = char::decode_utf16([unit as u16, low as u16]).next().and_then(Result::ok);
        Some(c.map(|c| (char_token(c), end)))
    }

    /// What follows an ampersand: a name or number up to the semicolon. Else it is one, of which the
    /// last byte stands before `plain`.
    fn entity(self, plain: usize, place: usize, depth: usize) -> Option<(Token, usize)> {
        let plain = Some((Token::Char(b'&'), plain));
        let (mut name, mut at) = (Vec::new(), place);
        loop {
            match self.at(at)? {
                Some((b';', next)) => {
                    at = next;
                    break;
                }
                Some((byte, next)) if name.len() < ENTITY && is_of_entity(byte) => {
                    name.push(byte.to_ascii_lowercase());
                    at = next;
                }
                _ => return plain,
            }
        }
        match named(&name) {
            // What was escaped twice.
            Some('&') if depth == 0 => self.entity(at, at, 1),
            Some(c) => Some((char_token(c), at)),
            None => plain,
        }
    }
}

fn is_of_entity(byte: u8) -> bool {
    byte == b'#' || byte.is_ascii_alphanumeric()
}

/// The character of a name or number.
fn named(name: &[u8]) -> Option<char> {
    let name = std::str::from_utf8(name).ok()?;
    Some(match (name, name.strip_prefix('#')) {
        ("amp", _) => '&',
        ("lt", _) => '<',
        ("gt", _) => '>',
        ("quot", _) => '"',
        ("apos", _) => '\'',
        (_, Some(number)) => {
            let code = match number.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            code.ok().and_then(char::from_u32)?
        }
        _ => return None,
    })
}

fn hex(digits: &[u8]) -> Option<u32> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    Some(digit(&digits[0])? * 16 + digit(&digits[1])?)
}

fn byte_token(byte: u8) -> Token {
    Token::Char(byte.to_ascii_lowercase())
}

fn char_token(c: char) -> Token {
    if c.is_ascii() { byte_token(c as u8) } else { Token::Wide(c) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_however_they_are_mixed() {
        for (text, expected) in [
            ("plain Text", "plain text"),
            ("%41%2f%c3%a9", "a/é"),
            ("%2541%252F", "a/"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            (r#"\"\\\"\/\n\\n\\\\n"#, "\"\"/\n\n\n"),
            (r"a\b\\c\", "a\x08\\c\\"),
            (r"\u00E9\\u00e9\ud83d\ude00\x41\xc3\xa9", "éé😀aé"),
            (r"\u00zz\ud83dx", r"\u00zz\ud83dx"),
            ("&lt;&#39;&#x2F;&#039;&quot;&#233;&amp;", "<'/'\"é&"),
            ("&amp;lt;&amp;amp;&amp;x", "<&&x"),
            (r"\u0026lt;\u0026x", "<&x"),
            ("a=1&b=2&;&nothing;", "a=1&b=2&;&nothing;"),
            ("%5C%22%5Cu00e9%26lt%3B", "\"é<"),
        ] {
            assert_eq!(String::from_utf8_lossy(&read_all(text)), expected, "{text}");
        }
    }

    #[test]
    fn what_may_go_on_is_waited_for() {
        for text in [
            "%",
            "%2",
            "%25",
            "%254",
            "\\",
            "\\\\",
            "\\u",
            "\\u00e",
            "\\ud83d",
            "\\ud83d\\",
            "\\x4",
            "&",
            "&#",
            "&lt",
            "&amp;",
            "&amp;l",
            "\\u0026",
            "%5C",
            "%5Cu00",
        ] {
            assert_eq!(read(text.as_bytes(), false), None, "{text}");
            assert!(read(text.as_bytes(), true).is_some(), "{text}");
        }
        for text in ["a", "%x", "%41", "\\n", "\\z", "&=", "&lt;"] {
            assert!(read(text.as_bytes(), false).is_some(), "{text}");
        }
    }
}
