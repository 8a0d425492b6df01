//! One file of the cache: compiled code, and behind it its MAC.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, ensure};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::folder::Room;
use super::name::Name;

const MAC_LENGTH: usize = 32;
/// What is read at once: large enough that reading costs little more than hashing.
const PIECE: usize = 256 << 10;
/// Open files have a name here. With it the file that was checked is the one that is mapped.
const OPEN_FILES: &str = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };

/// An entry whose MAC matches.
#[derive(Debug)]
pub(in crate::connector::code) struct Entry {
    file: File,
    code: u64,
}

impl Entry {
    /// Opens and checks an entry. `Ok(None)` where there is none.
    pub(super) fn open(path: &Path, name: &Name, key: &hmac::Key) -> anyhow::Result<Option<Self>> {
        let Some(length) = length(path)? else { return Ok(None) };
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let code = length.checked_sub(MAC_LENGTH as u64).context("it is cut off")?;
        let mut mac = begin(key, name);
        hash(&mut mac, &mut (&mut file).take(code))?;
        let mut stored = [0; MAC_LENGTH];
        file.read_exact(&mut stored).context("it is cut off")?;
        let is_right = verify_slices_are_equal(mac.sign().as_ref(), &stored).is_ok();
        ensure!(is_right, "it was changed");
        Ok(Some(Self { file, code }))
    }

    /// The entry as a component. Its code is mapped from the file: it then is in memory once for all
    /// processes, and the system can let go of what is not used.
    pub(in crate::connector::code) fn component(
        self,
        engine: &Engine,
    ) -> anyhow::Result<Component> {
        // Some systems let no code be mapped from where the cache is, or show no open files.
        self.mapped(engine).or_else(|_| self.copied(engine))
    }

    #[allow(unsafe_code, reason = "wasmtime cannot check compiled code; the MAC does")]
    fn mapped(&self, engine: &Engine) -> anyhow::Result<Component> {
        let path = Path::new(OPEN_FILES).join(self.file.as_raw_fd().to_string());
        // SAFETY: the file holds what a compiler process of this user wrote: its MAC matched, and
        // only this user can read the key. It is the same file, not another one of that name. It
        // stays as it is while it is mapped: no line of this program changes an entry in place, it
        // is read-only for this user and closed to others. This user's other programs are trusted
        // not to write to it; they could as well replace this program.
        let component = unsafe { Component::deserialize_file(engine, path) };
        Ok(component?)
    }

    #[allow(unsafe_code, reason = "wasmtime cannot check compiled code; the MAC does")]
    fn copied(mut self, engine: &Engine) -> anyhow::Result<Component> {
        let mut code = Vec::new();
        self.file.rewind()?;
        self.file.take(self.code).read_to_end(&mut code)?;
        // SAFETY: as above; these are the bytes of the file whose MAC matched.
        let component = unsafe { Component::deserialize(engine, code) };
        Ok(component?)
    }

    /// Marks the entry as used now, for those who look for the one that was not used the longest.
    pub(super) fn was_used(&self, now: SystemTime) {
        // Without it the entry goes a little earlier than it should.
        drop(self.file.set_modified(now));
    }
}

/// The MAC of an entry. It binds the name too, so that one entry cannot stand in for another.
pub(super) fn mac(key: &hmac::Key, name: &Name, code: &[u8]) -> hmac::Tag {
    let mut mac = begin(key, name);
    mac.update(code);
    mac.sign()
}

fn begin(key: &hmac::Key, name: &Name) -> hmac::Context {
    let mut mac = hmac::Context::with_key(key);
    // All names have one length, so that no byte of a name can be taken for one of the code.
    mac.update(name.as_str().as_bytes());
    mac
}

fn hash(mac: &mut hmac::Context, from: &mut impl Read) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => mac.update(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The bytes of a file that can be an entry. Nothing else is opened: it might never end, or never
/// begin.
fn length(path: &Path) -> anyhow::Result<Option<u64>> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata?,
    };
    ensure!(metadata.is_file(), "it is no file");
    let mine = metadata.uid() == rustix::process::geteuid().as_raw();
    ensure!(mine && metadata.mode() & 0o022 == 0, "others can write to it");
    ensure!(metadata.len() <= Room::default().bytes, "it is too large");
    Ok(Some(metadata.len()))
}
