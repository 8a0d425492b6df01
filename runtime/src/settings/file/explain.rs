//! What is wrong with a TOML file, in a line for people: where, what, and what to write instead.
//!
//! Never with what the file holds there. The TOML library's own text shows the line, which may be a
//! secret.

/// The tables of the file.
const TABLES: [&str; 8] =
    ["accepted", "config", "credentials", "grant", "limits", "network", "secrets", "workspace"];

/// The text for an error.
pub(super) fn explain(error: &toml::de::Error, text: &str) -> String {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    let number = 1 + text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
    let line = text.lines().nth(number - 1).unwrap_or_default().trim();
    let marked = error.span().and_then(|span| text.get(span)).unwrap_or_default();
    format!("line {number}: {}", what(error.message(), line, marked))
}

/// `marked` is the part of the text that the error is about.
fn what(message: &str, line: &str, marked: &str) -> String {
    if let Some(header) = header_with_more(line) {
        return format!("{header} stands on a line of its own; write what follows it on the next");
    }
    if line.starts_with("[grant]") {
        return "write it as [[grant]], for there may be several".into();
    }
    let message = message.lines().next().unwrap_or_default();
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return unknown_key(rest);
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let names = quoted(rest);
        let (given, known) = names.split_first().unwrap_or((&"", &[]));
        return format!("there is no `{given}` here; write {}", either(known));
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        return format!("the key {rest} is missing");
    }
    if message.starts_with("duplicate key") {
        // Not the beginning of the line: in a list that may be a value.
        return match is_bare(marked) {
            true => format!("the key `{marked}` is there twice"),
            false => "a key is there twice".into(),
        };
    }
    if let Some(kind) = message.strip_prefix("invalid type: ") {
        return wrong_kind(kind);
    }
    message.to_owned()
}

/// Whether it can be a key without quotes.
fn is_bare(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !text.is_empty() && text.chars().all(fits)
}

/// `[[grant]] origin = …`, as a refusal writes it to fit one line. Only with a name that is known: what
/// else looks like a header may be a part of a value.
fn header_with_more(line: &str) -> Option<&str> {
    let end = if line.starts_with("[[") { line.find("]]")? + 2 } else { line.find(']')? + 1 };
    let (header, rest) = (&line[..end], line[end..].trim_start());
    let name = header.trim_start_matches('[').split(['.', ']']).next().unwrap_or_default().trim();
    let is_known = line.starts_with('[') && TABLES.contains(&name);
    let more = is_known && !rest.is_empty() && !rest.starts_with('#');
    more.then_some(header)
}

fn unknown_key(rest: &str) -> String {
    let names = quoted(rest);
    let Some((given, known)) = names.split_first() else { return "there is no such key".into() };
    let nearest = known.iter().min_by_key(|known| distance(given, known));
    match nearest.filter(|known| distance(given, known) <= 1 + given.len() / 4) {
        Some(nearest) => format!("there is no key `{given}`; did you mean `{nearest}`?"),
        None => format!("there is no key `{given}`; there are: {}", known.join(", ")),
    }
}

/// What stands in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn either(names: &[&str]) -> String {
    match names {
        [] => "something else".into(),
        [one] => format!("`{one}`"),
        [most @ .., last] => format!("`{}` or `{last}`", most.join("`, `")),
    }
}

/// `string "…", expected a boolean`, without the value.
fn wrong_kind(text: &str) -> String {
    let (given, expected) = text.split_once(", expected ").unwrap_or((text, ""));
    // A value may hold the word, too.
    let expected = expected.rsplit(", expected ").next().unwrap_or(expected);
    let words = [
        ("string", "a text"),
        ("integer", "a number"),
        ("floating point", "a number with a fraction"),
        ("boolean", "true or false"),
        ("map", "a table"),
        ("sequence", "a list"),
    ];
    let given = words.iter().find(|(word, _)| given.starts_with(word));
    let given = given.map_or("something else", |(_, word)| word);
    let expected = match expected {
        "a string" | "path string" => "a text",
        "a boolean" => "true or false",
        "i64" | "u32" | "u64" => "a whole number",
        "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    match expected {
        "" => format!("this is {given}"),
        // Where it is told already what to write.
        form if form.starts_with("write ") => form.to_owned(),
        _ => format!("this is {given}; write {expected}"),
    }
}

/// How many letters must be changed, added, left out or swapped with their neighbour to make one word
/// of the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let mut least = (row[j] + usize::from(a != b)).min(row[j + 1] + 1).min(next[j] + 1);
            let is_swapped = i > 0 && j > 0 && a == &to[j - 1] && b == &from[i - 1];
            if is_swapped {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::file::File;

    /// Both once told the beginning of the line, which was a value.
    #[test]
    fn a_list_that_looks_like_a_header_or_a_key_is_not_told() {
        for (value, told) in [
            ("[\n[\"s3cret\"], x\n]", "line 3: "),
            ("[\n\"s3cret\", { a = 1, a = 2 }\n]", "line 3: the key `a` is there twice"),
            ("[\n\"s3cret\", { \"a b\" = 1, \"a b\" = 2 }\n]", "line 3: a key is there twice"),
        ] {
            let text = format!("[config]\nKEY = {value}\n");
            let error = File::parse(&text, Path::new("x")).expect_err(&text).to_string();
            assert!(error.contains(told) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn words_are_near_where_little_must_be_changed() {
        for (from, to, expected) in [
            ("origin", "origin", 0),
            ("orgin", "origin", 1),
            ("oirgin", "origin", 1),
            ("grants", "grant", 1),
            ("retries", "redirects", 4),
            ("", "abc", 3),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
            assert_eq!(distance(to, from), expected, "{to} {from}");
        }
    }
}
