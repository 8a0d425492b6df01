//! `connector.toml`: the settings of one connector, which are checked in, reviewed and shipped with it.
//!
//! Read strictly: an unknown key is a mistake, and a mistake names its line. What is wrong is told
//! without what a value holds, because a value may be a secret.

mod explain;
mod named;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read as _;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::accepted::Accepted;
use super::workspace::WorkspaceSettings;
use crate::broker::{CredentialSettings, GrantTable, Mode, NetworkSettings, check_origin};
use crate::connector::Isolation;
use crate::envelope::{KEYS, Limit, Limits};

pub use self::source::Source;

/// The name under which it is found without being named.
pub const FILE_NAME: &str = "connector.toml";

/// Bytes of the file. A long list of grants has a few kB.
const MOST_BYTES: u64 = 1 << 20;

/// The settings of one connector, as a file has them.
#[derive(Clone, Debug)]
pub struct File {
    /// Where they were read.
    pub path: PathBuf,
    /// The component that they are for.
    pub component: Option<PathBuf>,
    /// The id under which it joins.
    pub id: Option<String>,
    /// What becomes of requests that are not granted.
    pub mode: Mode,
    /// Values of configuration fields.
    pub config: BTreeMap<String, Source>,
    /// What is said of secret fields.
    pub secrets: BTreeMap<String, SecretSettings>,
    /// The grants, in order.
    pub grants: Vec<GrantTable>,
    /// Credentials by name.
    pub credentials: BTreeMap<String, CredentialSettings>,
    /// The way to the network.
    pub network: Option<NetworkSettings>,
    /// Whether calls share instances.
    pub isolation: Isolation,
    /// The workspace that it joins.
    pub workspace: WorkspaceSettings,
    /// Limits.
    pub limits: Limits,
    /// What the operator has seen that the connector asks for.
    pub accepted: Option<Accepted>,
    /// The files that it takes something from, beside the component.
    pub named: Vec<PathBuf>,
    /// The variables that it takes something from.
    pub variables: BTreeSet<String>,
}

/// What is said of one secret field.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SecretSettings {
    /// The origins that it goes to; empty stands for every granted one.
    #[serde(default, deserialize_with = "origins")]
    pub bind: Vec<String>,
    /// Whether the guest reads it as it is.
    #[serde(default)]
    pub reveal: bool,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    component: Option<PathBuf>,
    id: Option<String>,
    #[serde(default)]
    policy: Mode,
    #[serde(default)]
    config: BTreeMap<String, Source>,
    #[serde(default)]
    secrets: BTreeMap<String, SecretSettings>,
    #[serde(default)]
    grant: Vec<GrantTable>,
    #[serde(default)]
    credentials: BTreeMap<String, CredentialSettings>,
    network: Option<NetworkSettings>,
    #[serde(default)]
    isolation: Isolation,
    #[serde(default)]
    workspace: WorkspaceSettings,
    #[serde(default, deserialize_with = "limits")]
    limits: Limits,
    accepted: Option<Accepted>,
}

impl File {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read; names the line and what to write instead.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        Self::parse(&read_text(path)?, path)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// As [`File::read`].
    pub fn parse(text: &str, path: &Path) -> anyhow::Result<Self> {
        let written: Written = toml::from_str(text)
            .map_err(|error| anyhow!("{}: {}", path.display(), explain::explain(&error, text)))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let config = written.config.into_iter().map(|(key, source)| (key, source.within(folder)));
        let file = Self {
            path: path.to_owned(),
            component: written.component.map(|component| folder.join(component)),
            id: written.id,
            mode: written.policy,
            config: config.collect(),
            secrets: written.secrets,
            grants: written.grant,
            credentials: written.credentials,
            network: written.network,
            isolation: written.isolation,
            workspace: written.workspace.within(folder),
            limits: written.limits,
            accepted: written.accepted,
            named: named::files(text, folder),
            variables: named::variables(text),
        };
        file.check().with_context(|| path.display().to_string())?;
        Ok(file)
    }

    /// Checks what no single key shows.
    fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.id.as_ref().is_none_or(|id| !id.trim().is_empty()),
            "the id is empty; leave it out to take the connector's own"
        );
        Ok(())
    }

    /// The folder that paths in it are relative to.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The pairs of secret fields and the origins that they are bound to.
    pub fn bindings(&self) -> impl Iterator<Item = (String, String)> {
        self.secrets.iter().flat_map(|(key, secret)| {
            secret.bind.iter().map(|origin| (key.clone(), origin.clone()))
        })
    }

    /// The secret fields that the guest reads as they are.
    pub fn revealed(&self) -> impl Iterator<Item = &String> {
        self.secrets.iter().filter(|(_, secret)| secret.reveal).map(|(key, _)| key)
    }
}

