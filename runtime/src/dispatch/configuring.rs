//! How configurations come into force: one after the other, not too often, and beside the task that
//! other connectors wait for.
//!
//! A workspace may send as many as it likes. What it can make this process do for them has an end: the
//! newest comes into force once in a while, and those that calls under way still hold have limited room.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use super::version::Version;
use super::{Dispatcher, Shared};
use crate::vault::Vault;
use crate::workspace::configuration::{self, Opened};
use crate::workspace::{Secrets, SetConfig};

/// The time from one configuration to the next. Opening one may take a quarter of a second of a
/// processor, and all instances start anew.
const PERIOD: Duration = Duration::from_secs(1);

/// What all configurations of a connector may take up to find their secrets: the one in force, and
/// former ones with calls under way. Thousands of usual ones; a few of the largest.
const ROOM: usize = 64 << 20;

/// The room is shared out in KiB.
const SHARE: usize = 1 << 10;

/// A configuration as it came: sealed, but for what is no secret. A new version may have other fields,
/// which may have come long before it.
#[derive(Clone)]
pub(super) struct Received {
    secrets: Arc<Secrets>,
    at: SystemTime,
}

/// What configurations wait for.
pub(super) struct Turns {
    last: Mutex<Option<Instant>>,
    /// What is left of it, in shares.
    room: Arc<Semaphore>,
    /// All of it.
    shares: usize,
}

impl Turns {
    pub fn new() -> Self {
        Self::with_room(ROOM)
    }

    fn with_room(bytes: usize) -> Self {
        let shares = bytes / SHARE;
        Self { last: Mutex::default(), room: Arc::new(Semaphore::new(shares)), shares }
    }

    /// Waits until the next configuration may come into force. The first may at once.
    async fn next(&self) {
        let last = *self.last.lock();
        if let Some(last) = last {
            sleep_until(last + PERIOD).await;
        }
        *self.last.lock() = Some(Instant::now());
    }

    /// Waits until there is room for what a vault takes up, which it gives back at its end.
    async fn settle(&self, vault: &Vault, connector: &str) {
        // There is always room for the one in force and the next.
        let shares = vault.weight().div_ceil(SHARE).min(self.shares / 2) as u32;
        let room = match self.room.clone().try_acquire_many_owned(shares) {
            Ok(room) => Some(room),
            Err(_) => {
                tracing::warn!(
                    connector,
                    "a configuration waits for calls that began under former ones: with their \
                     long secrets, these take up the {} bytes that there are for that",
                    self.shares * SHARE
                );
                self.room.clone().acquire_many_owned(shares).await.ok()
            }
        };
        vault.occupy(room);
    }
}

impl Shared {
    /// Puts the newest configuration in force before the next packet is looked at.
    pub(super) async fn set_config(&self, version: &Arc<Version>, config: SetConfig) {
        // At the end it does not wait: calls that were read together with it are still begun.
        let _ = self.shutdown.run_until_cancelled(self.turns.next()).await;
        // Only now: while this one waited, a newer one may have taken its place.
        let Some(secrets) = config.take() else { return };
        let received = Received { secrets: Arc::new(secrets), at: SystemTime::now() };
        *self.received.lock() = Some(received.clone());
        self.configure(version, received).await;
    }

    /// Opens a configuration and puts it in force.
    pub(super) async fn configure(&self, version: &Arc<Version>, received: Received) {
        let connector = &*self.dispatcher.id;
        if let Err(error) = self.try_configure(version, received).await {
            tracing::error!(connector, "a configuration is not in force: {error:#}");
        }
        self.configured.notify_one();
    }

    async fn try_configure(
        &self,
        version: &Arc<Version>,
        received: Received,
    ) -> anyhow::Result<()> {
        let Dispatcher { id, keys, .. } = &self.dispatcher;
        let (of, keys, audience) = (version.clone(), keys.clone(), id.clone());
        let open = move || {
            let Received { secrets, at } = received;
            let fields = of.connector.manifest().all_fields();
            // What was good when it came does not end with the version that it came to.
            let Opened { values, problems } =
                configuration::open(&secrets, &fields, keys.as_deref(), &audience, at);
            (of.connector.configuration().with_workspace(values), problems)
        };
        let opened = spawn_blocking(open).await;
        let (configuration, problems) = opened.context("opening it crashed")?;
        for problem in &problems {
            tracing::warn!(connector = &**id, "configuration: {problem}");
        }
        *self.problems.lock() = problems;
        let settled = self.turns.settle(configuration.vault(), id);
        let _ = self.shutdown.run_until_cancelled(settled).await;
        let to = version.clone();
        let done = spawn_blocking(move || to.configure(configuration)).await;
        done.context("putting it in force crashed")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures_util::FutureExt as _;
    use secrecy::SecretString;

    use super::*;
    use crate::vault::Placeholders;

    #[tokio::test(start_paused = true)]
    async fn the_first_configuration_comes_into_force_at_once_and_others_once_in_a_while() {
        let (turns, begin) = (Turns::new(), Instant::now());
        turns.next().await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
        for _ in 0..10 {
            turns.next().await;
        }
        // The clock counts in milliseconds.
        assert!(begin.elapsed().abs_diff(10 * PERIOD) < PERIOD / 10);
        tokio::time::sleep(3 * PERIOD).await;
        let begin = Instant::now();
        turns.next().await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }

    fn vault(secret: &str) -> Vault {
        let values: BTreeMap<String, SecretString> = [("KEY".to_owned(), secret.into())].into();
        Vault::new(values, &Placeholders::new(["KEY".to_owned()]), &Default::default())
    }

    const SECRET: &str = "0123456789abcdefghijklmnopqrstuvwxyz";

    #[tokio::test]
    async fn former_configurations_that_are_held_have_limited_room() {
        let room = 10 * vault(SECRET).weight().next_multiple_of(SHARE);
        let turns = Turns::with_room(room);
        let is_settled = |vault: &Vault| turns.settle(vault, "here").now_or_never().is_some();
        let mut held = Vec::new();
        for _ in 0..10 {
            held.push(vault(SECRET));
            assert!(is_settled(&held[held.len() - 1]));
        }
        let next = vault(SECRET);
        assert!(!is_settled(&next));
        // One that ends makes room.
        held.pop();
        assert!(is_settled(&next));
        assert!(!is_settled(&vault(SECRET)));
    }

    #[tokio::test]
    async fn the_largest_configuration_finds_room_beside_the_one_in_force() {
        let turns = Turns::with_room(vault(SECRET).weight());
        let mut in_force = vault(SECRET);
        turns.settle(&in_force, "here").await;
        for _ in 0..3 {
            let next = vault(SECRET);
            turns.settle(&next, "here").await;
            in_force = next;
        }
        assert!(in_force.weight() > turns.shares * SHARE / 2);
    }
}
