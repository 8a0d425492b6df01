//! Calls an action and remembers that it was called.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::feed::Happening;
use super::hub::Hub;
use super::limits::{CALL, CALL_MOST, CALLS_SHOWN, CALLS_UNDER_WAY, NAME_BYTES, SHOWN_BYTES};
use super::pending::Unanswered;
use super::reply::Refusal;
use super::seats::Seat;
use super::store::calls::{self, Ended};
use super::store::now;
use crate::ids::fresh_id;
use crate::workspace::packet::{Packet, raw};

/// What to call.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Order {
    action: String,
    arguments: Option<Box<RawValue>>,
    /// The task that the call belongs to.
    task_id: Option<String>,
    timeout_ms: Option<u64>,
}

/// A call that went well.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    call: String,
    result: Arc<RawValue>,
    took_ms: f64,
}

/// Calls an action. Once it began, it is seen through also when nobody waits for it any more.
pub async fn call(hub: Arc<Hub>, seat: Arc<Seat>, order: Order) -> Result<Answered, Refusal> {
    order.check()?;
    if !seat.connected() {
        return Err(Refusal::not_connected(&seat.connector));
    }
    let task = hub.tasks.spawn(see_through(hub.clone(), seat, order));
    task.await.map_err(|error| anyhow::anyhow!("a call's task ended: {error}"))?
}

impl Order {
    fn check(&self) -> Result<(), Refusal> {
        if self.action.is_empty() || self.action.len() > NAME_BYTES {
            return Err(Refusal::bad(format!("`action` must have 1 to {NAME_BYTES} bytes")));
        }
        if !self.arguments().get().starts_with('{') {
            return Err(Refusal::bad("`arguments` must be an object"));
        }
        Ok(())
    }

    fn arguments(&self) -> Box<RawValue> {
        self.arguments.clone().unwrap_or_else(|| raw(&json!({})))
    }

    fn limit(&self) -> Duration {
        self.timeout_ms.map_or(CALL, Duration::from_millis).min(CALL_MOST)
    }

    /// The whole name is one step of the path: a dotted name is found that way too, and the answer
    /// is then wrapped under that very name.
    fn query(&self) -> Box<RawValue> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Query<'a> {
            query: [&'a str; 1],
            variables: Box<RawValue>,
            #[serde(skip_serializing_if = "Option::is_none")]
            task_id: Option<&'a str>,
        }
        raw(&Query {
            query: [&self.action],
            variables: self.arguments(),
            task_id: self.task_id.as_deref(),
        })
    }
}

async fn see_through(hub: Arc<Hub>, seat: Arc<Seat>, order: Order) -> Result<Answered, Refusal> {
    let call = fresh_id();
    hub.calls.began(&call, &seat.connector, &order);
    hub.feed.tell(&seat.connector, Happening::Call(&call, "running"));
    let (at, start) = (now(), Instant::now());
    let request = Packet::request(&call, "connector.query", order.query());
    let outcome = tokio::select! {
        answer = hub.pending.ask(&seat.connector, &seat.outbox, request, order.limit()) => {
            outcome(answer, order.limit())
        }
        () = hub.stopping.cancelled() => {
            Err((StatusCode::SERVICE_UNAVAILABLE, "the workspace stopped before the answer came".into()))
        }
    };
    let took_ms = (start.elapsed().as_secs_f64() * 1e6).round() / 1e3;
    let ok = outcome.is_ok();
    hub.calls.ended(&call, &outcome, took_ms);
    let ended = Ended {
        id: call.clone(),
        connector: seat.connector.to_string(),
        action: order.action,
        at,
        ok,
        took_ms,
    };
    // The answer counts more than the record of it.
    if let Err(error) = hub.store.with(move |store| calls::add(store, &ended)).await {
        tracing::error!("local workspace: {error:#}");
    }
    hub.feed.tell(&seat.connector, Happening::Call(&call, if ok { "ok" } else { "error" }));
    match outcome {
        Ok(result) => Ok(Answered { call, result, took_ms }),
        Err((status, text)) => {
            Err(Refusal { call: Some(call), took_ms: Some(took_ms), ..Refusal::new(status, text) })
        }
    }
}

type Outcome = Result<Arc<RawValue>, (StatusCode, String)>;

