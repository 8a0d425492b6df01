//! What a settings file names: files, so that a change of one of them can be noticed, and variables, so
//! that no connector gets one that is for something else.
//!
//! Only what stands where a path or a name stands is one. Everything else may be a secret, and these
//! are shown.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// The files that settings name, as they may be there.
pub fn files(text: &str, folder: &Path) -> Vec<PathBuf> {
    let Ok(table) = toml::from_str::<Table>(text) else { return Vec::new() };
    let sources = sources(&table).filter_map(|source| only(source, "file"));
    let paths = sources.chain(certificates(&table)).chain(authorities(&table));
    paths.map(|path| folder.join(path)).collect()
}

/// The variables that settings take something from.
pub fn variables(text: &str) -> BTreeSet<String> {
    let Ok(table) = toml::from_str::<Table>(text) else { return BTreeSet::new() };
    sources(&table).filter_map(|source| only(source, "env")).map(str::to_owned).collect()
}

/// The places where a value may come from a file or a variable.
fn sources(table: &Table) -> impl Iterator<Item = &Value> {
    let sections = ["config", "workspace"].into_iter().filter_map(|name| table.get(name));
    let credentials = table.get("credentials").into_iter().flat_map(entries);
    let keys = sections.chain(credentials.map(|(_, credential)| credential)).flat_map(entries);
    // Claims are sent as they are written.
    keys.filter(|(key, _)| *key != "claims").map(|(_, value)| value)
}

fn certificates(table: &Table) -> impl Iterator<Item = &str> {
    let grants = table.get("grant").and_then(Value::as_array).into_iter().flatten();
    let pairs = grants.filter_map(|grant| grant.get("client-certificate"));
    pairs.flat_map(|pair| ["certificate", "key"].map(|key| pair.get(key)?.as_str())).flatten()
}

fn authorities(table: &Table) -> Option<&str> {
    table.get("network")?.get("ca-file")?.as_str()
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_table().into_iter().flatten().map(|(key, value)| (&**key, value))
}

/// The path of `{ file = "path" }`, the name of `{ env = "NAME" }`.
fn only<'a>(source: &'a Value, key: &str) -> Option<&'a str> {
    source.as_table().filter(|table| table.len() == 1)?.get(key)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_certificates_are_found_wherever_they_stand() {
        let text = "component = 'x.wasm'\n[config]\nA = 'text'\nB = { file = 'b' }\n\
            [[grant]]\norigin = 'https://a.example'\n\
            client-certificate = { certificate = 'c.pem', key = '/k.pem' }\n\
            [credentials.x]\ntype = 'bearer'\ntoken = { file = 't' }\n\
            [network]\nca-file = 'ca.pem'\n[workspace]\ntoken = { env = 'X' }\n";
        let mut found = files(text, Path::new("/etc"));
        found.sort();
        let expected = ["/etc/b", "/etc/c.pem", "/etc/ca.pem", "/etc/t", "/k.pem"];
        assert_eq!(found, expected.map(PathBuf::from));
        assert!(files("no toml", Path::new("")).is_empty());
    }

    #[test]
    fn variables_are_found_wherever_they_stand() {
        let text = "id = 'env'\n[config]\nA = { env = 'OF_A' }\nenv = 'hunter2'\n\
            [credentials.x]\ntype = 'bearer'\ntoken = { env = 'OF_X' }\n\
            [credentials.y]\ntype = 'jwt-bearer'\nclaims = { env = 'hunter2' }\n\
            [workspace]\ntoken = { env = 'OF_US' }\n";
        let found: Vec<_> = variables(text).into_iter().collect();
        assert_eq!(found, ["OF_A", "OF_US", "OF_X"]);
        assert!(variables("no toml").is_empty());
    }

    /// Every text under `key`, `file` and the like was once taken for a path, and paths are logged.
    #[test]
    fn a_secret_under_the_name_of_a_path_is_none() {
        for text in [
            "[config]\nkey = 'hunter2'\nfile = 'hunter2'\ncertificate = 'hunter2'",
            "[config]\nfile = 'hunter2'",
            "[config]\nca-file = 'hunter2'",
            "[credentials.x]\ntype = 'jwt-bearer'\nkey = 'hunter2'",
            "[credentials.file]\ntype = 'bearer'\ntoken = 'hunter2'",
            "[credentials.x]\ntype = 'jwt-bearer'\nclaims = { file = 'hunter2' }",
            "[workspace]\ntoken = 'hunter2'",
        ] {
            let found = files(text, Path::new("/etc"));
            assert!(found.is_empty(), "{text}: {found:?}");
        }
    }
}
