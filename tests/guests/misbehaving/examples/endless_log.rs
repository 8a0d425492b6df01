//! A connector that logs without end.

use aloma_connector::{Result, connector, info};
use misbehaving::WELL;

/// Bytes.
const LONG: usize = 1 << 20;

/// The controller.
#[derive(Default)]
pub struct EndlessLog;

/// Logs without end.
#[connector]
impl EndlessLog {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// logs without end
    pub async fn misbehave(&self) -> Result<()> {
        loop {
            info!("a line of many");
        }
    }

    /// logs lines of 1 MiB without end
    pub async fn misbehave_in_long_lines(&self) -> Result<()> {
        let line = "x".repeat(LONG);
        loop {
            info!("{line}");
        }
    }
}
