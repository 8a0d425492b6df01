//! `aloma-wasm new NAME`: a connector that builds and passes its own tests.
//!
//! The SDK goes with it as source, so that it builds anywhere and needs no registry but the usual one.

mod embedded;
mod manifest;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// The longest name, in bytes: it becomes a folder, a file and part of a registration.
const MOST_NAME_BYTES: usize = 64;

/// Words that cannot be the name of a crate: of the language, or of crates that every build has.
const TAKEN: [&str; 58] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "target",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// Writes the connector into a new folder of that name and gives the folder.
pub fn create(name: &str, parent: &Path) -> anyhow::Result<PathBuf> {
    check_name(name)?;
    let folder = parent.join(name);
    make_folder(&folder)?;
    let written = write_all(name, &folder);
    if written.is_err() {
        // The folder is ours: it did not exist a moment ago. What half a connector would be good for
        // nobody knows, and the error that matters is the first one.
        let _ = fs::remove_dir_all(&folder);
    }
    written.map(|()| folder)
}

/// What to do with the new connector, for the terminal.
pub fn next_steps(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let file = file_name(&name);
    let shown = folder.display();
    format!(
        "created {shown}\n\n\
         next:\n  \
         cd {shown}\n  \
         cargo test\n  \
         cargo build --release --target wasm32-wasip2\n  \
         aloma-wasm inspect target/wasm32-wasip2/release/{file}.wasm\n"
    )
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) || !name.chars().all(letter) {
        bail!(
            "`{name}` cannot be the name of a connector; use letters, digits, `-` and `_`, and begin \
             with a letter"
        );
    }
    if name.len() > MOST_NAME_BYTES {
        bail!(
            "a connector's name has at most {MOST_NAME_BYTES} characters, this one has {}",
            name.len()
        );
    }
    let crate_name = file_name(name).to_lowercase();
    let is_crate = |dependency: &String| file_name(dependency) == crate_name;
    if TAKEN.contains(&&*crate_name) || manifest::dependency_names().iter().any(is_crate) {
        bail!(
            "`{name}` is the name of something that Rust or the SDK uses already; choose another"
        );
    }
    Ok(())
}

fn make_folder(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        bail!("`{}` exists already; choose another name or remove it", folder.display());
    }
    fs::create_dir(folder)
        .with_context(|| format!("cannot create the folder `{}`", folder.display()))
}

fn write_all(name: &str, folder: &Path) -> anyhow::Result<()> {
    let fill = |text: &str| text.replace("{{name}}", name).replace("{{file}}", &file_name(name));
    write(folder, "Cargo.toml", &fill(&manifest::cargo_toml()))?;
    write(folder, "README.md", &fill(embedded::README))?;
    write(folder, "src/lib.rs", embedded::LIB)?;
    write(folder, ".gitignore", embedded::GITIGNORE)?;
    write(folder, "rust-toolchain.toml", embedded::TOOLCHAIN)?;
    for (path, text) in embedded::SDK {
        write(folder, &format!("aloma/{path}"), text)?;
    }
    Ok(())
}

fn write(folder: &Path, path: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create the folder `{}`", parent.display()))?;
    }
    fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))
}

/// The name of the crate, which is also the name of the component's file.
fn file_name(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let cases = [
            ("weather", true),
            ("my-crm_2", true),
            ("W", true),
            ("", false),
            ("2go", false),
            ("-x", false),
            ("_x", false),
            ("a b", false),
            ("a/b", false),
            ("..", false),
            ("ä", false),
            ("match", false),
            ("test", false),
            ("proc-macro", false),
            ("serde", false),
            ("serde-json", false),
            ("aloma-connector", false),
        ];
        for (name, good) in cases {
            assert_eq!(check_name(name).is_ok(), good, "{name}");
        }
        assert!(check_name(&"a".repeat(MOST_NAME_BYTES + 1)).is_err());
    }

    #[test]
    fn a_connector_is_written_whole() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = create("my-crm", parent.path()).expect("a connector");
        assert_eq!(folder, parent.path().join("my-crm"));
        let read = |path: &str| fs::read_to_string(folder.join(path)).expect(path);
        assert!(read("Cargo.toml").contains("name = \"my-crm\""));
        assert!(read("README.md").contains("release/my_crm.wasm"));
        for path in ["src/lib.rs", ".gitignore", "rust-toolchain.toml", "aloma/wit/world.wit"] {
            assert!(!read(path).is_empty(), "{path}");
        }
        assert!(!read("Cargo.toml").contains("{{"), "something was not filled in");
        assert!(next_steps(&folder).contains("my_crm.wasm"));
    }

    #[test]
    fn what_exists_is_not_touched() {
        let parent = tempfile::tempdir().expect("a folder");
        fs::write(parent.path().join("taken"), "mine").expect("a file");
        let error = create("taken", parent.path()).expect_err("it exists");
        assert!(error.to_string().contains("exists already"), "{error}");
        assert_eq!(fs::read_to_string(parent.path().join("taken")).expect("a file"), "mine");
    }
}
