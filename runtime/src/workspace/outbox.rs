//! What we have to tell the workspace, kept until it is told.
//!
//! The protocol has no acknowledgements, so a reply that was written to a socket which then drops
//! may or may not have arrived. A websocket ping gives the proof: frames are handled in order, so
//! the pong says that the peer has received everything before the ping. Every batch therefore has a
//! number, a ping carries the number of the last batch, and the matching pong confirms it and all
//! before it. What happens to a written packet that is not confirmed when the socket drops depends
//! on what it is:
//!
//! - An answer is written again. Twice does no harm: the workspace ignores a key it does not wait
//!   for. The same goes for a configuration update, which says the same thing twice.
//! - A request (`task.new`, …) is never written twice, for it might be carried out twice. Its caller
//!   is told that the outcome is unknown (`pending`).
//! - A health report is old news by then.
//!
//! What is only queued survives in any case. Everything is bounded: `push` waits for room, and of
//! the unconfirmed the oldest are given up first.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::limits::{
    BATCH_BYTES, OUTBOX_BYTES, OUTBOX_PACKETS, OUTBOX_REFUSALS, PACKET_OVERHEAD, SENDINGS,
    UNCONFIRMED_BYTES, UNCONFIRMED_PACKETS,
};
use super::packet::{Packet, encode};
use super::reply::error_value;

/// The link has been shut down.
#[derive(Debug, thiserror::Error)]
#[error("the link to the workspace is shut down")]
pub struct Closed;

/// What a packet is, which decides whether it may be written twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The answer to a request of the workspace.
    Answer,
    /// New sealed configuration for the workspace to keep.
    ConfigUpdate,
    /// A health report.
    Health,
    /// A request of ours.
    Request,
}

impl Kind {
    fn may_repeat(self) -> bool {
        matches!(self, Self::Answer | Self::ConfigUpdate)
    }
}

/// One websocket message, taken from the queue.
#[derive(Debug)]
pub struct Batch {
    /// The message.
    pub text: String,
    /// The keys of the requests in it.
    pub requests: Vec<String>,
}

/// The queue of what is to be written, and the memory of what was.
#[derive(Debug)]
pub struct Outbox {
    /// In bytes.
    room: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    state: Mutex<State>,
    queued: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Entry>,
    unconfirmed: VecDeque<Written>,
    unconfirmed_bytes: usize,
    last_batch: u64,
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    packet: Packet,
    sendings: u8,
    /// Given back when the entry leaves the queue.
    _room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Written {
    batch: u64,
    kind: Kind,
    packet: Packet,
    sendings: u8,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(OUTBOX_BYTES)),
            refusals: Arc::new(Semaphore::new(OUTBOX_REFUSALS)),
            state: Mutex::default(),
            queued: Notify::new(),
        }
    }
}

impl Outbox {
    /// Queues a packet. Waits while the outbox is full.
    pub async fn push(&self, kind: Kind, packet: Packet) -> Result<(), Closed> {
        let room = self.room.clone().acquire_many_owned(room(&packet)).await.map_err(|_| Closed)?;
        self.enqueue(Entry { kind, packet, sendings: 0, _room: Some(room) });
        Ok(())
    }

    /// Queues a small answer for someone who cannot wait. False when too many of them wait already.
    pub fn push_refusal(&self, packet: Packet) -> bool {
        let Ok(room) = self.refusals.clone().try_acquire_owned() else { return false };
        self.enqueue(Entry { kind: Kind::Answer, packet, sendings: 0, _room: Some(room) });
        true
    }

    /// Queues a health report in place of one that still waits.
    pub fn push_health(&self, packet: Packet) {
        if self.room.is_closed() {
            return;
        }
        let mut state = self.state.lock();
        if let Some(older) = state.queue.iter_mut().find(|entry| entry.kind == Kind::Health) {
            older.packet = packet;
            return;
        }
        drop(state);
        self.enqueue(Entry { kind: Kind::Health, packet, sendings: 0, _room: None });
    }

    /// Takes back a request whose caller has gone. False if it is no longer queued.
    pub fn withdraw(&self, key: &str) -> bool {
        let is_it =
            |entry: &Entry| entry.kind == Kind::Request && entry.packet.c.as_deref() == Some(key);
        let queue = &mut self.state.lock().queue;
        let place = queue.iter().position(is_it);
        place.and_then(|place| queue.remove(place)).is_some()
    }

    /// Waits for something to write and takes as much as fits into one message. For one caller at
    /// a time; nothing is lost when it stops waiting.
    pub async fn next_batch(&self) -> Batch {
        loop {
            if let Some(batch) = self.state.lock().take_batch() {
                return batch;
            }
            self.queued.notified().await;
        }
    }

    /// The workspace has everything up to this batch.
    pub fn confirm(&self, batch: u64) {
        self.state.lock().confirm(batch);
    }

    /// The socket is gone: what may be written again goes back to the head of the queue.
    pub fn connection_lost(&self) {
        self.state.lock().requeue();
        self.queued.notify_one();
    }

