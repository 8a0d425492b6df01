//! Notices that files have changed: a look at each of them now and then, which works on every file
//! system and also where a whole folder is exchanged behind a link.
//!
//! A change counts when two looks in a row have seen the same, so that a file is not taken up while
//! it is being written.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use super::limits::LOOK;

/// What can be seen of a file without reading it. None where there is no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Print(Option<(u64, u64, u64, i64, i64)>);

impl Print {
    /// What is seen now, also behind links.
    pub fn of(path: &Path) -> Self {
        let seen = std::fs::metadata(path).ok();
        Self(seen.map(|of| (of.dev(), of.ino(), of.size(), of.mtime(), of.mtime_nsec())))
    }
}

fn prints(paths: &[PathBuf]) -> Vec<Print> {
    paths.iter().map(|path| Print::of(path)).collect()
}

/// Looks at the files of all connectors of a process. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Lookout(Arc<Mutex<Watched>>);

#[derive(Default)]
struct Watched {
    last: u64,
    files: HashMap<u64, Files>,
}

/// The files of one connector.
struct Files {
    paths: Arc<[PathBuf]>,
    /// What was there when it was last told.
    told: Vec<Print>,
    /// What was different the last time.
    fresh: Option<Vec<Print>>,
    changed: Arc<Notify>,
}

impl Files {
    /// Takes in one look. Whether to tell.
    fn look(&mut self, seen: Vec<Print>) -> bool {
        if seen == self.told {
            self.fresh = None;
            return false;
        }
        if self.fresh.as_ref() == Some(&seen) {
            self.told = seen;
            self.fresh = None;
            return true;
        }
        self.fresh = Some(seen);
        false
    }
}

impl Lookout {
    /// Watches these files until the watch is dropped.
    pub fn watch(&self, paths: Vec<PathBuf>) -> Watch {
        let mut watched = self.0.lock();
        watched.last += 1;
        let number = watched.last;
        let changed = Arc::new(Notify::new());
        let files = Files {
            told: prints(&paths),
            paths: paths.into(),
            fresh: None,
            changed: changed.clone(),
        };
        watched.files.insert(number, files);
        Watch { lookout: self.clone(), number, changed }
    }

    /// Looks again and again. Never ends.
    pub async fn keep_looking(&self) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let lookout = self.clone();
            // A file may lie on a slow network. A look that crashed is made again.
            let _ = tokio::task::spawn_blocking(move || lookout.look()).await;
        }
    }

    /// Tells everybody, as if all files had changed.
    pub fn tell_all(&self) {
        self.0.lock().files.values().for_each(|files| files.changed.notify_one());
    }

    /// One look at everything. Nobody waits for the disk.
    fn look(&self) {
        let all: Vec<_> =
            self.0.lock().files.iter().map(|(number, one)| (*number, one.paths.clone())).collect();
        for (number, paths) in all {
            let seen = prints(&paths);
            let mut watched = self.0.lock();
            let files = watched.files.get_mut(&number).filter(|one| one.paths == paths);
            if let Some(files) = files
                && files.look(seen)
            {
                files.changed.notify_one();
            }
        }
    }
}

/// The watch over some files.
pub(super) struct Watch {
    lookout: Lookout,
    number: u64,
    changed: Arc<Notify>,
}

impl Watch {
    /// Waits for a change since the last one that was told.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Watches other files from now on, with what was seen of them before they were read, so that
    /// what has changed since then is noticed.
    pub fn watch_instead(&self, seen: Vec<(PathBuf, Print)>) {
        if let Some(files) = self.lookout.0.lock().files.get_mut(&self.number) {
            let (paths, told): (Vec<_>, _) = seen.into_iter().unzip();
            files.paths = paths.into();
            files.told = told;
            files.fresh = None;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.lookout.0.lock().files.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn is_told(watch: &Watch) -> bool {
        let mut told = pin!(watch.changed());
        told.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn write(path: &Path, text: &str) {
        std::fs::write(path, text).expect("a file");
    }

    #[test]
    fn a_change_is_told_once_when_it_has_settled() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a");
        write(&file, "1");
        let lookout = Lookout::default();
        let watch = lookout.watch(vec![file.clone(), folder.path().join("missing")]);
        let look = || {
            lookout.look();
            is_told(&watch)
        };
        assert!(!look(), "nothing has changed");
        write(&file, "12");
        assert!(!look(), "it may still be written");
        write(&file, "123");
        assert!(!look(), "it is still written");
        assert!(look(), "it has settled");
        assert!(!look(), "it was told");
        write(&folder.path().join("missing"), "");
        assert!(!look() && look(), "a file came");
        std::fs::remove_file(&file).expect("the file");
        assert!(!look() && look(), "a file went");
    }

    #[test]
    fn a_file_that_is_exchanged_behind_a_link_has_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for version in ["one", "two"] {
            std::fs::create_dir(at(version)).expect("a folder");
            write(&at(version).join("connector.toml"), "same");
        }
        std::os::unix::fs::symlink(at("one"), at("data")).expect("a link");
        let lookout = Lookout::default();
        let watch = lookout.watch(vec![at("data").join("connector.toml")]);
        std::os::unix::fs::symlink(at("two"), at("next")).expect("a link");
        std::fs::rename(at("next"), at("data")).expect("the link is exchanged");
        lookout.look();
        lookout.look();
        assert!(is_told(&watch));
    }

    #[test]
    fn what_goes_away_and_comes_back_unchanged_is_no_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, aside) = (folder.path().join("a"), folder.path().join("b"));
        write(&file, "1");
        let lookout = Lookout::default();
        let watch = lookout.watch(vec![file.clone()]);
        std::fs::rename(&file, &aside).expect("moved");
        lookout.look();
        std::fs::rename(&aside, &file).expect("moved back");
        lookout.look();
        lookout.look();
        assert!(!is_told(&watch));
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_looking() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a");
        write(&file, "1");
        let lookout = Lookout::default();
        let watch = lookout.watch(vec![file.clone()]);
        write(&file, "12");
        tokio::select! {
            () = lookout.keep_looking() => panic!("it never ends"),
            () = watch.changed() => {}
        }
        lookout.tell_all();
        watch.changed().await;
        drop(watch);
        assert!(lookout.0.lock().files.is_empty(), "nobody watches");
    }
}
