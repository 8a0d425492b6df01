//! The `Cargo.toml` of a new connector, made from the one of this workspace, so that both build the
//! SDK alike.

use super::embedded::{CARGO_TOML, MACROS_CARGO_TOML, ROOT_CARGO_TOML, SDK_CARGO_TOML};

/// The `Cargo.toml`, but for the connector's name.
pub fn cargo_toml() -> String {
    let dependencies: Vec<String> =
        dependency_names().iter().filter_map(|name| entry(name)).collect();
    CARGO_TOML
        .replace("{{workspace.package}}", &sections("[workspace.package]"))
        .replace("{{workspace.dependencies}}", dependencies.concat().trim_end())
        .replace("{{workspace.lints}}", &sections("[workspace.lints."))
}

/// The dependencies that the SDK and the template take from their workspace.
pub fn dependency_names() -> Vec<String> {
    let manifests = [SDK_CARGO_TOML, MACROS_CARGO_TOML, CARGO_TOML];
    let mut names: Vec<String> =
        manifests.into_iter().flat_map(inherited).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

/// `name` of every `name.workspace = true` and `name = { workspace = true, .. }` among dependencies.
fn inherited(manifest: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut in_dependencies = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_dependencies = line.ends_with("dependencies]") && !line.starts_with("[workspace");
        } else if in_dependencies && line.contains("workspace = true") {
            names.extend(line.split(['.', ' ', '=']).next());
        }
    }
    names
}

/// What this workspace says of a dependency, to the end of its brackets, with the SDK where the new
/// connector has it.
fn entry(name: &str) -> Option<String> {
    let section = sections("[workspace.dependencies]");
    let begin = format!("{name} = ");
    let mut entry = String::new();
    for line in section.lines().skip_while(|line| !line.starts_with(&begin)) {
        entry.push_str(line);
        entry.push('\n');
        if entry.matches(['{', '[']).count() == entry.matches(['}', ']']).count() {
            break;
        }
    }
    let moved = entry.replace("path = \"guest-sdk", "path = \"aloma/guest-sdk");
    (!moved.is_empty()).then_some(moved)
}

/// The sections of this workspace whose heads begin so.
fn sections(head: &str) -> String {
    let mut found = String::new();
    let mut inside = false;
    for line in ROOT_CARGO_TOML.lines() {
        if line.starts_with('[') {
            inside = line.starts_with(head);
        }
        if inside {
            found.push_str(line);
            found.push('\n');
        }
    }
    found.truncate(found.trim_end().len());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dependency_of_the_sdk_is_found() {
        let names = dependency_names();
        for expected in ["aloma-connector", "aloma-connector-macros", "serde", "syn", "wit-bindgen"]
        {
            assert!(names.iter().any(|name| name == expected), "{expected} is not in {names:?}");
        }
        for name in names {
            assert!(entry(&name).is_some(), "the workspace says nothing of {name}");
        }
    }

    #[test]
    fn the_sdk_is_where_the_connector_has_it() {
        let made = cargo_toml();
        assert!(made.contains("aloma-connector = { path = \"aloma/guest-sdk\" }"), "{made}");
        assert!(made.contains("[workspace.lints.clippy]"), "{made}");
        assert!(made.contains("[workspace.package]"), "{made}");
        assert!(!made.contains("wasmtime"), "{made}");
    }
}
