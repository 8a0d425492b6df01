//! A connector that starts requests and never takes their answers.

use std::task::{Context, Waker};

use aloma_connector::{Result, connector, http};
use misbehaving::{Place, WELL, outgoing};
use schemars::JsonSchema;
use serde::Deserialize;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, Method, OutgoingRequest};

/// Requests, none of which any limit forbids.
const FEW: usize = 10;

/// Where to ask.
#[derive(Deserialize, JsonSchema)]
pub struct Places {
    url: String,
    /// Where to ask once more before the call ends.
    last: String,
}

/// The controller.
#[derive(Default)]
pub struct ForgottenRequest;

/// Starts requests and never takes their answers.
#[connector]
impl ForgottenRequest {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// starts a few, makes one to another place and ends
    pub async fn misbehave(&self, places: Places) -> Result<u16> {
        for _ in 0..FEW {
            start_and_forget(&Place { url: places.url.clone() });
        }
        Ok(http::get(&places.last).send().await?.status())
    }

    /// starts them without end
    pub async fn misbehave_without_end(&self, place: Place) -> Result<()> {
        loop {
            start_and_forget(&place);
        }
    }

    /// starts a few by `wasi:http`, makes one to another place and ends
    pub async fn misbehave_a_little_by_wasi(&self, places: Places) -> Result<u16> {
        for _ in 0..FEW {
            let place = Place { url: places.url.clone() };
            std::mem::forget(handle(get(&place)?, None));
        }
        Ok(http::get(&places.last).send().await?.status())
    }

    /// begins to read an answer of `wasi:http` and ends
    pub async fn misbehave_half_way(&self, place: Place) -> Result<u16> {
        let answer = outgoing::send(get(&place)?, None)?;
        let status = answer.status();
        std::mem::forget(answer.consume());
        std::mem::forget(answer);
        Ok(status)
    }

    /// starts them by `wasi:http` until one is refused
    pub async fn misbehave_until_refused(&self, place: Place) -> Result<()> {
        let started = (0..FEW).map(|_| handle(get(&place)?, None).map_err(outgoing::failed));
        let started = started.collect::<Result<Vec<_>>>()?;
        started.last().map_or(Ok(()), |last| outgoing::answer(last).map(drop))
    }

    /// starts them by `wasi:http` without end
    pub async fn misbehave_by_wasi(&self, place: Place) -> Result<()> {
        loop {
            std::mem::forget(handle(get(&place)?, None));
        }
    }
}

fn get(place: &Place) -> Result<OutgoingRequest> {
    outgoing::request(&Method::Get, place, Fields::new())
}

fn start_and_forget(place: &Place) {
    let mut request = Box::pin(http::get(&place.url).send());
    // A request begins when it is first waited for.
    let _ = request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    std::mem::forget(request);
}
