//! A connector that starts requests that nobody allows, and waits for none.

use std::task::{Context, Waker};

use aloma_connector::{Result, connector, http};
use misbehaving::WELL;

/// Bytes of a URL: nearly as long as one may be.
const LONG: usize = 16_000;

/// Requests at once: what may be started and not taken.
const MANY: usize = 250;

/// The controller.
#[derive(Default)]
pub struct RefusedRequests;

/// Starts requests that are refused.
#[connector]
impl RefusedRequests {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// starts as many as it can, forgets them, and begins again
    pub async fn misbehave(&self) -> Result<()> {
        let url = format!("https://refused.example/{}", "x".repeat(LONG));
        loop {
            let mut requests: Vec<_> =
                (0..MANY).map(|_| Box::pin(http::get(&url).send())).collect();
            for request in &mut requests {
                // It is started when it is first waited for.
                let _ = request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            }
        }
    }
}
