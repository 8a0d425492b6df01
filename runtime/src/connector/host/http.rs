//! `http`: requests by the broker, one at a time or many at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::begin_here;
use crate::broker::{Broker, Error, Held, Request, Response, Scope};
use crate::connector::bindings::aloma::connector::http as wit;
use crate::connector::sandbox::State;
use crate::envelope::{Limit, Limits};

type Outcome = Result<Response, Error>;
type Told = Result<wit::Response, wit::Error>;

/// What an instance started and has not taken. Dropping it ends every request in it.
#[derive(Default)]
pub struct Started {
    last: wit::Handle,
    /// The last one when everything was forgotten.
    cleared: wit::Handle,
    /// Shared with the tasks that make the requests: they fill in the outcome.
    outcomes: Arc<Outcomes>,
    running: BTreeMap<wit::Handle, Running>,
}

#[derive(Default)]
struct Outcomes {
    by_handle: Mutex<BTreeMap<wit::Handle, Outcome>>,
    changed: Notify,
}

enum Running {
    /// Held only to end the request when it is dropped.
    Request(#[expect(dead_code, reason = "dropping it aborts the task")] AbortOnDropHandle<()>),
    Timer(Instant),
    /// It was over at once, as one that is refused; the outcome is there.
    Done,
}

impl Started {
    /// Ends and forgets everything.
    pub fn clear(&mut self) {
        // Most calls start nothing.
        if self.cleared == self.last {
            return;
        }
        self.cleared = self.last;
        self.running.clear();
        // A task that is ending at this moment may still write into the old map.
        self.outcomes = Arc::default();
    }

    fn add(&mut self, running: impl FnOnce(wit::Handle) -> Running) -> wit::Handle {
        self.last += 1;
        let running = running(self.last);
        self.running.insert(self.last, running);
        self.last
    }

    fn add_done(&mut self, outcome: Outcome) -> wit::Handle {
        let handle = self.add(|_| Running::Done);
        self.outcomes.by_handle.lock().insert(handle, outcome);
        handle
    }

    fn is_full(&self, limits: &Limits) -> bool {
        self.running.len() >= limits.count(Limit::Started)
    }

    fn done(&self, handle: wit::Handle, now: Instant) -> bool {
        match self.running.get(&handle) {
            None | Some(Running::Done) => true,
            Some(Running::Timer(at)) => *at <= now,
            Some(Running::Request(_)) => self.outcomes.by_handle.lock().contains_key(&handle),
        }
    }

    fn next_timer(&self, handles: &[wit::Handle]) -> Option<Instant> {
        let timer = |handle| match self.running.get(handle) {
            Some(Running::Timer(at)) => Some(*at),
            _ => None,
        };
        handles.iter().filter_map(timer).min()
    }
}

impl wit::Host for State {
    async fn send(&mut self, request: wit::Request) -> wasmtime::Result<Told> {
        let outcome = match self.begin(request) {
            Ok(begun) => begun.send().await,
            Err(error) => Err(error),
        };
        Ok(told(outcome))
    }

    fn start(&mut self, request: wit::Request) -> wasmtime::Result<wit::Handle> {
        if self.started.is_full(&self.limits) {
            return self.refuse(self.too_many());
        }
        let begun = match self.begin(request) {
            Ok(begun) => begun,
            Err(error) => return self.refuse(error),
        };
        let sending = match begin_here(begun.send()) {
            Ok(outcome) => return Ok(self.started.add_done(outcome)),
            Err(sending) => sending,
        };
        let outcomes = self.started.outcomes.clone();
        Ok(self.started.add(|handle| {
            let task = tokio::spawn(async move {
                let outcome = sending.await;
                outcomes.by_handle.lock().insert(handle, outcome);
                outcomes.changed.notify_one();
            });
            Running::Request(AbortOnDropHandle::new(task))
        }))
    }

    fn timer(&mut self, milliseconds: u64) -> wasmtime::Result<wit::Handle> {
        if self.started.is_full(&self.limits) {
            return Err(self.limits.breach(Limit::Started).into());
        }
        // A time that no clock reaches is past the call's deadline all the same.
        let duration = Duration::from_millis(milliseconds).min(Duration::from_secs(1 << 30));
        Ok(self.started.add(|_| Running::Timer(Instant::now() + duration)))
    }

