//! A key pair in a file of the form of `.env`, for its owner's eyes only.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use secrecy::ExposeSecret as _;

use crate::settings::{self, Environment};
use crate::workspace::keys::KeyPair;

const PRIVATE_MODE: u32 = 0o600;

/// The pair as two lines, `PRIVATE_KEY=…` and `PUBLIC_KEY=…`.
pub fn lines(pair: &KeyPair) -> String {
    let private = pair.private_env();
    format!("PRIVATE_KEY={}\nPUBLIC_KEY={}\n", private.expose_secret(), pair.public_env())
}

/// Adds a new pair to the file, which nobody else can read from then on. Other lines stay.
///
/// # Errors
/// When the file has keys already, or cannot be written.
pub fn add(file: &Path) -> anyhow::Result<()> {
    refuse_second_pair(file)?;
    append(file, &lines(&KeyPair::generate()?))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// The pair in the file; a new one where there is no file.
///
/// # Errors
/// When the file cannot be read or written, or holds no pair.
pub fn read_or_make(file: &Path) -> anyhow::Result<Arc<KeyPair>> {
    if !file.exists() {
        add(file)?;
    }
    let keys = settings::keys(&Environment::read_file(file)?)
        .with_context(|| format!("{} holds no keys; remove it to get new ones", file.display()))?;
    keys.with_context(|| format!("{} holds no keys; remove it to get new ones", file.display()))
}

fn refuse_second_pair(file: &Path) -> anyhow::Result<()> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        text => text.with_context(|| format!("cannot read {}", file.display()))?,
    };
    let sets_key = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("export ").unwrap_or(line);
        line.starts_with("PRIVATE_KEY=") || line.starts_with("PUBLIC_KEY=")
    };
    if text.lines().any(sets_key) {
        bail!(
            "{} has keys already, and a new pair would make entered secrets unreadable; remove its \
             PRIVATE_KEY and PUBLIC_KEY lines if you want that",
            file.display()
        );
    }
    Ok(())
}

fn append(file: &Path, lines: &str) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut open = options.create(true).read(true).append(true).mode(PRIVATE_MODE).open(file)?;
    open.set_permissions(fs::Permissions::from_mode(PRIVATE_MODE))?;
    let text = fs::read_to_string(file)?;
    let separate = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    open.write_all(format!("{separate}{lines}").as_bytes())
}
