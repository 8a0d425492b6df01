//! A connector that never ends to describe itself.

use aloma_connector::{Result, Setup, connector};
use misbehaving::WELL;

/// The controller.
#[derive(Default)]
pub struct EndlessDescribe;

/// Never ends to describe itself.
#[connector]
impl EndlessDescribe {
    #[setup]
    fn setup() -> Setup {
        loop {
            std::hint::spin_loop();
        }
    }

    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }
}
