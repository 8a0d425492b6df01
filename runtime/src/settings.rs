//! Where settings come from: flags, then the environment, then `.env`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, ensure};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::connector::{Values, secret_fields};
use crate::manifest::{Field, Manifest};
use crate::workspace::keys::KeyPair;

/// The platform's own endpoints, as the Node SDK has them.
const DEVICE_ENDPOINT: &str = "https://connect.aloma.io/";
const WEBSOCKET_ENDPOINT: &str = "wss://connect.aloma.io/transport/";

/// Variables that are ours or the host's. A connector that declares a field of such a name does not
/// get it from the environment.
const RESERVED: &[&str] = &[
    "CONNECTOR_ID",
    "DEPLOYMENT",
    "DEVICE_ENDPOINT",
    "HOME",
    "HOSTNAME",
    "LOG_LEVEL",
    "OAUTH_CLIENT_SECRET",
    "PATH",
    "PRIVATE_KEY",
    "PUBLIC_KEY",
    "REGISTRATION_KEY",
    "REGISTRATION_TOKEN",
    "WEBSOCKET_ENDPOINT",
];

/// The process's environment over the `.env` file, read once.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, SecretString>,
}

impl Environment {
    /// Reads the environment and `.env` in the working directory, or the file that was named.
    ///
    /// # Errors
    /// When a named file is not there, or a file is no `.env`.
    pub fn read(named: Option<&Path>) -> anyhow::Result<Self> {
        let file = named.unwrap_or(Path::new(".env"));
        let mut variables = match dotenvy::from_path_iter(file) {
            Ok(lines) => read_lines(file, lines)?,
            Err(error) if named.is_none() && error.not_found() => BTreeMap::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
        };
        // Values that are no Unicode cannot be ours.
        let set = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        variables.extend(set.map(|(name, value)| (name, value.into())));
        Ok(Self { variables })
    }

    /// The variables of one file alone.
    ///
    /// # Errors
    /// When it cannot be read or is no `.env`.
    pub fn read_file(file: &Path) -> anyhow::Result<Self> {
        let lines = dotenvy::from_path_iter(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Self { variables: read_lines(file, lines)? })
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.secret(name).map(SecretString::expose_secret)
    }

    /// The same, still wrapped.
    pub fn secret(&self, name: &str) -> Option<&SecretString> {
        self.variables.get(name).filter(|value| !value.expose_secret().is_empty())
    }
}

fn read_lines(
    file: &Path,
    lines: dotenvy::Iter<std::fs::File>,
) -> anyhow::Result<BTreeMap<String, SecretString>> {
    let read = |line: dotenvy::Result<(String, String)>| {
        // The error would repeat the line, which may hold a secret.
        let (name, value) = line.map_err(|_| {
            anyhow!(
                "{} has a line that is not NAME=value; quote values with spaces",
                file.display()
            )
        })?;
        Ok((name, SecretString::from(value)))
    };
    lines.map(read).collect()
}

/// The workspace of the platform.
#[derive(Clone)]
pub struct Platform {
    /// Lets the connector in.
    pub token: SecretString,
    /// The base of the HTTP calls.
    pub device_endpoint: Url,
    /// The websocket.
    pub websocket_endpoint: Url,
}

impl Platform {
    /// The platform's workspace, when there is a registration token.
    ///
    /// # Errors
    /// When an endpoint is no URL.
    pub fn read(environment: &Environment) -> anyhow::Result<Option<Self>> {
        let token =
            environment.secret("REGISTRATION_TOKEN").or(environment.secret("REGISTRATION_KEY"));
        let Some(token) = token else { return Ok(None) };
        let url = |name: &str, default: &str, schemes: [&str; 2]| -> anyhow::Result<Url> {
            let text = environment.get(name).unwrap_or(default);
            let url = Url::parse(text).with_context(|| format!("{name} is no URL: {text}"))?;
            let [plain, secure] = schemes;
            ensure!(
                schemes.contains(&url.scheme()),
                "{name} must begin with {secure}:// or {plain}://, not {}://",
                url.scheme()
            );
            Ok(url)
        };
        Ok(Some(Self {
            token: token.clone(),
            device_endpoint: url("DEVICE_ENDPOINT", DEVICE_ENDPOINT, ["http", "https"])?,
            websocket_endpoint: url("WEBSOCKET_ENDPOINT", WEBSOCKET_ENDPOINT, ["ws", "wss"])?,
        }))
    }
}

