//! Requests and timers at once, on virtual time.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use aloma_connector::http::{self, Error};
use aloma_connector::testing::{Host, Reply};
use aloma_connector::time::{self, Elapsed};
use aloma_connector::{join_all, workspace};
use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};

const SECOND: Duration = Duration::from_secs(1);

/// A host whose API answers `/3` after three seconds, with its path.
fn slow_host() -> Host {
    Host::new().http(|request| {
        let path = request.url.rsplit('/').next().unwrap_or_default();
        Reply::text(200, path).after(SECOND * path.parse().expect("a number of seconds"))
    })
}

async fn answer(seconds: u32) -> String {
    let answer = http::get(format!("https://a.example/{seconds}")).send().await;
    answer.expect("an answer").text().into_owned()
}

#[test]
fn requests_run_at_once_and_answer_in_order() {
    let host = slow_host();
    let answers = host.run(join_all([3, 1, 2].map(answer)));
    assert_eq!(answers, ["3", "1", "2"]);
    assert_eq!(host.elapsed(), SECOND * 3);
    assert_eq!(host.under_way(), 0);
}

#[test]
fn the_futures_crate_works_as_well() {
    let host = slow_host();
    let unordered: FuturesUnordered<_> = [3, 1, 2].map(answer).into_iter().collect();
    assert_eq!(host.run(unordered.collect::<Vec<_>>()), ["1", "2", "3"]);

    let two_at_once = stream::iter([2, 2, 2]).map(answer).buffer_unordered(2);
    assert_eq!(host.run(two_at_once.collect::<Vec<_>>()).len(), 3);
    assert_eq!(host.elapsed(), SECOND * (3 + 4));

    let (first, second) = host.run(async { futures_util::join!(answer(1), answer(2)) });
    assert_eq!((&*first, &*second), ("1", "2"));
}

#[test]
fn a_sleep_takes_its_time() {
    let host = Host::new();
    host.run(async {
        time::sleep(SECOND).await;
        join_all([time::sleep(SECOND), time::sleep(SECOND * 2)]).await;
        time::sleep(Duration::from_nanos(1)).await;
    });
    assert_eq!(host.elapsed(), SECOND * 3 + Duration::from_millis(1));
}

#[test]
fn what_is_late_is_given_up() {
    let host = slow_host();
    assert_eq!(host.run(time::timeout(SECOND, answer(5))), Err(Elapsed));
    assert_eq!(host.elapsed(), SECOND);
    assert_eq!(host.under_way(), 0, "the request was given up");
    assert_eq!(host.run(time::timeout(SECOND * 2, answer(1))), Ok("1".into()));
    assert_eq!(host.under_way(), 0, "the timer was given up");
}

#[test]
fn a_request_has_a_time_limit_of_its_own() {
    let request = http::get("https://a.example/5").timeout(SECOND);
    let error = slow_host().run(request.send()).expect_err("too slow");
    assert!(matches!(error, Error::Timeout(text) if text == "no answer within 1000 ms"));
}

#[test]
fn nothing_is_sent_before_it_is_awaited() {
    let host = slow_host();
    host.run(async { drop(http::get("https://a.example/1").send()) });
    assert!(host.requests().is_empty());
}

#[test]
#[should_panic(expected = "waits for something that the host does not know")]
fn waiting_for_nothing_does_not_hang() {
    Host::new().run(pending::<()>());
}

#[test]
fn a_future_that_yields_for_ever_does_not_starve_a_request() {
    let host = slow_host();
    let done = Rc::new(Cell::new(false));
    let spin = poll_fn(|context| match done.get() {
        true => Poll::Ready(()),
        false => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    });
    let request = async {
        // Done as soon as the host is asked, because virtual time passes only in a real wait.
        answer(0).await;
        done.set(true);
    };
    host.run(async { futures_util::join!(spin, request) });
    assert_eq!(host.under_way(), 0);
}

#[test]
fn tasks_and_blobs_are_kept() {
    let host = Host::new();
    host.run(async {
        let task = workspace::new_task("import", &[1, 2]).await.expect("a task");
        let id = task["id"].as_str().expect("an id");
        workspace::update_task(id, "done").await.expect("the task");
        let content = b"text".to_vec();
        let blob = workspace::NewBlob { content, name: Some("a.txt".into()), ..Default::default() };
        let id = workspace::create_blob(blob).await.expect("a blob");
        let known = workspace::get_blob(&id).await.expect("the blob");
        assert_eq!((known.name.as_deref(), known.size), (Some("a.txt"), Some(4)));
        assert_eq!(workspace::get_blob_content(&id).await, Ok(b"text".to_vec()));
        assert_eq!(workspace::get_blob("x").await.expect_err("no blob").code(), "not-found");
    });
    assert_eq!((host.tasks()[0].data.as_str(), host.blobs().len()), (Some("done"), 1));
}

#[test]
fn without_a_workspace_tasks_fail() {
    let host = Host::new().without_workspace();
    let error = host.run(workspace::new_task("import", &())).expect_err("no workspace");
    assert_eq!((error.code(), error.is_retryable()), ("workspace-unavailable", true));
}
