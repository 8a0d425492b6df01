//! Compiled code on disk, so that a component is compiled once.
//!
//! Loading a forged entry would run any code, so an entry is used only when its MAC matches. The
//! key of the MAC lies beside the entries, readable by this user alone.

mod entry;
mod folder;
mod key;
mod lock;
mod name;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use aws_lc_rs::hmac;

pub use self::folder::{Folder, Found, Freed, Room};
pub(in crate::connector) use self::name::Name;
pub use self::name::settings_of;
pub(super) use self::{entry::Entry, lock::Lock};

/// What a file is called until it is whole.
const UNFINISHED: &str = "unfinished";

/// A folder of compiled code that entries are read from and written to.
#[derive(Debug)]
pub struct Cache {
    folder: Folder,
    key: hmac::Key,
    room: Room,
}

impl Cache {
    /// Opens a cache, making folder and key where there are none.
    ///
    /// # Errors
    /// When the folder cannot be made, or others can write to it.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("cannot make the cache folder {}", folder.display()))?;
        folder::check_owner(folder)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*key::read_or_make(folder)?);
        Ok(Self { folder: Folder::new(folder), key, room: Room::default() })
    }

    /// With other room than [`Room::default`].
    #[must_use]
    pub fn with_room(mut self, room: Room) -> Self {
        self.room = room;
        self
    }

    /// The entry; none where there is none or where it is not what this user wrote.
    pub(super) fn get(&self, name: &Name) -> Option<Entry> {
        let path = self.path(name);
        let found = Entry::open(&path, name, &self.key)
            .inspect_err(|why| {
                tracing::warn!(entry = %name, "a cached compilation is not used: {why}; compiling again");
            })
            .ok()??;
        found.was_used(SystemTime::now());
        Some(found)
    }

    /// Writes an entry. Readers see all of it or nothing. Older entries make room for it.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(super) fn put(&self, name: &Name, code: &[u8]) -> anyhow::Result<()> {
        let unfinished = self.unfinished(&format!("{name}.{}", crate::ids::fresh_id()));
        let write = || -> std::io::Result<()> {
            let mut file = private(&unfinished)?;
            file.write_all(code)?;
            file.write_all(entry::mac(&self.key, name, code).as_ref())?;
            fs::rename(&unfinished, self.path(name))
        };
        write()
            .inspect_err(|_| drop(fs::remove_file(&unfinished)))
            .context("cannot write the cache")?;
        self.folder.tidy(&self.room, SystemTime::now());
        Ok(())
    }

    /// The right to compile a component, so that two processes do not both do it; none while another
    /// has it. Whoever dies gives it back.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(super) fn try_lock(&self, name: &Name) -> std::io::Result<Option<Lock>> {
        Lock::try_new(self.folder.path().join(format!("{name}.{}", lock::EXTENSION)))
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.folder.path().join(name.as_str())
    }

    fn unfinished(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.{UNFINISHED}"))
    }
}

/// A new file that this user alone can read, and nobody can change once it is closed.
fn private(path: &Path) -> std::io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)
}

#[cfg(test)]
mod tests;
