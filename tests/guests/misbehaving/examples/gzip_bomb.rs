//! A connector that reads an answer that is far larger than it looks.

use aloma_connector::{Result, connector, http};
use misbehaving::{Place, WELL, outgoing};
use wasip2::http::types::{Fields, Method};

/// The controller.
#[derive(Default)]
pub struct GzipBomb;

/// Reads an answer that is far larger than it looks.
#[connector]
impl GzipBomb {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// reads it whole
    pub async fn misbehave(&self, place: Place) -> Result<usize> {
        Ok(http::get(&place.url).send().await?.bytes().len())
    }

    /// reads it piece by piece
    pub async fn misbehave_in_pieces(&self, place: Place) -> Result<u64> {
        let request = outgoing::request(&Method::Get, &place, Fields::new())?;
        outgoing::read(outgoing::send(request, None)?)
    }
}
