//! The configuration as one connector sees it.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::manifest::{Field, FieldKind, Manifest, OAUTH_RESULT};

/// Values by field key.
pub type Values = BTreeMap<String, SecretString>;

/// The configuration of a connector: the workspace's values before the operator's own.
///
/// A guest sees only fields that its author declared, so that neither the OAuth tokens nor another
/// connector's values can be read.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    visible: BTreeSet<String>,
    fields: Vec<Field>,
    workspace: Values,
    operator: Values,
}

impl Configuration {
    /// A configuration with the operator's own values, before the workspace sent any.
    pub fn new(manifest: &Manifest, operator: Values) -> Self {
        let visible = manifest.all_fields().into_iter().filter(|field| {
            let added = !manifest.fields.iter().any(|own| own.key == field.key);
            let credential = field.key == OAUTH_RESULT || field.key == "clientSecret";
            !(added && credential)
        });
        Self {
            visible: visible.map(|field| field.key).collect(),
            fields: manifest.all_fields(),
            workspace: Values::new(),
            operator,
        }
    }

    /// The same with other values from the workspace.
    pub fn with_workspace(&self, workspace: Values) -> Self {
        Self { workspace, ..self.clone() }
    }

    /// What the guest reads.
    pub fn visible(&self, key: &str) -> Option<&SecretString> {
        if self.visible.contains(key) { self.value(key) } else { None }
    }

    /// Any field's value, for the host's own use.
    pub fn value(&self, key: &str) -> Option<&SecretString> {
        let set =
            |values: &'_ Values| values.get(key).is_some_and(|v| !v.expose_secret().is_empty());
        if set(&self.workspace) { self.workspace.get(key) } else { self.operator.get(key) }
    }

    /// The names of required fields without a value, in the words of the Node SDK.
    pub fn missing(&self) -> Vec<String> {
        let required = self.fields.iter().filter(|field| !field.optional);
        let unset = |field: &&Field| {
            self.value(&field.key).is_none_or(|value| value.expose_secret().is_empty())
        };
        required
            .filter(unset)
            .map(|field| format!("Configuration: {} is required", field.name))
            .collect()
    }

    /// The visible fields as a JSON object with typed values, for `config-check`.
    pub fn to_json(&self) -> String {
        let visible = self.fields.iter().filter(|field| self.visible.contains(&field.key));
        let entries = visible.filter_map(|field| {
            Some((field.key.clone(), typed(field.kind, self.value(&field.key)?.expose_secret())))
        });
        Value::Object(entries.collect::<Map<_, _>>()).to_string()
    }
}

fn typed(kind: FieldKind, text: &str) -> Value {
    match kind {
        FieldKind::Number | FieldKind::Boolean => {
            serde_json::from_str(text).unwrap_or_else(|_| text.into())
        }
        FieldKind::Line | FieldKind::Multiline | FieldKind::Managed => text.into(),
    }
}
