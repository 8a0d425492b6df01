//! How large the body of one answer may be, and whose word that is.

use super::request::Error;
use crate::envelope::{Breach, Limit, Limits};

/// The largest body of an answer, after decompression.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cap {
    pub bytes: u64,
    by: By,
}

#[derive(Clone, Copy, Debug)]
enum By {
    /// The limit of the connector.
    Connector(Breach),
    /// The grant that lets the request through.
    Grant,
    /// The broker, of an answer that is for itself.
    Broker,
}

impl Cap {
    /// What the connector's limits say of an answer that is read whole.
    pub fn of_connector(limits: &Limits) -> Self {
        let bytes = limits.bytes(Limit::AnswerBody) as u64;
        Self { bytes, by: By::Connector(limits.breach(Limit::AnswerBody)) }
    }

    /// What a grant says.
    pub fn granted(bytes: usize) -> Self {
        Self { bytes: bytes as u64, by: By::Grant }
    }

    /// A number of the broker's own.
    pub fn fixed(bytes: usize) -> Self {
        Self { bytes: bytes as u64, by: By::Broker }
    }

    /// No limit of its own: what is passed on and not held ends with what the call may use up.
    pub fn none() -> Self {
        Self { bytes: u64::MAX, by: By::Broker }
    }

    /// The error of an answer that is larger.
    pub fn error(&self, origin: &str) -> Error {
        let Self { bytes, by } = self;
        let text = format!("the body of the answer of {origin} is over {bytes} bytes");
        match by {
            By::Connector(breach) => {
                Error::from(*breach).map(|text| format!("{text}; it came from {origin}"))
            }
            By::Grant => Error::AnswerSize(format!("{text} (answer-mib of its grant)")),
            By::Broker => Error::AnswerSize(text),
        }
    }
}
