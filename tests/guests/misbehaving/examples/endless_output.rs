//! A connector that prints without end.

use aloma_connector::{Result, connector};
use misbehaving::WELL;

/// Bytes of a part of the line.
const LARGE: usize = 1 << 20;

/// The controller.
#[derive(Default)]
pub struct EndlessOutput;

/// Prints without end.
#[connector]
impl EndlessOutput {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// prints lines without end
    pub async fn misbehave(&self) -> Result<()> {
        loop {
            println!("a printed line of many");
        }
    }

    /// prints one line that never ends
    pub async fn misbehave_in_one_line(&self) -> Result<()> {
        let part = "x".repeat(LARGE);
        loop {
            print!("{part}");
        }
    }
}
