//! What all connectors of a process share, so that one more costs little.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::embedded::Embedded;
use super::ids::Ids;
use super::limits::DIALLING;
use super::settings::ConnectorSettings;
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
    /// The registration token of the environment.
    pub token: ForOne,
    /// The OAuth client of the environment.
    pub client: ForOne,
    pub variables: Variables,
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
            token: ForOne::default(),
            client: ForOne::default(),
            variables: Variables::default(),
            dialling: Semaphore::new(DIALLING),
        })
    }

    /// Notes what the settings of a file say of things that are not for everybody. All that are known
    /// must be noted before the first of them is given out.
    pub fn note(&self, path: &Path, settings: &ConnectorSettings) {
        self.token.note(path, settings.workspace.has_token());
        self.client.note(path, settings.fields.has_client());
        self.variables.note(path, &settings.fields.variables);
    }

    /// Whether the OAuth client of the environment is for the connector of that file, which may have a
    /// part of its own.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check_client_is_for(&self, path: &Path, has_own: bool) -> Result<(), String> {
        if self.variables.are_of_another(path, &["OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET"]) {
            return Err("another one's connector.toml names them".into());
        }
        if has_own {
            let is_free = !self.client.is_for_another(path);
            return is_free.then_some(()).ok_or_else(|| "another one has none".into());
        }
        self.client.take(path).map_err(|Contested(many)| {
            format!("{many} connectors of this process have no OAuth client of their own")
        })
    }

    /// The connector of that file is no more.
    pub fn forget(&self, path: &Path) {
        self.token.forget(path);
        self.client.forget(path);
        self.variables.forget(path);
    }
}

/// Something in the environment that is for one connector: its registration token, its OAuth client.
/// Which one it is for must be clear: a connector that registers in another one's place, or gets another
/// one's secret, is worse than one that goes without.
#[derive(Default)]
pub(super) struct ForOne(Mutex<Claims>);

#[derive(Default)]
struct Claims {
    /// The files of connectors that have none of their own.
    wanting: BTreeSet<PathBuf>,
    holder: Option<PathBuf>,
}

/// So many connectors could be the one that it is for, or another one has it.
#[derive(Debug)]
pub(super) struct Contested(pub usize);

impl ForOne {
    /// Notes whether the connector of a file has one of its own, or needs none.
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
    pub fn take(&self, path: &Path) -> Result<(), Contested> {
        let Claims { wanting, holder } = &mut *self.0.lock();
        wanting.insert(path.to_owned());
        if holder.as_deref() == Some(path) {
            return Ok(());
        }
        if holder.is_some() || wanting.len() > 1 {
            return Err(Contested(wanting.len()));
        }
        *holder = Some(path.to_owned());
        Ok(())
    }

    /// Whether a connector of another file could be the one that it is for.
    pub fn is_for_another(&self, path: &Path) -> bool {
        let Claims { wanting, holder } = &*self.0.lock();
        wanting.iter().chain(holder).any(|other| other != path)
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

/// The variables that the settings of each file take something from. A connector whose field has such a
/// name does not get it by chance.
#[derive(Default)]
pub(super) struct Variables(Mutex<BTreeMap<PathBuf, BTreeSet<String>>>);

impl Variables {
    /// Notes what the settings of a file name now.
    pub fn note(&self, path: &Path, variables: &BTreeSet<String>) {
        self.0.lock().insert(path.to_owned(), variables.clone());
    }

    /// Whether the settings of another file name one of these.
    pub fn are_of_another(&self, path: &Path, names: &[&str]) -> bool {
        let all = self.0.lock();
        let mut others = all.iter().filter(|(of, _)| *of != path).map(|(_, variables)| variables);
        others.any(|variables| names.iter().any(|name| variables.contains(*name)))
    }

    /// All that any of them names.
    pub fn all(&self) -> BTreeSet<String> {
        self.0.lock().values().flatten().cloned().collect()
    }

    /// The connector of that file is no more.
    pub fn forget(&self, path: &Path) {
        self.0.lock().remove(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_one_connector_is_never_given_to_another_by_chance() {
        let token = ForOne::default();
        let [one, two, own] = ["one.toml", "two.toml", "own.toml"].map(Path::new);
        token.note(own, true);
        token.note(one, false);
        token.note(two, false);
        assert!(token.take(one).is_err(), "it may be meant for the other one");
        token.note(two, true);
        token.take(one).expect("it is the only one");
        token.note(two, false);
        token.take(one).expect("it has it");
        assert_eq!(token.take(two).expect_err("another one has it").0, 2);
        assert!(token.is_for_another(two) && token.is_for_another(own));
        token.forget(two);
        token.take(one).expect("it still has it");
        token.forget(one);
        token.take(two).expect("it is free");
    }

    /// Each connector says itself where it sends its client's secret.
    #[test]
    fn the_oauth_client_of_the_environment_is_for_the_only_one_that_can_want_it() {
        let announce = |_: &crate::local::LocalWorkspace| Ok(());
        let listen = ([127, 0, 0, 1], 0).into();
        let process = || {
            let embedded = Embedded::new(listen, None, Shared::default().events, announce);
            Process::new(Environment::default(), Duration::ZERO, Shared::default(), embedded)
                .expect("a process")
        };
        let [one, two] = ["one.toml", "two.toml"].map(Path::new);

        let alone = process();
        alone.client.note(one, false);
        alone.check_client_is_for(one, false).expect("it is the only one");
        let told = alone.check_client_is_for(two, false).expect_err("it is given out");
        assert!(told.contains("2 connectors"), "{told}");

        let several = process();
        several.client.note(one, false);
        several.client.note(two, false);
        assert!(several.check_client_is_for(one, false).is_err(), "it may be the other one's");
        several.client.note(two, true);
        assert!(several.check_client_is_for(two, true).is_err(), "the other one wants it");
        several.check_client_is_for(one, false).expect("the other one has its own");

        // What one takes from there by name is not what the other one is left with.
        let named = process();
        named.client.note(one, true);
        named.client.note(two, false);
        named.variables.note(one, &BTreeSet::from(["OAUTH_CLIENT_SECRET".to_owned()]));
        assert!(named.check_client_is_for(two, false).is_err(), "it is the first one's");
        named.check_client_is_for(one, true).expect_err("the second one could want it");
        named.forget(two);
        named.check_client_is_for(one, true).expect("it is alone");
    }
}
