//! The configuration form as a connector declares it on the wire, and what may be entered in it.
//!
//! Read leniently: any connector may join, and what it does not say has the Node SDK's defaults.

use serde::Serialize;
use serde_json::{Map, Value};

use super::limits::{FIELDS, VALUE_BYTES};
use crate::manifest::FieldKind;

/// The form.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Form {
    pub fields: Vec<FormField>,
    /// Whether there is an OAuth flow to go through.
    pub oauth: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// One field of the form.
#[derive(Clone, Debug, Serialize)]
pub struct FormField {
    pub key: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: FieldKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    pub optional: bool,
    pub plain: bool,
}

/// A value that does not fit the form.
#[derive(Debug, PartialEq)]
pub struct Misfit {
    pub field: String,
    pub reason: String,
}

impl Form {
    pub fn from_text(schema: &str) -> Self {
        serde_json::from_str(schema).map(|schema| Self::from_schema(&schema)).unwrap_or_default()
    }

    pub fn from_schema(schema: &Value) -> Self {
        let text = |key| schema.get(key).and_then(Value::as_str).map(str::to_owned);
        let fields = schema.get("fields").and_then(Value::as_object);
        Self {
            fields: fields.into_iter().flatten().take(FIELDS).map(FormField::read).collect(),
            oauth: schema.get("oauth").and_then(Value::as_bool).unwrap_or(false),
            summary: text("summary"),
            description: text("description"),
        }
    }

    pub fn field(&self, key: &str) -> Option<&FormField> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// Checks values that somebody entered. `null` removes a value and always fits.
    pub fn check(&self, values: &Map<String, Value>) -> Result<(), Misfit> {
        for (key, value) in values {
            let misfit = |reason: String| Misfit { field: key.clone(), reason };
            let field = self.field(key).ok_or_else(|| misfit(self.unknown(key)))?;
            field.check(value).map_err(|reason| misfit(format!("`{key}` {reason}")))?;
        }
        Ok(())
    }

    fn unknown(&self, key: &str) -> String {
        let known: Vec<_> = self.fields.iter().map(|field| format!("`{}`", field.key)).collect();
        match known.as_slice() {
            [] => format!("there is no field `{key}`; the connector declares none"),
            known => format!("there is no field `{key}`; there are {}", known.join(", ")),
        }
    }
}

impl FormField {
    fn read((key, said): (&String, &Value)) -> Self {
        let text = |name| said.get(name).and_then(Value::as_str).map(str::to_owned);
        let flag = |name| said.get(name).and_then(Value::as_bool).unwrap_or(false);
        let kind = said.get("type").cloned().and_then(|kind| serde_json::from_value(kind).ok());
        Self {
            key: key.clone(),
            name: text("name").unwrap_or_else(|| key.clone()),
            kind: kind.unwrap_or(FieldKind::Line),
            description: text("description"),
            placeholder: text("placeholder"),
            height: said.get("height").and_then(Value::as_u64),
            optional: flag("optional"),
            plain: flag("plain"),
        }
    }

    /// Whether values go over the wire and into the store as they are. A managed field holds what
    /// only the connector may read, whatever it says of itself.
    pub fn is_plain(&self) -> bool {
        self.plain && self.kind != FieldKind::Managed
    }

    fn check(&self, value: &Value) -> Result<(), String> {
        let wanted = match self.kind {
            _ if value.is_null() => return Ok(()),
            FieldKind::Line | FieldKind::Multiline if !value.is_string() => "must be a string",
            FieldKind::Number if !value.is_number() => "must be a number",
            FieldKind::Boolean if !value.is_boolean() => "must be `true` or `false`",
            FieldKind::Managed if !(value.is_string() || value.is_object()) => {
                "must be a string or an object"
            }
            _ if value.to_string().len() > VALUE_BYTES => {
                return Err(format!("is longer than {VALUE_BYTES} bytes"));
            }
            _ => return Ok(()),
        };
        Err(format!("{wanted}, or `null` to remove it"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_entered_must_fit_the_form() {
        let form = Form::from_schema(&json!({"fields": {
            "host": {"type": "line", "plain": true},
            "text": {"type": "multiline"},
            "port": {"type": "number"},
            "on": {"type": "boolean"},
            "odd": {"type": "colour"},
        }}));
        for (values, misfit) in [
            (json!({}), None),
            (json!({"host": "x", "text": "a\nb", "port": 1.5, "on": false, "odd": "x"}), None),
            (json!({"host": null, "port": null, "on": null}), None),
            (json!({"host": 1}), Some("host")),
            (json!({"text": ["x"]}), Some("text")),
            (json!({"port": "1"}), Some("port")),
            (json!({"on": "true"}), Some("on")),
            (json!({"odd": 1}), Some("odd")),
            (json!({"host": "x", "other": "x"}), Some("other")),
            (json!({"host": "x".repeat(VALUE_BYTES)}), Some("host")),
        ] {
            let outcome = form.check(values.as_object().expect("an object"));
            assert_eq!(outcome.err().map(|misfit| misfit.field).as_deref(), misfit, "{values}");
        }
    }

    #[test]
    fn a_form_is_read_from_anything() {
        for schema in ["", "null", "[]", r#"{"fields":[]}"#, r#"{"fields":{}}"#, r#"{"fields":7}"#]
        {
            assert!(Form::from_text(schema).fields.is_empty(), "{schema}");
        }
        let form = Form::from_text(r#"{"fields":{"a":null},"oauth":true}"#);
        assert!(form.oauth && !form.fields[0].plain && form.fields[0].kind == FieldKind::Line);
    }

    #[test]
    fn a_managed_field_is_never_plain() {
        let form = Form::from_text(r#"{"fields":{"a":{"type":"managed","plain":true}}}"#);
        assert!(!form.fields[0].is_plain());
    }
}
