//! What the workspace asks, queued for the dispatcher.
//!
//! The queue is bounded and the reader of the socket never waits for it: when it is full, a call is
//! refused with an honest error. New configuration is never refused. Where there is no room it waits
//! beside the queue, and nothing overtakes it. Wherever it waits, a newer one replaces it.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, Semaphore, mpsc};

use super::limits::{INBOX, INBOX_BYTES, SMALL_CALL};
use super::reply::Reply;
use super::request::Request;
use super::secrets::SetConfig;

/// A request and the way to answer it.
#[derive(Debug)]
pub struct Incoming {
    /// What is asked.
    pub request: Request,
    /// Who waits for it.
    pub reply: Reply,
}

/// The reader's end of the queue.
#[derive(Debug)]
pub struct Inbox {
    queue: mpsc::Sender<Incoming>,
    /// Bytes of the calls that are not small.
    bytes: Arc<Semaphore>,
    /// The last one that came, until it is in force.
    last_config: Mutex<Option<SetConfig>>,
    waiting_config: Mutex<Option<Incoming>>,
    config_waits: Notify,
}

impl Inbox {
    /// Makes both ends.
    pub fn new() -> (Self, mpsc::Receiver<Incoming>) {
        let (queue, receiver) = mpsc::channel(INBOX);
        let inbox = Self {
            queue,
            bytes: Arc::new(Semaphore::new(INBOX_BYTES)),
            last_config: Mutex::default(),
            waiting_config: Mutex::default(),
            config_waits: Notify::new(),
        };
        (inbox, receiver)
    }

    /// Queues or refuses, at once.
    pub fn offer(&self, incoming: Incoming) {
        if let Request::SetConfig(config) = &incoming.request {
            if !self.is_new(config) {
                return;
            }
            *self.waiting_config.lock() = Some(incoming);
            self.config_waits.notify_one();
            return self.try_deliver_config();
        }
        self.try_deliver_config();
        if self.waiting_config.lock().is_some() {
            return refuse_overload(incoming, &format!("{INBOX} calls wait already"));
        }
        let Some(incoming) = self.weigh(incoming) else { return };
        match self.queue.try_send(incoming) {
            Ok(()) => {}
            Err(TrySendError::Full(incoming)) => {
                refuse_overload(incoming, &format!("{INBOX} calls wait already"))
            }
            Err(TrySendError::Closed(incoming)) => incoming.reply.refuse("shutting down"),
        }
    }

    /// Gives a large call room until it is answered, or refuses it.
    fn weigh(&self, mut incoming: Incoming) -> Option<Incoming> {
        let Request::Query(query) = &incoming.request else { return Some(incoming) };
        let bytes = query.variables.get().len();
        if bytes > SMALL_CALL {
            // The largest has all the room for itself.
            let bytes = u32::try_from(bytes.min(INBOX_BYTES)).expect("the limit fits 32 bits");
            match self.bytes.clone().try_acquire_many_owned(bytes) {
                Ok(room) => incoming.reply.keep(room),
                Err(_) => {
                    let most = INBOX_BYTES >> 20;
                    refuse_overload(incoming, &format!("calls of {most} MiB are under way"));
                    return None;
                }
            }
        }
        Some(incoming)
    }

    /// Whether none waits already, in the place of which this one is put.
    fn is_new(&self, config: &SetConfig) -> bool {
        let mut last = self.last_config.lock();
        if last.as_ref().is_some_and(|last| last.replace(config)) {
            return false;
        }
        *last = Some(config.clone());
        true
    }

    /// Delivers configuration that had to wait. Never ends while the dispatcher lives.
    pub async fn deliver_waiting(&self) {
        loop {
            self.config_waits.notified().await;
            let Ok(room) = self.queue.reserve().await else { return };
            if let Some(config) = self.waiting_config.lock().take() {
                room.send(config);
            }
        }
    }

    fn try_deliver_config(&self) {
        let mut waiting = self.waiting_config.lock();
        if waiting.is_none() {
            return;
        }
        let Ok(room) = self.queue.try_reserve() else { return };
        if let Some(config) = waiting.take() {
            room.send(config);
        }
    }
}

