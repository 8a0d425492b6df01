//! A connector that means to keep working after its call was cancelled.

use aloma_connector::{Result, connector, http, join_all};
use misbehaving::{Place, WELL};

/// Requests.
const AT_ONCE: usize = 4;

/// The controller.
#[derive(Default)]
pub struct Restless;

/// Means to keep working after its call was cancelled.
#[connector]
impl Restless {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// asks several at once, again and again, whatever comes of it
    pub async fn misbehave(&self, place: Place) -> Result<()> {
        loop {
            let asked = (0..AT_ONCE).map(|_| http::get(&place.url).attempts(1).send());
            let _ = join_all(asked).await;
        }
    }
}
