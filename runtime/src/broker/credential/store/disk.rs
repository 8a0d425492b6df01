//! Tokens on disk, encrypted, for their owner's eyes only.
//!
//! A file for each connector and credential, AES-256-GCM under a key that lies beside them, with the
//! entry's name as associated data: an entry in the place of another is worth nothing. It keeps
//! tokens out of backups of single files, searches and logs, and from being changed; who can read
//! the whole folder can read the tokens.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use futures_util::future::{BoxFuture, FutureExt};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use zeroize::{Zeroize, Zeroizing};

use super::super::super::limits::{ENTRY, LOCK_AGAIN, UNFINISHED};
use super::{Entry, EntryName, Lock, Store, StoreError};

/// Keeps tokens in a folder.
#[derive(Clone)]
pub struct DiskStore(Arc<Folder>);

struct Folder {
    path: PathBuf,
    key: RandomizedNonceKey,
}

/// An entry as it is written, before it is encrypted.
#[derive(Serialize, Deserialize)]
struct Written {
    identity: String,
    access: String,
    refresh: Option<String>,
    ends: Option<u64>,
    life: Option<f64>,
}

/// The first byte of an entry, for those that come to look different.
const VERSION: u8 = 1;

const KEY_LENGTH: usize = 32;
const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_FOLDER: u32 = 0o700;

impl DiskStore {
    /// The name of the key's file.
    pub const KEY: &str = "key";

    /// Opens the folder, and makes it and its key where they are not there.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let told = |error: io::Error| StoreError(format!("{}: {error}", folder.display()));
        DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(folder).map_err(told)?;
        let metadata = fs::metadata(folder).map_err(told)?;
        if !is_mine(&metadata) {
            return Err(StoreError(format!("{} belongs to another user", folder.display())));
        }
        if !is_private(&metadata) {
            let private = fs::Permissions::from_mode(PRIVATE_FOLDER);
            fs::set_permissions(folder, private).map_err(told)?;
        }
        sweep(folder);
        let key = RandomizedNonceKey::new(&AES_256_GCM, &read_key(folder)?)
            .map_err(|_| StoreError("the key of the token store has another length".into()))?;
        Ok(Self(Arc::new(Folder { path: folder.to_owned(), key })))
    }

    /// Runs what waits for the disk where nobody else waits for it.
    fn work<'a, T: Send + 'static>(
        &self,
        name: &EntryName,
        work: impl FnOnce(&Folder, &EntryName) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        let (folder, name) = (self.0.clone(), name.clone());
        let task = spawn_blocking(move || work(&folder, &name));
        async {
            task.await.unwrap_or_else(|_| Err(StoreError("the token store was cut off".into())))
        }
        .boxed()
    }
}

impl Store for DiskStore {
    fn load<'a>(&'a self, name: &'a EntryName) -> BoxFuture<'a, Result<Option<Entry>, StoreError>> {
        self.work(name, Folder::load)
    }

    fn save<'a>(
        &'a self,
        name: &'a EntryName,
        entry: &'a Entry,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let entry = entry.clone();
        self.work(name, move |folder, name| folder.save(name, &entry))
    }

    /// Tried again and again: a thread that waits could not be called back.
    fn lock<'a>(&'a self, name: &'a EntryName) -> BoxFuture<'a, Result<Lock, StoreError>> {
        async move {
            loop {
                if let Some(file) = self.work(name, Folder::try_lock).await? {
                    return Ok(Box::new(file) as Lock);
                }
                sleep(LOCK_AGAIN).await;
            }
        }
        .boxed()
    }

    fn remove<'a>(&'a self, name: &'a EntryName) -> BoxFuture<'a, Result<(), StoreError>> {
        self.work(name, Folder::remove)
    }
}

impl Folder {
    /// What is damaged, somebody else's or encrypted with another key is as good as absent: a new
    /// token can be had, and a crash helps nobody.
    fn load(&self, name: &EntryName) -> Result<Option<Entry>, StoreError> {
        let path = self.path(name);
        match self.read(&path, name) {
            Ok(entry) => Ok(entry),
            Err(reason) => {
                let path = path.display();
                tracing::warn!("the saved tokens in {path} are not used: {reason}");
                Ok(None)
            }
        }
    }

