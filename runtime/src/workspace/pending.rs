//! Requests of ours that wait for the workspace's answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::limits::{PACKET_BYTES, PENDING};
use super::packet::{Packet, raw};
use crate::ids::fresh_id;

/// Why a request to the workspace has no result.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The workspace answered with an error.
    #[error("the workspace answered: {0}")]
    Refused(String),
    /// The workspace never got it.
    #[error("the workspace could not be reached within {} s; the request was not sent", .0.as_secs())]
    NotSent(Duration),
    /// It was sent, and nothing came back in time.
    #[error("the workspace did not answer within {} s; whether it acted is unknown", .0.as_secs())]
    NoAnswer(Duration),
    /// It was sent, and then the connection was lost.
    #[error(
        "the connection to the workspace was lost before it answered; whether it acted is unknown"
    )]
    ConnectionLost,
    /// Too many requests wait already.
    #[error("{PENDING} requests to the workspace wait for an answer already; try again later")]
    TooMany,
    /// The workspace would hang up on it.
    #[error("a request of {0} bytes is larger than the {PACKET_BYTES} that the workspace accepts")]
    TooLarge(usize),
    /// The link has been shut down.
    #[error("the link to the workspace is shut down")]
    Closed,
}

impl RequestError {
    /// The workspace may have acted on the request. Repeating it may do it twice.
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, Self::NoAnswer(_) | Self::ConnectionLost)
    }
}

type Outcome = Result<Box<RawValue>, RequestError>;

/// The table of waiting requests. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Pending(Arc<Mutex<HashMap<String, Slot>>>);

#[derive(Debug)]
struct Slot {
    caller: oneshot::Sender<Outcome>,
    written: bool,
}

/// One waiting request. Dropping it forgets the request.
#[derive(Debug)]
pub struct Waiting {
    /// The callback key.
    pub key: String,
    answer: oneshot::Receiver<Outcome>,
    table: Pending,
}

impl Pending {
    /// Makes a place for an answer.
    pub fn open(&self) -> Result<Waiting, RequestError> {
        let mut table = self.0.lock();
        if table.len() >= PENDING {
            return Err(RequestError::TooMany);
        }
        let key = format!("_req-{}", fresh_id());
        let (caller, answer) = oneshot::channel();
        table.insert(key.clone(), Slot { caller, written: false });
        Ok(Waiting { key, answer, table: self.clone() })
    }

    /// Notes that these requests are about to go out and are not to be repeated.
    pub fn mark_written(&self, keys: &[String]) {
        let mut table = self.0.lock();
        for key in keys {
            if let Some(slot) = table.get_mut(key) {
                slot.written = true;
            }
        }
    }

    /// Gives an answer to its caller. A packet that is no answer to us comes back.
    pub fn settle(&self, packet: Packet) -> Option<Packet> {
        let slot = packet.c.as_deref().and_then(|key| self.0.lock().remove(key));
        let Some(slot) = slot else { return Some(packet) };
        // The caller may have gone in this very moment, which is fine.
        let _ = slot.caller.send(outcome(packet.a));
        None
    }

    /// The socket is gone. What was written and is unanswered stays so.
    pub fn connection_lost(&self) {
        self.fail(|slot| slot.written, || RequestError::ConnectionLost);
    }

    /// Nothing will be answered any more.
    pub fn close(&self) {
        self.connection_lost();
        self.fail(|_| true, || RequestError::Closed);
    }

    fn fail(&self, mut which: impl FnMut(&Slot) -> bool, error: impl Fn() -> RequestError) {
        for (_, slot) in self.0.lock().extract_if(|_, slot| which(slot)) {
            let _ = slot.caller.send(Err(error()));
        }
    }
}

impl Waiting {
    /// The answer.
    pub async fn answer(&mut self) -> Outcome {
        (&mut self.answer).await.unwrap_or(Err(RequestError::Closed))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.table.0.lock().remove(&self.key);
    }
}

/// `{"error":…}` is a refusal, anything else the result. As in JavaScript, an error that is null,
/// false or empty is none.
fn outcome(value: Option<Box<RawValue>>) -> Outcome {
    #[derive(Deserialize)]
    struct Refusal {
        error: Value,
    }
    let value = value.unwrap_or_else(|| raw(&Value::Null));
    match serde_json::from_str(value.get()) {
        Ok(Refusal { error: Value::Null | Value::Bool(false) }) => Ok(value),
        Ok(Refusal { error: Value::String(text) }) if text.is_empty() => Ok(value),
        Ok(Refusal { error: Value::String(text) }) => Err(RequestError::Refused(text)),
        Ok(Refusal { error }) => Err(RequestError::Refused(error.to_string())),
        Err(_) => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_a_result_or_a_refusal() {
        for (value, expected) in [
            (json!({"id": "t1"}), Ok(r#"{"id":"t1"}"#)),
            (json!({"error": null}), Ok(r#"{"error":null}"#)),
            (json!(7), Ok("7")),
            (json!({"error": "Error: no"}), Err("the workspace answered: Error: no")),
            (json!({"error": {"code": 1}}), Err(r#"the workspace answered: {"code":1}"#)),
        ] {
            let pending = Pending::default();
            let mut waiting = pending.open().unwrap();
            assert!(pending.settle(Packet::answer(&waiting.key, raw(&value))).is_none());
            let got = waiting.answer().await;
            let got = got.as_ref().map(|value| value.get()).map_err(ToString::to_string);
            assert_eq!(got, expected.map_err(String::from));
        }
    }

    #[tokio::test]
    async fn a_lost_connection_fails_only_what_was_written() {
        let pending = Pending::default();
        let (mut written, queued) = (pending.open().unwrap(), pending.open().unwrap());
        pending.mark_written(std::slice::from_ref(&written.key));
        pending.connection_lost();
        let error = written.answer().await.unwrap_err();
        assert!(error.outcome_unknown(), "{error}");
        assert!(pending.settle(Packet::answer(&queued.key, raw(&json!({})))).is_none());
    }

    #[tokio::test]
    async fn requests_are_bounded_and_forgotten_with_their_callers() {
        let pending = Pending::default();
        let all: Vec<_> = (0..PENDING).map(|_| pending.open().unwrap()).collect();
        assert!(matches!(pending.open(), Err(RequestError::TooMany)));
        let key = all[0].key.clone();
        drop(all);
        assert!(pending.settle(Packet::answer(&key, raw(&json!({})))).is_some());
        assert!(pending.open().is_ok());
    }
}
