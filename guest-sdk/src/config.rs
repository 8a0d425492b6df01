//! Configuration of the connector. Only fields that its `#[setup]` declares can be read.

use crate::error::{Error, Result};
use crate::host;

/// The value of a field, or none where it is not set.
///
/// A field that is not plain holds a secret. What is read then is a placeholder: put it into a
/// header, a query or a body, and the broker fills in the secret on the way.
pub fn get(key: &str) -> Option<String> {
    host::config_get(key)
}

/// The value of a field that must be set. The error says which one is missing.
pub fn require(key: &str) -> Result<String> {
    get(key).ok_or_else(|| {
        Error::new("missing-configuration", format!("the configuration field `{key}` is not set"))
    })
}

/// The value of a `number` field, or none where it is not set. It has to be plain: a placeholder is
/// no number.
pub fn number(key: &str) -> Result<Option<f64>> {
    parsed(key, "a number")
}

/// The value of a `boolean` field, or none where it is not set. It has to be plain, too.
pub fn boolean(key: &str) -> Result<Option<bool>> {
    parsed(key, "`true` or `false`")
}

fn parsed<T: std::str::FromStr>(key: &str, wanted: &str) -> Result<Option<T>> {
    let parse = |value: String| value.trim().parse().map_err(|_| invalid(key, wanted));
    get(key).map(parse).transpose()
}

/// The value itself stays out of the message; somebody may have typed a secret into the wrong field.
fn invalid(key: &str, wanted: &str) -> Error {
    Error::new("invalid-configuration", format!("the configuration field `{key}` is not {wanted}"))
}
