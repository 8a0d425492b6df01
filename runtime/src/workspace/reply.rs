//! The one answer that a request of the workspace gets.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;

use super::limits::{ERROR_BYTES, PACKET_BYTES};
use super::outbox::{Kind, Outbox};
use super::packet::{Packet, raw};
use crate::ids::fresh_id;

/// The way back to whoever asked. Answering consumes it; one that is dropped unanswered tells the
/// caller so, for the protocol has no other way to end a call.
pub struct Reply {
    /// None once answered, and where nobody waits.
    key: Option<String>,
    call_id: Arc<str>,
    only_errors: bool,
    outbox: Arc<Outbox>,
    /// The room that its request takes.
    room: Option<OwnedSemaphorePermit>,
}

impl Reply {
    pub(super) fn new(key: Option<String>, only_errors: bool, outbox: Arc<Outbox>) -> Self {
        let call_id = key.as_deref().map_or_else(|| fresh_id().into(), Arc::from);
        Self { key, call_id, only_errors, outbox, room: None }
    }

    /// Keeps the room that the request takes until there is an answer.
    pub(super) fn keep(&mut self, room: OwnedSemaphorePermit) {
        self.room = Some(room);
    }

    /// What names this call in logs: the key that the answer goes to, or a fresh id.
    pub fn call_id(&self) -> Arc<str> {
        self.call_id.clone()
    }

    /// False where a success is never answered: a request without a key, and `set-config`.
    pub fn wants_answer(&self) -> bool {
        self.key.is_some() && !self.only_errors
    }

    /// Answers with a value, which must be a JSON object (`wrap_result`). Waits while the outbox is
    /// full. Who stops waiting has dropped the reply.
    pub async fn answer(mut self, value: Box<RawValue>) {
        if self.only_errors {
            self.key = None;
        }
        let bytes = value.get().len();
        if bytes > PACKET_BYTES {
            let limit = format!("the workspace accepts at most {PACKET_BYTES}");
            return self.error(&format!("the result has {bytes} bytes, and {limit}")).await;
        }
        self.send(value).await;
    }

    /// Answers with an error.
    pub async fn error(mut self, message: &str) {
        self.send(error_value(message)).await;
    }

    /// Answers with an error at once, for a reader that must not wait.
    pub fn refuse(mut self, message: &str) {
        self.refuse_now(message);
    }

    async fn send(&mut self, value: Box<RawValue>) {
        let Some(key) = &self.key else { return };
        let sent = self.outbox.push(Kind::Answer, Packet::answer(key, value)).await;
        // Only now: whoever stops waiting before leaves the key to `drop`.
        self.key = None;
        if sent.is_err() {
            tracing::debug!(call = %self.call_id, "answered after the link was shut down");
        }
    }

    fn refuse_now(&mut self, message: &str) {
        let Some(key) = self.key.take() else { return };
        if !self.outbox.push_refusal(Packet::answer(&key, error_value(message))) {
            tracing::debug!(call = %self.call_id, "no room to refuse a call");
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.only_errors {
            return;
        }
        self.refuse_now("the call ended without an answer");
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("call_id", &self.call_id).finish_non_exhaustive()
    }
}

/// What an error looks like on the wire: the Node SDK sends a name and a message.
pub fn error_value(message: &str) -> Box<RawValue> {
    let end = message.floor_char_boundary(ERROR_BYTES);
    let message = format!("Error: {}", &message[..end]);
    raw(&Map::from_iter([("error".to_owned(), Value::String(message))]))
}

/// A result in the form that answers must have: an object as it is, nothing as `{}`, anything else
/// under the name of the query. The result is not parsed.
pub fn wrap_result(path: &[String], result: Box<RawValue>) -> Box<RawValue> {
    let text = result.get().trim_start();
    if text.starts_with('{') {
        return result;
    }
    let wrapped: Cow<str> = match text.trim_end() {
        "null" => "{}".into(),
        value => format!("{{{}:{value}}}", Value::String(path.join(","))).into(),
    };
    RawValue::from_string(wrapped.into_owned()).expect("JSON text inside JSON text")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_result_becomes_an_object() {
        for (path, result, expected) in [
            (&["a"][..], r#"{"b":1.50}"#, r#"{"b":1.50}"#),
            (&["a"], "  { }", "{ }"),
            (&["a"], "null", "{}"),
            (&["getNumber"], "42", r#"{"getNumber":42}"#),
            (&["crm", "list"], "[1, 2]", r#"{"crm,list":[1, 2]}"#),
            (&["say \"hi\""], r#""x""#, r#"{"say \"hi\"":"x"}"#),
            (&[], "true", r#"{"":true}"#),
        ] {
            let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
            let wrapped = wrap_result(&path, RawValue::from_string(result.into()).unwrap());
            assert_eq!(wrapped.get(), expected, "{result}");
        }
    }

    #[test]
    fn an_error_says_so_and_is_bounded() {
        assert_eq!(error_value("no \"x\"").get(), r#"{"error":"Error: no \"x\""}"#);
        assert!(error_value(&"ä".repeat(ERROR_BYTES)).get().len() < ERROR_BYTES + 32);
    }

    async fn written(outbox: &Arc<Outbox>) -> Option<String> {
        let batch = outbox.next_batch();
        let mut batch = std::pin::pin!(batch);
        match futures_util::poll!(&mut batch) {
            std::task::Poll::Ready(batch) => Some(batch.text),
            std::task::Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn who_is_answered_and_who_is_not() {
        let outbox = Arc::new(Outbox::default());
        let reply = |key: Option<&str>, only_errors| {
            Reply::new(key.map(Into::into), only_errors, outbox.clone())
        };
        reply(None, false).answer(raw(&json!({}))).await;
        reply(None, false).error("x").await;
        reply(Some("k"), true).answer(raw(&json!({}))).await;
        drop(reply(Some("k"), true));
        assert_eq!(written(&outbox).await, None);
        reply(Some("k"), true).error("x").await;
        assert!(written(&outbox).await.unwrap().contains("Error: x"));
        drop(reply(Some("k"), false));
        let text = written(&outbox).await.unwrap();
        assert!(text.contains("Error: the call ended without an answer"), "{text}");
    }
}
