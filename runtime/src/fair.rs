//! Places at something that connectors share, handed out to those that wait for one in turn: requests
//! to an origin, instances of the process, its CPUs.
//!
//! Connectors take turns in the order of their names; within one, who came first is first. A
//! connector with thousands waiting delays another one's request by one turn.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The places at everything of a kind. Cheap to clone.
#[derive(Clone)]
pub struct Places {
    each: usize,
    /// Only of those where a place is taken.
    all: Arc<Mutex<BTreeMap<Arc<str>, Shared>>>,
}

/// Somebody waits only where all places are taken.
#[derive(Default)]
struct Shared {
    taken: usize,
    /// Per connector, by number. A connector without anybody waiting has no line.
    lines: BTreeMap<Arc<str>, BTreeMap<u64, oneshot::Sender<Seat>>>,
    /// Whose turn it was last.
    last: Arc<str>,
    /// The number of the last one who came.
    came: u64,
}

/// A place. Dropped, it goes to whoever is next.
pub struct Seat {
    places: Places,
    at: Arc<str>,
}

/// Somebody in a line. Dropped, it leaves the line.
struct Ticket {
    places: Places,
    at: Arc<str>,
    connector: Arc<str>,
    number: u64,
    called: oneshot::Receiver<Seat>,
}

impl Places {
    /// So many at each.
    pub fn new(each: usize) -> Self {
        Self { each, all: Arc::default() }
    }

    /// Waits for a place. Dropping the future gives up the waiting, and the place if it came just
    /// then.
    pub async fn take(&self, at: &Arc<str>, connector: &Arc<str>) -> Seat {
        let Some(mut ticket) = self.join(at, connector) else {
            return Seat { places: self.clone(), at: at.clone() };
        };
        (&mut ticket.called).await.expect("a sender stays in its line until it has sent")
    }

    /// Takes a place where one is free.
    pub fn try_take(&self, at: &Arc<str>) -> Option<Seat> {
        let mut all = self.all.lock();
        let here = all.entry(at.clone()).or_default();
        (here.taken < self.each).then(|| {
            here.taken += 1;
            Seat { places: self.clone(), at: at.clone() }
        })
    }

    /// Takes a place, or a ticket where none is free.
    fn join(&self, at: &Arc<str>, connector: &Arc<str>) -> Option<Ticket> {
        let mut all = self.all.lock();
        let here = all.entry(at.clone()).or_default();
        if here.taken < self.each {
            here.taken += 1;
            return None;
        }
        here.came += 1;
        let (number, (call, called)) = (here.came, oneshot::channel());
        here.lines.entry(connector.clone()).or_default().insert(number, call);
        let (at, connector) = (at.clone(), connector.clone());
        Some(Ticket { places: self.clone(), at, connector, number, called })
    }

    /// Gives up a place, or gives whom it goes to.
    fn free(&self, at: &Arc<str>) -> Option<oneshot::Sender<Seat>> {
        let mut all = self.all.lock();
        let here = all.get_mut(at)?;
        let next = here.next();
        if next.is_none() {
            here.taken -= 1;
        }
        if here.taken == 0 {
            all.remove(at);
        }
        next
    }

    fn leave(&self, ticket: &Ticket) {
        let mut all = self.all.lock();
        let here = all.get_mut(&ticket.at);
        here.into_iter().for_each(|here| drop(here.remove(&ticket.connector, ticket.number)));
    }
}

impl Shared {
    /// Calls the first of the connector whose turn it is.
    fn next(&mut self) -> Option<oneshot::Sender<Seat>> {
        let after = (Excluded(&*self.last), Unbounded);
        let mut turns = self.lines.range::<str, _>(after).chain(&self.lines);
        let (connector, line) = turns.next()?;
        let (connector, number) = (connector.clone(), *line.keys().next()?);
        self.last = connector.clone();
        self.remove(&connector, number)
    }