fn outcome(answer: Result<Box<RawValue>, Unanswered>, limit: Duration) -> Outcome {
    match answer {
        Ok(value) => match error_of(&value) {
            Some(text) => Err((StatusCode::UNPROCESSABLE_ENTITY, text)),
            None => Ok(value.into()),
        },
        Err(Unanswered::Late) => {
            let text = format!("no answer within {limit:?}; the action may still be running");
            Err((StatusCode::GATEWAY_TIMEOUT, text))
        }
        Err(Unanswered::Full) => {
            let text = format!(
                "too many calls wait for this connector ({CALLS_UNDER_WAY}), or too many bytes"
            );
            Err((StatusCode::SERVICE_UNAVAILABLE, text))
        }
    }
}

/// The text of an error answer: an object with the one key `error`. A result of that very shape
/// cannot be told from a failure on this wire.
pub fn error_of(answer: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Failed {
        error: String,
    }
    serde_json::from_str(answer.get()).ok().map(|Failed { error }| error)
}

/// What the page shows of the latest calls, in memory.
#[derive(Default)]
pub struct CallLog(Mutex<VecDeque<Shown>>);

/// One call as the page shows it.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    call: String,
    #[serde(skip)]
    connector: Arc<str>,
    action: String,
    at: i64,
    /// `running`, `ok` or `error`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Arc<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Arc<RawValue>>,
}

impl CallLog {
    /// The latest calls of a connector, newest first: those of the store, and those under way.
    pub async fn latest(&self, hub: &Hub, connector: &str) -> anyhow::Result<Vec<Shown>> {
        let id = connector.to_owned();
        let stored = hub.store.with(move |store| calls::latest(store, &id)).await?;
        let shown = self.0.lock();
        let mut known: HashMap<&str, &Shown> = shown
            .iter()
            .filter(|own| &*own.connector == connector)
            .map(|own| (&*own.call, own))
            .collect();
        let ended: Vec<Shown> = stored
            .into_iter()
            .map(|ended| known.remove(&*ended.id).cloned().unwrap_or_else(|| Shown::from(ended)))
            .collect();
        let mut all: Vec<Shown> = known.into_values().cloned().chain(ended).collect();
        all.sort_by_key(|call| std::cmp::Reverse(call.at));
        Ok(all)
    }

    fn began(&self, call: &str, connector: &Arc<str>, order: &Order) {
        let mut shown = self.0.lock();
        if shown.len() >= CALLS_SHOWN {
            shown.pop_front();
        }
        shown.push_back(Shown {
            call: call.into(),
            connector: connector.clone(),
            action: order.action.clone(),
            at: now(),
            state: "running",
            took_ms: None,
            error: None,
            arguments: small(&order.arguments().into()),
            result: None,
        });
    }

    fn ended(&self, call: &str, outcome: &Outcome, took_ms: f64) {
        let mut shown = self.0.lock();
        let Some(own) = shown.iter_mut().rev().find(|own| own.call == call) else { return };
        own.took_ms = Some(took_ms);
        own.state = if outcome.is_ok() { "ok" } else { "error" };
        match outcome {
            Ok(result) => own.result = small(result),
            Err((_, text)) => {
                let mut text = text.clone();
                super::feed::cut(&mut text, SHOWN_BYTES);
                own.error = Some(text);
            }
        }
    }
}

impl From<Ended> for Shown {
    fn from(ended: Ended) -> Self {
        Self {
            call: ended.id,
            connector: ended.connector.into(),
            action: ended.action,
            at: ended.at,
            state: if ended.ok { "ok" } else { "error" },
            took_ms: Some(ended.took_ms),
            error: None,
            arguments: None,
            result: None,
        }
    }
}

/// Large values are shown once, to the caller, and not kept.
fn small(value: &Arc<RawValue>) -> Option<Arc<RawValue>> {
    (value.get().len() <= SHOWN_BYTES).then(|| value.clone())
}

/// The calls as the API answers them.
pub fn listed(calls: Vec<Shown>) -> Value {
    json!({"calls": calls})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_answer_has_one_key() {
        for (answer, error) in [
            (r#"{"error":"TypeError: bad thing"}"#, Some("TypeError: bad thing")),
            (r#"{"error":"x","more":1}"#, None),
            (r#"{"error":null}"#, None),
            (r#"{"error":{"code":1}}"#, None),
            (r#"{"hi":"world"}"#, None),
            ("[]", None),
        ] {
            let answer = RawValue::from_string(answer.into()).expect(answer);
            assert_eq!(error_of(&answer).as_deref(), error, "{answer}");
        }
    }
}
