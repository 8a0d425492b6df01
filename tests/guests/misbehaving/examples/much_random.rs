//! A connector that asks for a gigabyte of random bytes at once.

use aloma_connector::{Result, connector};
use misbehaving::WELL;
use wasip2::random::insecure::get_insecure_random_bytes;
use wasip2::random::random::get_random_bytes;

/// Bytes.
const MUCH: u64 = 1_000_000_000;

/// The controller.
#[derive(Default)]
pub struct MuchRandom;

/// Asks for a gigabyte of random bytes at once.
#[connector]
impl MuchRandom {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// asks for it
    pub async fn misbehave(&self) -> Result<usize> {
        Ok(get_random_bytes(MUCH).len())
    }

    /// asks for some that need not be good
    pub async fn misbehave_insecurely(&self) -> Result<usize> {
        Ok(get_insecure_random_bytes(MUCH).len())
    }
}
