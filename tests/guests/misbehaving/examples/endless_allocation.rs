//! A connector that takes all the memory there is.

use std::hint::black_box;

use aloma_connector::{Result, connector};
use misbehaving::WELL;

/// The controller.
#[derive(Default)]
pub struct EndlessAllocation;

/// Takes all the memory there is.
#[connector]
impl EndlessAllocation {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// allocates without end
    pub async fn misbehave(&self) -> Result<usize> {
        let mut held: Vec<Vec<u8>> = Vec::new();
        loop {
            held.push(black_box(vec![1; 1 << 20]));
        }
    }
}
