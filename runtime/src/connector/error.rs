//! Why a call gave no result.

use std::time::Duration;

use super::bindings::aloma::connector::types;

/// What a guest says went wrong. Mirrors `failure` of `wit/types.wit`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// A short code to branch on.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
    /// Whether the same call may work later.
    pub retryable: bool,
    /// More, as JSON text.
    pub detail: Option<String>,
}

impl Failure {
    /// The same failure with other texts.
    pub(super) fn map(self, change: impl Fn(String) -> String) -> Self {
        let Self { code, message, retryable, detail } = self;
        let (code, message) = (change(code), change(message));
        Self { code, message, retryable, detail: detail.map(change) }
    }
}

impl From<types::Failure> for Failure {
    fn from(failure: types::Failure) -> Self {
        let types::Failure { code, message, retryable, detail } = failure;
        Self { code, message, retryable, detail }
    }
}

impl From<Failure> for types::Failure {
    fn from(failure: Failure) -> Self {
        let Failure { code, message, retryable, detail } = failure;
        Self { code, message, retryable, detail }
    }
}

/// Why a call gave no result. The text goes to whoever called.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The connector says so.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// The arguments do not fit; nothing was called.
    #[error("{0}")]
    InvalidArguments(String),
    /// `start` did not work, so nothing was called.
    #[error("the connector did not start: {0}")]
    NotStarted(String),
    /// The guest trapped. Its instance is gone, the next call gets a new one.
    #[error("the connector crashed: {0}; its log may say more")]
    Crashed(String),
    /// The guest was stopped at its time limit.
    #[error("the call was stopped after {0:?}, its time limit; raise it with --call-timeout")]
    TimedOut(Duration),
    /// The guest was stopped in something other than a call.
    #[error("the connector was stopped in {what} after {limit:?}, the limit for that")]
    HookTimedOut {
        /// What was running.
        what: &'static str,
        /// The limit that passed.
        limit: Duration,
    },
    /// The guest was stopped when it asked for more memory than it may have.
    #[error("the connector needs more than {0} of memory, its limit; raise it with --memory")]
    OutOfMemory(Mebibytes),
    /// The guest was stopped when its tables grew too large.
    #[error("the connector needs tables of more than {0} elements, the limit")]
    OutOfTable(usize),
    /// Too many calls wait already; nothing was called.
    #[error("overloaded: {waiting} calls are waiting for this connector; try again later")]
    Overloaded {
        /// How many.
        waiting: usize,
    },
    /// What the guest answered is no result.
    #[error("the connector answered what is no result: {0}")]
    BadResult(String),
    /// The process is shutting down; nothing was called.
    #[error("the connector is shutting down")]
    ShuttingDown,
    /// The process was shut down before the call ended. What it had done is done.
    #[error("the call was cut off because the connector was shut down")]
    CutOff,
}

/// A number of bytes that people read.
#[derive(Clone, Copy, Debug)]
pub struct Mebibytes(pub usize);

impl std::fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} MiB", self.0 >> 20)
    }
}