fn refuse_overload(incoming: Incoming, what: &str) {
    tracing::warn!(call = %incoming.reply.call_id(), what, "overloaded; a call is refused");
    incoming.reply.refuse(&format!("overloaded: {what}; try again later"));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::outbox::Outbox;
    use super::super::packet::raw;
    use super::*;

    fn offer(inbox: &Inbox, outbox: &Arc<Outbox>, request: Request) {
        let reply = Reply::new(Some("k".into()), false, outbox.clone());
        inbox.offer(Incoming { request, reply });
    }

    fn config(name: &str) -> Request {
        let secrets = serde_json::from_str(&format!("{{{name:?}: 1}}")).unwrap();
        Request::SetConfig(SetConfig::new(secrets))
    }

    fn name(incoming: &Incoming) -> String {
        match &incoming.request {
            Request::SetConfig(config) => {
                config.take().unwrap().iter().next().unwrap().0.to_owned()
            }
            other => format!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_full_inbox_refuses_calls_but_not_configuration() {
        let (inbox, mut dispatcher) = Inbox::new();
        let outbox = Arc::new(Outbox::default());
        for _ in 0..INBOX {
            offer(&inbox, &outbox, Request::Introspect);
        }
        assert!(outbox.is_settled());
        offer(&inbox, &outbox, Request::StartOauth);
        let text = outbox.next_batch().await.text;
        assert!(text.contains("Error: overloaded: "), "{text}");
        offer(&inbox, &outbox, config("older"));
        offer(&inbox, &outbox, config("newer"));
        dispatcher.recv().await.unwrap();
        offer(&inbox, &outbox, Request::StartOauth);
        let mut seen = Vec::new();
        while let Ok(incoming) = dispatcher.try_recv() {
            seen.push(name(&incoming));
        }
        assert_eq!(seen.last().unwrap(), "newer");
        assert!(!seen.contains(&"older".to_owned()));
    }

    #[tokio::test]
    async fn large_calls_are_bounded_by_their_bytes_until_they_are_answered() {
        let (inbox, mut dispatcher) = Inbox::new();
        let outbox = Arc::new(Outbox::default());
        let large = || {
            let text = "x".repeat(INBOX_BYTES / 2 - 100);
            let arguments = json!({"query": "q", "variables": {"text": text}});
            Request::read("connector.query", Some(raw(&arguments))).unwrap()
        };
        offer(&inbox, &outbox, large());
        offer(&inbox, &outbox, large());
        assert!(outbox.is_settled());
        offer(&inbox, &outbox, large());
        let text = outbox.next_batch().await.text;
        assert!(text.contains("calls of 128 MiB are under way; try again later"), "{text}");
        let Incoming { request, reply } = dispatcher.recv().await.unwrap();
        drop(request);
        offer(&inbox, &outbox, large());
        assert!(outbox.next_batch().await.text.contains("overloaded"));
        reply.answer(raw(&json!({}))).await;
        outbox.next_batch().await;
        offer(&inbox, &outbox, large());
        assert_eq!(dispatcher.len(), 2);
    }

    #[tokio::test]
    async fn of_the_configurations_that_wait_the_newest_comes_in_the_place_of_the_oldest() {
        let (inbox, mut dispatcher) = Inbox::new();
        let outbox = Arc::new(Outbox::default());
        for round in 0..INBOX {
            offer(&inbox, &outbox, config(&round.to_string()));
            offer(&inbox, &outbox, Request::StartOauth);
        }
        let last = (INBOX - 1).to_string();
        assert_eq!(name(&dispatcher.recv().await.unwrap()), last);
        offer(&inbox, &outbox, config("next"));
        let mut seen = Vec::new();
        while let Ok(incoming) = dispatcher.try_recv() {
            seen.push(name(&incoming));
        }
        assert_eq!((seen.len(), &*seen.pop().unwrap()), (INBOX, "next"));
    }

    #[tokio::test]
    async fn configuration_that_waits_is_delivered_without_another_packet() {
        let (inbox, mut dispatcher) = Inbox::new();
        let outbox = Arc::new(Outbox::default());
        for _ in 0..INBOX {
            offer(&inbox, &outbox, Request::Introspect);
        }
        offer(&inbox, &outbox, config("waits"));
        let read_all = async { while name(&dispatcher.recv().await.unwrap()) != "waits" {} };
        tokio::select! {
            () = inbox.deliver_waiting() => panic!("ends only without a dispatcher"),
            () = read_all => {}
        }
    }
}
