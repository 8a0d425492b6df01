//! Circuit breakers: a server that fails again and again is left alone for a while.
//!
//! It spares the server the requests, and the callers the wait for an error that is certain.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Route;
use crate::broker::limits::{
    BREAKER_FAILURES, BREAKER_FIRST_PAUSE, BREAKER_LONGEST_PAUSE, BREAKERS,
};
use crate::broker::request::Error;
use crate::broker::retry::Fate;

/// The breakers of one connector, one per origin and credential. Those of another are not touched:
/// what a guest brings down for itself, it brings down for nobody else.
#[derive(Clone, Default)]
pub(in crate::broker) struct Breakers(Arc<Mutex<Circuits>>);

/// Only of servers that failed lately; all others are closed.
#[derive(Default)]
struct Circuits {
    of: BTreeMap<Route, Circuit>,
    /// Numbers the probes, so that none ends another one's.
    probes: u64,
}

struct Circuit {
    state: State,
    /// In a row.
    failures: u32,
    last: Fate,
    touched: Instant,
}

enum State {
    /// Requests go through.
    Closed,
    /// None goes through until then.
    Open { until: Instant, pause: Duration },
    /// One is on its way, and decides.
    Probing { probe: u64, pause: Duration },
}

/// Lets one attempt through. Dropped without a report, it says nothing about the server.
#[must_use]
pub(in crate::broker) struct Pass {
    breakers: Breakers,
    route: Route,
    probe: Option<u64>,
}

impl Breakers {
    /// Whether an attempt would be let through, to be asked before it waits for a place.
    pub fn check(&self, route: &Route) -> Result<(), Error> {
        let circuits = self.0.lock();
        circuits.of.get(route).map_or(Ok(()), |circuit| circuit.check(route))
    }

    /// Lets an attempt through, or says why not and until when.
    pub fn admit(&self, route: &Route) -> Result<Pass, Error> {
        let probe = self.0.lock().admit(route)?;
        Ok(Pass { breakers: self.clone(), route: route.clone(), probe })
    }
}

impl Pass {
    /// Says how the attempt ended.
    pub fn report(mut self, fate: Fate) {
        let probe = self.probe.take();
        let mut circuits = self.breakers.0.lock();
        match is_failure(fate) {
            Some(true) => circuits.failed(&self.route, probe, fate),
            Some(false) => circuits.worked(&self.route, probe),
            None => circuits.release(&self.route, probe),
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.breakers.0.lock().release(&self.route, self.probe);
    }
}

/// Whether a fate speaks against the server, for it, or says nothing about it.
///
/// A server that refuses a request is there: also with 429, which the waiting for its quota is for,
/// and with 500, which one bad request may cause as often as a guest likes.
fn is_failure(fate: Fate) -> Option<bool> {
    match fate {
        Fate::NotSent | Fate::MaybeSent | Fate::Answered(502..=504) => Some(true),
        Fate::Answered(_) => Some(false),
        Fate::Final => None,
    }
}

impl Circuits {
    /// Gives the probe's number, where the attempt is one.
    fn admit(&mut self, route: &Route) -> Result<Option<u64>, Error> {
        let Some(circuit) = self.of.get_mut(route) else { return Ok(None) };
        circuit.check(route)?;
        let State::Open { pause, .. } = circuit.state else { return Ok(None) };
        self.probes += 1;
        circuit.state = State::Probing { probe: self.probes, pause };
        Ok(Some(self.probes))
    }

    fn failed(&mut self, route: &Route, probe: Option<u64>, fate: Fate) {
        if !self.of.contains_key(route) {
            self.make_room();
        }
        let circuit = self.of.entry(route.clone()).or_insert_with(|| Circuit::new(fate));
        circuit.touched = Instant::now();
        match circuit.state {
            State::Closed => {
                circuit.fail(fate);
                if circuit.failures >= BREAKER_FAILURES {
                    circuit.open(BREAKER_FIRST_PAUSE);
                }
            }
            State::Probing { probe: current, pause } if probe == Some(current) => {
                circuit.fail(fate);
                circuit.open((pause * 2).min(BREAKER_LONGEST_PAUSE));
            }
            // It was sent before the breaker opened, and says nothing new.
            State::Open { .. } | State::Probing { .. } => {}
        }
    }

