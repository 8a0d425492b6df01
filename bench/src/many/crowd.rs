//! The sockets of many connectors, seen from the workspace.

use std::collections::{BTreeSet, HashSet};

use anyhow::{Context as _, bail, ensure};
use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use futures_util::stream::{BoxStream, SelectAll, SplitSink};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _, stream};
use tokio::time::{Instant, Interval, interval_at, timeout};

use crate::limits::{CROWD_PATIENCE, PING_EVERY};
use crate::load::Load;
use crate::peer::Peer;
use crate::wire::{CONFIGURATION, HEALTH};
use crate::workspace::{Joined, Workspace};

/// Open sockets, each with a number.
pub struct Crowd {
    tokens: HashSet<String>,
    sinks: Vec<SplitSink<WebSocket, Message>>,
    streams: SelectAll<BoxStream<'static, Arrived>>,
    pings: Interval,
}

/// Whose it is, and what came: nothing at the end.
type Arrived = (usize, Option<Result<Message, axum::Error>>);

impl Crowd {
    /// Waits until so many have joined. Tells when the last one did.
    pub async fn gather(
        workspace: &mut Workspace,
        connectors: usize,
    ) -> anyhow::Result<(Self, Instant)> {
        let mut crowd = Self {
            tokens: HashSet::new(),
            sinks: Vec::new(),
            streams: SelectAll::new(),
            pings: interval_at(Instant::now() + PING_EVERY, PING_EVERY),
        };
        let mut last = Instant::now();
        while crowd.sinks.len() < connectors {
            tokio::select! {
                joined = workspace.joined() => last = crowd.add(joined?)?,
                texts = crowd.numbered(), if !crowd.sinks.is_empty() => drop(texts?),
            }
        }
        Ok((crowd, last))
    }

    fn add(&mut self, joined: Joined) -> anyhow::Result<Instant> {
        let Joined { token, socket, at } = joined;
        ensure!(!self.tokens.contains(&token), "the connector with {token} joined twice");
        self.tokens.insert(token);
        let number = self.sinks.len();
        let (sink, stream) = socket.split();
        let stream = stream.map(Some).chain(stream::iter([None]));
        self.sinks.push(sink);
        self.streams.push(stream.map(move |message| (number, message)).boxed());
        Ok(at)
    }

    /// Sends all an empty configuration and waits until all have reported their health.
    pub async fn configure(&mut self) -> anyhow::Result<()> {
        for sink in &mut self.sinks {
            sink.send(Message::Text(CONFIGURATION.into())).await?;
        }
        let mut missing: BTreeSet<_> = (0..self.sinks.len()).collect();
        let well = async {
            while !missing.is_empty() {
                for (number, text) in self.numbered().await? {
                    if text.contains(HEALTH) {
                        missing.remove(&number);
                    }
                }
            }
            anyhow::Ok(())
        };
        timeout(CROWD_PATIENCE, well).await.context("health reports are missing")?
    }

    /// At least one message and whose it is, and what else has arrived by now.
    async fn numbered(&mut self) -> anyhow::Result<Vec<(usize, Utf8Bytes)>> {
        let mut texts = Vec::new();
        while texts.is_empty() {
            let first = tokio::select! {
                biased;
                arrived = self.streams.next() => arrived,
                _ = self.pings.tick() => {
                    self.ping().await?;
                    continue;
                }
            };
            let mut next = first;
            while let Some((number, message)) = next {
                match message.context("a connector hung up")?? {
                    Message::Text(text) => texts.push((number, text)),
                    Message::Ping(_) | Message::Pong(_) => {}
                    other => bail!("a connector sent {other:?}"),
                }
                next = self.streams.next().now_or_never().flatten();
            }
        }
        Ok(texts)
    }

    async fn ping(&mut self) -> anyhow::Result<()> {
        for sink in &mut self.sinks {
            sink.send(Message::Ping(Bytes::new())).await?;
        }
        Ok(())
    }
}

/// The next call always goes to the next connector.
impl Peer for Crowd {
    /// What goes to the same connector is written together.
    async fn ask(&mut self, load: &mut Load, calls: usize) -> anyhow::Result<()> {
        let first = load.asked();
        for number in first..first + calls {
            let sink = number % self.sinks.len();
            self.sinks[sink].feed(Message::Text(load.query().into())).await?;
        }
        for number in first..first + calls.min(self.sinks.len()) {
            let sink = number % self.sinks.len();
            self.sinks[sink].flush().await?;
        }
        Ok(())
    }

    async fn texts(&mut self) -> anyhow::Result<Vec<Utf8Bytes>> {
        let numbered = self.numbered().await?;
        Ok(numbered.into_iter().map(|(_, text)| text).collect())
    }
}
