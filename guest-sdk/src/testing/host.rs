//! The fake host itself.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::clock::Clock;
use super::connector::Connector;
use super::http::{Reply, Request};
use super::import;
use super::workspace::{StoredBlob, StoredTask, Workspace};
use crate::controller::{Controller, describe};
use crate::error::{Error, Result};
use crate::executor::block_on;
use crate::logging::Level;
use crate::manifest::Manifest;

/// A fake host. Clones are the same host.
///
/// Without [`http`](Self::http) every request is denied, as it is at a real host that grants nothing.
#[derive(Clone, Default)]
#[must_use]
pub struct Host(Rc<RefCell<State>>);

/// A line that the controller logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// The text.
    pub message: String,
}

/// What answers requests.
type Api = Rc<RefCell<dyn FnMut(&Request) -> Reply>>;

#[derive(Default)]
pub(super) struct State {
    pub config: BTreeMap<String, String>,
    /// The fields that may be read; none where no connector says which.
    pub declared: Option<Vec<String>>,
    /// The credentials that may be named, and the fields that each needs.
    pub credentials: BTreeMap<String, Vec<String>>,
    pub api: Option<Api>,
    pub requests: Vec<Request>,
    pub logs: Vec<LogLine>,
    pub clock: Clock,
    pub workspace: Workspace,
    pub workspace_gone: bool,
}

impl Host {
    /// A host without configuration, on which nothing can be reached.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a configuration field. Like the real host, it can be read only where the connector
    /// declares it.
    pub fn config(self, key: &str, value: impl ToString) -> Self {
        self.0.borrow_mut().config.insert(key.into(), value.to_string());
        self
    }

    /// A credential that the operator has and the connector does not declare.
    pub fn credential(self, name: &str) -> Self {
        self.0.borrow_mut().credentials.insert(name.into(), Vec::new());
        self
    }

    /// Answers every request. The function returns a [`Reply`] or a `Result` with an
    /// [`http::Error`](crate::http::Error).
    pub fn http<R: Into<Reply>>(self, mut api: impl FnMut(&Request) -> R + 'static) -> Self {
        let api = move |request: &Request| api(request).into();
        self.0.borrow_mut().api = Some(Rc::new(RefCell::new(api)));
        self
    }

    /// A host that has joined no workspace: tasks and blobs fail.
    pub fn without_workspace(self) -> Self {
        self.0.borrow_mut().workspace_gone = true;
        self
    }

    /// Describes a connector.
    pub fn describe<C: Controller>(&self) -> Manifest {
        self.run_sync(describe::<C>)
    }

    /// Makes a controller of its own, starts it, and calls one action.
    ///
    /// # Panics
    /// Where the arguments cannot be written as JSON.
    pub fn call<C: Controller>(&self, action: &str, arguments: impl Serialize) -> Result<Value> {
        let connector = self.connector::<C>();
        connector.start()?;
        connector.call(action, arguments)
    }

    /// Makes a controller that keeps its state from call to call.
    pub fn connector<C: Controller>(&self) -> Connector<C> {
        Connector::new(self.clone())
    }

    /// Runs any future on this host, for instance a method of the controller itself.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        self.run_sync(|| block_on(future))
    }

    /// The requests that were made, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.0.borrow().requests.clone()
    }

    /// The lines that were logged, in order.
    pub fn logs(&self) -> Vec<LogLine> {
        self.0.borrow().logs.clone()
    }

    /// The tasks that were created.
    pub fn tasks(&self) -> Vec<StoredTask> {
        self.0.borrow().workspace.tasks.clone()
    }

    /// The blobs that were created.
    pub fn blobs(&self) -> Vec<StoredBlob> {
        self.0.borrow().workspace.blobs.clone()
    }

    /// How much virtual time has passed.
    pub fn elapsed(&self) -> Duration {
        self.0.borrow().clock.now()
    }

    /// How many requests and timers are under way. None should be left after a call.
    pub fn under_way(&self) -> usize {
        self.0.borrow().clock.under_way()
    }

    pub(super) fn run_sync<T>(&self, work: impl FnOnce() -> T) -> T {
        let _installed = import::install(self.clone());
        work()
    }

    pub(super) fn state(&self) -> &RefCell<State> {
        &self.0
    }

    /// Why a request gets no credential, in the words of the real host.
    pub(super) fn refuse_credential(&self, request: &Request) -> Option<crate::http::Error> {
        let state = self.0.borrow();
        let name = request.credential()?;
        let Some(needs) = state.credentials.get(name) else {
            let names: Vec<_> = state.credentials.keys().map(|name| format!("{name:?}")).collect();
            let text = format!("there is no credential {name:?}; there are: {}", names.join(", "));
            return Some(crate::http::Error::Credential(text));
        };
        let is_unset = |key: &&String| state.config.get(*key).is_none_or(String::is_empty);
        let unset = needs.iter().find(is_unset)?;
        Some(crate::http::Error::Credential(format!(
            "the credential {name:?} needs the field {unset}, which is not set; set it in the \
             connector's configuration"
        )))
    }

    /// Runs the fake API. The state is not borrowed meanwhile, so the API may look at the host.
    pub(super) fn ask_api(&self, request: &Request) -> Reply {
        let api = self.0.borrow().api.clone();
        match api {
            Some(api) => (api.borrow_mut())(request),
            None => Reply::error(crate::http::Error::Denied(format!(
                "{} is not granted; the test's host has no `.http(..)`",
                request.url
            ))),
        }
    }

    /// What this connector declares can be read and named from now on.
    pub(super) fn declare(&self, manifest: &Manifest) {
        let keys = manifest.fields.iter().map(|field| field.key.clone()).collect();
        let mut state = self.0.borrow_mut();
        state.declared = Some(keys);
        let oauth = manifest.oauth.iter().map(|_| ("oauth".to_owned(), Vec::new()));
        let own = manifest.credentials.iter().map(|credential| {
            let fields = credential.fields().into_iter().map(str::to_owned).collect();
            (credential.name.clone(), fields)
        });
        for (name, fields) in own.chain(oauth) {
            // The operator's own takes its place.
            state.credentials.entry(name).or_insert(fields);
        }
    }
}

impl State {
    pub fn workspace(&mut self) -> Result<&mut Workspace> {
        if self.workspace_gone {
            let error = Error::new("workspace-unavailable", "there is no workspace");
            return Err(error.retryable());
        }
        Ok(&mut self.workspace)
    }
}
