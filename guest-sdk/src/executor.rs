//! Runs one future on the host's requests and timers.
//!
//! All that a connector can wait for has a handle at the host. The executor polls its future; where
//! that is pending, it lets the host wait for every handle that somebody waits for, and wakes those
//! whose handle is done.

use std::cell::RefCell;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::host;
use crate::limits::OWN_WAKES_IN_A_ROW;

/// Waits for a future.
///
/// # Panics
/// Where the future waits for something that the host does not know, because nothing could ever
/// wake it.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let mut own_wakes = 0;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        if !woken.0.swap(false, Ordering::Relaxed) {
            own_wakes = 0;
            wait_for_host();
            continue;
        }
        own_wakes += 1;
        if own_wakes >= OWN_WAKES_IN_A_ROW {
            own_wakes = 0;
            look_at_host();
        }
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

thread_local! {
    /// Which handles are waited for. A list and no map: they are few, and a map makes every component
    /// larger.
    static WAITS: RefCell<Vec<Wait>> = const { RefCell::new(Vec::new()) };
}

struct Wait {
    handle: u64,
    /// Whom to wake; nobody once the host said that it is done.
    waker: Option<Waker>,
}

/// Sleeps until the host has something for somebody.
fn wait_for_host() {
    let handles = waited_for();
    assert!(
        !handles.is_empty(),
        "this connector waits for something that the host does not know, so it would wait for \
         ever; await only requests and timers of aloma_connector and what is made of them"
    );
    wake(host::wait(&handles));
}

/// The same without sleeping: a timer of no time is done at once.
fn look_at_host() {
    let mut handles = waited_for();
    if handles.is_empty() {
        return;
    }
    let now = host::timer(0);
    handles.push(now);
    wake(host::wait(&handles));
    host::cancel(now);
}

fn waited_for() -> Vec<u64> {
    WAITS.with_borrow(|waits| {
        waits.iter().filter(|wait| wait.waker.is_some()).map(|wait| wait.handle).collect()
    })
}

fn wake(done: Vec<u64>) {
    let wakers: Vec<Waker> = WAITS.with_borrow_mut(|waits| {
        let done = waits.iter_mut().filter(|wait| done.contains(&wait.handle));
        done.filter_map(|wait| wait.waker.take()).collect()
    });
    // Outside of the borrow, because a waker may belong to another executor and do anything.
    wakers.into_iter().for_each(Waker::wake);
}

/// A request or a timer at the host, given up when this is dropped.
#[derive(Debug)]
pub(crate) struct Handle(u64);

impl Handle {
    pub fn new(id: u64) -> Self {
        Self(id)
    }

    pub fn id(&self) -> u64 {
        self.0
    }

    /// Whether the host said that it is done; until then the task is woken when it is.
    pub fn poll_done(&self, context: &Context<'_>) -> Poll<()> {
        let waker = Some(context.waker().clone());
        // The waker that was there is dropped outside of the borrow: it may hold a future that holds
        // handles.
        let (poll, _before) = WAITS.with_borrow_mut(|waits| {
            match waits.iter_mut().find(|wait| wait.handle == self.0) {
                Some(Wait { waker: None, .. }) => (Poll::Ready(()), waker),
                Some(wait) => (Poll::Pending, std::mem::replace(&mut wait.waker, waker)),
                None => {
                    waits.push(Wait { handle: self.0, waker });
                    (Poll::Pending, None)
                }
            }
        });
        poll
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _wait = WAITS.with_borrow_mut(|waits| {
            let place = waits.iter().position(|wait| wait.handle == self.0)?;
            Some(waits.swap_remove(place))
        });
        host::cancel(self.0);
    }
}