/// Reads the text of a settings file.
///
/// # Errors
/// When it cannot be read or is far too large.
pub fn read_text(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let cannot = || format!("cannot read {shown}");
    let metadata = std::fs::metadata(path).with_context(cannot)?;
    // Another kind of file could keep us waiting, or have no end.
    ensure!(metadata.is_file(), "{shown} is no file; write the text into one");
    let too_large = |size: u64| format!("{shown} has {} kB; settings have a few", size >> 10);
    ensure!(metadata.len() <= MOST_BYTES, too_large(metadata.len()));
    // It may hold a secret, of which a text that grows would leave pieces behind.
    let mut text = String::with_capacity(metadata.len() as usize + 1);
    let file = std::fs::File::open(path).with_context(cannot)?;
    // It may grow while it is read.
    file.take(MOST_BYTES + 1).read_to_string(&mut text).with_context(cannot)?;
    ensure!(text.len() as u64 <= MOST_BYTES, too_large(text.len() as u64));
    Ok(text)
}

fn origins<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let origins = Vec::<String>::deserialize(from)?;
    if origins.is_empty() {
        let text = "an empty list binds to nothing; leave it out to bind to all that is granted";
        return Err(D::Error::custom(text));
    }
    let wrong = origins.iter().find_map(|origin| check_origin(origin).err());
    wrong.map_or(Ok(origins), |text| Err(D::Error::custom(text)))
}

/// Reads `[limits]`: a whole number in its range for each key.
fn limits<'de, D: Deserializer<'de>>(from: D) -> Result<Limits, D::Error> {
    struct Table;

    impl<'de> Visitor<'de> for Table {
        type Value = Limits;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Limits, A::Error> {
            let mut limits = Limits::default();
            while let Some(limit) = map.next_key_seed(Key)? {
                limits = limits.with(limit, map.next_value_seed(Within(limit.range()))?);
            }
            Ok(limits)
        }
    }

    from.deserialize_map(Table)
}

/// The name of a limit.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Limit;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Limit, D::Error> {
        let key = String::deserialize(from)?;
        Limit::named(&key).ok_or_else(|| D::Error::unknown_field(&key, KEYS))
    }
}

/// A whole number in a range.
struct Within(RangeInclusive<u64>);

