//! Where settings come from: flags, then `connector.toml`, then the environment, then `.env`.

pub mod accepted;
pub mod choice;
mod dotenv;
mod environment;
pub mod file;
#[cfg(test)]
mod reference;
pub mod suggestion;
mod workspace;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use secrecy::SecretString;

use crate::connector::{Values, secret_fields};
use crate::manifest::{Field, Manifest, OAUTH_CLIENT};
use crate::run::Fields;

pub use self::environment::Environment;
pub use self::workspace::{Platform, WorkspaceSettings, keys};

/// Variables that are ours. A connector that declares a field of such a name does not get it from
/// `.env`. A proxy's URL may hold a password.
const RESERVED: &[&str] = &[
    "CONNECTOR_ID",
    "DEPLOYMENT",
    "DEVICE_ENDPOINT",
    "HOME",
    "HOSTNAME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LOG_LEVEL",
    "NO_COLOR",
    "NO_PROXY",
    "OAUTH_AUTHORIZATION_URL",
    "OAUTH_CLIENT_ID",
    "OAUTH_CLIENT_SECRET",
    "OAUTH_SCOPE",
    "OAUTH_TOKEN_URL",
    "PRIVATE_KEY",
    "PUBLIC_KEY",
    "REGISTRATION_KEY",
    "REGISTRATION_TOKEN",
    "REQUEST_METHOD",
    "WEBSOCKET_ENDPOINT",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// A `--config` flag.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// The field's key; `ID.KEY` for the field of one connector of several.
    pub key: String,
    /// The value; none takes it from the environment variable of the same name.
    pub value: Option<SecretString>,
}

/// The operator's own values for a connector: `--config` before the settings file before `.env`.
///
/// A connector names its fields itself, so the environment as such is not looked at: it holds what is
/// nobody's business. `--config KEY` and `{ env = "NAME" }` take a variable from it by name.
///
/// # Errors
/// When a variable is named that is not set, or a file that cannot be read; when the settings file
/// sets a field that the connector does not declare.
pub fn operator_values(
    id: &str,
    manifest: &Manifest,
    given: &Fields,
    environment: &Environment,
) -> anyhow::Result<Values> {
    let fields = manifest.all_fields();
    let in_file = |field: &Field| {
        let reserved = RESERVED.contains(&field.key.as_str());
        environment.of_file(&field.key).filter(|_| !reserved)?;
        if given.is_for_something_else(&field.key, id) {
            tell_withheld(id, &field.key, given);
            return None;
        }
        // A variable that is set goes before the file, as everywhere.
        Some((field.key.clone(), environment.secret(&field.key)?.clone()))
    };
    let mut values: Values = fields.iter().filter_map(in_file).collect();
    for (key, source) in &given.sources {
        ensure!(
            fields.iter().any(|field| field.key == *key) || is_client(manifest, key),
            "[config] {key}: {} has no configuration field of that key; it has: {}",
            manifest.name,
            names(&fields)
        );
        let is_set_by_flag = given.values.iter().any(|flag| assigns(&flag.key, id, key));
        if !is_set_by_flag {
            let value = source.read(environment).with_context(|| format!("[config] {key}"))?;
            values.insert(key.clone(), value);
        }
    }
    for Assignment { key, value } in &given.values {
        let Some(field) = fields.iter().find(|field| assigns(key, id, &field.key)) else {
            continue;
        };
        let value = match value {
            Some(value) => value.clone(),
            None => environment.secret(&field.key).cloned().with_context(|| {
                format!(
                    "--config {key} takes {} from the environment, where it is not set",
                    field.key
                )
            })?,
        };
        values.insert(field.key.clone(), value);
    }
    Ok(values)
}

impl Fields {
    /// Whether the operator has said what the line of that name in `.env` is for. A connector chooses
    /// the names of its fields itself, and could otherwise choose one to read what is not for it.
    fn is_for_something_else(&self, name: &str, id: &str) -> bool {
        let names_another = |flag: &Assignment| {
            let of_another = flag.key.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
            flag.value.is_none() && of_another && !assigns(&flag.key, id, name)
        };
        self.variables.contains(name) || self.values.iter().any(names_another)
    }
}

