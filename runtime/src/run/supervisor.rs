//! Runs what folders and files name, and follows them: a connector for each settings file, one more
//! when a file comes, one less when it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::{Id, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::folder::{Folders, Found};
use super::keeper::Keeper;
use super::limits::{LOOK, TELL_AGAIN};
use super::process::Process;
use super::settings::Origin;
use crate::printable::printable;
use crate::workspace::Complaints;

/// How the settings of a file are read.
pub type ReadFile = fn(&Path) -> Origin;

/// What is served, and what runs of it.
pub(super) struct Supervisor {
    process: Arc<Process>,
    read: ReadFile,
    /// Files that were named themselves. They are served whatever becomes of them.
    named: Vec<PathBuf>,
    folders: Folders,
    running: BTreeMap<PathBuf, Running>,
    keepers: JoinSet<()>,
    complaints: Complaints,
}

struct Running {
    stop: CancellationToken,
    task: Id,
    /// It was gone the last time; editors take a file away for a moment.
    is_missing: bool,
}

impl Supervisor {
    pub fn new(
        process: Arc<Process>,
        read: ReadFile,
        named: Vec<PathBuf>,
        folders: Vec<PathBuf>,
    ) -> Self {
        Self {
            process,
            read,
            named,
            folders: Folders::new(folders),
            running: BTreeMap::new(),
            keepers: JoinSet::new(),
            complaints: Complaints::new(TELL_AGAIN),
        }
    }

    /// Serves until `stop`, and then until every connector has ended.
    pub async fn serve(mut self, stop: CancellationToken) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_first = true;
        loop {
            tokio::select! {
                // At the end they all end, and none of them is removed.
                biased;
                () = stop.cancelled() => break,
                Some(ended) = self.keepers.join_next_with_id() => {
                    self.forget(ended);
                    continue;
                }
                _ = looks.tick() => {}
            }
            // A folder on a network that does not answer must not hold up the end.
            let found = tokio::select! {
                () = stop.cancelled() => break,
                found = self.look_anew() => found,
            };
            if is_first && found.is_empty() {
                tracing::info!("there is no settings file yet; waiting for one");
            }
            is_first = false;
            self.follow(&found, &stop);
        }
        while self.keepers.join_next().await.is_some() {}
    }

    async fn look_anew(&mut self) -> BTreeSet<PathBuf> {
        let found = self.look().await;
        self.note_settings(&found).await;
        found
    }

    /// The settings files that there are now.
    async fn look(&mut self) -> BTreeSet<PathBuf> {
        let known = self.running.keys().cloned().collect();
        let mut folders = std::mem::take(&mut self.folders);
        let looking = tokio::task::spawn_blocking(move || {
            let found = folders.look(&known);
            (folders, found)
        });
        // A look that crashed has seen nothing, so nothing changes.
        let Ok((folders, Found { mut files, troubles })) = looking.await else {
            return self.running.keys().cloned().collect();
        };
        self.folders = folders;
        let text = troubles.join("; ");
        if !text.is_empty() && self.complaints.is_news(&text) {
            tracing::warn!("{text}");
        }
        files.extend(self.named.iter().cloned());
        files
    }

    /// Before the first of them begins, it must be known what each of them has of its own, and which
    /// variables are for it.
    async fn note_settings(&self, found: &BTreeSet<PathBuf>) {
        let new = found.iter().filter(|path| !self.running.contains_key(*path));
        let origins: Vec<_> = new.map(|path| (self.read)(path)).collect();
        let process = self.process.clone();
        let noting = tokio::task::spawn_blocking(move || {
            for Origin { path, read } in origins {
                // What cannot be read is told by its keeper.
                match read() {
                    Ok(settings) => process.note(&path, &settings),
                    Err(_) => process.forget(&path),
                }
            }
        });
        let _ = noting.await;
    }

    fn follow(&mut self, found: &BTreeSet<PathBuf>, stop: &CancellationToken) {
        for (path, running) in &mut self.running {
            let is_missing = !found.contains(path);
            if is_missing && running.is_missing && !running.stop.is_cancelled() {
                tracing::info!(file = %printable(&path.display().to_string()), "its file is gone; it stops");
                running.stop.cancel();
            }
            running.is_missing = is_missing;
        }
        for path in found {
            if !self.running.contains_key(path) {
                self.begin(path, stop);
            }
        }
    }

    fn begin(&mut self, path: &Path, stop: &CancellationToken) {
        let stop = stop.child_token();
        let keeper = Keeper::new(self.process.clone(), (self.read)(path), true);
        let task = self.keepers.spawn(keeper.keep(None, stop.clone())).id();
        self.running.insert(path.to_owned(), Running { stop, task, is_missing: false });
    }

    /// One has ended: its file is gone, or it crashed. Where the file is there, the next look begins
    /// again.
    fn forget(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => {
                tracing::error!(
                    "a connector's keeper crashed, which is a fault of this program: {error}"
                );
                error.id()
            }
        };
        let gone = self.running.extract_if(.., |_, running| running.task == id);
        for (path, _) in gone {
            tracing::info!(file = %printable(&path.display().to_string()), "removed");
        }
    }
}