    fn worked(&mut self, route: &Route, probe: Option<u64>) {
        let closes = self.of.get(route).is_some_and(|circuit| match circuit.state {
            State::Closed => true,
            State::Probing { probe: current, .. } => probe == Some(current),
            State::Open { .. } => false,
        });
        if closes {
            self.of.remove(route);
        }
    }

    /// Ends a probe without a verdict: the next attempt is one.
    fn release(&mut self, route: &Route, probe: Option<u64>) {
        let Some(circuit) = self.of.get_mut(route) else { return };
        if let State::Probing { probe: current, pause } = circuit.state
            && probe == Some(current)
        {
            circuit.state = State::Open { until: Instant::now(), pause };
        }
    }

    /// A guest can make up names without end. The one that was quiet longest is forgotten.
    fn make_room(&mut self) {
        if self.of.len() < BREAKERS {
            return;
        }
        let oldest = self.of.iter().min_by_key(|(_, circuit)| circuit.touched);
        if let Some(route) = oldest.map(|(route, _)| route.clone()) {
            self.of.remove(&route);
        }
    }
}

impl Circuit {
    fn new(last: Fate) -> Self {
        Self { state: State::Closed, failures: 0, last, touched: Instant::now() }
    }

    fn fail(&mut self, fate: Fate) {
        self.failures = self.failures.saturating_add(1);
        self.last = fate;
    }

    fn open(&mut self, pause: Duration) {
        self.state = State::Open { until: Instant::now() + pause, pause };
    }

    fn check(&self, route: &Route) -> Result<(), Error> {
        let next = match self.state {
            State::Closed => return Ok(()),
            State::Open { until, .. } => {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(());
                }
                format!("the next try is in {}", super::shown(left))
            }
            State::Probing { .. } => "one request is trying whether it is back".into(),
        };
        let (failures, last) = (self.failures, ending(self.last));
        Err(Error::Connect(format!(
            "{route} failed {failures} times in a row, the last time {last}; not sent: {next}"
        )))
    }
}

