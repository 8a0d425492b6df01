//! What the traffic promises a request, with all its limits together.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderName;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use super::*;

const ORIGIN: &str = "https://api.example";
const IN_FLIGHT: usize = 64;

fn rate(per_second: f64, burst: u32) -> Rate {
    Rate { per_second, burst: burst.try_into().expect("not zero") }
}

fn route() -> Route {
    Route::new(ORIGIN, None)
}

fn share() -> Share {
    Traffic::default().share("a".into(), Arc::default())
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn within(time: f64) -> Instant {
    Instant::now() + seconds(time)
}

fn head(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let field = |&(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), value.parse().expect("a value"))
    };
    lines.iter().map(field).collect()
}

fn spent(time: &'static str) -> HeaderMap {
    head(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", time)])
}

/// The text of the error of a request that gets no place, and the time that it took.
async fn refused(share: &Share, route: &Route, pace: &Pace, time: f64) -> (String, f64) {
    let start = Instant::now();
    let Err(error) = share.enter(route, pace, within(time)).await else { panic!("a place") };
    assert!(matches!(error, Error::Limit(_) | Error::Breach(..)), "{error:?}");
    (error.to_string(), (start.elapsed().as_secs_f64() * 10.0).round() / 10.0)
}

#[tokio::test(start_paused = true)]
async fn a_request_without_limits_goes_at_once_and_leaves_nothing() {
    let share = share();
    let start = Instant::now();
    for _ in 0..1000 {
        drop(share.enter(&route(), &Pace::unlimited(0), within(1.0)).await.expect("a place"));
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(share.lanes.lock().is_empty());
    assert_eq!(share.total.available_permits(), IN_FLIGHT);
}

#[tokio::test(start_paused = true)]
async fn what_waits_too_long_is_told_the_limit_and_its_setting() {
    let at_once = Pace { at_once: Some(2), ..Pace::unlimited(0) };
    let rate = Some(rate(0.1, 2));
    let rate = Pace { rate, ..Pace::unlimited(1) };
    for (pace, held, time, expected, took) in [
        (
            at_once.clone(),
            2,
            5.0,
            "2 requests under the grant for https://api.example were under way until the time \
             limit; make fewer at once, or raise its at-once in connector.toml",
            5.0,
        ),
        (
            Pace { queue: seconds(1.5), ..at_once.clone() },
            2,
            5.0,
            "2 requests under the grant for https://api.example were under way for 1.5 s; make \
             fewer at once, or raise its at-once or queue-seconds in connector.toml",
            1.5,
        ),
        (
            rate.clone(),
            2,
            5.0,
            "the grant for https://api.example allows 0.1 requests per second (burst 2), and \
             this one's turn would not come before the time limit; make fewer, or raise its \
             requests-per-second in connector.toml",
            0.0,
        ),
        (
            Pace { queue: seconds(3.0), ..rate.clone() },
            2,
            60.0,
            "the grant for https://api.example allows 0.1 requests per second (burst 2), and \
             this one's turn would not come within 3 s; make fewer, or raise its \
             requests-per-second or queue-seconds in connector.toml",
            0.0,
        ),
        (
            Pace::unlimited(2),
            IN_FLIGHT,
            5.0,
            "64 requests are on the wire, the limit; raise it with requests-at-once in [limits], \
             or make fewer at once; this one waited until the time limit",
            5.0,
        ),
        (
            Pace { queue: seconds(2.0), ..Pace::unlimited(2) },
            IN_FLIGHT,
            5.0,
            "64 requests are on the wire, the limit; raise it with requests-at-once in [limits], \
             or make fewer at once, or raise queue-seconds of its grant in connector.toml; this one \
             waited for 2 s",
            2.0,
        ),
    ] {
        let share = share();
        let mut places = Vec::new();
        for _ in 0..held {
            places.push(share.enter(&route(), &pace, within(5.0)).await.expect("a place"));
        }
        let refused = refused(&share, &route(), &pace, time).await;
        assert_eq!(refused, (expected.into(), took));
        drop(places);
        assert_eq!(share.total.available_permits(), IN_FLIGHT);
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_other_connectors_fill_is_told_so() {
    let traffic = Traffic::default();
    let others: Vec<_> = ["a", "b"].map(|name| traffic.share(name.into(), Arc::default())).into();
    let mut places = Vec::new();
    for share in &others {
        for _ in 0..IN_FLIGHT {
            let place = share.enter(&route(), &Pace::unlimited(0), within(5.0)).await;
            places.push(place.expect("a place"));
        }
    }
    let share = traffic.share("c".into(), Arc::default());
    let (text, took) = refused(&share, &route(), &Pace::unlimited(0), 5.0).await;
    let expected = "128 requests to https://api.example were under way until the time limit, those \
                    of other connectors among them; try again later";
    assert_eq!((&*text, took), (expected, 5.0));
    let elsewhere = Route::new("https://other.example", None);
    assert!(share.enter(&elsewhere, &Pace::unlimited(0), within(1.0)).await.is_ok());
    places.pop();
    assert!(share.enter(&route(), &Pace::unlimited(0), within(1.0)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_connector_cannot_fill_an_origin_alone() {
    let traffic = Traffic::default();
    let (busy, other) = (
        Arc::new(traffic.share("busy".into(), Arc::default())),
        traffic.share("other".into(), Arc::default()),
    );
    let mut all = JoinSet::new();
    for _ in 0..10_000 {
        let busy = busy.clone();
        all.spawn(async move {
            let _place = busy.enter(&route(), &Pace::unlimited(0), within(1e6)).await;
            std::future::pending::<()>().await;
        });
    }
    while busy.total.available_permits() > 0 {
        yield_now().await;
    }
    let start = Instant::now();
    other.enter(&route(), &Pace::unlimited(0), within(1.0)).await.map(drop).expect("a place");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_grants_limit_does_not_hold_up_another_grant() {
    let share = share();
    let slow = Pace { rate: Some(rate(0.01, 1)), ..Pace::unlimited(0) };
    let narrow = Pace { at_once: Some(1), ..Pace::unlimited(1) };
    let _one = share.enter(&route(), &slow, within(1.0)).await.expect("a place");
    let _two = share.enter(&route(), &narrow, within(1.0)).await.expect("a place");
    let waiting = (0..IN_FLIGHT * 2).map(|number| {
        let pace = if number % 2 == 0 { &slow } else { &narrow };
        share.enter(&ROUTE, pace, within(50.0))
    });
    let mut waiting = futures_util::future::join_all(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    let start = Instant::now();
    assert!(share.enter(&route(), &Pace::unlimited(2), within(1.0)).await.is_ok());
    assert_eq!(start.elapsed(), Duration::ZERO);
}

static ROUTE: std::sync::LazyLock<Route> = std::sync::LazyLock::new(route);

#[tokio::test(start_paused = true)]
async fn what_waited_for_a_place_keeps_to_the_rate() {
    let share = Arc::new(share());
    let rate = Some(rate(1.0, 1));
    let pace = Pace { rate, ..Pace::unlimited(0) };
    let mut others = Vec::new();
    for _ in 0..IN_FLIGHT {
        let place = share.enter(&route(), &Pace::unlimited(1), within(1.0)).await;
        others.push(place.expect("a place"));
    }
    let (begun, mut all) = (Arc::new(Mutex::new(Vec::new())), JoinSet::new());
    let start = Instant::now();
    for _ in 0..5 {
        let (share, begun, pace) = (share.clone(), begun.clone(), pace.clone());
        all.spawn(async move {
            let _place = share.enter(&route(), &pace, within(1000.0)).await.expect("a place");
            begun.lock().push(start.elapsed().as_secs_f64().round());
        });
    }
    tokio::time::sleep(seconds(100.0)).await;
    drop(others);
    all.join_all().await;
    // One had its turn while it waited for a place, and no more than that.
    assert_eq!(*begun.lock(), [100.0, 100.0, 101.0, 102.0, 103.0]);
}

#[tokio::test(start_paused = true)]
async fn other_numbers_for_a_grant_hold_from_the_next_request_on() {
    let share = share();
    let one = Pace { at_once: Some(1), ..Pace::unlimited(0) };
    let two = Pace { at_once: Some(2), ..one.clone() };
    let _first = share.enter(&route(), &one, within(1.0)).await.expect("a place");
    assert!(share.enter(&route(), &one, within(1.0)).await.is_err());
    let _second = share.enter(&route(), &two, within(1.0)).await.expect("a place");
    let _third = share.enter(&route(), &two, within(1.0)).await.expect("a place");
    assert!(share.enter(&route(), &two, within(1.0)).await.is_err());
    assert_eq!(share.lanes.lock().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_spent_quota_holds_the_next_requests_back() {
    let share = share();
    let pace = Pace { queue: seconds(1.0), ..Pace::unlimited(0) };
    share.note(&route(), &spent("30"));
    share.note(&route(), &head(&[("x-ratelimit-remaining", "7"), ("x-ratelimit-reset", "90")]));
    let other = Route::new(ORIGIN, Some("other"));
    let start = Instant::now();
    assert!(share.enter(&other, &pace, within(5.0)).await.is_ok());
    assert_eq!(start.elapsed(), Duration::ZERO);
    let (text, took) = refused(&share, &route(), &pace, 10.0).await;
    let expected = "https://api.example said that nothing is left of this connector's quota and \
                    asked to wait; not sent, because 30 s more would pass the time limit";
    assert_eq!((&*text, took), (expected, 0.0));
    // The grant's queue does not count: it is not we who let it wait.
    assert!(share.enter(&route(), &pace, within(60.0)).await.is_ok());
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_found_spent_while_others_wait_holds_them_back_too() {
    let share = Arc::new(share());
    let pace = Pace { at_once: Some(1), ..Pace::unlimited(0) };
    let first = share.enter(&route(), &pace, within(1.0)).await.expect("a place");
    let (begun, mut all) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for _ in 0..5 {
        let (share, begun, pace) = (share.clone(), begun.clone(), pace.clone());
        all.spawn(async move {
            let _place = share.enter(&route(), &pace, within(100.0)).await.expect("a place");
            begun.fetch_add(1, Ordering::SeqCst);
        });
    }
    yield_now().await;
    share.note(&route(), &spent("20"));
    drop(first);
    tokio::time::sleep(seconds(19.9)).await;
    assert_eq!(begun.load(Ordering::SeqCst), 0);
    assert_eq!(share.total.available_permits(), IN_FLIGHT, "no place is held while waiting");
    tokio::time::sleep(seconds(0.2)).await;
    assert_eq!(begun.load(Ordering::SeqCst), 5);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_while_it_waits_leaves_nothing() {
    let share = share();
    let rate = Some(rate(0.1, 1));
    let pace = Pace { at_once: Some(2), rate, ..Pace::unlimited(0) };
    drop(share.enter(&route(), &pace, within(1.0)).await.expect("the burst"));
    for _ in 0..50 {
        let waiting = share.enter(&ROUTE, &pace, within(100.0));
        assert!(timeout(seconds(0.1), waiting).await.is_err());
    }
    let start = Instant::now();
    let _one = share.enter(&route(), &pace, within(100.0)).await.expect("a place");
    assert!(start.elapsed() <= seconds(5.1), "{:?}", start.elapsed());
    let _two = share.enter(&route(), &pace, within(100.0)).await.expect("a place");
}

#[test]
fn a_time_is_shown_rounded_up() {
    for (time, expected) in
        [(2.0, "2 s"), (0.5, "0.5 s"), (1.23, "1.3 s"), (0.001, "0.1 s"), (0.0, "0 s")]
    {
        assert_eq!(shown(seconds(time)), expected);
    }
}
