//! What all connectors of a process share, so that one more costs little.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::embedded::Embedded;
use super::ids::Ids;
use super::limits::DIALLING;
use super::watch::Lookout;
use super::{Shared, loader};
use crate::connector::Loader;
use crate::settings::Environment;
use crate::workspace::Transport;

pub(super) struct Process {
    pub environment: Arc<Environment>,
    pub grace: Duration,
    pub shared: Shared,
    pub loader: Loader,
    pub transport: Arc<LazyLock<Transport>>,
    pub embedded: Embedded,
    pub ids: Ids,
    pub lookout: Lookout,
    pub token: EnvironmentToken,
    /// Connectors that go to their workspaces at once.
    pub dialling: Semaphore,
}

impl Process {
    pub fn new(
        environment: Environment,
        grace: Duration,
        shared: Shared,
        embedded: Embedded,
    ) -> anyhow::Result<Self> {
        // Reading the system's root certificates takes as long as loading a connector, so it is done
        // beside that. Whoever needs them first waits for the thread, which then ends.
        let transport: Arc<LazyLock<Transport>> = Arc::new(LazyLock::new(Transport::default));
        let ahead = transport.clone();
        thread::spawn(move || {
            let _ = LazyLock::force(&ahead);
        });
        Ok(Self {
            loader: loader(&environment)?,
            environment: Arc::new(environment),
            grace,
            shared,
            transport,
            embedded,
            ids: Ids::default(),
            lookout: Lookout::default(),
            token: EnvironmentToken::default(),
            dialling: Semaphore::new(DIALLING),
        })
    }
}

/// The registration token of the environment, which is for one connector. Which one it is must be
/// clear: a connector that registers in another one's place is worse than one that does not run.
#[derive(Default)]
pub(super) struct EnvironmentToken(Mutex<Claims>);

#[derive(Default)]
struct Claims {
    /// The files of connectors that have no token of their own.
    wanting: BTreeSet<PathBuf>,
    holder: Option<PathBuf>,
}

impl EnvironmentToken {
    /// Notes whether the connector of a file has a token of its own.
    pub fn note(&self, path: &Path, has_own: bool) {
        let mut claims = self.0.lock();
        if has_own {
            claims.forget(path);
        } else {
            claims.wanting.insert(path.to_owned());
        }
    }

    /// Takes it for the connector of that file.
    ///
    /// # Errors
    /// When another one has it, or it is not clear whose it is.
    pub fn take(&self, path: &Path) -> anyhow::Result<()> {
        let Claims { wanting, holder } = &mut *self.0.lock();
        wanting.insert(path.to_owned());
        if holder.as_deref() == Some(path) {
            return Ok(());
        }
        ensure!(
            holder.is_none() && wanting.len() == 1,
            "a registration token belongs to one connector, and the one of the environment is for {}; \
             give each its own with `token` in [workspace] of its settings file",
            wanting.len()
        );
        *holder = Some(path.to_owned());
        Ok(())
    }

    /// The connector of that file is no more.
    pub fn forget(&self, path: &Path) {
        self.0.lock().forget(path);
    }
}

impl Claims {
    fn forget(&mut self, path: &Path) {
        self.wanting.remove(path);
        self.holder.take_if(|holder| *holder == path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_the_environment_is_never_given_to_a_connector_by_chance() {
        let token = EnvironmentToken::default();
        let [one, two, own] = ["one.toml", "two.toml", "own.toml"].map(Path::new);
        token.note(own, true);
        token.note(one, false);
        token.note(two, false);
        assert!(token.take(one).is_err(), "it may be meant for the other one");
        token.note(two, true);
        token.take(one).expect("it is the only one");
        token.note(two, false);
        token.take(one).expect("it has it");
        let told = token.take(two).expect_err("another one has it").to_string();
        assert!(told.contains("is for 2") && told.contains("[workspace]"), "{told}");
        token.forget(two);
        token.take(one).expect("it still has it");
        token.forget(one);
        token.take(two).expect("it is free");
    }
}