    async fn wait(&mut self, handles: Vec<wit::Handle>) -> wasmtime::Result<Vec<wit::Handle>> {
        // To look at millions of them would take this thread for seconds.
        if handles.len() > most_handles(&self.limits) {
            return Err(self.limits.breach(Limit::Started).into());
        }
        let deadline = self.scope().deadline;
        let started = &self.started;
        loop {
            let now = Instant::now();
            let done: Vec<_> = handles.iter().copied().filter(|h| started.done(*h, now)).collect();
            if !done.is_empty() || handles.is_empty() {
                return Ok(done);
            }
            // The call's own time limit ends a wait for nothing.
            let timer = started.next_timer(&handles).unwrap_or(deadline);
            tokio::select! {
                () = started.outcomes.changed.notified() => {}
                () = tokio::time::sleep_until(timer) => {}
            }
        }
    }

    fn take(&mut self, handle: wit::Handle) -> wasmtime::Result<Option<Told>> {
        let outcome = self.started.outcomes.by_handle.lock().remove(&handle);
        if outcome.is_some() {
            self.started.running.remove(&handle);
        }
        Ok(outcome.map(told))
    }

    fn cancel(&mut self, handle: wit::Handle) -> wasmtime::Result<()> {
        self.started.running.remove(&handle);
        self.started.outcomes.by_handle.lock().remove(&handle);
        Ok(())
    }
}

/// A request, and the room that its body takes until there is an answer.
struct Begun {
    broker: Arc<Broker>,
    request: Request,
    scope: Scope,
    held: Held,
}

impl Begun {
    async fn send(self) -> Outcome {
        let Self { broker, request, scope, held: _held } = self;
        broker.send(request, &scope).await
    }
}

impl State {
    fn begin(&self, request: wit::Request) -> Result<Begun, Error> {
        let services = self.services.as_ref().ok_or_else(no_network)?;
        let (broker, request) = (services.broker.clone(), Request::from(request));
        let mut held = broker.hold();
        held.grow(request.body.as_ref().map_or(0, Bytes::len))?;
        Ok(Begun { broker, request, scope: self.scope().clone(), held })
    }

    fn refuse(&mut self, error: Error) -> wasmtime::Result<wit::Handle> {
        // Refusals are kept like answers, so a guest that only starts requests is stopped too.
        if self.started.running.len() >= most_handles(&self.limits) {
            return Err(self.limits.breach(Limit::Started).into());
        }
        Ok(self.started.add_done(Err(error)))
    }

    fn too_many(&self) -> Error {
        self.limits.breach(Limit::Started).into()
    }
}

/// Handles at once, those of refused requests among them.
fn most_handles(limits: &Limits) -> usize {
    2 * limits.count(Limit::Started)
}

fn told(outcome: Outcome) -> Told {
    outcome.map(Into::into).map_err(Into::into)
}

fn no_network() -> Error {
    Error::Denied("no requests while the connector is described".into())
}

impl From<wit::Request> for Request {
    fn from(request: wit::Request) -> Self {
        let wit::Request { method, url, headers, body, options } = request;
        Self {
            method,
            url,
            headers: headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect(),
            body: body.map(Bytes::from),
            timeout: options.timeout_ms.map(Duration::from_millis),
            attempts: options.attempts,
            idempotency_key: options.idempotency_key,
            credential: options.credential,
            ..Self::default()
        }
    }
}

impl From<Response> for wit::Response {
    fn from(response: Response) -> Self {
        let Response { status, headers, body, held: _ } = response;
        let headers = headers
            .iter()
            .map(|(name, value)| (name.to_string(), latin1(value.as_bytes())))
            .collect();
        Self { status, headers, body: body.into() }
    }
}

/// Header values are bytes; this spelling loses none of them.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

impl From<Error> for wit::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidRequest(text) => Self::InvalidRequest(text),
            Error::Denied(text) => Self::Denied(text),
            Error::Dns(text) => Self::Dns(text),
            Error::Connect(text)
            | Error::ConnectTimeout(text)
            | Error::Certificate(text)
            | Error::Tls(text) => Self::Connect(text),
            Error::Timeout(text) => Self::Timeout(text),
            Error::Interrupted(text) | Error::Protocol(text) => Self::Interrupted(text),
            Error::Limit(text) | Error::Breach(_, text) | Error::AnswerSize(text) => {
                Self::Limit(text)
            }
            Error::Credential(text) => Self::Credential(text),
        }
    }
}