impl<'de> DeserializeSeed<'de> for Within {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<u64, D::Error> {
        let Self(range) = self;
        let given = i64::deserialize(from)?;
        let number = u64::try_from(given).ok().filter(|number| range.contains(number));
        let text = || format!("{given} is not between {} and {}", range.start(), range.end());
        number.ok_or_else(|| D::Error::custom(text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    use crate::settings::Environment;

    const WHOLE: &str = r#"
component = "users.wasm"
id = "users"
policy = "report"
isolation = "call"
[config]
BASE_URL = "https://api.example.com"
PLAIN = { env = "NOT_SET" }
API_KEY = { env = "USERS_API_KEY" }
[secrets.API_KEY]
bind = ["https://api.example.com"]
reveal = true
[secrets.OTHER]
[[grant]]
origin = "https://api.example.com"
credential = "users-api"
[[grant]]
origin = "http://localhost:3000"
private = true
[credentials.users-api]
type = "bearer"
token = { field = "API_KEY" }
[network]
proxy = "http://proxy.example:3128"
[workspace]
token = { file = "token" }
name = "users-1"
[limits]
memory-mib = 64
call-seconds = 60
concurrency = 8
"#;

    fn parse(text: &str) -> anyhow::Result<File> {
        File::parse(text, Path::new("/etc/aloma/connector.toml"))
    }

    #[test]
    fn every_section_is_read() {
        let file = parse(WHOLE).expect("settings");
        assert_eq!(file.component.as_deref(), Some(Path::new("/etc/aloma/users.wasm")));
        assert_eq!((file.id.as_deref(), file.mode), (Some("users"), Mode::Report));
        assert_eq!(file.config.len(), 3);
        let bindings: Vec<_> = file.bindings().collect();
        assert_eq!(bindings, [("API_KEY".to_owned(), "https://api.example.com".to_owned())]);
        assert_eq!(file.revealed().collect::<Vec<_>>(), ["API_KEY"]);
        assert_eq!(file.grants.len(), 2);
        assert!(matches!(file.credentials["users-api"], CredentialSettings::Bearer { .. }));
        assert!(file.network.is_some() && file.workspace.has_token());
        let read = [Limit::Memory, Limit::CallTime, Limit::Concurrency, Limit::Json];
        assert_eq!(read.map(|limit| file.limits.get(limit)), [64, 60, 8, 16]);
        assert_eq!(file.isolation, Isolation::Call);
    }

    #[test]
    fn an_empty_file_says_nothing() {
        let file = parse("").expect("settings");
        assert_eq!(file.mode, Mode::Enforce);
        assert!(file.grants.is_empty() && file.component.is_none() && file.accepted.is_none());
    }

    #[test]
    fn a_mistake_names_its_line_and_what_to_write() {
        for (text, says) in [
            ("compnent = 'x'", "line 1: there is no key `compnent`; did you mean `component`?"),
            (
                "\n[[grant]]\norigin = 'https://a.example'\nretries = 3",
                "line 4: there is no key `retries`; ",
            ),
            (
                "[[grant]]\norigin = 'https://a.example'\nredirect = 3",
                "line 3: there is no key `redirect`; did you mean `redirects`?",
            ),
            ("[grants]", "line 1: there is no key `grants`; did you mean `grant`?"),
            ("[grant]\norigin = 'https://a.example'", "line 1: write it as [[grant]]"),
            (
                "id = 'x'\n[[grant]] origin = 'https://a.example'",
                "line 2: [[grant]] stands on a line of its own",
            ),
            ("[[grant]]\nprivate = true", "line 1: the key `origin` is missing"),
            ("[[grant]]\norigin = 'a.example'", "line 2: \"a.example\" is no origin: "),
            ("policy = 'off'", "line 1: there is no `off` here; write `enforce` or `report`"),
            ("id = 7", "line 1: this is a number; write a text"),
            ("id = ''", "the id is empty"),
            ("[secrets.K]\nreveal = 'yes'", "line 2: this is a text; write true or false"),
            ("[secrets.K]\nbind = ['a']", "line 2: \"a\" is no origin"),
            ("[secrets.K]\nbind = []", "line 2: an empty list binds to nothing"),
            ("isolation = 'none'", "line 1: there is no `none` here; write `reuse` or `call`"),
            (
                "[limits]\nmemory-mb = 9",
                "line 2: there is no key `memory-mb`; did you mean `memory-mib`?",
            ),
            ("[limits]\nmemory-mib = 0", "line 2: 0 is not between 1 and 4096"),
            (
                "[limits]\ncall-seconds = 1.5",
                "line 2: this is a number with a fraction; write a whole number",
            ),
            (
                "[config]\nKEY = { enviroment = 'X' }",
                "line 2: there is no key `enviroment`; write a text, { env = \"NAME\" } or { file = \"path\" }",
            ),
            (
                "[config]\nKEY = { env = 'X', file = 'y' }",
                "line 2: write a text, { env = \"NAME\" } or { file = \"path\" }",
            ),
            (
                "[config]\nKEY = {}",
                "line 2: write a text, { env = \"NAME\" } or { file = \"path\" }",
            ),
            ("id = 'a'\nid = 'b'", "line 2: the key `id` is there twice"),
            ("id = 'a", "line 1: "),
        ] {
            let error = format!("{:#}", parse(text).expect_err(text));
            assert!(error.contains("/etc/aloma/connector.toml: "), "{error}");
            assert!(error.contains(says), "{text:?}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_mistake_never_shows_what_a_field_holds() {
        for text in [
            "[config]\nKEY = 'hunter2",
            "[config]\nKEY = hunter2",
            "[config]\nKEY = ['hunter2']",
            "[config]\nKEY = { text = 'hunter2' }",
            "[config]\nKEY = { env = ['hunter2'] }",
            "[config]\nKEY = 'hunter2' 'hunter2'",
            "config = 'hunter2'",
            "[credentials]\nx = 'hunter2'",
        ] {
            let error = format!("{:#}", parse(text).expect_err(text));
            assert!(!error.contains("hunter2"), "{text:?}: {error}");
        }
        assert!(!format!("{:?}", parse("[config]\nKEY = 'hunter2'")).contains("hunter2"));
    }

    #[test]
    fn what_has_no_end_is_not_read() {
        for path in ["/dev/zero", "/"] {
            let error = read_text(Path::new(path)).expect_err(path).to_string();
            assert!(error.contains("is no file; "), "{error}");
        }
    }

    #[test]
    fn a_source_is_a_text_a_variable_or_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("key"), "from a file\n").expect("a file");
        std::fs::write(folder.path().join("env"), "SET=from a variable\n").expect("a file");
        let environment = Environment::read_file(&folder.path().join("env")).expect("variables");
        let text = "[config]\nA = 'a text'\nB = { env = 'SET' }\nC = { file = 'key' }\nD = 5\nE = true\n\
                    F = { env = 'UNSET' }\nG = { file = 'none' }";
        let file = File::parse(text, &folder.path().join(FILE_NAME)).expect("settings");
        let read = |key: &str| file.config[key].read(&environment);
        for (key, value) in [
            ("A", "a text"),
            ("B", "from a variable"),
            ("C", "from a file"),
            ("D", "5"),
            ("E", "true"),
        ] {
            assert_eq!(read(key).expect(key).expose_secret(), value);
        }
        let unset = format!("{:#}", read("F").expect_err("unset"));
        assert_eq!(unset, "the variable UNSET is not set; set it in the environment or in .env");
        let missing = format!("{:#}", read("G").expect_err("no file"));
        assert!(missing.starts_with("cannot read ") && missing.contains("none"), "{missing}");
    }
}
