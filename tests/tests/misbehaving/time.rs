//! Guests that do not end.

use std::path::PathBuf;

use aloma_tests::neighbours::{Neighbours, Outcome};
use aloma_tests::serving::settings;
use aloma_tests::{Folder, RawApi, Serving, Then, cli, guest};
use futures_util::future::join_all;
use serde_json::json;

/// Calls at once: more than most machines that run tests have threads to spare.
const AT_ONCE: usize = 3;

/// MiB that a guest and its compiled code take of the process, and what the host needs to load it.
const DESCRIBE_MIB: u64 = 64;

/// Calls at once: more than any machine has threads to spare, and fewer than a connector may have.
const MANY: usize = 40;

#[tokio::test]
async fn endless_loop() {
    let both = Neighbours::of("endless-loop").limit("cpu-seconds", 1).start().await;
    let loops = (0..AT_ONCE).map(|_| both.misbehave(json!({})));
    for outcome in both.outlast(join_all(loops)).await {
        outcome.failed(&["1 s of CPU time", "cpu-seconds"]);
    }
    both.works().await;
    both.is_in_bounds("endless loop");
}

#[tokio::test]
async fn endless_loop_within_its_cpu_time() {
    let both = Neighbours::of("endless-loop")
        .limit("cpu-seconds", 3600)
        .limit("call-seconds", 1)
        .start()
        .await;
    let loops = (0..MANY).map(|_| both.misbehave(json!({})));
    for outcome in both.beside(join_all(loops)).await {
        outcome.failed(&["1 s", "call-seconds"]);
    }
    both.works().await;
    both.is_in_bounds("many endless loops");
}

#[tokio::test]
async fn endless_describe() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = folder.path().join("connector.toml");
    let text = format!("component = {:?}\n[limits]\ncpu-seconds = 1\n", guest("endless-describe"));
    std::fs::write(&settings, text).expect("a file can be written");
    let run = async |command: &str, more: &[PathBuf]| {
        let named = [PathBuf::from(command), settings.clone()];
        cli(named.into_iter().chain(more.to_owned())).await
    };
    for output in [run("inspect", &[]).await, run("run", &[guest("hello")]).await] {
        output.failed(
            1,
            &[
                "endless_describe.wasm",
                "does not describe itself",
                "1 s of CPU time",
                "cpu-seconds",
            ],
        );
    }
}

#[tokio::test]
async fn endless_describe_beside_a_neighbour() {
    let folder = Folder::default();
    let mut neighbour = folder.put_connector("neighbour", "hello", "");
    let serving = Serving::start(&[folder.path()]);
    serving.joined(&mut neighbour).await;
    let (before, hello) = (serving.process.peak_memory(), json!({"hi": "world"}));
    let limits = "limits = { cpu-seconds = 1, memory-mib = 16 }";
    let mut rude = folder.put_connector("rude", "endless-describe", limits);
    let mut failing = std::pin::pin!(serving.process.line_with("does not run"));
    let mut answers = 0;
    let line = loop {
        tokio::select! {
            line = &mut failing => break line,
            answer = neighbour.query(&["hello"], json!({})) => assert_eq!(answer, hello),
        }
        answers += 1;
    };
    assert!(line.contains("1 s of CPU time") && line.contains("cpu-seconds"), "{line}");
    assert!(answers > AT_ONCE, "the neighbour had {answers} answers");
    let more = serving.process.peak_memory().saturating_sub(before) >> 20;
    assert!(more < DESCRIBE_MIB, "{more} MiB more than before");
    folder.put("rude.toml", settings("rude", "hello", &rude, ""));
    serving.joined(&mut rude).await;
    assert_eq!(rude.query(&["hello"], json!({})).await, hello);
}

#[tokio::test]
async fn endless_start() {
    let both = Neighbours::of("endless-start").limit("cpu-seconds", 1).launch().await;
    let started = both.outlast(both.misbehave(json!({}))).await;
    started.failed(&["did not start", "1 s of CPU time", "cpu-seconds"]);
    let (status, answer) =
        both.local.put("/api/connectors/misbehaving/config", &json!({"WELL": "yes"})).await;
    assert_eq!(status, 200, "{answer}");
    both.works().await;
    both.is_in_bounds("endless start");
}

#[tokio::test]
async fn oversleeper() {
    let both = Neighbours::of("oversleeper").limit("call-seconds", 1).start().await;
    for action in ["misbehave", "misbehaveByWasi"] {
        let slept = both.outlast(both.call_rude(action, json!({}))).await;
        slept.failed(&["1 s", "call-seconds"]);
        both.works().await;
        both.is_in_bounds(action);
    }
}

#[tokio::test]
async fn restless() {
    let silent = RawApi::silent().await;
    let both = Neighbours::of("restless")
        .limit("call-seconds", 1)
        .allow_private(&silent.origin())
        .start()
        .await;
    let place = json!({"url": format!("{}/", silent.origin())});
    both.outlast(both.misbehave(place.clone())).await.failed(&["1 s", "call-seconds"]);
    silent.hang_up(both.local.process.log()).await;
    let requests = silent.requests().len();
    both.works().await;
    both.is_in_bounds("restless");
    assert_eq!(silent.requests().len(), requests, "a call that was stopped still makes requests");
}

#[tokio::test]
async fn restless_where_every_request_ends_at_once() {
    let curt = RawApi::start("HTTP/1.1 204 No Content\r\n\r\n", Then::Close).await;
    let both = Neighbours::of("restless")
        .limit("call-seconds", 1)
        .limit("requests", 1_000_000)
        .allow_private(&curt.origin())
        .start()
        .await;
    let place = json!({"url": format!("{}/", curt.origin())});
    both.beside(both.misbehave(place.clone())).await.failed(&["1 s", "call-seconds"]);
    // What was on its way has arrived when all of these have their answers.
    both.works().await;
    both.beside(both.works()).await;
    let requests = curt.requests().len();
    both.beside(both.works()).await;
    assert_eq!(curt.requests().len(), requests, "a call that was stopped still makes requests");
    both.is_in_bounds("restless");
}

#[tokio::test]
async fn restless_while_the_process_ends() {
    let silent = RawApi::silent().await;
    let mut both = Neighbours::of("restless")
        .args(["--shutdown-timeout", "1"])
        .allow_private(&silent.origin())
        .start()
        .await;
    let place = json!({"url": format!("{}/", silent.origin())});
    let asking = async {
        silent.asked(both.local.process.log()).await;
        both.local.process.terminate();
    };
    let (told, ()) = tokio::join!(both.misbehave(place.clone()), asking);
    assert!(matches!(told, Outcome::Failure(_)), "{told:?}");
    silent.hang_up(both.local.process.log()).await;
    assert_eq!(both.local.process.exit().await.code(), Some(0));
}

#[tokio::test]
async fn endless_loop_while_the_process_ends() {
    let mut both = Neighbours::of("endless-loop")
        .limit("cpu-seconds", 3600)
        .limit("call-seconds", 3600)
        .args(["--shutdown-timeout", "1"])
        .start()
        .await;
    let ending = async {
        both.neighbour_answers().await;
        both.local.process.terminate();
    };
    let (told, ()) = tokio::join!(both.misbehave(json!({})), ending);
    assert!(matches!(told, Outcome::Failure(_)), "{told:?}");
    assert_eq!(both.local.process.exit().await.code(), Some(0));
}
