//! The files that a settings file names, so that a change of one of them can be noticed.

use std::path::{Path, PathBuf};

use toml::Value;

/// The keys whose text is a path.
const KEYS: &[&str] = &["file", "ca-file", "certificate", "key"];

/// What a text of settings names, as it may be there. One key too many does no harm.
pub fn files(text: &str, folder: &Path) -> Vec<PathBuf> {
    let Ok(table) = toml::from_str::<toml::Table>(text) else { return Vec::new() };
    let mut found = Vec::new();
    collect(&Value::Table(table), folder, &mut found);
    found
}

fn collect(value: &Value, folder: &Path, found: &mut Vec<PathBuf>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                match value {
                    Value::String(path) if KEYS.contains(&key.as_str()) => {
                        found.push(folder.join(path));
                    }
                    value => collect(value, folder, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, folder, found)),
        _ => {}
    }
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
}