    fn read(&self, path: &Path, name: &EntryName) -> Result<Option<Entry>, String> {
        let metadata = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            metadata => metadata.map_err(|error| error.to_string())?,
        };
        if !metadata.is_file() || !is_mine(&metadata) || !is_private(&metadata) {
            return Err("the file is not private to this user".into());
        }
        let mut sealed = Vec::new();
        let file = File::open(path).map_err(|error| error.to_string())?;
        file.take(ENTRY + 1).read_to_end(&mut sealed).map_err(|error| error.to_string())?;
        if sealed.len() as u64 > ENTRY {
            return Err(format!("the file is over {ENTRY} bytes"));
        }
        self.unseal(&sealed, name).map(Some)
    }

    fn unseal(&self, sealed: &[u8], name: &EntryName) -> Result<Entry, String> {
        let damaged = || "it is damaged, or made with another key".to_owned();
        let (version, rest) = sealed.split_first().ok_or_else(damaged)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN).ok_or_else(damaged)?;
        if *version != VERSION {
            return Err(damaged());
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut text = Zeroizing::new(sealed.to_vec());
        let plain = self.key.open_in_place(nonce, aad(name), &mut text).map_err(|_| damaged())?;
        serde_json::from_slice::<Written>(plain).map(Entry::from).map_err(|_| damaged())
    }

    fn save(&self, name: &EntryName, entry: &Entry) -> Result<(), StoreError> {
        let sealed = self.seal(name, entry)?;
        let path = self.path(name);
        let told = |error| StoreError(format!("{} cannot be written: {error}", path.display()));
        // A name of its own for each: two that write at once must not write into one file.
        let unfinished = path.with_extension(format!("{:016x}", rand::random::<u64>()));
        let outcome = write(&unfinished, &sealed).and_then(|()| fs::rename(&unfinished, &path));
        outcome.inspect_err(|_| drop(fs::remove_file(&unfinished))).map_err(told)?;
        // The file is whole by now; that its name outlives a power cut takes this as well.
        File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(told)
    }

    fn seal(&self, name: &EntryName, entry: &Entry) -> Result<Vec<u8>, StoreError> {
        let failed = |_| StoreError("the tokens cannot be encrypted".into());
        let written = Written::from(entry);
        let mut text = serde_json::to_vec(&written)
            .map_err(|_| StoreError("the tokens cannot be written".into()))?;
        let nonce = self.key.seal_in_place_append_tag(aad(name), &mut text).map_err(failed)?;
        Ok([&[VERSION], nonce.as_ref().as_slice(), &text].concat())
    }

    fn remove(&self, name: &EntryName) -> Result<(), StoreError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(StoreError(format!("{} cannot be removed: {error}", path.display())))
            }
            _ => Ok(()),
        }
    }

    /// A file of its own, which stays: the entry's is another one after each saving.
    fn try_lock(&self, name: &EntryName) -> Result<Option<File>, StoreError> {
        let path = self.path(name).with_extension("lock");
        let told = |error| StoreError(format!("{} cannot be locked: {error}", path.display()));
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(PRIVATE_FILE);
        let file = options.open(&path).map_err(told)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(told(error)),
        }
    }

    /// By a digest: a connector's id may hold anything, also the way to another folder.
    fn path(&self, name: &EntryName) -> PathBuf {
        let digest = digest(&SHA256, name.to_string().as_bytes());
        let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        self.path.join(format!("{hex}.tokens"))
    }
}

/// Removes what processes that were killed while they wrote have left behind.
fn sweep(folder: &Path) {
    let is_left = |file: &fs::DirEntry| {
        let name = file.file_name();
        let ending = Path::new(&name).extension().and_then(|ending| ending.to_str());
        let is_unfinished = ending
            .is_some_and(|ending| ending.len() == 16 && u64::from_str_radix(ending, 16).is_ok());
        let modified = file.metadata().and_then(|metadata| metadata.modified()).ok();
        let age = modified.and_then(|at| at.elapsed().ok());
        is_unfinished && age.is_some_and(|age| age > UNFINISHED)
    };
    let files = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    // One that cannot be removed does no harm.
    files.filter(is_left).for_each(|file| drop(fs::remove_file(file.path())));
}

fn aad(name: &EntryName) -> Aad<String> {
    Aad::from(name.to_string())
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = private(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(path)
}

fn is_mine(metadata: &fs::Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

fn is_private(metadata: &fs::Metadata) -> bool {
    metadata.mode() & 0o077 == 0
}

fn read_key(folder: &Path) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let path = folder.join(DiskStore::KEY);
    if let Some(key) = existing_key(&path)? {
        return Ok(key);
    }
    let told = |error: io::Error| StoreError(format!("{} cannot be made: {error}", path.display()));
    let mut key = Zeroizing::new(vec![0; KEY_LENGTH]);
    aws_lc_rs::rand::fill(&mut key)
        .map_err(|_| StoreError("there are no random numbers for a key".into()))?;
    // Two processes may start at once: each writes a key of its own, one link wins, both read it.
    let fresh = folder.join(format!("key.{:016x}", rand::random::<u64>()));
    write(&fresh, &key).map_err(told)?;
    let linked = fs::hard_link(&fresh, &path);
    let removed = fs::remove_file(&fresh);
    linked.or_else(|error| match error.kind() {
        ErrorKind::AlreadyExists => Ok(()),
        _ => Err(told(error)),
    })?;
    removed.map_err(told)?;
    existing_key(&path)?.ok_or_else(|| StoreError(format!("{} is gone", path.display())))
}

/// The key. One that others could have read or written is not replaced by a new one, which would make
/// all tokens unreadable without a word: the operator decides.
fn existing_key(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let told = |error: io::Error| StoreError(format!("{} cannot be read: {error}", path.display()));
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(told)?,
    };
    let is_fit = metadata.is_file() && metadata.len() == KEY_LENGTH as u64;
    if !is_fit || !is_mine(&metadata) || !is_private(&metadata) {
        return Err(StoreError(format!(
            "the key {} is not private to this user, or damaged; chmod 600 it, or remove it, which \
             makes the saved tokens unreadable",
            path.display()
        )));
    }
    fs::read(path).map(Zeroizing::new).map(Some).map_err(told)
}

