//! A connector that makes requests without end.

use aloma_connector::{Result, connector, http};
use misbehaving::{Place, WELL};

/// The controller.
#[derive(Default)]
pub struct EndlessRequests;

/// Makes requests without end.
#[connector]
impl EndlessRequests {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// makes one after the other until one fails
    pub async fn misbehave(&self, place: Place) -> Result<()> {
        loop {
            http::get(&place.url).send().await?;
        }
    }

    /// makes one after the other, whatever comes of them
    pub async fn misbehave_deafly(&self, place: Place) -> Result<()> {
        loop {
            let _ = http::get(&place.url).send().await;
        }
    }
}
