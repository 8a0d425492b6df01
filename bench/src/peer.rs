//! Whoever answers calls, one connector or many, and what a load is for either.

use std::time::Duration;

use anyhow::Context as _;
use axum::extract::ws::Utf8Bytes;
use tokio::time::{sleep, timeout};

use crate::limits::PATIENCE;
use crate::load::{Load, Samples};

/// One connector, or many.
pub trait Peer {
    /// Asks so many times: a message per call, as from callers who know nothing of each other.
    async fn ask(&mut self, load: &mut Load, calls: usize) -> anyhow::Result<()>;

    /// At least one message, and what else has arrived by now.
    async fn texts(&mut self) -> anyhow::Result<Vec<Utf8Bytes>>;

    /// Keeps so many calls in flight for so long, then waits for the last answers.
    async fn load(&mut self, in_flight: usize, time: Duration) -> anyhow::Result<Samples> {
        let loaded = timeout(time + PATIENCE, self.load_unhurried(in_flight, time)).await;
        loaded.context("an answer did not come in time")?
    }

    async fn load_unhurried(
        &mut self,
        in_flight: usize,
        time: Duration,
    ) -> anyhow::Result<Samples> {
        let mut load = Load::new(time);
        self.ask(&mut load, in_flight).await?;
        while !load.is_over() {
            let mut due = 0;
            for text in self.texts().await? {
                due += load.take(&text)?;
            }
            self.ask(&mut load, due).await?;
        }
        Ok(load.finish())
    }

    /// Does nothing but what keeps the connections.
    async fn rest(&mut self, time: Duration) -> anyhow::Result<()> {
        let rested = sleep(time);
        tokio::pin!(rested);
        loop {
            tokio::select! {
                () = &mut rested => return Ok(()),
                texts = self.texts() => drop(texts?),
            }
        }
    }
}
