//! Why a call gave no result.

use super::bindings::aloma::connector::types;
use super::json::JsonError;
use crate::envelope::Breach;

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
    /// It went beyond one of its limits, in a call or on the way to it.
    #[error(transparent)]
    Limit(#[from] Breach),
    /// It went beyond one of its limits in something other than a call.
    #[error("{during}: {breach}")]
    LimitOfHook {
        /// What was running.
        during: &'static str,
        /// The limit.
        breach: Breach,
    },
    /// What the guest answered is no result.
    #[error("the connector answered what is no result: {0}")]
    BadResult(JsonError),
    /// The process is shutting down; nothing was called.
    #[error("the connector is shutting down")]
    ShuttingDown,
    /// The process was shut down before the call ended. What it had done is done.
    #[error("the call was cut off because the connector was shut down")]
    CutOff,
}
