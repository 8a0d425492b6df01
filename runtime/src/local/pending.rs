//! Questions to connectors that wait for their answer, whichever socket it comes on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::limits::CALLS_UNDER_WAY;
use super::outbox::Outbox;
use crate::workspace::packet::Packet;

/// All questions under way, by their key.
#[derive(Default)]
pub struct Pending(Mutex<HashMap<String, Question>>);

struct Question {
    connector: Arc<str>,
    answer: oneshot::Sender<Box<RawValue>>,
}

/// Why a question has no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Too many wait already.
    Full,
    /// The time limit passed.
    Late,
}

impl Pending {
    /// Sends a request and waits for its answer. A connector that drops may come back with it.
    pub async fn ask(
        &self,
        connector: &Arc<str>,
        outbox: &Outbox,
        request: Packet,
        limit: Duration,
    ) -> Result<Box<RawValue>, Unanswered> {
        let key = request.c.clone().unwrap_or_default();
        let answer = self.enter(&key, connector).ok_or(Unanswered::Full)?;
        let _leaves = Leaves { pending: self, outbox, key };
        outbox.push(request).map_err(|_| Unanswered::Full)?;
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(Unanswered::Late),
        }
    }

    /// Gives an answer to whoever waits for it. False where nobody does: it came too late, or from
    /// a connector that was not asked.
    pub fn answer(&self, connector: &str, key: &str, value: Box<RawValue>) -> bool {
        let mut questions = self.0.lock();
        if questions.get(key).is_none_or(|question| &*question.connector != connector) {
            return false;
        }
        questions.remove(key).is_some_and(|question| question.answer.send(value).is_ok())
    }

    fn enter(&self, key: &str, connector: &Arc<str>) -> Option<oneshot::Receiver<Box<RawValue>>> {
        let mut questions = self.0.lock();
        let under_way = questions.values().filter(|other| other.connector == *connector).count();
        if under_way >= CALLS_UNDER_WAY {
            return None;
        }
        let (answer, receiver) = oneshot::channel();
        questions.insert(key.into(), Question { connector: connector.clone(), answer });
        Some(receiver)
    }
}

/// Takes a question back when its asker is done with it, or gone.
struct Leaves<'a> {
    pending: &'a Pending,
    outbox: &'a Outbox,
    key: String,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        if self.pending.0.lock().remove(&self.key).is_some() {
            self.outbox.forget(&self.key);
        }
    }
}
