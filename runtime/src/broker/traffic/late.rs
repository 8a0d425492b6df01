//! What a request is told that could not be sent in time: which limit it waited for, and which
//! setting changes it.

use std::time::Duration;

use tokio::time::Instant;

use super::{Rate, shown};
use crate::broker::limits::PLACES_PER_ORIGIN;
use crate::broker::request::Error;
use crate::envelope::Breach;

/// A limit that a request waited for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    AtOnce(usize),
    Rate(Rate),
    Connector(Breach),
    Origin,
}

/// A request whose time for waiting is over.
pub(super) struct Late<'a> {
    pub origin: &'a str,
    /// The grant's longest wait, where it was not the request's own time that ended.
    pub queue: Option<Duration>,
}

impl Late<'_> {
    pub fn error(&self, limit: Limit) -> Error {
        let origin = self.origin;
        let time = self
            .queue
            .map_or("until the time limit".into(), |queue| format!("for {}", shown(queue)));
        let text = match limit {
            Limit::AtOnce(most) => format!(
                "{most} requests under the grant for {origin} were under way {time}; make fewer \
                 at once, or {}",
                self.raise("at-once")
            ),
            Limit::Rate(Rate { per_second, burst }) => format!(
                "the grant for {origin} allows {per_second} requests per second (burst {burst}), \
                 and this one's turn would not come {}; make fewer, or {}",
                self.in_time(),
                self.raise("requests-per-second")
            ),
            Limit::Connector(breach) => {
                let queue = self.or_raise_queue();
                let more = format!(", or make fewer at once{queue}; this one waited {time}");
                return Error::from(breach).map(|text| text + &more);
            }
            Limit::Origin => format!(
                "{PLACES_PER_ORIGIN} requests to {origin} were under way {time}, those of other \
                 connectors among them; try again later{}",
                self.or_raise_queue()
            ),
        };
        Error::Limit(text)
    }

    fn in_time(&self) -> String {
        let within = |queue| format!("within {}", shown(queue));
        self.queue.map_or("before the time limit".into(), within)
    }

    fn raise(&self, setting: &str) -> String {
        let queue = if self.queue.is_some() { " or queue-seconds" } else { "" };
        format!("raise its {setting}{queue} in connector.toml")
    }

    fn or_raise_queue(&self) -> &'static str {
        match self.queue {
            Some(_) => ", or raise queue-seconds of its grant in connector.toml",
            None => "",
        }
    }
}

/// The error of a request that the server's own limit holds back past its time.
pub(super) fn no_quota(origin: &str, next: Instant) -> Error {
    let left = shown(next.saturating_duration_since(Instant::now()));
    Error::Limit(format!(
        "{origin} said that nothing is left of this connector's quota and asked to wait; not sent, \
         because {left} more would pass the time limit"
    ))
}
