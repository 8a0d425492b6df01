//! Which servers said that a connector's quota is spent, and until when.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Route;
use crate::broker::limits::{LONGEST_QUIET, QUIET_ROUTES};

/// Routes on which nothing is to be sent for a while.
#[derive(Default)]
pub(super) struct Quiet(Mutex<BTreeMap<Route, Instant>>);

impl Quiet {
    /// Remembers that a quota is spent for so long, or for as long as we believe it.
    pub fn note(&self, route: &Route, time: Duration) {
        let now = Instant::now();
        let mut routes = self.0.lock();
        if routes.len() >= QUIET_ROUTES && !routes.contains_key(route) {
            make_room(&mut routes, now);
        }
        let until = now + time.min(LONGEST_QUIET);
        let known = routes.entry(route.clone()).or_insert(until);
        *known = until.max(*known);
    }

    /// Until when nothing is to be sent. None where something may.
    pub fn until(&self, route: &Route) -> Option<Instant> {
        let mut routes = self.0.lock();
        let until = *routes.get(route)?;
        if until > Instant::now() {
            return Some(until);
        }
        routes.remove(route);
        None
    }
}

/// Forgets those that are over or, where none is, the one that is over first.
fn make_room(routes: &mut BTreeMap<Route, Instant>, now: Instant) {
    routes.retain(|_, until| *until > now);
    let first = routes.iter().min_by_key(|(_, until)| **until);
    if let Some(route) = first.map(|(route, _)| route.clone())
        && routes.len() >= QUIET_ROUTES
    {
        routes.remove(&route);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_route_is_quiet_for_as_long_as_was_said_and_not_for_ever() {
        for (said, expected) in [(5, 5), (3600, LONGEST_QUIET.as_secs())] {
            let (quiet, route) = (Quiet::default(), Route::new("o", None));
            quiet.note(&route, Duration::from_secs(said));
            // A later word that is shorter comes from an answer that was under way.
            quiet.note(&route, Duration::from_secs(1));
            tokio::time::advance(Duration::from_secs(expected) - Duration::from_millis(1)).await;
            assert!(quiet.until(&route).is_some(), "{said}");
            assert!(quiet.until(&Route::new("o", Some("other"))).is_none());
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(quiet.until(&route).is_none(), "{said}");
            assert!(quiet.0.lock().is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn routes_without_end_are_forgotten_again() {
        let quiet = Quiet::default();
        let named = |number: usize| Route::new(&number.to_string(), None);
        for number in 0..QUIET_ROUTES * 2 {
            quiet.note(&named(number), Duration::from_secs(10));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(quiet.0.lock().len(), QUIET_ROUTES);
        assert!(quiet.until(&named(0)).is_none());
        assert!(quiet.until(&named(QUIET_ROUTES * 2 - 1)).is_some());
        tokio::time::advance(Duration::from_secs(10)).await;
        quiet.note(&named(0), Duration::from_secs(10));
        assert_eq!(quiet.0.lock().len(), 1);
    }
}
