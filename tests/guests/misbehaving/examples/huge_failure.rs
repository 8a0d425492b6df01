//! A connector that fails with a message of 40 MB.

use aloma_connector::{Error, Result, connector};
use misbehaving::WELL;

/// Bytes: less than a host call takes.
const HUGE: usize = 40_000_000;

/// The controller.
#[derive(Default)]
pub struct HugeFailure;

/// Fails with a message of 40 MB.
#[connector]
impl HugeFailure {
    #[health_check]
    async fn health_check(&self) -> Result<()> {
        Err(huge())
    }

    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// fails
    pub async fn misbehave(&self) -> Result<()> {
        Err(huge())
    }
}

fn huge() -> Error {
    Error::msg("x".repeat(HUGE))
}
