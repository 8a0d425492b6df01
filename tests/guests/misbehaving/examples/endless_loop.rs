//! A connector that never ends.

use std::hint::black_box;

use aloma_connector::{Result, connector};
use misbehaving::WELL;

/// The controller.
#[derive(Default)]
pub struct EndlessLoop;

/// Never ends.
#[connector]
impl EndlessLoop {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// computes without end
    pub async fn misbehave(&self) -> Result<()> {
        let mut turns = 0_u64;
        loop {
            turns = black_box(turns.wrapping_add(1));
        }
    }
}
