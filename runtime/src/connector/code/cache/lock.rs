//! The right to compile one component, between processes.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

pub(super) const EXTENSION: &str = "lock";

/// Held by one process at a time. The system takes it from a process that dies.
#[derive(Debug)]
pub(in crate::connector::code) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// None while another has it.
    pub(super) fn try_new(path: PathBuf) -> std::io::Result<Option<Self>> {
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Whoever had it before may have removed the file between the two lines above; then another
        // can already have locked the next file of that name.
        let is_same = fs::metadata(&path).is_ok_and(|now| {
            file.metadata().is_ok_and(|mine| (mine.dev(), mine.ino()) == (now.dev(), now.ino()))
        });
        Ok(is_same.then_some(Self { path, _file: file }))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // First the name goes, then, with the file, the lock.
        drop(fs::remove_file(&self.path));
    }
}