fn ending(fate: Fate) -> String {
    match fate {
        Fate::NotSent => "without a connection".into(),
        Fate::Answered(status) => format!("with status {status}"),
        Fate::MaybeSent | Fate::Final => "without a whole answer".into(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use Fate::{Answered, MaybeSent, NotSent};

    fn route() -> Route {
        Route::new("https://api.example", Some("users-api"))
    }

    fn fail(breakers: &Breakers, times: u32, fate: Fate) {
        for _ in 0..times {
            breakers.admit(&route()).expect("closed").report(fate);
        }
    }

    fn refusal(breakers: &Breakers) -> String {
        let checked = breakers.check(&route()).expect_err("open");
        let Err(error) = breakers.admit(&route()) else { panic!("not open") };
        assert!(matches!(error, Error::Connect(_)));
        assert_eq!(error, checked);
        error.to_string()
    }

    fn opened() -> Breakers {
        let breakers = Breakers::default();
        fail(&breakers, BREAKER_FAILURES, Answered(503));
        breakers
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_speaks_against_the_server_opens_its_breaker() {
        for (fate, opens) in [
            (NotSent, true),
            (MaybeSent, true),
            (Answered(502), true),
            (Answered(503), true),
            (Answered(504), true),
            (Fate::Final, false),
            (Answered(200), false),
            (Answered(302), false),
            (Answered(400), false),
            (Answered(401), false),
            (Answered(404), false),
            (Answered(408), false),
            (Answered(429), false),
            (Answered(500), false),
            (Answered(501), false),
        ] {
            let breakers = Breakers::default();
            fail(&breakers, BREAKER_FAILURES, fate);
            assert_eq!(breakers.admit(&route()).is_err(), opens, "{fate:?}");
            let is_remembered = !breakers.0.lock().of.is_empty();
            assert_eq!(is_remembered, opens, "{fate:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_between_starts_the_count_again() {
        let breakers = Breakers::default();
        for _ in 0..3 {
            fail(&breakers, BREAKER_FAILURES - 1, MaybeSent);
            fail(&breakers, 1, Answered(404));
        }
        // What says nothing changes nothing.
        fail(&breakers, BREAKER_FAILURES - 1, MaybeSent);
        fail(&breakers, 5, Fate::Final);
        drop(breakers.admit(&route()).expect("closed"));
        fail(&breakers, 1, MaybeSent);
        assert!(breakers.admit(&route()).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_breaker_says_what_failed_and_when_it_tries_again() {
        for (fate, ending) in [
            (NotSent, "without a connection"),
            (MaybeSent, "without a whole answer"),
            (Answered(502), "with status 502"),
        ] {
            let breakers = Breakers::default();
            fail(&breakers, BREAKER_FAILURES, fate);
            let text = format!(
                "https://api.example (with the credential \"users-api\") failed {BREAKER_FAILURES} \
                 times in a row, the last time {ending}; not sent: the next try is in {} s",
                BREAKER_FIRST_PAUSE.as_secs()
            );
            assert_eq!(refusal(&breakers), text);
            advance(BREAKER_FIRST_PAUSE).await;
            let probe = breakers.admit(&route()).expect("a probe");
            assert!(
                refusal(&breakers)
                    .ends_with("; not sent: one request is trying whether it is back")
            );
            drop(probe);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_goes_through_and_decides() {
        let breakers = opened();
        advance(BREAKER_FIRST_PAUSE).await;
        let probe = breakers.admit(&route()).expect("a probe");
        refusal(&breakers);
        probe.report(Answered(200));
        assert!(breakers.0.lock().of.is_empty());
        fail(&breakers, BREAKER_FAILURES - 1, NotSent);
        assert!(breakers.admit(&route()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_grows_with_each_probe_that_fails_and_not_for_ever() {
        let breakers = opened();
        let mut pause = BREAKER_FIRST_PAUSE;
        for _ in 0..20 {
            advance(pause - Duration::from_millis(1)).await;
            refusal(&breakers);
            advance(Duration::from_millis(1)).await;
            breakers.admit(&route()).expect("a probe").report(NotSent);
            pause = (pause * 2).min(BREAKER_LONGEST_PAUSE);
        }
        assert_eq!(pause, BREAKER_LONGEST_PAUSE);
        advance(pause).await;
        breakers.admit(&route()).expect("a probe").report(Answered(200));
        fail(&breakers, BREAKER_FAILURES, NotSent);
        advance(BREAKER_FIRST_PAUSE).await;
        assert!(breakers.check(&route()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_without_a_verdict_lets_the_next_one_through() {
        for fate in [None, Some(Fate::Final)] {
            let breakers = opened();
            advance(BREAKER_FIRST_PAUSE).await;
            let probe = breakers.admit(&route()).expect("a probe");
            match fate {
                None => drop(probe),
                Some(fate) => probe.report(fate),
            }
            let next = breakers.admit(&route()).expect("another probe");
            refusal(&breakers);
            next.report(Answered(200));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_from_before_decides_nothing() {
        for late in [NotSent, Answered(200)] {
            let breakers = Breakers::default();
            let early: Vec<_> = (0..3).map(|_| breakers.admit(&route()).expect("closed")).collect();
            let mut early = early.into_iter();
            fail(&breakers, BREAKER_FAILURES, NotSent);
            early.next().expect("one").report(late);
            refusal(&breakers);
            advance(BREAKER_FIRST_PAUSE).await;
            let probe = breakers.admit(&route()).expect("a probe");
            early.next().expect("one").report(late);
            drop(early);
            refusal(&breakers);
            probe.report(Answered(200));
            assert!(breakers.admit(&route()).is_ok(), "{late:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn origins_credentials_and_connectors_fail_apart() {
        let breakers = opened();
        for other in [
            Route::new("https://api.example", None),
            Route::new("https://api.example", Some("other")),
            Route::new("https://other.example", Some("users-api")),
        ] {
            assert!(breakers.admit(&other).is_ok(), "{other}");
        }
        assert!(Breakers::default().admit(&route()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn names_without_end_are_forgotten_again() {
        let breakers = Breakers::default();
        let kept = Route::new("https://kept.example", None);
        for number in 0..BREAKERS * 4 {
            let made_up = Route::new(&format!("https://{number}.example"), None);
            breakers.admit(&made_up).expect("closed").report(NotSent);
            breakers.admit(&kept).into_iter().for_each(|pass| pass.report(NotSent));
            advance(Duration::from_millis(1)).await;
        }
        let circuits = breakers.0.lock();
        assert_eq!(circuits.of.len(), BREAKERS);
        assert!(circuits.of.contains_key(&kept));
    }
}
