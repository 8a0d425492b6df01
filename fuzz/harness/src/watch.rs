//! Notices panics that nobody waits for: those of tasks that the host has started.

use std::cell::Cell;
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Of threads that the runtime has started.
static ELSEWHERE: AtomicUsize = AtomicUsize::new(0);
static HOOK: Once = Once::new();

thread_local! {
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// Does something, and panics if anything panicked meanwhile, also where it was caught.
pub(crate) fn no_panics<T>(what: impl FnOnce() -> T) -> T {
    HOOK.call_once(count_panics);
    let before = count();
    let done = what();
    assert_eq!(before, count(), "something panicked in the background");
    done
}

fn count() -> (usize, usize) {
    (HERE.get(), ELSEWHERE.load(Ordering::SeqCst))
}

fn count_panics() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // Other tests have threads of their own names, and panics of their own.
        if thread::current().name().is_some_and(|name| name.starts_with("tokio")) {
            ELSEWHERE.fetch_add(1, Ordering::SeqCst);
        }
        HERE.set(HERE.get() + 1);
        before(info);
    }));
}
