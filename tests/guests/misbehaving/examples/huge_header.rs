//! A connector that sends a header field of 1 MB.

use aloma_connector::{Error, Result, connector, http};
use misbehaving::{Place, WELL, outgoing};
use wasip2::http::types::{Fields, Method};

/// Bytes of the field.
const HUGE: usize = 1_000_000;

/// The controller.
#[derive(Default)]
pub struct HugeHeader;

/// Sends a header field of 1 MB.
#[connector]
impl HugeHeader {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// sends it by our interface
    pub async fn misbehave(&self, place: Place) -> Result<u16> {
        Ok(http::get(&place.url).header("x-huge", "x".repeat(HUGE)).send().await?.status())
    }

    /// sends it by `wasi:http`
    pub async fn misbehave_by_wasi(&self, place: Place) -> Result<u16> {
        let fields = Fields::new();
        let appended = fields.append("x-huge", &vec![b'x'; HUGE]);
        appended.map_err(|error| Error::msg(format!("{error:?}")))?;
        Ok(outgoing::send(outgoing::request(&Method::Get, &place, fields)?, None)?.status())
    }
}
