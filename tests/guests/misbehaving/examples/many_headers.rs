//! A connector that sends 10,000 header fields.

use aloma_connector::{Error, Result, connector, http};
use misbehaving::{Place, WELL, outgoing};
use wasip2::http::types::{Fields, Method};

/// The controller.
#[derive(Default)]
pub struct ManyHeaders;

/// Sends 10,000 header fields.
#[connector]
impl ManyHeaders {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// sends them by our interface
    pub async fn misbehave(&self, place: Place) -> Result<u16> {
        let request = names().fold(http::get(&place.url), |all, name| all.header(name, "1"));
        Ok(request.send().await?.status())
    }

    /// sends them by `wasi:http`
    pub async fn misbehave_by_wasi(&self, place: Place) -> Result<u16> {
        let fields = Fields::new();
        for name in names() {
            fields.append(&name, b"1").map_err(|error| Error::msg(format!("{error:?}")))?;
        }
        Ok(outgoing::send(outgoing::request(&Method::Get, &place, fields)?, None)?.status())
    }
}

fn names() -> impl Iterator<Item = String> {
    (0..10_000).map(|number| format!("x-{number}"))
}
