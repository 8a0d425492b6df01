//! Reads `.env` files as Node's dotenv does: `NAME=value`, `export NAME=value`, comments, three kinds
//! of quotes. Nothing is substituted: a `$` in a password stays.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use secrecy::SecretString;

/// Reads the text of a file.
///
/// # Errors
/// When a line is no assignment, or a quote is not closed. They name the line's number and never what
/// is in it.
pub(super) fn parse(text: &str) -> anyhow::Result<BTreeMap<String, SecretString>> {
    let mut variables = BTreeMap::new();
    let whole = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rest = whole;
    while let Some(line) = rest.lines().next() {
        let after = &rest[line.len()..];
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            rest = after.trim_start_matches('\r').strip_prefix('\n').unwrap_or(after);
            continue;
        }
        let number = 1 + whole[..whole.len() - rest.len()].matches('\n').count();
        let name = name(line).with_context(|| format!("line {number} is not NAME=value"))?;
        let value = &rest[line.find('=').map_or(0, |at| at + 1)..];
        let (value, after) =
            read_value(value).with_context(|| format!("line {number}: a quote is not closed"))?;
        variables.insert(name.to_owned(), value.into());
        rest = after;
    }
    Ok(variables)
}

fn name(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('=')?;
    let name = name.trim();
    let name = name.strip_prefix("export ").unwrap_or(name).trim_start();
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    (!name.is_empty() && name.chars().all(fits)).then_some(name)
}

/// The value at the beginning of a text, and what comes after its line.
fn read_value(text: &str) -> anyhow::Result<(String, &str)> {
    let text = text.trim_start_matches([' ', '\t']);
    let quote = text.chars().next().filter(|first| "\"'`".contains(*first));
    let (value, rest) = match quote {
        Some(quote) => {
            let Some(end) = text[1..].find(quote) else { bail!("it begins with {quote}") };
            let inner = &text[1..=end];
            let value = match quote {
                '"' => inner.replace("\\n", "\n").replace("\\r", "\r"),
                _ => inner.to_owned(),
            };
            (value, &text[end + 2..])
        }
        None => {
            let end = text.find(['#', '\n']).unwrap_or(text.len());
            (text[..end].trim().to_owned(), &text[end..])
        }
    };
    Ok((value, rest.split_once('\n').map_or("", |(_, after)| after)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn lines_are_read_as_node_reads_them() {
        let text = "\u{feff}# a comment\n\nA=1\n  export B = two words # and a comment\r\nC='it''\n\
                    D=\"a # b\\nc\" # d\nE=\nF=pa$word1\nG=`x\ny`\nH=a=b==\nI=\"\"\nJ=last";
        let variables = parse(text).expect("a file");
        let read: Vec<_> =
            variables.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(
            read,
            [
                ("A", "1"),
                ("B", "two words"),
                ("C", "it"),
                ("D", "a # b\nc"),
                ("E", ""),
                ("F", "pa$word1"),
                ("G", "x\ny"),
                ("H", "a=b=="),
                ("I", ""),
                ("J", "last"),
            ]
        );
    }

    #[test]
    fn a_fault_names_its_line_and_not_what_is_in_it() {
        for (text, line) in [("A=1\nhunter2\n", 2), ("A='x\ny'\n\nB=\"hunter2", 4), ("=hunter2", 1)]
        {
            let error = format!("{:#}", parse(text).expect_err(text));
            assert!(error.contains(&format!("line {line}")), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;

    const SECRET: &str = "s3cret-that-nobody-may-read";

    proptest! {
        #[test]
        fn a_fault_shows_nothing_of_the_file(before in "[A-Z=\"'`# \n\r\u{feff}é]{0,20}", after: String) {
            let text = format!("{before}{SECRET}{after}");
            if let Err(error) = parse(&text) {
                prop_assert!(!format!("{error:#} {error:?}").contains(SECRET), "{:#}", error);
            }
        }

        #[test]
        fn a_quoted_value_is_read_as_it_is(value in "[^']{0,40}", name in "[A-Z][A-Z0-9_]{0,8}") {
            let variables = parse(&format!("X=1\n export {name} = '{value}' # more\nZZ=last")).expect("a file");
            prop_assert_eq!(variables[&name].expose_secret(), &value);
            prop_assert_eq!(variables["ZZ"].expose_secret(), "last");
        }
    }
}
