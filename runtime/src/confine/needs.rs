//! What a process still needs of the file system and the network once it has started.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

/// For their owner's eyes only, as everything that this program keeps.
const PRIVATE_FOLDER: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// What is granted. Paths need not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub(super) read: Vec<PathBuf>,
    pub(super) keep: Vec<PathBuf>,
    pub(super) write: Vec<PathBuf>,
    pub(super) ports: Vec<u16>,
    /// Files to read that are granted without their folder.
    pub(super) alone: Vec<PathBuf>,
    home: Option<PathBuf>,
}

impl Needs {
    /// Nothing yet. `home` is the user's home, which is never granted as a whole by accident.
    pub fn new(home: Option<PathBuf>) -> Self {
        Self { home, ..Self::default() }
    }

    /// A folder to read with all that is below it, now and later.
    #[must_use]
    pub fn read_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.read.push(folder.into());
        self
    }

    /// A file to read that may be replaced while the process runs.
    ///
    /// Landlock grants what lies at a path at the start, not the path. A file that takes its place is
    /// another one, so the folder is granted: that of the name, and that of what a link leads to.
    /// Where the folder is one that holds everything (`/etc`, the user's home), the file alone is
    /// granted, and a new version of it is seen after a restart.
    #[must_use]
    pub fn read_file(mut self, file: impl AsRef<Path>) -> Self {
        let file = file.as_ref();
        let real = file.canonicalize().ok();
        let is_elsewhere = |real: &&Path| real.parent() != named_in(file).as_deref();
        let real = real.as_deref().filter(is_elsewhere);
        for path in [Some(file), real].into_iter().flatten() {
            match folder_of(path) {
                Some(folder) if !self.is_broad(&folder) => self.read.push(folder),
                _ => self.alone.push(path.to_owned()),
            }
        }
        self
    }

    /// A folder of our own: everything in it can be read, written, made and removed.
    #[must_use]
    pub fn keep_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.keep.push(folder.into());
        self
    }

    /// A file that is written to and never replaced.
    #[must_use]
    pub fn write_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.write.push(file.into());
        self
    }

    /// A TCP port that is listened on after the start; 0 stands for any free one.
    #[must_use]
    pub fn listen(mut self, port: u16) -> Self {
        self.ports.push(port);
        self
    }

    /// Makes what is not there yet: a rule is about something that there is. What cannot be made is
    /// left to whoever needs it, who knows better what to say.
    pub(super) fn make(&self) {
        for folder in &self.keep {
            drop(DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(folder));
        }
        // Only where nothing is: to open a pipe would wait for its other end.
        for file in self.write.iter().filter(|file| file.symlink_metadata().is_err()) {
            let mut options = OpenOptions::new();
            drop(options.append(true).create_new(true).mode(PRIVATE_FILE).open(file));
        }
    }

    /// The files that are there and whose folder can really not be read.
    pub(super) fn alone(&self) -> impl Iterator<Item = &PathBuf> {
        let folders = self.read.iter().chain(&self.keep);
        let readable: Vec<_> = folders.filter_map(|folder| folder.canonicalize().ok()).collect();
        let is_alone = move |file: &&PathBuf| {
            let folder = named_in(file).filter(|_| file.exists());
            folder.is_some_and(|folder| !readable.iter().any(|one| folder.starts_with(one)))
        };
        self.alone.iter().filter(is_alone)
    }

    /// Whether a folder holds far more than somebody means who names a file in it.
    fn is_broad(&self, folder: &Path) -> bool {
        let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let is_name = |part: &Component<'_>| matches!(part, Component::Normal(_));
        let depth = real.components().filter(is_name).count();
        let home = self.home.as_ref().and_then(|home| home.canonicalize().ok());
        depth <= 1 || home.is_some_and(|home| home.starts_with(&real))
    }
}

/// The folder in which a name stands, under its own real name.
fn named_in(path: &Path) -> Option<PathBuf> {
    folder_of(path)?.canonicalize().ok()
}

/// The folder in which a path lies.
fn folder_of(path: &Path) -> Option<PathBuf> {
    let folder = path.parent()?;
    Some(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().expect("it is there").permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_granted_with_its_folder_unless_that_holds_everything() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().join("home");
        std::fs::create_dir_all(home.join("users")).expect("folders");
        for (file, granted) in [
            (home.join("users/connector.toml"), home.join("users")),
            (home.join("connector.toml"), home.join("connector.toml")),
            (folder.path().join("x.wasm"), folder.path().join("x.wasm")),
            ("/etc/key.pem".into(), "/etc/key.pem".into()),
            ("/run/secrets/key".into(), "/run/secrets".into()),
        ] {
            let needs = Needs::new(Some(home.clone())).read_file(&file);
            let all = [needs.read, needs.alone].concat();
            assert_eq!(all, [granted], "{}", file.display());
        }
        let here = Needs::default().read_file("Cargo.toml");
        assert_eq!(here.read, [PathBuf::from(".")], "a file that is no link is granted once");
    }

    #[test]
    fn alone_is_what_is_there_and_in_no_folder_that_is_granted() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["a.toml", "b.toml"] {
            std::fs::write(at(name), "").expect("a file");
        }
        // All of this folder is home, so that no file has its folder granted with it.
        let named = || ["a.toml", "b.toml", "missing"].map(at).into_iter();
        let home = || Needs::new(Some(at("home")));
        std::fs::create_dir(at("home")).expect("a folder");
        let alone = named().fold(home(), Needs::read_file);
        assert!(alone.alone().eq(&[at("a.toml"), at("b.toml")]));
        let served = named().fold(home().read_folder(folder.path()), Needs::read_file);
        assert_eq!(served.alone().count(), 0, "its folder is granted as a whole");
    }

    #[test]
    fn a_link_is_granted_with_what_it_leads_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().canonicalize().expect("a folder").join(name);
        for name in ["secrets", "secrets/of-today"] {
            std::fs::create_dir(at(name)).expect("a folder");
        }
        std::fs::create_dir(at("other")).expect("a folder");
        std::fs::write(at("other/key"), "").expect("a file");
        symlink(at("other/key"), at("secrets/key")).expect("a link");
        let needs = Needs::default().read_file(at("secrets/key"));
        assert_eq!(needs.read, [at("secrets"), at("other")]);
    }

    #[test]
    fn what_is_not_there_is_made_private_and_what_is_there_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("old.jsonl"), "a line").expect("a file");
        let needs = Needs::default()
            .keep_folder(at("a/b"))
            .write_file(at("new.jsonl"))
            .write_file(at("old.jsonl"))
            .keep_folder("/dev/null/cannot/be/made");
        needs.make();
        assert_eq!(mode(&at("a/b")), PRIVATE_FOLDER);
        assert_eq!(mode(&at("new.jsonl")), PRIVATE_FILE);
        assert_eq!(std::fs::read_to_string(at("old.jsonl")).expect("a file"), "a line");
    }
}
