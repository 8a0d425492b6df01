//! A connector that gives time limits of nothing, less than nothing and centuries.

use std::time::Duration;

use aloma_connector::{Result, connector, http, time};
use misbehaving::{Place, WELL, outgoing};
use wasip2::clocks::monotonic_clock::{subscribe_duration, subscribe_instant};
use wasip2::http::types::{Fields, Method, RequestOptions};

/// Zero, the largest number, which is -1 as well, and the smallest of those below zero.
const LIMITS: [u64; 3] = [0, u64::MAX, i64::MIN.cast_unsigned()];

/// The controller.
#[derive(Default)]
pub struct OddTimeouts;

/// Gives time limits of nothing, less than nothing and centuries.
#[connector]
impl OddTimeouts {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// asks with each of them by both interfaces, and tells what came of it
    pub async fn misbehave(&self, place: Place) -> Result<Vec<String>> {
        let mut seen = Vec::new();
        for limit in LIMITS {
            let ours = http::get(&place.url).timeout(Duration::from_millis(limit)).send().await;
            seen.push(told(ours.map(|answer| answer.status()).map_err(Into::into)));
            seen.push(told(by_wasi(&place, limit)));
            // One that is given up at once, since none would ever end.
            let _ = subscribe_duration(limit).ready();
            drop(subscribe_instant(limit));
        }
        time::sleep(Duration::ZERO).await;
        Ok(seen)
    }
}

fn by_wasi(place: &Place, limit: u64) -> Result<u16> {
    let options = RequestOptions::new();
    let set = options
        .set_connect_timeout(Some(limit))
        .and_then(|()| options.set_first_byte_timeout(Some(limit)))
        .and_then(|()| options.set_between_bytes_timeout(Some(limit)));
    set.expect("the host knows all three limits");
    let request = outgoing::request(&Method::Get, place, Fields::new())?;
    Ok(outgoing::send(request, Some(options))?.status())
}

fn told(outcome: Result<u16>) -> String {
    outcome.map_or_else(|error| error.message().to_owned(), |status| status.to_string())
}
