//! The imports of the contract, answered by the fake host of this thread.

use std::cell::RefCell;
use std::time::Duration;

use super::host::{Host, LogLine};
use super::http::{Reply, Request};
use crate::error::Result;
use crate::http::{self, Answer, Error};
use crate::logging::Level;
use crate::workspace::{Blob, NewBlob};

thread_local! {
    /// The hosts in use, the innermost last.
    static HOSTS: RefCell<Vec<Host>> = const { RefCell::new(Vec::new()) };
}

/// Makes a host the one of this thread until the answer is dropped.
pub(super) fn install(host: Host) -> Installed {
    HOSTS.with_borrow_mut(|hosts| hosts.push(host));
    Installed
}

pub(super) struct Installed;

impl Drop for Installed {
    fn drop(&mut self) {
        HOSTS.with_borrow_mut(|hosts| hosts.pop());
    }
}

fn host() -> Host {
    current().expect("no host here; run this in `aloma_connector::testing::Host::new().run(..)`")
}

fn current() -> Option<Host> {
    HOSTS.with_borrow(|hosts| hosts.last().cloned())
}

pub fn config_get(key: &str) -> Option<String> {
    let host = host();
    let mut state = host.state().borrow_mut();
    let declared = state.declared.as_ref().is_none_or(|keys| keys.iter().any(|own| own == key));
    if !declared {
        let message = format!("`{key}` is read, but no field of that key is declared");
        state.logs.push(LogLine { level: Level::Warn, message });
        return None;
    }
    state.config.get(key).cloned()
}

pub fn log_enabled(_level: Level) -> bool {
    true
}

pub fn log(level: Level, message: &str) {
    host().state().borrow_mut().logs.push(LogLine { level, message: message.into() });
}

pub fn http_start(request: &http::Request) -> u64 {
    let host = host();
    let request = Request(request.clone());
    host.state().borrow_mut().requests.push(request.clone());
    let reply = match host.refuse_credential(&request) {
        Some(error) => Reply::error(error),
        None => host.ask_api(&request),
    };
    let (after, outcome) = reply.within(request.options.timeout_ms);
    host.state().borrow_mut().clock.start(after, Some(outcome))
}

pub fn http_take(handle: u64) -> Option<Result<Answer, Error>> {
    host().state().borrow_mut().clock.take(handle)
}

pub fn timer(milliseconds: u64) -> u64 {
    let after = Duration::from_millis(milliseconds);
    host().state().borrow_mut().clock.start(after, None)
}

pub fn wait(handles: &[u64]) -> Vec<u64> {
    host().state().borrow_mut().clock.wait(handles)
}

/// A future may outlive its host; then there is nothing left to cancel.
pub fn cancel(handle: u64) {
    if let Some(host) = current() {
        host.state().borrow_mut().clock.cancel(handle);
    }
}

pub fn new_task(name: &str, data: &str) -> Result<String> {
    host().state().borrow_mut().workspace()?.new_task(name, data)
}

pub fn update_task(id: &str, data: &str) -> Result<String> {
    host().state().borrow_mut().workspace()?.update_task(id, data)
}

pub fn create_blob(blob: NewBlob) -> Result<String> {
    Ok(host().state().borrow_mut().workspace()?.create_blob(blob))
}

pub fn get_blob(id: &str) -> Result<Blob> {
    host().state().borrow_mut().workspace()?.get_blob(id)
}

pub fn get_blob_content(id: &str) -> Result<Vec<u8>> {
    host().state().borrow_mut().workspace()?.get_blob_content(id)
}
