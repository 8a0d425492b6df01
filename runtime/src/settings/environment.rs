//! The environment and the `.env` file.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::dotenv;

/// The process's environment over the `.env` file, read once.
#[derive(Clone, Default)]
pub struct Environment {
    process: BTreeMap<String, SecretString>,
    file: BTreeMap<String, SecretString>,
}

impl Environment {
    /// Reads the environment and `.env` in the working directory, or the file that was named.
    ///
    /// # Errors
    /// When a named file is not there, or a file is no `.env`.
    pub fn read(named: Option<&Path>) -> anyhow::Result<Self> {
        let path = named.unwrap_or(Path::new(".env"));
        let file = match std::fs::read_to_string(path) {
            Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => String::new(),
            text => text.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let file = dotenv::parse(&file).with_context(|| path.display().to_string())?;
        Ok(Self { file, ..Self::of_process() })
    }

    /// The environment alone, for what needs no connector's settings.
    pub fn of_process() -> Self {
        // Values that are no Unicode cannot be ours.
        let process = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .map(|(name, value)| (name, value.into()))
            .collect();
        Self { process, file: BTreeMap::new() }
    }

    /// The variables of one file alone.
    ///
    /// # Errors
    /// When it cannot be read or is no `.env`.
    pub fn read_file(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let file = dotenv::parse(&text).with_context(|| path.display().to_string())?;
        Ok(Self { process: BTreeMap::new(), file })
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.secret(name).map(SecretString::expose_secret)
    }

    /// The same, still wrapped.
    pub fn secret(&self, name: &str) -> Option<&SecretString> {
        let set = |variables: &'_ BTreeMap<String, SecretString>| {
            variables.get(name).is_some_and(|value| !value.expose_secret().is_empty())
        };
        if set(&self.process) { self.process.get(name) } else { self.of_file(name) }
    }

    pub(super) fn of_file(&self, name: &str) -> Option<&SecretString> {
        self.file.get(name).filter(|value| !value.expose_secret().is_empty())
    }
}
