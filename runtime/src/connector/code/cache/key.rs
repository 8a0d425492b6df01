//! The key of the MACs: this user's, and nobody else's.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::Context as _;
use zeroize::Zeroizing;

/// As long as what the MAC hashes with.
const LENGTH: usize = 32;
const FILE: &str = "key";

type Bytes = Zeroizing<[u8; LENGTH]>;

/// The folder's key; a fresh one where there is none that only this user can read.
pub(super) fn read_or_make(folder: &Path) -> anyhow::Result<Bytes> {
    let path = folder.join(FILE);
    if let Some(key) = existing(&path)? {
        return Ok(key);
    }
    // Two processes may start at once: each writes a key of its own, one link wins, both read it.
    let fresh = folder.join(format!("{FILE}.{}.{}", crate::ids::fresh_id(), super::UNFINISHED));
    let mut key = Bytes::default();
    aws_lc_rs::rand::fill(&mut *key).context("no random numbers")?;
    super::private(&fresh)
        .and_then(|mut file| file.write_all(&*key))
        .context("cannot write the cache's key")?;
    let linked = fs::hard_link(&fresh, &path);
    fs::remove_file(&fresh)?;
    if let Err(error) = linked
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(error).context("cannot write the cache's key");
    }
    existing(&path)?.context("the cache's key is gone")
}

/// The key, unless there is none or others could have read or written it: that one goes.
fn existing(path: &Path) -> anyhow::Result<Option<Bytes>> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(None) };
    let mine = metadata.uid() == rustix::process::geteuid().as_raw();
    let private = mine && metadata.is_file() && metadata.mode() & 0o077 == 0;
    if private
        && metadata.len() == LENGTH as u64
        && let Some(key) = read(path)
    {
        return Ok(Some(key));
    }
    fs::remove_file(path)
        .with_context(|| format!("{} is no key that only this user can read", path.display()))?;
    Ok(None)
}

fn read(path: &Path) -> Option<Bytes> {
    let mut key = Bytes::default();
    fs::File::open(path).ok()?.read_exact(&mut *key).ok()?;
    Some(key)
}
