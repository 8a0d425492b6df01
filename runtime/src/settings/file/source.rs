//! Where a value comes from: it stands there itself, or a variable or a file is named that holds it.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use secrecy::SecretString;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::super::Environment;
use super::read_text;

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The value itself.
    Text(SecretString),
    /// The variable of this name, in the environment or in `.env`.
    Variable(String),
    /// This file, without the line break at its end.
    File(PathBuf),
}

impl Source {
    /// The value.
    ///
    /// # Errors
    /// When the variable is not set or the file cannot be read.
    pub fn read(&self, environment: &Environment) -> anyhow::Result<SecretString> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Variable(name) => environment.secret(name).cloned().with_context(|| {
                format!("the variable {name} is not set; set it in the environment or in .env")
            }),
            Self::File(path) => {
                let text = zeroize::Zeroizing::new(read_text(path)?);
                let text = text.strip_suffix('\n').unwrap_or(&text);
                Ok(text.strip_suffix('\r').unwrap_or(text).into())
            }
        }
    }

    /// The same with its file in a folder.
    pub(in crate::settings) fn within(self, folder: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(folder.join(path)),
            other => other,
        }
    }
}

/// What can be written. The value itself is never told: it may be a secret.
const FORMS: &str = "write a text, { env = \"NAME\" } or { file = \"path\" }";

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Forms)
    }
}

struct Forms;

impl<'de> Visitor<'de> for Forms {
    type Value = Source;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(FORMS)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Source, E> {
        Ok(Source::Text(text.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Source, E> {
        Ok(Source::Text(number.to_string().into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Source, E> {
        Ok(Source::Text(number.to_string().into()))
    }

    fn visit_bool<E: Error>(self, yes: bool) -> Result<Source, E> {
        Ok(Source::Text(yes.to_string().into()))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, _: A) -> Result<Source, A::Error> {
        Err(A::Error::custom(FORMS))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Source, A::Error> {
        let wrong = || A::Error::custom(FORMS);
        let key: String = map.next_key()?.ok_or_else(wrong)?;
        let source = match key.as_str() {
            "env" => Source::Variable(text(&mut map)?),
            "file" => Source::File(text(&mut map)?.into()),
            _ => return Err(A::Error::custom(format!("there is no key `{key}`; {FORMS}"))),
        };
        match map.next_key::<String>()? {
            None => Ok(source),
            Some(_) => Err(wrong()),
        }
    }
}

fn text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<String, A::Error> {
    // Its own error would show the value.
    map.next_value().map_err(|_| A::Error::custom(FORMS))
}
