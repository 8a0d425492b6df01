//! One connector's socket, seen from the workspace.

use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::time::{Instant, Interval, interval_at, timeout};

use super::{CONFIGURATION, HEALTH};
use crate::limits::{PATIENCE, PING_EVERY};
use crate::load::Load;
use crate::peer::Peer;

/// An open socket.
pub struct Session {
    socket: WebSocket,
    pings: Interval,
}

impl Session {
    /// Speaks over an open socket.
    pub fn new(socket: WebSocket) -> Self {
        Self { socket, pings: interval_at(Instant::now() + PING_EVERY, PING_EVERY) }
    }

    /// Sends an empty configuration and waits until the connector has reported its health.
    pub async fn configure(&mut self) -> anyhow::Result<()> {
        self.socket.send(Message::Text(CONFIGURATION.into())).await?;
        let well = async {
            loop {
                let texts = self.texts().await?;
                if texts.iter().any(|text| text.contains(HEALTH)) {
                    return anyhow::Ok(());
                }
            }
        };
        timeout(PATIENCE, well).await.context("no health report in time")?
    }

    /// Calls once.
    pub async fn call(&mut self) -> anyhow::Result<()> {
        self.load(1, Duration::ZERO).await.map(drop)
    }
}

impl Peer for Session {
    /// Written together.
    async fn ask(&mut self, load: &mut Load, calls: usize) -> anyhow::Result<()> {
        for _ in 0..calls {
            self.socket.feed(Message::Text(load.query().into())).await?;
        }
        Ok(self.socket.flush().await?)
    }

    async fn texts(&mut self) -> anyhow::Result<Vec<Utf8Bytes>> {
        let mut texts = Vec::new();
        while texts.is_empty() {
            let first = tokio::select! {
                biased;
                message = self.socket.next() => message,
                _ = self.pings.tick() => {
                    self.socket.send(Message::Ping(Bytes::new())).await?;
                    continue;
                }
            };
            let mut next = Some(first);
            while let Some(message) = next {
                match message.context("the connector hung up")?? {
                    Message::Text(text) => texts.push(text),
                    Message::Ping(_) | Message::Pong(_) => {}
                    other => bail!("the connector sent {other:?}"),
                }
                next = self.socket.next().now_or_never();
            }
        }
        Ok(texts)
    }
}
