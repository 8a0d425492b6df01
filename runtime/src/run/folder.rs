//! Which settings files a folder holds: every `NAME.toml` in it that names a component, and every
//! `NAME/connector.toml`. Hidden names are left out, as those that orchestrators keep behind links.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::limits::{CONNECTORS, GLANCE};
use super::watch::Print;
use crate::confine::with_remedy;
use crate::settings::choice::is_settings;
use crate::settings::file::FILE_NAME;

/// The settings files of some folders, looked at again and again.
#[derive(Default)]
pub(super) struct Folders {
    folders: Vec<PathBuf>,
    /// What is known of the files that lie in the folders themselves, so that each is read once.
    glanced: HashMap<PathBuf, (Print, bool)>,
}

/// What was found.
pub(super) struct Found {
    /// The settings files.
    pub files: BTreeSet<PathBuf>,
    /// What could not be looked at. What was there before counts as being there still.
    pub troubles: Vec<String>,
}

/// The settings files that a folder holds now, as far as it can be read.
pub fn settings_files(folder: &Path) -> BTreeSet<PathBuf> {
    Folders::new(vec![folder.to_owned()]).look(&BTreeSet::new()).files
}

impl Folders {
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders, glanced: HashMap::new() }
    }

    /// Looks into all folders. Of one that cannot be read, what was `known` stays.
    pub fn look(&mut self, known: &BTreeSet<PathBuf>) -> Found {
        let mut found = Found { files: BTreeSet::new(), troubles: Vec::new() };
        for folder in self.folders.clone() {
            let files = self.look_into(&folder, known);
            let files = files.with_context(|| format!("cannot read {}", folder.display()));
            let files = files.map_err(with_remedy);
            match files {
                Ok(files) => found.files.extend(files),
                Err(error) => {
                    found.troubles.push(format!("{error:#}"));
                    found
                        .files
                        .extend(known.iter().filter(|file| file.starts_with(&folder)).cloned());
                }
            }
        }
        self.glanced.retain(|file, _| found.files.contains(file) || file.exists());
        if found.files.len() > CONNECTORS {
            let text = format!(
                "there are {} settings files; the first {CONNECTORS} are taken",
                found.files.len()
            );
            found.troubles.push(text);
            found.files = std::mem::take(&mut found.files).into_iter().take(CONNECTORS).collect();
        }
        found
    }

    fn look_into(
        &mut self,
        folder: &Path,
        known: &BTreeSet<PathBuf>,
    ) -> std::io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            let file = if is_settings(&path) {
                Some(path).filter(|path| self.is_connector(path, known.contains(path)))
            } else {
                // What is no folder has nothing in it.
                Some(path.join(FILE_NAME)).filter(|path| path.is_file())
            };
            files.extend(file);
        }
        Ok(files)
    }

    /// Other programs have settings in TOML, too. A file with a mistake in it is still one of ours: so
    /// this looks at its lines. What was a connector stays one until its file says something else, and
    /// not only nothing that can be read.
    fn is_connector(&mut self, path: &Path, is_known: bool) -> bool {
        let print = Print::of(path);
        if let Some((before, is_connector)) = self.glanced.get(path)
            && *before == print
        {
            return *is_connector;
        }
        let text = glance(path).unwrap_or_default();
        let is_named = path.file_name().is_some_and(|name| name == FILE_NAME);
        let is_connector =
            is_named || text.lines().any(names_component) || is_known && !says_something(&text);
        self.glanced.insert(path.to_owned(), (print, is_connector));
        is_connector
    }
}

/// The text of a file of a size that settings have. Another kind of file could keep us waiting, or have
/// no end.
fn glance(path: &Path) -> Option<String> {
    std::fs::metadata(path).ok().filter(|file| file.is_file() && file.len() <= GLANCE)?;
    let mut text = String::new();
    File::open(path).ok()?.take(GLANCE).read_to_string(&mut text).ok()?;
    Some(text)
}

fn says_something(text: &str) -> bool {
    toml::from_str::<toml::Table>(text).is_ok_and(|table| !table.is_empty())
}

fn names_component(line: &str) -> bool {
    let rest = line.trim_start().strip_prefix("component");
    rest.is_some_and(|rest| rest.trim_start().starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    fn names(folder: &Path, found: &Found) -> Vec<String> {
        let name = |file: &PathBuf| {
            file.strip_prefix(folder).expect("a file of it").to_string_lossy().into_owned()
        };
        found.files.iter().map(name).collect()
    }

    #[test]
    fn a_folder_has_the_settings_files_that_name_a_component() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        for (name, text) in [
            ("users.toml", "# text\n  component = 'users.wasm'\nid = "),
            ("Cargo.toml", "[package]\nname = 'component = '"),
            ("orders/connector.toml", ""),
            ("orders/other.toml", "component = 'x.wasm'"),
            ("orders/deep/connector.toml", ""),
            (".hidden/connector.toml", ""),
            (".hidden.toml", "component = 'x.wasm'"),
            ("text.txt", "component = 'x.wasm'"),
            ("connector.toml", ""),
        ] {
            write(root, name, text);
        }
        let mut folders = Folders::new(vec![root.to_owned()]);
        let found = folders.look(&BTreeSet::new());
        assert_eq!(names(root, &found), ["connector.toml", "orders/connector.toml", "users.toml"]);
        std::fs::remove_file(root.join("connector.toml")).expect("the file");
        for half_written in ["", "compon", "nothing that can be read"] {
            write(root, "users.toml", half_written);
            let found = folders.look(&found.files);
            assert_eq!(names(root, &found), ["orders/connector.toml", "users.toml"]);
        }
        write(root, "users.toml", "something = 'else'");
        let found = folders.look(&found.files);
        assert_eq!(names(root, &found), ["orders/connector.toml"]);
    }

    #[test]
    fn what_has_no_end_is_not_looked_at() {
        let folder = tempfile::tempdir().expect("a folder");
        let link = folder.path().join("endless.toml");
        std::os::unix::fs::symlink("/dev/zero", link).expect("a link");
        assert!(settings_files(folder.path()).is_empty());
    }

    #[test]
    fn a_folder_that_cannot_be_read_takes_nothing_away() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "in/users/connector.toml", "");
        let inner = folder.path().join("in");
        let mut folders = Folders::new(vec![inner.clone()]);
        let found = folders.look(&BTreeSet::new());
        assert_eq!((found.files.len(), found.troubles.len()), (1, 0));
        std::fs::rename(&inner, folder.path().join("away")).expect("moved");
        let gone = folders.look(&found.files);
        assert_eq!(gone.files, found.files);
        assert!(gone.troubles[0].starts_with("cannot read "), "{:?}", gone.troubles);
    }
}