    /// The workspace hung up because a message was too large. Writing the same again would end the
    /// same way, so the largest unconfirmed answer becomes an error that says so.
    pub fn refused_as_too_large(&self) {
        self.state.lock().replace_largest();
    }

    /// Something that may be written again is not yet known to have arrived.
    pub fn has_unconfirmed(&self) -> bool {
        !self.state.lock().unconfirmed.is_empty()
    }

    /// The number of the last batch.
    pub fn last_batch(&self) -> u64 {
        self.state.lock().last_batch
    }

    /// Nothing waits to be written or confirmed.
    pub fn is_settled(&self) -> bool {
        self.left() == 0
    }

    /// Packets that wait to be written or confirmed.
    pub fn left(&self) -> usize {
        let state = self.state.lock();
        state.queue.len() + state.unconfirmed.len()
    }

    /// Refuses everything from now on and forgets what is left.
    pub fn close(&self) {
        for room in [&self.room, &self.refusals] {
            room.close();
        }
        *self.state.lock() = State::default();
    }

    fn enqueue(&self, entry: Entry) {
        self.state.lock().queue.push_back(entry);
        self.queued.notify_one();
    }
}

impl State {
    fn take_batch(&mut self) -> Option<Batch> {
        let entries = self.take_entries();
        if entries.is_empty() {
            return None;
        }
        self.last_batch += 1;
        let text = encode(entries.iter().map(|entry| &entry.packet));
        let is_request = |entry: &&Entry| entry.kind == Kind::Request;
        let key = |entry: &Entry| entry.packet.c.clone();
        let requests = entries.iter().filter(is_request).filter_map(key).collect();
        self.remember(entries);
        Some(Batch { text, requests })
    }

    /// At least one, and more while they fit.
    fn take_entries(&mut self) -> Vec<Entry> {
        let mut bytes = 0;
        let mut fits = |entry: &Entry| {
            let first = bytes == 0;
            bytes += weight(&entry.packet);
            first || bytes <= BATCH_BYTES
        };
        let count = self.queue.iter().take_while(|entry| fits(entry)).count();
        self.queue.drain(..count).collect()
    }

    fn remember(&mut self, entries: Vec<Entry>) {
        for Entry { kind, packet, sendings, _room } in entries {
            if kind.may_repeat() {
                self.unconfirmed_bytes += weight(&packet);
                let sendings = sendings + 1;
                let written = Written { batch: self.last_batch, kind, packet, sendings };
                self.unconfirmed.push_back(written);
            }
        }
        self.give_up_oldest();
    }

    /// The newest is always kept, however large.
    fn give_up_oldest(&mut self) {
        let mut given_up = 0usize;
        while self.unconfirmed.len() > 1
            && (self.unconfirmed.len() > UNCONFIRMED_PACKETS
                || self.unconfirmed_bytes > UNCONFIRMED_BYTES)
        {
            self.forget_first();
            given_up += 1;
        }
        if given_up > 0 {
            tracing::warn!(given_up, "too many answers unconfirmed; the oldest are not repeated");
        }
    }

    fn forget_first(&mut self) {
        if let Some(written) = self.unconfirmed.pop_front() {
            self.unconfirmed_bytes -= weight(&written.packet);
        }
    }

    fn confirm(&mut self, batch: u64) {
        while self.unconfirmed.front().is_some_and(|written| written.batch <= batch) {
            self.forget_first();
        }
    }

    fn requeue(&mut self) {
        self.unconfirmed_bytes = 0;
        let mut given_up = 0usize;
        while let Some(Written { kind, packet, sendings, .. }) = self.unconfirmed.pop_back() {
            if sendings < SENDINGS {
                self.queue.push_front(Entry { kind, packet, sendings, _room: None });
            } else {
                given_up += 1;
            }
        }
        if given_up > 0 {
            tracing::warn!(given_up, "answers were written often and never confirmed; given up");
        }
    }

    /// Only one that filled a message by itself can be blamed.
    fn replace_largest(&mut self) {
        let blamed = |written: &&mut Written| {
            written.kind == Kind::Answer && weight(&written.packet) > BATCH_BYTES
        };
        let largest = self.unconfirmed.iter_mut().filter(blamed);
        let Some(largest) = largest.max_by_key(|written| weight(&written.packet)) else { return };
        let Some(key) = largest.packet.c.clone() else { return };
        let bytes = weight(&largest.packet);
        tracing::warn!(bytes, "the workspace refused an answer as too large");
        let message = format!("the workspace refused the result as too large ({bytes} bytes)");
        largest.packet = Packet::answer(&key, error_value(&message));
        largest.sendings = 0;
        self.unconfirmed_bytes = self.unconfirmed_bytes - bytes + weight(&largest.packet);
    }
}