/// The keys of the environment.
///
/// # Errors
/// When there is only half a pair, or they are no keys.
pub fn keys(environment: &Environment) -> anyhow::Result<Option<Arc<KeyPair>>> {
    match (environment.secret("PRIVATE_KEY"), environment.get("PUBLIC_KEY")) {
        (None, None) => Ok(None),
        (Some(private), Some(public)) => Ok(Some(Arc::new(KeyPair::from_env(private, public)?))),
        (Some(_), None) => Err(half("PRIVATE_KEY", "PUBLIC_KEY")),
        (None, Some(_)) => Err(half("PUBLIC_KEY", "PRIVATE_KEY")),
    }
}

fn half(set: &str, unset: &str) -> anyhow::Error {
    anyhow!("{set} is set and {unset} is not; set both, or make a new pair with `aloma-wasm keys`")
}

/// The operator's own values for a connector: `--config` before the environment.
///
/// # Errors
/// When a value is given for a field that the connector does not declare.
pub fn operator_values(
    manifest: &Manifest,
    given: &[(String, SecretString)],
    environment: &Environment,
) -> anyhow::Result<Values> {
    let fields = manifest.all_fields();
    let from_environment = |field: &Field| {
        let reserved = RESERVED.contains(&field.key.as_str());
        let value = environment.secret(&field.key).filter(|_| !reserved)?;
        Some((field.key.clone(), value.clone()))
    };
    let mut values: Values = fields.iter().filter_map(from_environment).collect();
    if !values.is_empty() {
        let names: Vec<_> = values.keys().map(String::as_str).collect();
        tracing::info!(connector = manifest.name, "from the environment: {}", names.join(", "));
    }
    for (key, value) in given {
        ensure!(
            fields.iter().any(|field| field.key == *key),
            "{} has no configuration field `{key}`; it has: {}",
            manifest.name,
            names(&fields)
        );
        values.insert(key.clone(), value.clone());
    }
    Ok(values)
}

/// Checks the keys given with a flag that is about secrets: each must be a secret that the connector
/// declares.
///
/// # Errors
/// When one is none.
pub fn check_secrets<'a>(
    manifest: &Manifest,
    flag: &str,
    keys: impl IntoIterator<Item = &'a str>,
) -> anyhow::Result<()> {
    let (fields, secrets): (_, Vec<_>) = (manifest.all_fields(), secret_fields(manifest).collect());
    for key in keys {
        let is_plain = fields.iter().any(|field| field.key == key && field.plain);
        ensure!(!is_plain, "{flag} {key}: the field is plain, so the connector reads it anyway");
        ensure!(
            secrets.iter().any(|secret| secret == key),
            "{flag} {key}: {} has no secret field of that key; it has: {}",
            manifest.name,
            if secrets.is_empty() { "none".to_owned() } else { secrets.join(", ") }
        );
    }
    Ok(())
}

fn names(fields: &[Field]) -> String {
    match fields {
        [] => "none".to_owned(),
        _ => fields.iter().map(|field| field.key.as_str()).collect::<Vec<_>>().join(", "),
    }
}

/// This user's folder for compiled code.
pub fn cache_folder(environment: &Environment) -> Option<PathBuf> {
    folder(environment, "XDG_CACHE_HOME", ".cache").map(|base| base.join("compiled"))
}

/// This user's folder for the embedded workspace.
pub fn data_folder(environment: &Environment) -> Option<PathBuf> {
    folder(environment, "XDG_DATA_HOME", ".local/share").map(|base| base.join("workspace"))
}

fn folder(environment: &Environment, variable: &str, in_home: &str) -> Option<PathBuf> {
    let set = environment.get(variable).map(PathBuf::from);
    let base = set.or_else(|| Some(Path::new(environment.get("HOME")?).join(in_home)))?;
    Some(base.join("aloma-wasm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_secret_can_be_named_where_a_secret_is_meant() {
        let field = |key: &str, plain: bool| serde_json::json!({"key": key, "name": key, "type": "line", "optional": true, "plain": plain});
        let manifest = serde_json::json!({
            "name": "test", "version": "1", "asks": [], "actions": [],
            "fields": [field("KEY", false), field("TEXT", true)],
        });
        let manifest: Manifest = serde_json::from_value(manifest).expect("a manifest");
        for (key, says) in [
            ("KEY", None),
            ("TEXT", Some("--reveal TEXT: the field is plain, so the connector reads it anyway")),
            ("KEI", Some("--reveal KEI: test has no secret field of that key; it has: KEY")),
        ] {
            let error = check_secrets(&manifest, "--reveal", [key]).err();
            assert_eq!(error.map(|error| error.to_string()).as_deref(), says, "{key}");
        }
    }
}
