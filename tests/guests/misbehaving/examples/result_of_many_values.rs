//! A connector whose result is small as a text and huge as a tree: a list of seven million numbers.

/// Each is two bytes of text, and many times that for whoever parses it.
#[cfg(target_family = "wasm")]
const VALUES: usize = 7_000_000;

misbehaving::answers!(format!("[0{}]", ",0".repeat(VALUES - 1)));
