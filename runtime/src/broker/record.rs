//! The one record that each request leaves, however it ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;
use url::Url;

use super::answer::Watch;
use super::limits::{REFUSALS_TOLD, URL_BYTES};
use super::request::{Error, Request, Scope};
use crate::events::{Event, Events, RequestRecord};

/// Counts along with a request, and tells the record when it is dropped: a request whose call was
/// cancelled leaves one, too.
pub(super) struct Tally {
    record: RequestRecord,
    gave_up: Option<String>,
    events: Events,
    refusals: Arc<Refusals>,
    since: Instant,
}

/// Puts refusals into the log, where the operator finds the flag that would allow them: each once,
/// for a guest can be refused as often as it likes.
#[derive(Default)]
pub(super) struct Refusals(Mutex<BTreeSet<String>>);

impl Refusals {
    fn tell(&self, connector: &str, text: &str) {
        let mut told = self.0.lock();
        if told.len() < REFUSALS_TOLD && told.insert(text.to_owned()) {
            tracing::warn!(connector, "refused: {text}");
        }
    }
}

impl Tally {
    pub fn new(
        connector: Arc<str>,
        events: Events,
        refusals: Arc<Refusals>,
        request: &Request,
        scope: &Scope,
    ) -> Self {
        let record = RequestRecord {
            at: SystemTime::now(),
            connector,
            call: scope.call.clone(),
            method: scope.vault.scrub(shown_method(&request.method)),
            // A secret that was revealed may be in the path.
            url: scope.vault.scrub(shown_url(&request.url)),
            status: None,
            error: Some("given up before the answer came".into()),
            attempts: 0,
            bytes_out: 0,
            bytes_in: 0,
            took: Duration::ZERO,
        };
        Self { record, gave_up: None, events, refusals, since: Instant::now() }
    }

    /// Counts an attempt that sends so many bytes.
    pub fn attempt(&mut self, bytes: usize) {
        self.record.attempts += 1;
        self.record.bytes_out += bytes as u64;
    }

    /// Remembers why a bad answer was taken for good.
    pub fn gave_up(&mut self, why: String) {
        self.gave_up = Some(why);
    }

    /// Counts the bytes of an answer's body.
    pub fn received(&mut self, bytes: usize) {
        self.record.bytes_in += bytes as u64;
    }

    /// Ends the request: with the status of its answer, or with what was given instead.
    pub fn end(mut self, outcome: Result<u16, &Error>) {
        self.record.status = outcome.ok();
        self.record.error = match outcome {
            Ok(_) => self.gave_up.take(),
            Err(error) => Some(error.to_string()),
        };
        if let Err(Error::Denied(text)) = outcome {
            self.refusals.tell(&self.record.connector, text);
        }
    }
}

/// Counts along with the body of an answer, and ends with it.
pub(super) struct BodyTally {
    pub tally: Tally,
    pub status: u16,
}

impl Watch for BodyTally {
    fn piece(&mut self, bytes: usize) {
        self.tally.received(bytes);
    }

    fn end(mut self, outcome: Result<(), &Error>) {
        // The answer was had as far as it came.
        self.tally.record.status = Some(self.status);
        self.tally.end(outcome.map(|()| self.status));
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let mut record = self.record.clone();
        record.at = SystemTime::now();
        record.took = self.since.elapsed();
        self.events.tell(Event::Request(record));
    }
}

fn shown_method(method: &str) -> String {
    method.chars().take(20).collect::<String>().to_ascii_uppercase()
}

/// Scheme, host, port and path: people put secrets into all the rest.
fn shown_url(text: &str) -> String {
    let parsed = (text.len() <= URL_BYTES).then(|| Url::parse(text).ok()).flatten();
    match parsed {
        Some(url) if url.has_host() => {
            format!("{}{}", url.origin().ascii_serialization(), url.path())
        }
        _ => "(no URL)".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_shows_no_more_of_a_url_than_its_path() {
        for (text, expected) in [
            ("https://a.example/x/y?key=s#f", "https://a.example/x/y"),
            ("https://user:s@a.example:8443/", "https://a.example:8443/"),
            ("http://2130706433", "http://127.0.0.1/"),
            ("data:text/plain,s", "(no URL)"),
            ("not a URL with s", "(no URL)"),
        ] {
            assert_eq!(shown_url(text), expected, "{text}");
        }
    }
}
