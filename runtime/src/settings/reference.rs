//! Keeps `docs/connector-toml.md` true: what it shows can be read, and it names every key.

use std::path::Path;

use super::file::File;
use crate::envelope::{Limit, Limits};

const REFERENCE: &str = include_str!("../../../docs/connector-toml.md");

/// The texts between the fences.
fn examples() -> Vec<&'static str> {
    let blocks = REFERENCE.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().expect("a fence that ends")).collect()
}

fn parse(text: &str) -> Result<File, String> {
    let file = File::parse(text, Path::new("connector.toml"));
    file.map_err(|error| format!("{error:#}"))
}

/// The keys that there are in a place, by what is said of one that there is not.
fn keys(before: &str) -> Vec<String> {
    let text = format!("{before}\nthere-is-no-such-key-anywhere = 1\n");
    let told = parse(&text).expect_err(before);
    let (_, names) = told.split_once("; there are: ").unwrap_or_else(|| panic!("{told}"));
    names.split(", ").map(str::to_owned).collect()
}

/// The part under a heading, up to the next one.
fn part(heading: &str) -> &'static str {
    let start = format!("\n{heading}\n");
    let (_, rest) = REFERENCE.split_once(&start).unwrap_or_else(|| panic!("no {heading}"));
    rest.split("\n#").next().unwrap_or(rest)
}

#[test]
fn every_example_is_a_settings_file() {
    let examples = examples();
    assert!(examples.len() > 10, "{}", examples.len());
    // A grant's credential may stand in another example.
    for example in examples {
        parse(example).unwrap_or_else(|error| panic!("{error}\n{example}"));
    }
}

#[test]
fn every_key_is_described() {
    let kinds = [
        "bearer",
        "basic",
        "header",
        "query",
        "client-credentials",
        "refresh-token",
        "jwt-bearer",
        "aws-sigv4",
        "oauth",
    ];
    let sections = [
        ("## Top level", ""),
        ("## [secrets.KEY]", "[secrets.X]"),
        ("## [[grant]]", "[[grant]]"),
        ("## [network]", "[network]"),
        ("## [workspace]", "[workspace]"),
        ("## [limits]", "[limits]"),
        ("## [accepted]", "[accepted]"),
    ];
    for (heading, before) in sections {
        check(heading, part(heading), keys(before));
    }
    for kind in kinds {
        let heading = format!("### {kind}");
        let common = part("## [credentials.NAME]");
        let known = keys(&format!("[credentials.x]\ntype = '{kind}'"));
        check(&heading, &format!("{common}{}", part(&heading)), known);
    }
    let told = parse("[credentials.x]\ntype = 'none-of-them'").expect_err("no kind");
    assert_eq!(told.split('`').skip(3).step_by(2).collect::<Vec<_>>(), kinds, "{told}");
}

/// Every key that there is has a row, and every row a key.
fn check(heading: &str, text: &str, known: Vec<String>) {
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let first = rows.filter_map(|row| row.split('|').nth(1));
    let described: Vec<_> = first.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    for key in &known {
        assert!(described.contains(&key.as_str()), "{heading} lacks {key}: {described:?}");
    }
    for key in described {
        let is_tag = key == "type";
        assert!(is_tag || known.iter().any(|one| one == key), "{heading}: there is no {key}");
    }
}

#[test]
fn every_limit_has_its_range_and_default() {
    let rows = part("## [limits]");
    for limit in Limit::all() {
        let (key, range) = (limit.key(), limit.range());
        let default = Limits::default().get(limit);
        let row = format!("| `{key}` | {} to {} | {default} | ", range.start(), range.end());
        assert!(rows.contains(&row), "no row begins with {row}");
    }
}
