//! The connectors that tests run. `build.rs` has built them.

use std::path::{Path, PathBuf};

/// The project's folder.
pub const PROJECT: &str = env!("PROJECT_ROOT");

/// The component of that name: an example, a folder of `tests/guests`, or one that misbehaves.
pub fn guest(name: &str) -> PathBuf {
    // Cargo's spelling of a library's file.
    let file = format!("{}.wasm", name.replace('-', "_"));
    let built = Path::new(env!("GUESTS_DIR"));
    let places = [built.join(&file), built.join("examples").join(&file)];
    let found = places.iter().find(|path| path.exists());
    found.unwrap_or_else(|| panic!("there is no guest {name}: no {places:?}")).clone()
}