impl From<&Entry> for Written {
    fn from(entry: &Entry) -> Self {
        Self {
            identity: entry.identity.clone(),
            access: entry.access.expose_secret().to_owned(),
            refresh: entry.refresh.as_ref().map(|token| token.expose_secret().to_owned()),
            ends: entry.ends,
            life: entry.life,
        }
    }
}

impl From<Written> for Entry {
    fn from(mut written: Written) -> Self {
        let secret = |text: String| SecretString::from(text);
        Self {
            identity: std::mem::take(&mut written.identity),
            access: secret(std::mem::take(&mut written.access)),
            refresh: written.refresh.take().map(secret),
            ends: written.ends,
            life: written.life,
        }
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        self.access.zeroize();
        self.refresh.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    fn store() -> (tempfile::TempDir, DiskStore) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = DiskStore::open(&folder.path().join("deep/tokens")).expect("a store");
        (folder, store)
    }

    fn name(credential: &str) -> EntryName {
        EntryName { connector: "../../users".into(), credential: credential.into() }
    }

    fn entry(access: &str) -> Entry {
        Entry {
            identity: "i".into(),
            access: access.into(),
            refresh: Some("the-refresh-token".into()),
            ends: Some(7),
            life: Some(3600.5),
        }
    }

    async fn access(store: &DiskStore, name: &EntryName) -> Option<String> {
        let entry = store.load(name).await.expect("loaded");
        entry.map(|entry| entry.access.expose_secret().to_owned())
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("metadata").mode() & 0o777
    }

