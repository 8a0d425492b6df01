//! A connector that sleeps past its deadline.

use std::time::Duration;

use aloma_connector::{Result, connector, time};
use misbehaving::WELL;

/// Longer than any call.
const LONG: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The controller.
#[derive(Default)]
pub struct Oversleeper;

/// Sleeps past its deadline.
#[connector]
impl Oversleeper {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// sleeps by our interface
    pub async fn misbehave(&self) -> Result<()> {
        time::sleep(LONG).await;
        Ok(())
    }

    /// sleeps by WASI
    pub async fn misbehave_by_wasi(&self) -> Result<()> {
        std::thread::sleep(LONG);
        Ok(())
    }
}
