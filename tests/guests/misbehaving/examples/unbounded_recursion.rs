//! A connector that calls itself without end.

use std::hint::black_box;

use aloma_connector::{Result, connector};
use misbehaving::WELL;

/// The controller.
#[derive(Default)]
pub struct UnboundedRecursion;

/// Calls itself without end.
#[connector]
impl UnboundedRecursion {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// calls itself without end
    pub async fn misbehave(&self) -> Result<u64> {
        Ok(deeper(0))
    }
}

#[expect(unconditional_recursion, reason = "this is the misbehaviour")]
fn deeper(depth: u64) -> u64 {
    // The sum after the call keeps it from becoming a loop.
    black_box(deeper(black_box(depth + 1))) + depth
}
