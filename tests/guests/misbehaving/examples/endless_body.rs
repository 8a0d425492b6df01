//! A connector that streams out a body of 10 GB.

use aloma_connector::{Result, connector};
use misbehaving::{Place, WELL, outgoing};

/// The controller.
#[derive(Default)]
pub struct EndlessBody;

/// Streams out a body of 10 GB.
#[connector]
impl EndlessBody {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// streams it out
    pub async fn misbehave(&self, place: Place) -> Result<u16> {
        outgoing::upload(&place, 10_000_000_000)
    }
}
