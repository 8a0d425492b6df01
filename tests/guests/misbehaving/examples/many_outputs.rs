//! A connector that prints on thousands of streams at once.

use aloma_connector::{Result, connector};
use misbehaving::WELL;
use wasip2::cli::stdout::get_stdout;

/// Streams: less than the handles that it may have.
const MANY: usize = 5000;

/// Bytes that it prints at once.
const PIECE: usize = 4096;

/// The controller.
#[derive(Default)]
pub struct ManyOutputs;

/// Prints on many streams.
#[connector]
impl ManyOutputs {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// fills them all with short lines, without end and without waiting
    pub async fn misbehave(&self) -> Result<()> {
        let lines = "a\n".repeat(PIECE / 2);
        let streams: Vec<_> = (0..MANY).map(|_| get_stdout()).collect();
        loop {
            for stream in &streams {
                // One that has no room is for the next round.
                if stream.check_write().is_ok_and(|room| room >= PIECE as u64) {
                    let _ = stream.write(lines.as_bytes());
                }
            }
        }
    }
}
