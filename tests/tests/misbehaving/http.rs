//! Guests that are a burden to the broker.

use aloma_tests::neighbours::{MEMORY_MIB, Neighbours};
use aloma_tests::{Answer, FakeApi, Gate, RawApi, StreamApi, Then};
use async_compression::tokio::write::GzipEncoder;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

/// An API with a page, and where that is.
fn api() -> (FakeApi, Value) {
    let api = FakeApi::start();
    api.on("GET", "/", |_| Answer::new(200, "a page"));
    let place = json!({"url": api.url("/")});
    (api, place)
}

#[tokio::test]
async fn many_headers() {
    let (api, place) = api();
    let both = Neighbours::of("many-headers").allow_private(&api.origin()).start().await;
    both.fails("misbehave", place.clone(), &["more than 100 header fields"]).await;
    both.fails("misbehaveByWasi", place.clone(), &["128 KiB of header fields", "fields-kib"]).await;
    assert_eq!(api.count("/"), 0);
}

#[tokio::test]
async fn huge_header() {
    let (api, place) = api();
    let both = Neighbours::of("huge-header").allow_private(&api.origin()).start().await;
    both.fails("misbehave", place.clone(), &["the header is larger than 65536 bytes"]).await;
    both.fails("misbehaveByWasi", place.clone(), &["128 KiB of header fields", "fields-kib"]).await;
    assert_eq!(api.count("/"), 0);
}

#[tokio::test]
async fn endless_body() {
    let api = StreamApi::start();
    let both = Neighbours::of("endless-body")
        .limit("sent-mib", 32)
        .allow_private(&api.origin())
        .start()
        .await;
    let place = json!({"url": format!("{}/bytes", api.origin())});
    both.fails("misbehave", place.clone(), &["ErrorCode::"]).await;
    both.record_says("the call has sent 32 MiB, the limit; raise it with sent-mib").await;
}

#[tokio::test]
async fn gzip_bomb() {
    let (bomb, api) = (zeros_in_gzip(200 << 20).await, FakeApi::start());
    assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
    api.on("GET", "/bomb", move |_| {
        Answer::new(200, bomb.clone()).header("content-encoding", "gzip")
    });
    let both = Neighbours::of("gzip-bomb")
        // More than what the host holds for it.
        .limit("memory-mib", 64)
        .limit("decoded-mib", 64)
        .allow_private(&api.origin())
        .start()
        .await;
    let place = json!({"url": api.url("/bomb")});
    both.fails("misbehave", place.clone(), &["32 MiB", "answer-mib"]).await;
    both.fails("misbehaveInPieces", place.clone(), &["body size exceeds"]).await;
    both.record_says("64 MiB after decompression, the limit; raise it with decoded-mib").await;
}

async fn zeros_in_gzip(count: usize) -> Vec<u8> {
    let mut encoder = GzipEncoder::new(Vec::new());
    let piece = vec![0; 1 << 20];
    for _ in 0..count >> 20 {
        encoder.write_all(&piece).await.expect("a vector takes all");
    }
    encoder.shutdown().await.expect("a vector takes all");
    encoder.into_inner()
}