/// Whoever means the field, too, must say so. Nothing is told where it has a value anyway.
fn tell_withheld(id: &str, key: &str, given: &Fields) {
    let is_set = given.sources.contains_key(key)
        || given.values.iter().any(|flag| assigns(&flag.key, id, key));
    if !is_set {
        tracing::warn!(
            connector = id,
            "the line {key} of .env does not fill the field {key}, because settings name it for \
             something else; if it is meant for this connector, too, write [config] {key} = \
             {{ env = \"{key}\" }} into its connector.toml"
        );
    }
}

/// Checks that each assignment is for a field that there is.
///
/// # Errors
/// When no connector declares the field; names those that there are.
pub fn check_assignments(
    given: &[Assignment],
    connectors: &[(&str, &Manifest)],
) -> anyhow::Result<()> {
    for Assignment { key, .. } in given {
        let declares = |(id, manifest): &(&str, &Manifest)| {
            manifest.all_fields().iter().any(|field| assigns(key, id, &field.key))
        };
        if !connectors.iter().any(declares) {
            let fields: Vec<_> = connectors.iter().flat_map(|(_, m)| m.all_fields()).collect();
            bail!("there is no configuration field `{key}`; there are: {}", names(&fields));
        }
    }
    Ok(())
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

/// Whether a key is of the OAuth client, which the operator sets also where the form does not have it.
fn is_client(manifest: &Manifest, key: &str) -> bool {
    manifest.oauth.is_some() && OAUTH_CLIENT.contains(&key)
}

fn assigns(key: &str, id: &str, field: &str) -> bool {
    key == field || key.strip_prefix(id).and_then(|rest| rest.strip_prefix('.')) == Some(field)
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

/// This user's folder for the tokens of credentials.
pub fn token_folder(environment: &Environment) -> Option<PathBuf> {
    folder(environment, "XDG_DATA_HOME", ".local/share").map(|base| base.join("tokens"))
}

fn folder(environment: &Environment, variable: &str, in_home: &str) -> Option<PathBuf> {
    let set = environment.get(variable).map(PathBuf::from);
    let base = set.or_else(|| Some(Path::new(environment.get("HOME")?).join(in_home)))?;
    Some(base.join("aloma-wasm"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use secrecy::ExposeSecret as _;

    use super::*;

    fn environment(text: &str) -> Environment {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        Environment::read_file(file.path()).expect("variables")
    }

    /// A connector once read the token of a credential by declaring a plain field of its variable's
    /// name.
    #[test]
    fn a_line_of_env_that_is_for_something_else_fills_no_field() {
        const TEXT: &str = "KEY=from-env\nHTTPS_PROXY=http://u:p@x.example\n";
        let field = |key: &str| serde_json::json!({"key": key, "name": key, "type": "line", "optional": true, "plain": true});
        let manifest = serde_json::json!({
            "name": "test", "version": "1", "asks": [], "actions": [],
            "fields": [field("KEY"), field("HTTPS_PROXY")],
        });
        let manifest: Manifest = serde_json::from_value(manifest).expect("a manifest");
        let flag = |key: &str| Assignment { key: key.into(), value: None };
        for (file, flags, expected) in [
            ("", &[][..], Some("from-env")),
            ("[config]\nKEY = { env = 'KEY' }", &[], Some("from-env")),
            ("[workspace]\ntoken = { env = 'KEY' }\n[config]\nKEY = 'own'", &[], Some("own")),
            ("[workspace]\ntoken = { env = 'KEY' }", &["KEY"], Some("from-env")),
            ("", &["a.KEY"], Some("from-env")),
            ("", &["b.KEY"], None),
            ("[workspace]\ntoken = { env = 'KEY' }", &[], None),
            ("[credentials.x]\ntype = 'bearer'\ntoken = { env = 'KEY' }", &[], None),
        ] {
            let read = file::File::parse(file, Path::new("connector.toml")).expect(file);
            let given = Fields {
                values: flags.iter().map(|key| flag(key)).collect(),
                sources: read.config,
                variables: read.variables,
                ..Fields::default()
            };
            let values = operator_values("a", &manifest, &given, &environment(TEXT));
            let values = values.expect("values");
            let value = values.get("KEY").map(|value| value.expose_secret());
            assert_eq!(value, expected, "{file} {flags:?}");
            assert!(!values.contains_key("HTTPS_PROXY"), "{file}");
        }
    }

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