    fn remove(&mut self, connector: &Arc<str>, number: u64) -> Option<oneshot::Sender<Seat>> {
        let line = self.lines.get_mut(connector)?;
        let call = line.remove(&number);
        if line.is_empty() {
            self.lines.remove(connector);
        }
        call
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(next) = self.places.free(&self.at) {
            let seat = Seat { places: self.places.clone(), at: self.at.clone() };
            // Where the next one gave up just now, the place comes back, is dropped here, and goes
            // to the one after. The lock is not held.
            let _ = next.send(seat);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.places.leave(self);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    use tokio::task::{JoinSet, yield_now};
    use tokio::time::{sleep, timeout};

    use super::*;

    fn name(text: &str) -> Arc<str> {
        text.into()
    }

    /// Everybody who can go on goes on.
    async fn settle() {
        for _ in 0..50 {
            yield_now().await;
        }
    }

    /// Requests of connectors, by their names, that come one after the other while the only place
    /// is taken. Gives the order in which they had it.
    async fn order(names: &[&str]) -> String {
        let (places, origin) = (Places::new(1), name("o"));
        let first = places.take(&origin, &name("z")).await;
        let (served, mut all) = (Arc::new(Mutex::new(Vec::new())), JoinSet::new());
        for text in names {
            let (places, origin, served) = (places.clone(), origin.clone(), served.clone());
            let connector = name(&text[..1]);
            let text = (*text).to_owned();
            all.spawn(async move {
                let _seat = places.take(&origin, &connector).await;
                served.lock().push(text);
            });
            settle().await;
        }
        drop(first);
        all.join_all().await;
        assert!(places.all.lock().is_empty());
        served.lock().join(" ")
    }

    #[tokio::test(start_paused = true)]
    async fn connectors_take_turns_and_within_one_the_first_is_first() {
        for (came, served) in [
            (&["a1", "a2", "a3"][..], "a1 a2 a3"),
            (&["a1", "a2", "a3", "b1"], "a1 b1 a2 a3"),
            (&["a1", "a2", "a3", "b1", "b2", "c1"], "a1 b1 c1 a2 b2 a3"),
            (&["c1", "b1", "a1", "c2", "b2", "a2"], "a1 b1 c1 a2 b2 c2"),
        ] {
            assert_eq!(order(came).await, served, "{came:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_of_one_connector_delay_another_by_one_turn() {
        let (places, origin) = (Places::new(1), name("o"));
        let first = places.take(&origin, &name("busy")).await;
        let (served, mut all) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
        for _ in 0..10_000 {
            let (places, origin, served) = (places.clone(), origin.clone(), served.clone());
            all.spawn(async move {
                let _seat = places.take(&origin, &name("busy")).await;
                sleep(Duration::from_secs(1)).await;
                served.fetch_add(1, Ordering::SeqCst);
            });
        }
        settle().await;
        drop(first);
        for connector in ["a", "z", "busier"] {
            let before = served.load(Ordering::SeqCst);
            drop(places.take(&origin, &name(connector)).await);
            let turns = served.load(Ordering::SeqCst) - before;
            assert!(turns <= 1, "{connector} waited {turns} turns");
        }
        all.abort_all();
        while all.join_next().await.is_some() {}
        assert!(places.all.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_leaves_no_hole() {
        let (places, origin, connector) = (Places::new(1), name("o"), name("a"));
        let held = places.take(&origin, &connector).await;
        for _ in 0..100 {
            let waiting = places.take(&origin, &connector);
            assert!(timeout(Duration::from_millis(1), waiting).await.is_err());
        }
        assert!(places.all.lock()["o"].lines.is_empty(), "nobody waits any more");
        drop(held);
        assert!(places.all.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_was_given_to_one_who_gives_up_goes_to_the_next() {
        let (places, origin, connector) = (Places::new(1), name("o"), name("a"));
        let held = places.take(&origin, &connector).await;
        let mut gone = Box::pin(places.take(&origin, &connector));
        let mut next = Box::pin(places.take(&origin, &connector));
        assert!(futures_util::poll!(&mut gone).is_pending());
        assert!(futures_util::poll!(&mut next).is_pending());
        // Given, and not yet looked at.
        drop(held);
        assert!(futures_util::poll!(&mut next).is_pending());
        drop(gone);
        drop(next.await);
        assert!(places.all.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn things_do_not_wait_for_each_other() {
        let (places, connector) = (Places::new(1), name("a"));
        let _one = places.take(&name("o"), &connector).await;
        let _other = places.take(&name("p"), &connector).await;
        assert_eq!(places.all.lock().len(), 2);
    }

    /// What many clients at once see of one origin.
    #[derive(Default)]
    struct Watch {
        inside: AtomicUsize,
        most: AtomicUsize,
        served: AtomicUsize,
    }

    impl Watch {
        async fn stay(&self, time: Duration) {
            let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(inside, Ordering::SeqCst);
            // Also counted down where the stay is given up.
            let _leaving = Leaving(self);
            sleep(time).await;
            self.served.fetch_add(1, Ordering::SeqCst);
        }
    }

    struct Leaving<'a>(&'a Watch);

    impl Drop for Leaving<'_> {
        fn drop(&mut self) {
            self.0.inside.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_and_goes_the_limit_holds_and_no_place_is_lost() {
        for seed in 0..50 {
            let mut random = StdRng::seed_from_u64(seed);
            let limit = random.random_range(1..6);
            let places = Places::new(limit);
            let watches: Arc<[Watch; 2]> = Arc::default();
            let mut all = JoinSet::new();
            for _ in 0..300 {
                let at = random.random_range(0..2);
                let origin = name(["o", "p"][at]);
                let connector = name(["a", "b", "c"][random.random_range(0..3)]);
                let [start, stay, patience] =
                    [50, 20, 200].map(|most| Duration::from_millis(random.random_range(0..most)));
                let (places, watches) = (places.clone(), watches.clone());
                all.spawn(async move {
                    sleep(start).await;
                    let whole = async {
                        let _seat = places.take(&origin, &connector).await;
                        watches[at].stay(stay).await;
                    };
                    timeout(patience, whole).await.is_ok()
                });
            }
            let done = all.join_all().await.into_iter().filter(|&done| done).count();
            assert!(done > 0 && done < 300, "seed {seed}: {done}");
            let served: usize = watches.iter().map(|one| one.served.load(Ordering::SeqCst)).sum();
            assert_eq!(served, done, "seed {seed}");
            for watch in watches.iter() {
                assert_eq!(watch.most.load(Ordering::SeqCst), limit, "seed {seed}");
            }
            assert!(places.all.lock().is_empty(), "seed {seed}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_limit_holds_on_several_threads_too() {
        let (places, watch) = (Places::new(3), Arc::<Watch>::default());
        let mut all = JoinSet::new();
        for number in 0..2000_u64 {
            let (places, watch) = (places.clone(), watch.clone());
            all.spawn(async move {
                let connector = name(&format!("c{}", number % 7));
                let whole = async {
                    let _seat = places.take(&name("o"), &connector).await;
                    watch.stay(Duration::ZERO).await;
                };
                // Some give up at a time of their own, wherever they are then.
                let patience = async {
                    for _ in 0..number % 50 {
                        yield_now().await;
                    }
                };
                if number % 3 == 0 {
                    tokio::select! { () = whole => {} () = patience => {} }
                } else {
                    whole.await;
                }
            });
        }
        all.join_all().await;
        assert!(watch.most.load(Ordering::SeqCst) <= 3);
        assert!(watch.served.load(Ordering::SeqCst) >= 1333);
        assert!(places.all.lock().is_empty());
    }
}
