//! How bytes are read before they are compared with spellings.

use super::escapes;

/// What a reader takes the next bytes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A character, in lower case.
    Char(u8),
    /// A character of several bytes.
    Wide(char),
    /// Nothing that counts: a space, or an escape that stands for one.
    Gap {
        /// Whether a line ends here.
        is_break: bool,
    },
}

/// The ways of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Every byte counts; upper and lower case are the same.
    Text,
    /// Escapes are what they stand for, as [`escapes`] reads them.
    Escaped,
    /// As base64 and hexadecimal digits are read: both alphabets are one, line breaks and other white
    /// space say nothing, and what JSON, URLs and HTML escape is what they mean by it. So a text is
    /// found however it was wrapped, and few spellings have to be looked for.
    Code,
}

const GAP: Token = Token::Gap { is_break: false };
const BREAK: Token = Token::Gap { is_break: true };
const PLUS: Token = Token::Char(b'+');
const SLASH: Token = Token::Char(b'/');

/// What code may be escaped as, in lower case. None begins with another. `%25` and two backslashes are
/// of an escape that was escaped again. An equals sign before a line break is how
/// quoted-printable wraps.
const ESCAPES: [(&[u8], Token); 27] = [
    (b"%2b", PLUS),
    (b"%2f", SLASH),
    (b"%252b", PLUS),
    (b"%252f", SLASH),
    (b"%0a", BREAK),
    (b"%0d", GAP),
    (b"%20", GAP),
    (b"\\/", SLASH),
    (b"\\n", BREAK),
    (b"\\r", GAP),
    (b"\\t", GAP),
    (b"\\\\/", SLASH),
    (b"\\\\n", BREAK),
    (b"\\\\r", GAP),
    (b"\\u002b", PLUS),
    (b"\\u002f", SLASH),
    (b"\\u000a", BREAK),
    (b"\\u000d", GAP),
    (b"&#43;", PLUS),
    (b"&#47;", SLASH),
    (b"&#10;", BREAK),
    (b"&#13;", GAP),
    (b"&#x2b;", PLUS),
    (b"&#x2f;", SLASH),
    (b"&#xa;", BREAK),
    (b"&#xd;", GAP),
    (b"=\r\n", BREAK),
];

impl Reading {
    /// Reads the first token and says how many bytes it has. None where more bytes are needed to
    /// know, which are said not to come where these are the last.
    pub fn token(self, bytes: &[u8], is_last: bool) -> Option<(Token, usize)> {
        if self == Self::Escaped {
            return escapes::read(bytes, is_last);
        }
        let first = *bytes.first()?;
        if self == Self::Code && is_lead(first) {
            let mut is_cut = false;
            for (escape, token) in ESCAPES {
                let seen = &bytes[..bytes.len().min(escape.len())];
                if escape[..seen.len()].eq_ignore_ascii_case(seen) {
                    if seen.len() == escape.len() {
                        return Some((token, escape.len()));
                    }
                    is_cut = true;
                }
            }
            if is_cut && !is_last {
                return None;
            }
        }
        Some((self.read(first), 1))
    }

    fn read(self, byte: u8) -> Token {
        match (self, byte) {
            (Self::Code, b'\n') => BREAK,
            (Self::Code, b' ' | b'\t' | b'\r' | b':') => GAP,
            (Self::Code, b'-') => PLUS,
            (Self::Code, b'_') => SLASH,
            _ => Token::Char(byte.to_ascii_lowercase()),
        }
    }

    /// Whether one of these characters can be read where this byte stands.
    pub fn can_begin(self, byte: u8, characters: &[bool; 256]) -> bool {
        let is_escaped = |(escape, token): &(&[u8], Token)| {
            escape[0] == byte && matches!(token, Token::Char(read) if characters[*read as usize])
        };
        let plain = matches!(self.read(byte), Token::Char(read) if characters[read as usize]);
        match self {
            Self::Text => plain,
            Self::Escaped => plain || escapes::is_lead(byte),
            Self::Code => plain || ESCAPES.iter().any(is_escaped),
        }
    }
}

fn is_lead(byte: u8) -> bool {
    matches!(byte, b'%' | b'\\' | b'&' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_read_through_what_wraps_and_escapes_it() {
        for (bytes, expected) in [
            ("A", Some((Token::Char(b'a'), 1))),
            ("-", Some((PLUS, 1))),
            ("\r\n", Some((GAP, 1))),
            ("\\n", Some((BREAK, 2))),
            ("%2Fx", Some((SLASH, 3))),
            ("%252", None),
            ("%41", Some((Token::Char(b'%'), 1))),
            ("&#x2", None),
            ("&amp;", Some((Token::Char(b'&'), 1))),
            ("=\r", None),
            ("==", Some((Token::Char(b'='), 1))),
            ("", None),
        ] {
            assert_eq!(Reading::Code.token(bytes.as_bytes(), false), expected, "{bytes}");
        }
        assert_eq!(Reading::Code.token(b"%2", true), Some((Token::Char(b'%'), 1)));
        assert_eq!(Reading::Text.token(b"%2", false), Some((Token::Char(b'%'), 1)));
        assert_eq!(Reading::Text.token(b"\n", false), Some((Token::Char(b'\n'), 1)));
    }

    #[test]
    fn every_escape_begins_as_escapes_do_and_none_with_another() {
        for (escape, _) in ESCAPES {
            assert!(is_lead(escape[0]) && escape.to_ascii_lowercase() == escape);
            let begins = ESCAPES.iter().filter(|(other, _)| other.starts_with(escape)).count();
            assert_eq!(begins, 1, "{escape:?}");
        }
    }
}