/// The bytes of the outbox that a packet waits for. A small one takes its share of all that may wait,
/// and one larger than the whole outbox waits until it is alone.
fn room(packet: &Packet) -> u32 {
    let bytes = weight(packet).clamp(OUTBOX_BYTES / OUTBOX_PACKETS, OUTBOX_BYTES);
    u32::try_from(bytes).expect("the limit fits 32 bits")
}

/// What a packet counts as.
fn weight(packet: &Packet) -> usize {
    PACKET_OVERHEAD
        + packet.c.as_ref().map_or(0, String::len)
        + packet.a.as_ref().map_or(0, |value| value.get().len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workspace::packet::raw;

    fn answer(key: &str, size: usize) -> Packet {
        Packet::answer(key, raw(&json!({ "x": "y".repeat(size) })))
    }

    fn keys(text: &str) -> Vec<String> {
        let message = super::super::packet::parse(text).unwrap();
        message.packets.into_iter().map(|packet| packet.c.unwrap_or_default()).collect()
    }

    async fn push_answers(outbox: &Outbox, keys: &[&str]) {
        for key in keys {
            outbox.push(Kind::Answer, answer(key, 1)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_queued_goes_into_one_message_up_to_a_size() {
        let outbox = Outbox::default();
        push_answers(&outbox, &["a", "b"]).await;
        outbox.push(Kind::Answer, answer("large", BATCH_BYTES)).await.unwrap();
        push_answers(&outbox, &["c"]).await;
        for expected in [&["a", "b"][..], &["large"], &["c"]] {
            assert_eq!(keys(&outbox.next_batch().await.text), expected);
        }
    }

    #[tokio::test]
    async fn only_unconfirmed_answers_are_written_again_and_in_order() {
        let outbox = Outbox::default();
        push_answers(&outbox, &["a"]).await;
        outbox.next_batch().await;
        let first = outbox.last_batch();
        push_answers(&outbox, &["b"]).await;
        let notice = Packet::request("r", "connector.task.new", raw(&json!({})));
        outbox.push(Kind::Request, notice).await.unwrap();
        outbox.push_health(Packet::notice("connector.health.check", raw(&json!({}))));
        assert_eq!(outbox.next_batch().await.requests, ["r"]);
        push_answers(&outbox, &["c"]).await;
        outbox.confirm(first);
        outbox.connection_lost();
        assert_eq!(keys(&outbox.next_batch().await.text), ["b", "c"]);
        outbox.confirm(outbox.last_batch());
        assert!(outbox.is_settled());
    }

    #[tokio::test]
    async fn an_answer_is_not_written_without_end() {
        let outbox = Outbox::default();
        push_answers(&outbox, &["a"]).await;
        for _ in 0..SENDINGS {
            outbox.next_batch().await;
            outbox.connection_lost();
        }
        assert!(outbox.is_settled());
    }

    #[tokio::test]
    async fn a_full_outbox_makes_callers_wait_but_takes_refusals() {
        let outbox = Outbox::default();
        outbox.push(Kind::Answer, answer("large", OUTBOX_BYTES)).await.unwrap();
        let mut second = Box::pin(outbox.push(Kind::Answer, answer("second", 1)));
        assert!(futures_util::poll!(&mut second).is_pending());
        assert!(outbox.push_refusal(answer("refusal", 1)));
        assert_eq!(keys(&outbox.next_batch().await.text), ["large"]);
        second.await.unwrap();
        assert_eq!(keys(&outbox.next_batch().await.text), ["refusal", "second"]);
    }

    #[tokio::test]
    async fn a_waiting_health_report_is_replaced() {
        let outbox = Outbox::default();
        for ok in [true, false] {
            outbox.push_health(Packet::notice("h", raw(&json!({ "ok": ok }))));
        }
        let text = outbox.next_batch().await.text;
        assert!(text.contains(r#""ok":false"#) && !text.contains("true"), "{text}");
    }

    #[tokio::test]
    async fn an_answer_that_is_too_large_for_the_workspace_becomes_an_error() {
        let outbox = Outbox::default();
        push_answers(&outbox, &["small"]).await;
        outbox.push(Kind::Answer, answer("large", BATCH_BYTES)).await.unwrap();
        outbox.next_batch().await;
        outbox.next_batch().await;
        outbox.refused_as_too_large();
        outbox.connection_lost();
        let text = outbox.next_batch().await.text;
        assert_eq!(keys(&text), ["small", "large"]);
        assert!(text.contains("Error: the workspace refused the result as too large"), "{text}");
    }

    #[tokio::test]
    async fn a_request_can_be_withdrawn_and_a_closed_outbox_refuses() {
        let outbox = Outbox::default();
        let request = Packet::request("r", "m", raw(&json!({})));
        outbox.push(Kind::Request, request).await.unwrap();
        assert!(outbox.withdraw("r"));
        assert!(!outbox.withdraw("r"));
        assert!(outbox.is_settled());
        outbox.close();
        assert!(outbox.push(Kind::Answer, answer("a", 1)).await.is_err());
        assert!(!outbox.push_refusal(answer("a", 1)));
    }
}