    #[tokio::test]
    async fn what_was_saved_is_there_for_the_next_process_and_for_nobody_else() {
        let (_folder, store) = store();
        let name = name("api");
        assert_eq!(access(&store, &name).await, None);
        store.save(&name, &entry("the-first-token")).await.expect("saved");
        store.save(&name, &entry("the-access-token")).await.expect("saved");
        let (path, folder) = (store.0.path(&name), &store.0.path);
        let bytes = fs::read(&path).expect("a file");
        for text in ["the-access-token", "the-refresh-token", "users"] {
            let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!found, "{text}");
        }
        assert_eq!(
            (mode(&path), mode(&folder.join(DiskStore::KEY)), mode(folder)),
            (0o600, 0o600, 0o700)
        );
        assert_eq!(fs::read_dir(folder).expect("a folder").count(), 2, "nothing unfinished");
        let again = DiskStore::open(folder).expect("the store again");
        let loaded = again.load(&name).await.expect("loaded").expect("an entry");
        assert_eq!(loaded.access.expose_secret(), "the-access-token");
        let refresh = loaded.refresh.expect("a refresh token");
        assert_eq!(refresh.expose_secret(), "the-refresh-token");
        assert_eq!(
            (loaded.identity.as_str(), loaded.ends, loaded.life),
            ("i", Some(7), Some(3600.5))
        );
        again.remove(&name).await.expect("removed");
        again.remove(&name).await.expect("removed already");
        assert_eq!(access(&again, &name).await, None);
    }

    #[tokio::test]
    async fn an_entry_that_cannot_be_trusted_is_as_good_as_absent() {
        let (_folder, store) = store();
        let (one, other) = (name("one"), name("other"));
        store.save(&one, &entry("the-access-token")).await.expect("saved");
        let path = store.0.path(&one);
        let whole = fs::read(&path).expect("a file");
        fs::copy(&path, store.0.path(&other)).expect("copied");
        assert_eq!(access(&store, &other).await, None, "one entry in place of another");
        for length in [0, 1, 5, 13, 20, whole.len() - 1] {
            fs::write(&path, &whole[..length]).expect("written");
            assert_eq!(access(&store, &one).await, None, "{length} bytes");
        }
        for at in [0, 1, 13, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).expect("written");
            assert_eq!(access(&store, &one).await, None, "byte {at}");
        }
        fs::write(&path, vec![VERSION; ENTRY as usize + 1]).expect("written");
        assert_eq!(access(&store, &one).await, None, "too large");
        fs::write(&path, &whole).expect("written");
        assert!(access(&store, &one).await.is_some());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("changed");
        assert_eq!(access(&store, &one).await, None, "others could have read it");
        store.save(&one, &entry("the-next-token")).await.expect("saved");
        assert_eq!(access(&store, &one).await.as_deref(), Some("the-next-token"));
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_that_lock_one_entry_the_second_waits() {
        let (_folder, store) = store();
        let (one, other) = (name("one"), name("other"));
        let again = DiskStore::open(&store.0.path).expect("the store of another process");
        let lock = store.lock(&one).await.expect("locked");
        let mut waiting = again.lock(&one);
        assert!(timeout(LOCK_AGAIN * 3, &mut waiting).await.is_err(), "it is held");
        again.lock(&other).await.expect("another entry is free");
        drop(lock);
        let _lock = waiting.await.expect("it was released");
        let path = store.0.path(&one).with_extension("lock");
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_is_being_written_is_not() {
        let (_folder, store) = store();
        let files = ["a.0123456789abcdef", "b.0123456789abcdef", "c.tokens", "key.old"];
        for (name, age) in
            files.iter().zip([UNFINISHED * 2, UNFINISHED / 2, UNFINISHED * 2, UNFINISHED * 2])
        {
            let file = File::create(store.0.path.join(name)).expect("a file");
            file.set_modified(std::time::SystemTime::now() - age).expect("a time");
        }
        DiskStore::open(&store.0.path).expect("the store again");
        let left = files.map(|name| store.0.path.join(name).exists());
        assert_eq!(left, [false, true, true, true]);
    }

    #[tokio::test]
    async fn an_entry_under_another_key_is_not_used() {
        let (_folder, store) = store();
        store.save(&name("api"), &entry("the-access-token")).await.expect("saved");
        fs::remove_file(store.0.path.join(DiskStore::KEY)).expect("removed");
        let other = DiskStore::open(&store.0.path).expect("a store with a new key");
        assert_eq!(access(&other, &name("api")).await, None);
    }

    #[tokio::test]
    async fn a_link_in_place_of_an_entry_is_not_followed() {
        let (_folder, store) = store();
        let (one, other) = (name("one"), name("other"));
        store.save(&one, &entry("the-access-token")).await.expect("saved");
        let moved = store.0.path.join("moved");
        fs::rename(store.0.path(&one), &moved).expect("moved");
        std::os::unix::fs::symlink(&moved, store.0.path(&one)).expect("linked");
        assert_eq!(access(&store, &one).await, None);
        assert_eq!(access(&store, &other).await, None);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_and_not_replaced() {
        let (_folder, store) = store();
        let key = store.0.path.join(DiskStore::KEY);
        let before = fs::read(&key).expect("a key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("changed");
        let error = DiskStore::open(&store.0.path).err().expect("refused").to_string();
        assert!(error.contains("chmod 600"), "{error}");
        assert_eq!(fs::read(&key).expect("a key"), before);
        fs::write(&key, b"short").expect("written");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("changed");
        assert!(DiskStore::open(&store.0.path).is_err());
    }

    #[test]
    fn a_folder_that_others_can_enter_is_closed_to_them() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("changed");
        DiskStore::open(folder.path()).expect("a store");
        assert_eq!(mode(folder.path()), 0o700);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_many_that_write_at_once_one_wins_whole() {
        let (_folder, store) = store();
        let folder = store.0.path.clone();
        let writers = (0..8).map(|number| {
            let folder = folder.clone();
            tokio::spawn(async move {
                let store = DiskStore::open(&folder).expect("a store");
                let token = format!("{number}").repeat(10_000);
                for _ in 0..10 {
                    store.save(&name("api"), &entry(&token)).await.expect("saved");
                    let read = access(&store, &name("api")).await.expect("a whole entry");
                    let first = read.as_bytes()[0];
                    assert!(read.len() == 10_000 && read.bytes().all(|byte| byte == first));
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.expect("a writer");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_processes_that_start_at_once_agree_on_a_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().to_owned();
        let opened = (0..8).map(|_| {
            let path = path.clone();
            tokio::task::spawn_blocking(move || DiskStore::open(&path).expect("a store"))
        });
        let mut stores = Vec::new();
        for one in opened.collect::<Vec<_>>() {
            stores.push(one.await.expect("a store"));
        }
        stores[0].save(&name("api"), &entry("the-access-token")).await.expect("saved");
        for store in &stores {
            assert!(access(store, &name("api")).await.is_some());
        }
    }
}
