//! The connectors that tests run. `build.rs` has built them.

use std::path::{Path, PathBuf};

/// The project's folder.
pub const PROJECT: &str = env!("PROJECT_ROOT");

/// The component of that name: an example, or a folder of `tests/guests`.
pub fn guest(name: &str) -> PathBuf {
    // Cargo's spelling of a library's file.
    let file = format!("{}.wasm", name.replace('-', "_"));
    let path = Path::new(env!("GUESTS_DIR")).join(file);
    assert!(path.exists(), "there is no guest {name}: {} is missing", path.display());
    path
}
