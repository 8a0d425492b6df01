//! Compiled code on disk, so that a component is compiled once.
//!
//! Loading a forged entry would run any code, so an entry is used only when its MAC matches. The
//! key of the MAC lies beside the entries, readable by this user alone.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use aws_lc_rs::{digest, hmac};

use super::limits;

const MAC_LENGTH: usize = 32;
const KEY_LENGTH: usize = 32;

/// A folder of compiled code.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    key: hmac::Key,
}

/// The name of one entry: what was compiled, with which compiler and settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Name(String);

impl Cache {
    /// Opens a cache, making folder and key where there are none.
    ///
    /// # Errors
    /// When the folder cannot be made, or belongs to somebody else.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("cannot make the cache folder {}", folder.display()))?;
        check_owner(folder)?;
        let key = read_key(folder)?;
        Ok(Self { folder: folder.to_owned(), key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }

    /// The entry's code; none where there is no entry or where it is not what this user wrote.
    pub fn get(&self, name: &Name) -> Option<Vec<u8>> {
        let mut entry = fs::read(self.path(name)).ok()?;
        let code = entry.split_off(MAC_LENGTH.min(entry.len()));
        if hmac::verify(&self.key, &self.signed(name, &code), &entry).is_err() {
            tracing::warn!(entry = name.0, "a cached compilation was changed; compiling again");
            return None;
        }
        Some(code)
    }

    /// Writes an entry. Readers see all of it or nothing.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn put(&self, name: &Name, code: &[u8]) -> anyhow::Result<()> {
        let unfinished = self.folder.join(format!("{}.{}", name.0, crate::ids::fresh_id()));
        let mac = hmac::sign(&self.key, &self.signed(name, code));
        let write = || -> std::io::Result<()> {
            let mut file = private(&unfinished)?;
            file.write_all(mac.as_ref())?;
            file.write_all(code)?;
            fs::rename(&unfinished, self.path(name))
        };
        write()
            .inspect_err(|_| drop(fs::remove_file(&unfinished)))
            .context("cannot write the cache")
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.folder.join(&name.0)
    }

    /// The MAC binds the name too, so that one entry cannot stand in for another.
    fn signed(&self, name: &Name, code: &[u8]) -> Vec<u8> {
        let digest = digest::digest(&digest::SHA256, code);
        [name.0.as_bytes(), digest.as_ref()].concat()
    }
}

impl Name {
    /// The entry's name for a component under an engine's version and settings.
    pub fn new(component: &[u8], engine: &wasmtime::Engine) -> Self {
        let content = digest::digest(&digest::SHA256, component);
        let mut settings = std::hash::DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut settings);
        let hex: String = content.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{hex}-{:016x}", settings.finish()))
    }

    /// The beginning of the component's SHA-256: enough to tell one component from another.
    pub fn digest(&self) -> &str {
        self.0.get(..limits::DIGEST_DIGITS).unwrap_or_default()
    }
}

fn check_owner(folder: &Path) -> anyhow::Result<()> {
    let owner = fs::metadata(folder)?.uid();
    let me = rustix::process::geteuid().as_raw();
    ensure!(owner == me, "the cache folder {} belongs to another user", folder.display());
    Ok(())
}

fn read_key(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let path = folder.join("key");
    if let Some(key) = existing_key(&path)? {
        return Ok(key);
    }
    // Two processes may start at once: each writes a key of its own, one link wins, both read it.
    let fresh = folder.join(format!("key.{}", crate::ids::fresh_id()));
    let mut key = [0; KEY_LENGTH];
    aws_lc_rs::rand::fill(&mut key).context("no random numbers")?;
    private(&fresh)?.write_all(&key)?;
    let linked = fs::hard_link(&fresh, &path);
    fs::remove_file(&fresh)?;
    if let Err(error) = linked
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(error).context("cannot write the cache's key");
    }
    existing_key(&path)?.context("the cache's key is gone")
}

/// The key, unless there is none or others could have read or written it.
fn existing_key(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let Ok(key) = fs::read(path) else { return Ok(None) };
    let metadata = fs::metadata(path)?;
    let mine = metadata.uid() == rustix::process::geteuid().as_raw();
    if mine && metadata.mode() & 0o077 == 0 && key.len() == KEY_LENGTH {
        return Ok(Some(key));
    }
    fs::remove_file(path)
        .with_context(|| format!("{} is not private to this user", path.display()))?;
    Ok(None)
}

fn private(path: &Path) -> std::io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(folder.path()).expect("a cache");
        (folder, cache)
    }

    #[test]
    fn what_was_put_is_there_for_the_next_process() {
        let (folder, cache) = cache();
        let name = Name("n".into());
        assert_eq!(cache.get(&name), None);
        cache.put(&name, b"code").expect("written");
        assert_eq!(
            Cache::open(folder.path()).expect("again").get(&name).as_deref(),
            Some(&b"code"[..])
        );
    }

    #[test]
    fn a_changed_entry_is_not_used() {
        let (folder, cache) = cache();
        let (name, other) = (Name("n".into()), Name("o".into()));
        cache.put(&name, b"code").expect("written");
        let path = folder.path().join("n");
        fs::copy(&path, folder.path().join("o")).expect("copied");
        assert_eq!(cache.get(&other), None, "one entry in place of another");
        let mut entry = fs::read(&path).expect("an entry");
        *entry.last_mut().expect("a byte") ^= 1;
        for bad in [&entry[..], &entry[..10], b""] {
            fs::write(&path, bad).expect("written");
            assert_eq!(cache.get(&name), None);
        }
    }

    #[test]
    fn a_key_that_others_can_read_is_replaced() {
        use std::os::unix::fs::PermissionsExt as _;
        let (folder, cache) = cache();
        let name = Name("n".into());
        cache.put(&name, b"code").expect("written");
        let key = folder.path().join("key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("opened up");
        let again = Cache::open(folder.path()).expect("again");
        assert_eq!(again.get(&name), None);
        assert_eq!(fs::metadata(&key).expect("a key").mode() & 0o777, 0o600);
    }
}
