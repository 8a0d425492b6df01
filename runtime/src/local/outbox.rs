//! What waits to be sent to one connector. It outlives a socket, so that an answer made while the
//! connector is away reaches it later.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::limits::{BATCH_BYTES, WAITING_BYTES, WAITING_PACKETS};
use crate::workspace::packet::Packet;

/// The queue of one connector.
#[derive(Default)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    filled: Notify,
    emptied: Notify,
}

#[derive(Default)]
struct Waiting {
    packets: VecDeque<Packet>,
    bytes: usize,
    /// The configuration is read when it is sent, so that a later one never overtakes an earlier one.
    configuration: bool,
}

/// The queue is full.
#[derive(Debug)]
pub struct Full;

impl Outbox {
    pub fn push(&self, packet: Packet) -> Result<(), Full> {
        self.try_push(packet).map_err(|_| Full)
    }

    /// Waits for room. Who waits here reads no further, which slows a greedy connector down.
    pub async fn push_when_room(&self, mut packet: Packet) {
        loop {
            let emptied = self.emptied.notified();
            match self.try_push(packet) {
                Ok(()) => return,
                Err(back) => packet = *back,
            }
            emptied.await;
        }
    }

    fn try_push(&self, packet: Packet) -> Result<(), Box<Packet>> {
        let mut waiting = self.waiting.lock();
        let bytes = size(&packet);
        let full = waiting.packets.len() >= WAITING_PACKETS
            || (waiting.bytes + bytes > WAITING_BYTES && !waiting.packets.is_empty());
        if full {
            return Err(Box::new(packet));
        }
        waiting.bytes += bytes;
        waiting.packets.push_back(packet);
        drop(waiting);
        self.filled.notify_one();
        Ok(())
    }

    /// Takes back a request that nobody waits for any more.
    pub fn forget(&self, key: &str) {
        let mut waiting = self.waiting.lock();
        let Some(index) = waiting
            .packets
            .iter()
            .position(|packet| packet.m.is_some() && packet.c.as_deref() == Some(key))
        else {
            return;
        };
        if let Some(packet) = waiting.packets.remove(index) {
            waiting.bytes -= size(&packet);
        }
    }

    /// The configuration is to be sent again.
    pub fn configure(&self) {
        self.waiting.lock().configuration = true;
        self.filled.notify_one();
    }

    /// Waits until there is something to send.
    pub async fn ready(&self) {
        loop {
            // One socket at a time waits here, and `notify_one` keeps a permit: nothing is missed.
            if self.waiting.lock().any() {
                return;
            }
            self.filled.notified().await;
        }
    }

    /// Whether the configuration is to be sent; asked once.
    pub fn take_configure(&self) -> bool {
        std::mem::take(&mut self.waiting.lock().configuration)
    }

    /// The next packets, as many as make one message.
    pub fn take(&self) -> Vec<Packet> {
        let mut waiting = self.waiting.lock();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES {
            let Some(packet) = waiting.packets.pop_front() else { break };
            bytes += size(&packet);
            batch.push(packet);
        }
        waiting.bytes -= bytes;
        drop(waiting);
        self.emptied.notify_waiters();
        batch
    }
}

impl Waiting {
    fn any(&self) -> bool {
        self.configuration || !self.packets.is_empty()
    }
}

fn size(packet: &Packet) -> usize {
    packet.a.as_ref().map_or(0, |value| value.get().len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workspace::packet::raw;

    fn packet(key: &str) -> Packet {
        Packet::request(key, "connector.query", raw(&json!({})))
    }

    #[test]
    fn packets_leave_in_order_and_a_full_queue_says_so() {
        let outbox = Outbox::default();
        for index in 0..WAITING_PACKETS {
            assert!(outbox.push(packet(&index.to_string())).is_ok(), "{index}");
        }
        assert!(outbox.push(packet("one too many")).is_err());
        outbox.forget("0");
        let keys: Vec<_> = outbox.take().into_iter().filter_map(|packet| packet.c).collect();
        assert_eq!(keys.len(), WAITING_PACKETS - 1);
        assert_eq!(keys.first().map(String::as_str), Some("1"));
        assert_eq!(outbox.waiting.lock().bytes, 0);
    }

    #[tokio::test]
    async fn the_configuration_is_asked_for_once() {
        let outbox = Outbox::default();
        outbox.configure();
        outbox.ready().await;
        assert!(outbox.take_configure() && !outbox.take_configure());
    }
}
