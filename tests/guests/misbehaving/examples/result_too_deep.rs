//! A connector whose result is JSON that is nested 100,000 deep.

/// Enough for the stack of any parser that recurses.
#[cfg(target_family = "wasm")]
const DEPTH: usize = 100_000;

misbehaving::answers!("[".repeat(DEPTH) + &"]".repeat(DEPTH));
