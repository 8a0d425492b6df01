//! Guests that want more than there is, and those that break down.

use aloma_tests::cli;
use aloma_tests::neighbours::Neighbours;
use aloma_tests::wat::wat_guest;
use serde_json::json;

#[tokio::test]
async fn endless_allocation_beyond_what_all_instances_may_have() {
    let both = Neighbours::of("endless-allocation")
        .limit("memory-mib", 64)
        .limit("total-memory-mib", 32)
        .start()
        .await;
    both.fails("misbehave", json!({}), &["32 MiB", "total-memory-mib"]).await;
}

#[tokio::test]
async fn endless_allocation() {
    let both = Neighbours::of("endless-allocation").start().await;
    both.fails("misbehave", json!({}), &["16 MiB of memory", "memory-mib"]).await;
}

#[tokio::test]
async fn many_memories() {
    let both = Neighbours::of_wat("many-memories").start().await;
    both.fails("misbehave", json!({}), &["16 MiB of memory", "memory-mib"]).await;
}

#[tokio::test]
async fn too_many_memories() {
    let folder = tempfile::tempdir().expect("a folder");
    let component = wat_guest("too-many-memories", folder.path());
    let output = cli(["inspect".into(), component]).await;
    output.failed(1, &["more than 4 memories, the limit"]);
}

#[tokio::test]
async fn table_growth() {
    let both = Neighbours::of_wat("table-growth").limit("table-elements", 30_000).start().await;
    both.fails("misbehave", json!({}), &["30000 elements", "table-elements"]).await;
}

#[tokio::test]
async fn unbounded_recursion() {
    let both = Neighbours::of("unbounded-recursion").start().await;
    both.fails("misbehave", json!({}), &["crashed", "recursion"]).await;
}

#[tokio::test]
async fn panic() {
    let both = Neighbours::of("panic").start().await;
    both.fails("misbehave", json!({}), &["crashed: it panicked"]).await;
    both.local.process.line_with("on purpose").await;
}

#[tokio::test]
async fn trap_in_a_destructor() {
    let both = Neighbours::of_wat("trap-in-a-destructor").start().await;
    both.fails("misbehave", json!({}), &["crashed"]).await;
}

#[tokio::test]
async fn trap_after_the_result() {
    let both = Neighbours::of_wat("trap-after-the-result").start().await;
    both.fails("misbehave", json!({}), &["crashed"]).await;
}

#[tokio::test]
async fn handle_leak() {
    let both =
        Neighbours::of("handle-leak").limit("handles", 1000).limit("started", 100).start().await;
    both.fails("misbehave", json!({}), &["1000 handles", "handles in [limits]"]).await;
    both.fails("misbehaveWithOurs", json!({}), &["100 requests and timers", "started"]).await;
}

#[tokio::test]
async fn resource_leak() {
    let both = Neighbours::of_wat("resource-leak").limit("handles", 1000).start().await;
    both.fails("misbehave", json!({}), &["1000 handles", "handles in [limits]"]).await;
}

#[tokio::test]
async fn host_leak() {
    let both = Neighbours::of("host-leak").may_take(KEPT_MIB).start().await;
    both.fails("misbehave", json!({}), &["header fields", "fields-kib"]).await;
    for action in ["misbehaveWithBodies", "misbehaveWithOutput"] {
        both.fails(action, json!({}), &["10000 handles", "handles in [limits]"]).await;
    }
}

/// MiB that the host holds behind as many handles as a guest may have.
const KEPT_MIB: u64 = 64;

#[tokio::test]
async fn socket_leak() {
    let both = Neighbours::of("host-leak").start().await;
    both.fails("misbehaveWithSockets", json!({}), &["no sockets"]).await;
}
