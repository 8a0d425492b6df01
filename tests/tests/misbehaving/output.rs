//! Guests that say too much, or what nobody can read.

use aloma_tests::neighbours::Neighbours;
use serde_json::json;

/// MiB of a guest whose memory nobody has touched.
const NOTHING_MIB: u64 = 0;

/// MiB of the large line, as the guest has it and as the host gets it.
const LARGE_LINE_MIB: u64 = 2 * 50;

#[tokio::test]
async fn endless_log() {
    let both = Neighbours::of("endless-log").limit("cpu-seconds", 1).start().await;
    for action in ["misbehave", "misbehaveInLongLines"] {
        let logged = both.outlast(both.call_rude(action, json!({}))).await;
        logged.failed(&["1 s of CPU time", "cpu-seconds"]);
        both.local.process.line_with("more lines suppressed").await;
        both.works().await;
        both.is_in_bounds(action);
    }
}

#[tokio::test]
async fn endless_output() {
    let both = Neighbours::of("endless-output").limit("cpu-seconds", 1).start().await;
    for action in ["misbehave", "misbehaveInOneLine"] {
        let printed = both.outlast(both.call_rude(action, json!({}))).await;
        printed.failed(&["1 s of CPU time", "cpu-seconds"]);
        both.local.process.line_with("more lines suppressed").await;
        both.works().await;
        both.is_in_bounds(action);
    }
}

#[tokio::test]
async fn many_outputs() {
    let both = Neighbours::of("many-outputs").limit("cpu-seconds", 1).start().await;
    let printed = both.outlast(both.call_rude("misbehave", json!({}))).await;
    printed.failed(&["1 s of CPU time", "cpu-seconds"]);
    both.local.process.line_with("more lines suppressed").await;
    both.works().await;
    both.is_in_bounds("many outputs");
}

#[tokio::test]
async fn huge_log_line() {
    let both = Neighbours::of_wat("huge-log-line")
        .limit("memory-mib", 128)
        .may_take(NOTHING_MIB)
        .start()
        .await;
    both.fails("misbehave", json!({}), &["64 MiB", "host-call-mib"]).await;
}

#[tokio::test]
async fn large_log_line() {
    let both = Neighbours::of_wat("large-log-line")
        .limit("memory-mib", 128)
        .may_take(LARGE_LINE_MIB)
        .start()
        .await;
    assert_eq!(both.ends("misbehave", json!({})).await, json!({}));
    both.local.process.line_with("bytes cut)").await;
}

#[tokio::test]
async fn huge_result() {
    let both = Neighbours::of_wat("huge-result")
        .limit("memory-mib", 2048)
        .limit("total-memory-mib", 4096)
        .may_take(NOTHING_MIB)
        .start()
        .await;
    both.fails("misbehave", json!({}), &["64 MiB", "host-call-mib"]).await;
}

#[tokio::test]
async fn lying_result() {
    let both = Neighbours::of_wat("lying-result").start().await;
    both.fails("misbehave", json!({}), &["crashed"]).await;
}

#[tokio::test]
async fn result_not_json() {
    let both = Neighbours::of("result-not-json").start().await;
    both.fails("misbehave", json!({}), &["no result", "JSON"]).await;
}

#[tokio::test]
async fn result_too_deep() {
    let both = Neighbours::of("result-too-deep").start().await;
    both.fails("misbehave", json!({}), &["deeper than 128", "json-depth"]).await;
}

#[tokio::test]
async fn result_of_many_values() {
    let both = Neighbours::of("result-of-many-values").limit("memory-mib", 64).start().await;
    let result = both.ends("misbehave", json!({})).await;
    assert_eq!(result["misbehave"].as_array().map(Vec::len), Some(7_000_000));
}

#[tokio::test]
async fn huge_failure() {
    let both = Neighbours::of("huge-failure").limit("memory-mib", 128).start().await;
    both.fails("misbehave", json!({}), &["xxx… (39983616 bytes cut)"]).await;
}

#[tokio::test]
async fn much_random() {
    let both = Neighbours::of("much-random").start().await;
    for action in ["misbehave", "misbehaveInsecurely"] {
        both.fails(action, json!({}), &["64 KiB of random", "random-kib"]).await;
    }
}
