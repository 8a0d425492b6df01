//! Instances: reused or not, none when idle, and an honest queue for them.

use aloma_tests::{Scene, error_of};
use futures_util::future::select_all;
use futures_util::poll;
use serde_json::json;

const STARTED: &str = "hooks: started";
const STOPPED: &str = "hooks: stopped, shutdown = false";

#[tokio::test]
async fn calls_share_an_instance_unless_each_is_to_have_its_own() {
    for (settings, instances) in [("", 1), ("isolation = 'call'", 3)] {
        let scene = Scene::connector("hooks").settings(settings).unconfigured().start().await;
        for _ in 0..3 {
            scene.query(&["echo"], json!({"value": 1})).await;
        }
        scene.process.lines_with(STARTED, instances).await;
        assert_eq!(scene.process.log().count(STARTED), instances, "{settings:?}");
    }
}

#[tokio::test]
async fn an_idle_instance_is_stopped_and_the_next_call_gets_a_new_one() {
    let settings = "[limits]\nidle-seconds = 1";
    let scene = Scene::connector("hooks").settings(settings).unconfigured().start().await;
    for calls in 1..=2 {
        scene.query(&["echo"], json!({"value": 1})).await;
        scene.process.lines_with(STOPPED, calls).await;
        assert_eq!(scene.process.log().count(STARTED), calls);
    }
}

#[tokio::test]
async fn an_instance_that_is_made_for_a_health_check_goes_with_it() {
    let scene = Scene::connector("hooks").start().await;
    scene.workspace.health().await;
    scene.process.lines_with(STOPPED, 1).await;
    assert_eq!(scene.process.log().count(STARTED), 1);
}

#[tokio::test]
async fn calls_that_find_no_instance_in_time_are_told_which_limit_it_was() {
    let settings = "[limits]\nconcurrency = 1\nwaiting = 1\nqueue-seconds = 1";
    let scene = Scene::connector("hooks").settings(settings).start().await;
    let sleeping = json!({"milliseconds": 600_000});
    let calls = vec![json!({"query": ["sleep"], "variables": sleeping}); 3];
    let asked = scene.workspace.ask_together("connector.query", &calls).await;
    // Which of them comes first is nobody's promise.
    let answers = asked.into_iter().map(|asked| Box::pin(asked.answer()));
    let (refused, _, others) = select_all(answers).await;
    assert!(error_of(&refused).contains("waiting in [limits]"), "{refused}");
    let (late, _, mut running) = select_all(others).await;
    assert!(error_of(&late).contains("queue-seconds in [limits]"), "{late}");
    assert!(poll!(&mut running[0]).is_pending(), "the first one still has its instance");
}
