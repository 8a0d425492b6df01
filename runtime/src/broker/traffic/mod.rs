//! Being a good client: who may send when, and who waits.
//!
//! A request passes, in this order: the server's own word (`quiet`), the limits of its grant
//! (`rate`), that of its connector, and that of the origin, which all connectors share (`fair`).
//! What is nearer to the connector comes first, so that nobody waits for his own limit while he
//! holds what others wait for.

pub(in crate::broker) mod asked;
pub(in crate::broker) mod breaker;
pub(in crate::broker) mod budget;
mod late;
mod quiet;
mod rate;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::limits::{LEAST_REPEATS, LONGEST_TOTAL, PLACES_PER_ORIGIN};
use super::policy::Rate;
use super::request::Error;
use crate::envelope::{self, Limits};
use crate::fair::{Places, Seat};
use breaker::Breakers;
use budget::Repeats;
use late::{Late, Limit};
use quiet::Quiet;
use rate::Lane;

/// The traffic of the process: what the brokers of all connectors share. Cheap to clone.
#[derive(Clone)]
pub struct Traffic {
    places: Places,
}

/// A connector's part in the traffic.
pub(super) struct Share {
    connector: Arc<str>,
    limits: Arc<Limits>,
    places: Places,
    total: Arc<Semaphore>,
    /// By the grant's id. As many as grants that set a limit.
    lanes: Mutex<BTreeMap<Arc<str>, Arc<Lane>>>,
    quiet: Quiet,
    /// How many of its requests may be repeats.
    pub repeats: Repeats,
    /// Which servers it leaves alone.
    pub breakers: Breakers,
}

/// Where a request goes and as whom: what fails together, and what has a quota together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Route {
    origin: Arc<str>,
    credential: Option<Arc<str>>,
}

/// What a grant sets for the requests under it.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    /// Which grant of the connector's it is.
    pub grant: Arc<str>,
    /// How many requests may begin in a second.
    pub rate: Option<Rate>,
    /// How many may be under way at once.
    pub at_once: Option<usize>,
    /// How long one waits for its place.
    pub queue: Duration,
}

/// The right to have one request on the wire. Dropped, it goes to whoever is next.
#[must_use]
pub(super) struct Place {
    _of_grant: Option<OwnedSemaphorePermit>,
    _of_connector: OwnedSemaphorePermit,
    _of_origin: Seat,
}

impl Default for Traffic {
    fn default() -> Self {
        Self { places: Places::new(PLACES_PER_ORIGIN) }
    }
}

impl Traffic {
    /// The part of a connector. One connector has one.
    pub(super) fn share(&self, connector: Arc<str>, limits: Arc<Limits>) -> Share {
        let in_flight = limits.count(envelope::Limit::InFlight);
        Share {
            connector,
            limits,
            places: self.places.clone(),
            total: Arc::new(Semaphore::new(in_flight)),
            lanes: Mutex::default(),
            quiet: Quiet::default(),
            repeats: Repeats::new(in_flight.max(LEAST_REPEATS)),
            breakers: Breakers::default(),
        }
    }
}

impl Share {
    /// Waits until the request may be sent. Not longer than its grant lets it wait for a place, and
    /// not past `until`. Dropping the future gives the waiting up and leaves nothing behind.
    pub async fn enter(&self, route: &Route, pace: &Pace, until: Instant) -> Result<Place, Error> {
        loop {
            self.wait_for_quota(route, until).await?;
            let place = self.place(&route.origin, pace, until).await?;
            // An answer may have come in the meantime that says otherwise. The place is not held
            // while waiting for that.
            if self.quiet.until(route).is_none() {
                return Ok(place);
            }
        }
    }

    /// Reads from an answer whether the server lets us send more.
    pub fn note(&self, route: &Route, headers: &HeaderMap) {
        if let Some(time) = asked::spent_for(headers, SystemTime::now()) {
            self.quiet.note(route, time);
        }
    }

    async fn wait_for_quota(&self, route: &Route, until: Instant) -> Result<(), Error> {
        while let Some(next) = self.quiet.until(route) {
            if next >= until {
                return Err(late::no_quota(&route.origin, next));
            }
            sleep_until(next).await;
        }
        Ok(())
    }

    async fn place(&self, origin: &Arc<str>, pace: &Pace, until: Instant) -> Result<Place, Error> {
        let queue = pace.queue.min(LONGEST_TOTAL);
        let by = until.min(Instant::now() + queue);
        let late = Late { origin, queue: (by < until).then_some(queue) };
        let lane = self.lane(pace);
        let of_grant = lane.place(by).await.map_err(|limit| late.error(limit))?;
        let turn = lane.turn(by).await.map_err(|limit| late.error(limit))?;
        let of_connector = timeout_at(by, self.total.clone().acquire_owned()).await;
        let of_connector = of_connector.ok().and_then(Result::ok);
        let of_connector = of_connector.ok_or_else(|| {
            late.error(Limit::Connector(self.limits.breach(envelope::Limit::InFlight)))
        })?;
        let of_origin = timeout_at(by, self.places.take(origin, &self.connector)).await;
        let of_origin = of_origin.map_err(|_| late.error(Limit::Origin))?;
        drop(turn);
        Ok(Place { _of_grant: of_grant, _of_connector: of_connector, _of_origin: of_origin })
    }

    fn lane(&self, pace: &Pace) -> Arc<Lane> {
        if pace.rate.is_none() && pace.at_once.is_none() {
            return Arc::new(Lane::new(pace.clone()));
        }
        let mut lanes = self.lanes.lock();
        let lane =
            lanes.entry(pace.grant.clone()).or_insert_with(|| Arc::new(Lane::new(pace.clone())));
        // The operator has changed the grants; what is under way ends in the old lane.
        if lane.pace != *pace {
            *lane = Arc::new(Lane::new(pace.clone()));
        }
        lane.clone()
    }
}

impl Route {
    /// The way to an origin, with the credential of that name.
    pub fn new(origin: &str, credential: Option<&str>) -> Self {
        Self { origin: origin.into(), credential: credential.map(Into::into) }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.credential {
            None => out.write_str(&self.origin),
            Some(name) => write!(out, "{} (with the credential {name:?})", self.origin),
        }
    }
}

#[cfg(test)]
impl Pace {
    /// That of a grant which sets no limit: requests wait as long as they have time.
    pub fn unlimited(grant: usize) -> Self {
        Self {
            grant: format!("grant {grant}").into(),
            rate: None,
            at_once: None,
            queue: LONGEST_TOTAL,
        }
    }
}

/// A time to wait, for people, rounded up: `2 s`, `0.5 s`.
fn shown(time: Duration) -> String {
    format!("{} s", time.as_micros().div_ceil(100_000) as f64 / 10.0)
}
