//! The cache's folder: what is in it, and what has to go.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};

use super::name::Name;
use super::{UNFINISHED, lock};

/// What entries may take of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes of all entries together.
    pub bytes: u64,
    /// How many there may be.
    pub entries: usize,
}

impl Default for Room {
    fn default() -> Self {
        // A Rust connector takes one or two MB and a Python connector some 100, so this is enough for
        // a thousand of the first beside some of the second. So many names are read in milliseconds.
        Self { bytes: 2 << 30, entries: 4096 }
    }
}

/// No file is written for so long: whoever began it is gone.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// A cache's folder, which need not be there.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// One entry of the folder. It has not been opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The beginning of the component's SHA-256.
    pub digest: String,
    /// What it was compiled with: see [`super::settings_of`].
    pub settings: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// When it was last used.
    pub used: SystemTime,
    path: PathBuf,
}

impl Folder {
    /// The folder of this path.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The entries, those first that were used last. None where there is no folder.
    ///
    /// # Errors
    /// When there is a folder and it cannot be read.
    pub fn entries(&self) -> anyhow::Result<Vec<Found>> {
        let files = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files.with_context(|| format!("cannot read {}", self.0.display()))?,
        };
        // What goes while it is looked at is not there.
        let mut entries: Vec<_> = files.flatten().filter_map(|file| found(&file)).collect();
        entries.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.path.cmp(&b.path)));
        Ok(entries)
    }

    /// Removes the entries for which `unwanted` holds. Returns how many went, and their bytes. A
    /// process that runs one of them goes on with it.
    ///
    /// # Errors
    /// When an entry cannot be removed.
    pub fn clear(&self, unwanted: impl Fn(&Found) -> bool) -> anyhow::Result<Freed> {
        let mut freed = Freed::default();
        for entry in self.entries()?.iter().filter(|entry| unwanted(entry)) {
            match fs::remove_file(&entry.path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                removed => {
                    removed.with_context(|| format!("cannot remove {}", entry.path.display()))?
                }
            }
            freed.entries += 1;
            freed.bytes += entry.bytes;
        }
        Ok(freed)
    }

    /// Removes what is beyond the room, first what was not used the longest, and what was never
    /// finished. Others may do so at the same time.
    pub(super) fn tidy(&self, room: &Room, now: SystemTime) {
        let (mut entries, mut bytes) = (0, 0);
        for entry in self.entries().unwrap_or_default() {
            entries += 1;
            bytes += entry.bytes;
            if entries > room.entries || bytes > room.bytes {
                drop(fs::remove_file(&entry.path));
            }
        }
        for leftover in self.leftovers(now) {
            drop(fs::remove_file(leftover));
        }
    }

    fn leftovers(&self, now: SystemTime) -> Vec<PathBuf> {
        let is_left = |path: &PathBuf| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            let passes = extension.is_some_and(|is| [UNFINISHED, lock::EXTENSION].contains(&is));
            let modified = fs::symlink_metadata(path).and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|then| now.duration_since(then).ok());
            passes && age.is_some_and(|age| age > ABANDONED)
        };
        let files = fs::read_dir(&self.0).into_iter().flatten().flatten();
        files.map(|file| file.path()).filter(is_left).collect()
    }
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Entries.
    pub entries: usize,
    /// Their bytes.
    pub bytes: u64,
}

fn found(file: &fs::DirEntry) -> Option<Found> {
    let name = Name::read(file.file_name().to_str()?)?;
    let metadata = file.metadata().ok().filter(fs::Metadata::is_file)?;
    Some(Found {
        digest: name.digest().to_owned(),
        settings: name.settings().to_owned(),
        bytes: metadata.len(),
        used: metadata.modified().ok()?,
        path: file.path(),
    })
}

pub(super) fn check_owner(folder: &Path) -> anyhow::Result<()> {
    let metadata = fs::metadata(folder)?;
    let me = rustix::process::geteuid().as_raw();
    let shown = folder.display();
    ensure!(metadata.uid() == me, "the cache folder {shown} belongs to another user");
    ensure!(
        metadata.mode() & 0o022 == 0,
        "others can write to the cache folder {shown}; take that from them with `chmod 700`"
    );
    Ok(())
}
