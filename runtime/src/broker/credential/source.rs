//! Where a credential's values come from: a text, a variable, a file, or a field of the connector's
//! configuration.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use zeroize::Zeroizing;

use super::super::limits::SECRET_FILE;
use super::super::request::Error;
use crate::vault::Vault;

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// It stands in the settings.
    Text(SecretString),
    /// It is in that variable of the environment.
    Env(String),
    /// It is in that file, whose last line break does not count.
    File(String),
    /// It is in that field of the connector's configuration, which must be a secret one unless the
    /// value may be seen.
    Field(String),
}

/// A value, or the field that it will be in when a request is made.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Known(SecretString),
    Field(String),
}

/// Looks a variable of the environment up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<SecretString>;

const FORMS: &str = "a text, { env = \"NAME\" }, { file = \"path\" } or { field = \"KEY\" }";

impl Source {
    /// The value as far as it is known before the first request. Files are found from `base`.
    pub(super) fn resolve(&self, base: &Path, env: Lookup<'_>) -> Result<Value, String> {
        let value = match self {
            Self::Field(key) => return Ok(Value::Field(key.clone())),
            Self::Text(text) => text.clone(),
            Self::Env(name) => {
                let text = "is not set; set it in the environment or in .env";
                env(name).ok_or_else(|| format!("the variable {name} {text}"))?
            }
            Self::File(path) => read(&base.join(path))?,
        };
        if value.expose_secret().is_empty() {
            return Err(format!("{self} is empty"));
        }
        Ok(Value::Known(value))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => out.write_str("the text"),
            Self::Env(name) => write!(out, "the variable {name}"),
            Self::File(path) => write!(out, "the file {path}"),
            Self::Field(key) => write!(out, "the field {key}"),
        }
    }
}

impl Value {
    /// The value, for a request under this configuration.
    pub fn get<'a>(&'a self, credential: &str, vault: &'a Vault) -> Result<&'a str, Error> {
        let key = match self {
            Self::Known(value) => return Ok(value.expose_secret()),
            Self::Field(key) => key,
        };
        // Which fields must be secret ones was checked when the connector was loaded.
        let value = vault.value_of_any(key).map(SecretString::expose_secret);
        value.filter(|value| !value.is_empty()).ok_or_else(|| not_set(credential, key))
    }

    /// The value, where it is known already.
    pub fn known(&self) -> Option<&str> {
        match self {
            Self::Known(value) => Some(value.expose_secret()),
            Self::Field(_) => None,
        }
    }

    /// The field that it will come from.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Known(_) => None,
            Self::Field(key) => Some(key),
        }
    }
}

/// A credential lacks the value of a field.
pub(super) fn not_set(credential: &str, key: &str) -> Error {
    Error::Credential(format!(
        "the credential {credential:?} needs the field {key}, which is not set; set it in the \
         connector's configuration"
    ))
}

fn read(path: &Path) -> Result<SecretString, String> {
    let cannot = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => {
            format!("there is no file {}; write the value into it, or name another", path.display())
        }
        _ => format!("the file {} cannot be read: {error}", path.display()),
    };
    let metadata = fs::metadata(path).map_err(cannot)?;
    // Another kind of file could keep us waiting, or have no end.
    if !metadata.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    if metadata.permissions().mode() & 0o004 != 0 {
        let path = path.display();
        tracing::warn!("the secret in {path} can be read by every user; chmod 600 it");
    }
    let mut bytes = Zeroizing::new(Vec::new());
    let file = fs::File::open(path).map_err(cannot)?;
    file.take(SECRET_FILE + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > SECRET_FILE {
        return Err(format!("the file {} is over {SECRET_FILE} bytes", path.display()));
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| format!("the file {} is no text", path.display()))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    Ok(line.strip_suffix('\r').unwrap_or(line).into())
}

/// By hand, because the derived one tells the value in its errors, or not what is wrong.
impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Forms)
    }
}

struct Forms;

fn neither<T, E: serde::de::Error>() -> Result<T, E> {
    Err(E::custom(format!("a value is {FORMS}")))
}

impl<'de> Visitor<'de> for Forms {
    type Value = Source;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(FORMS)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Source, E> {
        Ok(Source::Text(text.into()))
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Source, E> {
        neither()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Source, E> {
        neither()
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Source, E> {
        neither()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Source, E> {
        neither()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Source, A::Error> {
        let Some(key) = map.next_key::<String>()? else { return neither() };
        let source = match key.as_str() {
            "env" => Source::Env(map.next_value()?),
            "file" => Source::File(map.next_value()?),
            "field" => Source::Field(map.next_value()?),
            other => {
                return Err(A::Error::custom(format!(
                    "unknown source {other:?}; a value is {FORMS}"
                )));
            }
        };
        if map.next_key::<String>()?.is_some() {
            return Err(A::Error::custom(format!("a value has one source: {FORMS}")));
        }
        Ok(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Holder {
        value: Source,
    }

    fn parse(text: &str) -> Result<Source, String> {
        let holder: Result<Holder, _> = toml::from_str(&format!("value = {text}"));
        holder.map(|holder| holder.value).map_err(|error| error.message().to_owned())
    }

    fn resolve(source: &Source, base: &Path) -> Result<Value, String> {
        source.resolve(base, &|name| match name {
            "SET" => Some("of-the-variable".into()),
            "EMPTY" => Some("".into()),
            _ => None,
        })
    }

    #[test]
    fn a_value_comes_from_one_source() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("key"), "of-the-file\r\n").expect("written");
        fs::write(folder.path().join("long"), vec![b'x'; SECRET_FILE as usize + 1])
            .expect("written");
        for (text, expected) in [
            ("'of-the-text'", "of-the-text"),
            ("{ env = 'SET' }", "of-the-variable"),
            ("{ file = 'key' }", "of-the-file"),
            ("''", "the text is empty"),
            ("{ env = 'EMPTY' }", "the variable EMPTY is empty"),
            ("{ env = 'UNSET' }", "the variable UNSET is not set; set it"),
            ("{ file = '.' }", " is no file"),
            ("{ file = 'none' }", "none; write the value into it, or name another"),
            ("{ file = 'key/none' }", "none cannot be read: "),
            ("{ file = 'long' }", " bytes"),
        ] {
            let source = parse(text).expect(text);
            let told = match resolve(&source, folder.path()) {
                Ok(value) => value.known().expect("known").to_owned(),
                Err(text) => text,
            };
            assert!(told.contains(expected), "{text}: {told}");
        }
    }

    #[test]
    fn what_is_no_source_is_explained_without_telling_it() {
        for (text, expected) in [
            ("7777", FORMS),
            ("7777.5", FORMS),
            ("true", FORMS),
            ("{}", FORMS),
            ("{ vault = '7777' }", "unknown source \"vault\""),
            ("{ env = 'A', file = '7777' }", "a value has one source"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(expected) && !error.contains("7777"), "{text}: {error}");
        }
    }

    #[test]
    fn a_field_is_looked_up_when_a_request_is_made() {
        let value = resolve(&parse("{ field = 'KEY' }").expect("a source"), Path::new("."));
        let value = value.expect("a field");
        assert_eq!((value.known(), value.field()), (None, Some("KEY")));
        let error = value.get("api", &Vault::default()).expect_err("not set").to_string();
        assert!(error.contains("\"api\" needs the field KEY"), "{error}");
    }

    #[test]
    fn a_source_is_shown_without_its_value() {
        let source = parse("'of-the-text'").expect("a source");
        assert!(!format!("{source:?} {source}").contains("of-the-text"));
    }
}
