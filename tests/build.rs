//! Builds the guests for wasm, so that `cargo test` on a fresh clone is the whole story.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const TARGET: &str = "wasm32-wasip2";
/// The examples that are connectors.
const EXAMPLES: [&str; 3] = ["hello", "fetch", "users"];
/// The package whose examples are guests, too.
const MISBEHAVING: &str = "misbehaving";
/// What makes guests different.
const SOURCES: [&str; 6] =
    ["Cargo.toml", "Cargo.lock", "examples", "guest-sdk", "tests/guests", "wit"];
/// Its flags, its target, and clippy in place of the compiler.
const OF_THE_OUTER_BUILD: [&str; 5] = [
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
];

fn main() {
    let root = Path::new(&variable("CARGO_MANIFEST_DIR")).join("..");
    let root = root.canonicalize().unwrap_or_else(|error| fail(&format!("{error}")));
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    check_target();
    let built = build(&root, &target_directory());
    println!("cargo::rustc-env=GUESTS_DIR={}", built.display());
    println!("cargo::rustc-env=PROJECT_ROOT={}", root.display());
}

fn build(root: &Path, target_directory: &Path) -> PathBuf {
    let packages = EXAMPLES.map(String::from).into_iter().chain(guests(root));
    let packages = packages.flat_map(|package| ["--package".to_owned(), package]);
    cargo(root, target_directory, packages);
    let examples = ["--package", MISBEHAVING, "--examples"].map(String::from);
    cargo(root, target_directory, examples);
    target_directory.join(TARGET).join("release")
}

fn cargo(root: &Path, target_directory: &Path, what: impl IntoIterator<Item = String>) {
    let mut cargo = Command::new(variable("CARGO"));
    cargo.current_dir(root).args(["build", "--release", "--target", TARGET, "--target-dir"]);
    cargo.arg(target_directory).args(what);
    for name in OF_THE_OUTER_BUILD {
        cargo.env_remove(name);
    }
    match cargo.status() {
        Ok(status) if status.success() => {}
        Ok(_) => fail("the guests of the tests do not build; what is wrong is said above"),
        Err(error) => fail(&format!("cannot run cargo for the guests: {error}")),
    }
}

/// Every folder of `tests/guests` is a package of that name.
fn guests(root: &Path) -> Vec<String> {
    let folder = root.join("tests/guests");
    let entries = folder.read_dir().unwrap_or_else(|error| fail(&format!("{folder:?}: {error}")));
    let packages = entries.flatten().filter(|entry| entry.path().join("Cargo.toml").exists());
    packages.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// `target/guests`: a folder of its own, because the outer build holds the lock of its own.
fn target_directory() -> PathBuf {
    let out = PathBuf::from(variable("OUT_DIR"));
    let in_profile = |folder: &&Path| folder.file_name().is_some_and(|name| name == "build");
    let build = out.ancestors().find(in_profile).unwrap_or(&out);
    build.ancestors().nth(2).unwrap_or(build).join("guests")
}

fn check_target() {
    let asked = Command::new(variable("RUSTC"))
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .unwrap_or_else(|error| fail(&format!("cannot run rustc: {error}")));
    if !Path::new(String::from_utf8_lossy(&asked.stdout).trim()).exists() {
        fail(&format!(
            "the target {TARGET} is not installed; add it with \
             `rustup target add wasm32-wasip1 wasm32-wasip2`"
        ));
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("cargo did not set {name}")))
}

fn fail(what: &str) -> ! {
    println!("cargo::error={what}");
    exit(1)
}
