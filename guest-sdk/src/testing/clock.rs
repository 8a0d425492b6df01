//! Virtual time, and the handles of requests and timers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::http::{Answer, Error};

/// The outcome of a request. A timer has none.
pub type Outcome = Option<Result<Answer, Error>>;

/// What was started, and when it is done.
#[derive(Default)]
pub struct Clock {
    now: Duration,
    last_handle: u64,
    under_way: BTreeMap<u64, UnderWay>,
}

struct UnderWay {
    done_at: Duration,
    outcome: Outcome,
}

impl Clock {
    /// How much time has passed.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Starts something that is done after that time.
    pub fn start(&mut self, after: Duration, outcome: Outcome) -> u64 {
        self.last_handle += 1;
        let done_at = self.now.saturating_add(after);
        self.under_way.insert(self.last_handle, UnderWay { done_at, outcome });
        self.last_handle
    }

    /// Lets time pass until one of the handles is done and gives all that are.
    pub fn wait(&mut self, handles: &[u64]) -> Vec<u64> {
        // What is not under way counts as done.
        let done_at = |handle: &u64| self.under_way.get(handle).map_or(self.now, |it| it.done_at);
        let Some(first) = handles.iter().map(done_at).min() else { return Vec::new() };
        let now = self.now.max(first);
        let done = handles.iter().copied().filter(|handle| done_at(handle) <= now).collect();
        self.now = now;
        done
    }

    /// Takes the outcome of a request that is done.
    pub fn take(&mut self, handle: u64) -> Outcome {
        let done = self.under_way.get(&handle).is_some_and(|it| it.done_at <= self.now);
        if !done {
            return None;
        }
        self.under_way.remove(&handle)?.outcome
    }

    /// Gives one up.
    pub fn cancel(&mut self, handle: u64) {
        self.under_way.remove(&handle);
    }

    /// How many are under way.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }
}
