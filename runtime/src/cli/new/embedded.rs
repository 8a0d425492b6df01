//! The text of a new connector: the template, and the SDK and the contract as they are here.

/// The manifest, with places to fill in.
pub const CARGO_TOML: &str = include_str!("../../../template/Cargo.toml.in");
/// The notes for its author, with places to fill in.
pub const README: &str = include_str!("../../../template/README.md.in");
/// The connector.
pub const LIB: &str = include_str!("../../../template/lib.rs.in");
/// What is not kept.
pub const GITIGNORE: &str = include_str!("../../../template/gitignore.in");

/// The compiler that this workspace is built with, which the SDK is known to build with.
pub const TOOLCHAIN: &str = include_str!("../../../../rust-toolchain.toml");
/// The manifest of this workspace.
pub const ROOT_CARGO_TOML: &str = include_str!("../../../../Cargo.toml");
/// The manifest of the SDK.
pub const SDK_CARGO_TOML: &str = include_str!("../../../../guest-sdk/Cargo.toml");
/// The manifest of the SDK's macros.
pub const MACROS_CARGO_TOML: &str = include_str!("../../../../guest-sdk/macros/Cargo.toml");

/// An entry by its path from the root of this workspace.
macro_rules! embed {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../", $path)))),+]
    };
}

/// Every file of the SDK and the contract.
pub const SDK: &[(&str, &str)] = embed![
    "guest-sdk/Cargo.toml",
    "guest-sdk/macros/Cargo.toml",
    "guest-sdk/macros/src/docs.rs",
    "guest-sdk/macros/src/expand.rs",
    "guest-sdk/macros/src/lib.rs",
    "guest-sdk/macros/src/method.rs",
    "guest-sdk/macros/src/model.rs",
    "guest-sdk/macros/src/names.rs",
    "guest-sdk/macros/src/tests.rs",
    "guest-sdk/src/actions.rs",
    "guest-sdk/src/bindings.rs",
    "guest-sdk/src/component.rs",
    "guest-sdk/src/config.rs",
    "guest-sdk/src/context.rs",
    "guest-sdk/src/controller.rs",
    "guest-sdk/src/credential.rs",
    "guest-sdk/src/error.rs",
    "guest-sdk/src/executor.rs",
    "guest-sdk/src/host.rs",
    "guest-sdk/src/host/wasm.rs",
    "guest-sdk/src/http.rs",
    "guest-sdk/src/http/client.rs",
    "guest-sdk/src/http/error.rs",
    "guest-sdk/src/http/request.rs",
    "guest-sdk/src/http/response.rs",
    "guest-sdk/src/http/send.rs",
    "guest-sdk/src/http/url.rs",
    "guest-sdk/src/join.rs",
    "guest-sdk/src/lib.rs",
    "guest-sdk/src/limits.rs",
    "guest-sdk/src/logging.rs",
    "guest-sdk/src/manifest.rs",
    "guest-sdk/src/panics.rs",
    "guest-sdk/src/setup.rs",
    "guest-sdk/src/testing.rs",
    "guest-sdk/src/testing/clock.rs",
    "guest-sdk/src/testing/connector.rs",
    "guest-sdk/src/testing/host.rs",
    "guest-sdk/src/testing/http.rs",
    "guest-sdk/src/testing/import.rs",
    "guest-sdk/src/testing/workspace.rs",
    "guest-sdk/src/time.rs",
    "guest-sdk/src/workspace.rs",
    "guest-sdk/tests/controller.rs",
    "guest-sdk/tests/waiting.rs",
    "wit/actions.wit",
    "wit/config.wit",
    "wit/http.wit",
    "wit/lifecycle.wit",
    "wit/logging.wit",
    "wit/types.wit",
    "wit/workspace.wit",
    "wit/world.wit",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    #[test]
    fn no_file_of_the_sdk_is_missing() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let mut there = BTreeSet::new();
        for folder in ["guest-sdk", "wit"] {
            collect(&root.join(folder), root, &mut there);
        }
        let embedded: BTreeSet<String> = SDK.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(embedded, there, "the table above differs from what is in the folders");
    }

    fn collect(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // What builds and editors leave behind is no part of the SDK.
            if name == "target" || name.starts_with('.') || name == "Cargo.lock" {
                continue;
            }
            if path.is_dir() {
                collect(&path, root, found);
            } else {
                let inside = path.strip_prefix(root).expect("a path in the workspace");
                found.insert(inside.to_string_lossy().replace('\\', "/"));
            }
        }
    }
}
