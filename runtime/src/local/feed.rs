//! What happened lately: log lines, requests, and connectors that come and go. Kept in memory, bounded.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::broadcast::{self, Receiver};
use tokio_util::sync::CancellationToken;

use super::limits::{EVENTS, EVENTS_BYTES, LINE_BYTES, WATCHER_BACKLOG};
use super::store::now;
use crate::events::{Decision, Event};
use crate::workspace::packet::raw;

/// The latest events, and whoever watches them.
pub struct Feed {
    ring: Mutex<Ring>,
    watchers: broadcast::Sender<Told>,
}

/// One event. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Told {
    /// Counts from 1 in every process.
    pub number: u64,
    /// Of log lines and requests.
    worker: Option<Arc<str>>,
    call: Option<Arc<str>>,
    /// The event as JSON, its number included.
    pub json: Arc<RawValue>,
}

#[derive(Default)]
struct Ring {
    told: VecDeque<Told>,
    bytes: usize,
    last: u64,
}

/// Something that happened to a connector, as told by this workspace.
pub enum Happening<'a> {
    Registered,
    Forgotten,
    Connected,
    Disconnected(&'a str),
    Health(Value),
    Configured,
    Call(&'a str, &'static str),
}

impl Default for Feed {
    fn default() -> Self {
        Self { ring: Mutex::default(), watchers: broadcast::channel(WATCHER_BACKLOG).0 }
    }
}

impl Feed {
    /// Takes over the events of this process until told to stop.
    pub async fn follow(&self, mut events: Receiver<Event>, stopping: &CancellationToken) {
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = stopping.cancelled() => return,
            };
            match event {
                Ok(event) => self.take(event),
                Err(broadcast::error::RecvError::Lagged(count)) => {
                    self.add(None, None, json!({"kind": "lost", "at": now(), "count": count}));
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    /// Tells what happened to a connector.
    pub fn tell(&self, connector: &Arc<str>, happening: Happening) {
        let (kind, more) = match happening {
            Happening::Registered => ("registered", json!({})),
            Happening::Forgotten => ("forgotten", json!({})),
            Happening::Connected => ("connected", json!({})),
            Happening::Disconnected(why) => ("disconnected", json!({"why": why})),
            Happening::Health(health) => ("health", json!({"health": health})),
            Happening::Configured => ("configured", json!({})),
            Happening::Call(call, state) => ("call", json!({"call": call, "state": state})),
        };
        let mut event = json!({"kind": kind, "at": now(), "connector": connector});
        if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
            event.extend(more);
        }
        self.add(None, None, event);
    }

    /// The events after that number, and what comes from now on. Nothing falls between the two.
    pub fn watch(&self, after: u64) -> (Vec<Told>, Receiver<Told>) {
        let ring = self.ring.lock();
        let past = ring.told.iter().filter(|told| told.number > after).cloned().collect();
        (past, self.watchers.subscribe())
    }

    /// The number of the latest event.
    pub fn last(&self) -> u64 {
        self.ring.lock().last
    }

    /// The log lines and requests of a connector, of one call if one is named; oldest first.
    pub fn of(&self, connector: &str, call: Option<&str>) -> Vec<Arc<RawValue>> {
        let wanted = |told: &&Told| {
            told.worker.as_deref() == Some(connector)
                && call.is_none_or(|call| told.call.as_deref() == Some(call))
        };
        self.ring.lock().told.iter().filter(wanted).map(|told| told.json.clone()).collect()
    }

    fn take(&self, event: Event) {
        match event {
            Event::Log(mut line) => {
                cut(&mut line.message, LINE_BYTES);
                self.add(Some(line.connector.clone()), line.call.clone(), Event::Log(line));
            }
            Event::Request(mut record) => {
                cut(&mut record.url, LINE_BYTES);
                record.error.iter_mut().for_each(|error| cut(error, LINE_BYTES));
                record.hops.iter_mut().for_each(|hop| cut(hop, LINE_BYTES));
                cut_decision(record.decision.as_mut());
                self.add(
                    Some(record.connector.clone()),
                    record.call.clone(),
                    Event::Request(record),
                );
            }
        }
    }

    fn add(&self, worker: Option<Arc<str>>, call: Option<Arc<str>>, event: impl Serialize) {
        #[derive(Serialize)]
        struct Numbered<E> {
            number: u64,
            #[serde(flatten)]
            event: E,
        }
        let mut ring = self.ring.lock();
        let number = ring.last + 1;
        let json = Arc::from(raw(&Numbered { number, event }));
        let told = Told { number, worker, call, json };
        ring.push(told.clone());
        // Told while the ring is locked, so that watchers get the numbers in order. An error means
        // that nobody watches.
        let _ = self.watchers.send(told);
    }
}

impl Ring {
    fn push(&mut self, told: Told) {
        self.last = told.number;
        self.bytes += told.json.get().len();
        self.told.push_back(told);
        while self.told.len() > EVENTS || self.bytes > EVENTS_BYTES {
            let Some(oldest) = self.told.pop_front() else { break };
            self.bytes -= oldest.json.get().len();
        }
    }
}

fn cut_decision(decision: Option<&mut Decision>) {
    use Decision::{Granted, Refused, Reported};
    let Some(Granted(text) | Reported(text) | Refused(text)) = decision else { return };
    if text.len() > LINE_BYTES {
        let mut shorter = text.to_string();
        cut(&mut shorter, LINE_BYTES);
        *text = shorter.into();
    }
}

/// Shortens a text to so many bytes, and says so.
pub fn cut(text: &mut String, most: usize) {
    if text.len() <= most {
        return;
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push_str(" … (cut)");
}
