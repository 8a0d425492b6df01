//! A connector that never ends to start, unless it is told to.

use aloma_connector::{Field, Result, Setup, config, connector};
use misbehaving::WELL;

/// The controller.
#[derive(Default)]
pub struct EndlessStart;

/// Never ends to start, unless it is told to.
#[connector]
impl EndlessStart {
    #[setup]
    fn setup() -> Setup {
        Setup::new().field(Field::line("WELL").plain().optional())
    }

    #[start]
    async fn start(&self) -> Result<()> {
        while config::get("WELL").is_none() {}
        Ok(())
    }

    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// behaves, too: nobody gets so far
    pub async fn misbehave(&self) -> Result<&'static str> {
        Ok(WELL)
    }
}
