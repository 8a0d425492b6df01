//! On which terms a grant lets requests through: how fast, how many, how large, how often again.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderName;
use serde::Deserialize;

pub use crate::broker::backoff::Jitter;

/// The terms of one grant. What is none is left to the defaults of the broker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// The credential that is added though the guest says nothing.
    pub credential: Option<String>,
    /// How many redirects are followed. None of them, unless the operator says otherwise.
    pub redirects: u32,
    /// How fast requests may follow each other.
    pub rate: Option<Rate>,
    /// Requests under way at the same time.
    pub at_once: Option<usize>,
    /// The longest wait for a place or a turn.
    pub queue: Option<Duration>,
    /// The time for all attempts and pauses of a request.
    pub timeout: Option<Duration>,
    /// How often a request is sent.
    pub attempts: Option<u32>,
    /// The pause before the second attempt.
    pub first_pause: Option<Duration>,
    /// How pauses grow.
    pub jitter: Jitter,
    /// The API does what came with a key in this header only once.
    pub idempotency_header: Option<HeaderName>,
    /// Bytes of a request's body.
    pub request_bytes: Option<usize>,
    /// Bytes of an answer's body.
    pub answer_bytes: Option<usize>,
    /// Shown to the server when it asks who we are.
    pub client_certificate: Option<ClientCertificate>,
}

/// How fast requests may follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// In the long run. More than nothing, and finite.
    pub per_second: f64,
    /// At once after a rest.
    pub burst: NonZeroU32,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificate {
    /// The file with the certificate, and those between it and the root.
    pub certificate: PathBuf,
    /// The file with its private key.
    pub key: PathBuf,
}

impl ClientCertificate {
    /// The same with its files in a folder.
    pub(super) fn within(self, folder: &Path) -> Self {
        Self { certificate: folder.join(self.certificate), key: folder.join(self.key) }
    }
}
