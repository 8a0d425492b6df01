//! A connector that panics.

use aloma_connector::{Result, connector};
use misbehaving::WELL;

/// The controller.
#[derive(Default)]
pub struct Panic;

/// Panics.
#[connector]
impl Panic {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// panics
    pub async fn misbehave(&self) -> Result<()> {
        panic!("on purpose");
    }
}