#[tokio::test]
async fn odd_timeouts() {
    let (api, place) = api();
    let both = Neighbours::of("odd-timeouts").allow_private(&api.origin()).start().await;
    let told = both.ends("misbehave", place.clone()).await;
    let told: Vec<&str> =
        told["misbehave"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let [ours, by_wasi, long @ ..] = &told[..] else { panic!("{told:?}") };
    assert!(ours.contains("time"), "{told:?}");
    assert!(by_wasi.contains("ErrorCode::Connection"), "{told:?}");
    assert_eq!(long, ["200"; 4], "{told:?}");
}

#[tokio::test]
async fn odd_timeouts_where_nothing_comes() {
    let silent = RawApi::silent().await;
    let both = Neighbours::of("odd-timeouts")
        .limit("call-seconds", 1)
        .allow_private(&silent.origin())
        .start()
        .await;
    let place = json!({"url": format!("{}/", silent.origin())});
    both.fails("misbehave", place.clone(), &["1 s", "call-seconds"]).await;
}

#[tokio::test]
async fn endless_requests() {
    let (api, place) = api();
    let both = Neighbours::of("endless-requests")
        .limit("requests", 20)
        .limit("cpu-seconds", 1)
        .allow_private(&api.origin())
        .start()
        .await;
    both.fails("misbehave", place.clone(), &["20 requests in one call", "requests in [limits]"])
        .await;
    assert_eq!(api.count("/"), 20);
    both.fails("misbehaveDeafly", place.clone(), &["1 s of CPU time", "cpu-seconds"]).await;
    assert_eq!(api.count("/"), 40);
}

#[tokio::test]
async fn refused_requests() {
    const AT_ONCE: u64 = 8;
    let both = Neighbours::of("refused-requests")
        .limit("cpu-seconds", 1)
        .may_take(AT_ONCE * MEMORY_MIB)
        .start()
        .await;
    let calls = join_all((0..AT_ONCE).map(|_| both.call_rude("misbehave", json!({}))));
    for refused in both.outlast(calls).await {
        refused.failed(&["1 s of CPU time", "cpu-seconds"]);
    }
    both.works().await;
    both.is_in_bounds("refused requests");
}

#[tokio::test]
async fn long_wait_list() {
    let both =
        Neighbours::of_wat("long-wait-list").limit("memory-mib", 64).may_take(2 * 32).start().await;
    both.fails("misbehave", json!({}), &["256 requests and timers", "started in [limits]"]).await;
}

#[tokio::test]
async fn forgotten_request() {
    let (silent, api, gate) = (RawApi::silent().await, FakeApi::start(), Gate::default());
    api.answers("GET", "/last", [Answer::new(200, "").after(&gate)]);
    let both = Neighbours::of("forgotten-request")
        .limit("started", 100)
        .limit("handles", 1000)
        .allow_private(&silent.origin())
        .allow_private(&api.origin())
        .start()
        .await;
    let place = json!({"url": format!("{}/", silent.origin())});
    let places = json!({"url": place["url"], "last": api.url("/last")});
    let asking = async {
        silent.asked(both.local.process.log()).await;
        gate.open();
    };
    let (status, ()) = tokio::join!(both.ends("misbehave", places), asking);
    assert_eq!(status, json!({"misbehave": 200}));
    silent.hang_up(both.local.process.log()).await;
    both.fails("misbehaveWithoutEnd", place.clone(), &["100 requests and timers", "started"]).await;
    both.fails("misbehaveByWasi", place, &["1000 handles", "handles in [limits]"]).await;
}

#[tokio::test]
async fn forgotten_request_by_wasi_http() {
    let (silent, api, gate) = (RawApi::silent().await, FakeApi::start(), Gate::default());
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of it";
    let stuck = RawApi::start(half, Then::Stay).await;
    api.answers("GET", "/last", [Answer::new(200, "").after(&gate)]);
    let both = Neighbours::of("forgotten-request")
        .limit("started", 9)
        // No request ends because of its time.
        .limit("call-seconds", 600)
        .allow_private(&silent.origin())
        .allow_private(&stuck.origin())
        .allow_private(&api.origin())
        .start()
        .await;
    let log = both.local.process.log();
    let places = json!({"url": format!("{}/", silent.origin()), "last": api.url("/last")});
    let asking = async {
        silent.asked(log).await;
        gate.open();
    };
    let (told, ()) = tokio::join!(both.ends("misbehaveALittleByWasi", places.clone()), asking);
    assert_eq!(told, json!({"misbehaveALittleByWasi": 200}));
    silent.hang_up(log).await;
    let place = json!({"url": format!("{}/", stuck.origin())});
    let told = both.ends("misbehaveHalfWay", place).await;
    assert_eq!(told, json!({"misbehaveHalfWay": 200}));
    stuck.hang_up(log).await;
    both.fails("misbehaveUntilRefused", places, &["ConnectionLimitReached"]).await;
}
