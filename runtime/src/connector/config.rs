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

    /// What is wrong with it, in the words of the Node SDK: required fields without a value.
    pub fn problems(&self) -> Vec<String> {
        let names = self.missing().map(|field| &field.name);
        names.map(|name| format!("Configuration: {name} is required")).collect()
    }

    /// The keys of required fields without a value.
    pub fn missing_keys(&self) -> Vec<&str> {
        self.missing().map(|field| field.key.as_str()).collect()
    }

    fn missing(&self) -> impl Iterator<Item = &Field> {
        let unset = |field: &&Field| {
            self.value(&field.key).is_none_or(|value| value.expose_secret().is_empty())
        };
        self.fields.iter().filter(|field| !field.optional).filter(unset)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::OAuth;

    fn field(key: &str, kind: FieldKind, optional: bool) -> Field {
        let name = format!("the {key}");
        Field {
            key: key.into(),
            name,
            kind,
            description: None,
            placeholder: None,
            height: None,
            optional,
            plain: true,
        }
    }

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect()
    }

    fn manifest(fields: Vec<Field>, oauth: Option<OAuth>) -> Manifest {
        Manifest {
            id: None,
            name: "c".into(),
            version: "1".into(),
            summary: None,
            description: None,
            icon: None,
            fields,
            oauth,
            endpoint: None,
            asks: Vec::new(),
            actions: Vec::new(),
        }
    }

    fn read(configuration: &Configuration, key: &str) -> Option<String> {
        configuration.visible(key).map(|value| value.expose_secret().to_owned())
    }

    #[test]
    fn the_workspaces_value_goes_before_the_operators_unless_it_is_empty() {
        let fields = ["a", "b", "c"].map(|key| field(key, FieldKind::Line, false)).to_vec();
        let operator = values(&[("a", "1"), ("b", "2")]);
        let configuration = Configuration::new(&manifest(fields, None), operator)
            .with_workspace(values(&[("a", "9"), ("b", "")]));
        assert_eq!(read(&configuration, "a").as_deref(), Some("9"));
        assert_eq!(read(&configuration, "b").as_deref(), Some("2"));
        assert_eq!(configuration.problems(), ["Configuration: the c is required"]);
        assert_eq!(configuration.missing_keys(), ["c"]);
    }

    #[test]
    fn what_is_not_declared_cannot_be_read() {
        let own = vec![field("a", FieldKind::Line, false)];
        let all = values(&[("a", "1"), ("b", "2"), ("PATH", "/bin")]);
        let configuration = Configuration::new(&manifest(own, None), all);
        assert_eq!(read(&configuration, "b"), None);
        assert_eq!(read(&configuration, "PATH"), None);
    }

    #[test]
    fn a_guest_reads_its_client_id_and_never_the_grant() {
        let oauth = OAuth {
            authorization_url: String::new(),
            token_url: String::new(),
            client_id: None,
            client_secret: None,
            scope: None,
            use_auth_header: false,
            use_code_challenge: false,
            configurable_client: true,
            configurable_client_optional: false,
            configurable_client_scope: None,
            connection_optional: false,
            additional_token_args: Vec::new(),
        };
        let all = values(&[(OAUTH_RESULT, "{}"), ("clientSecret", "s"), ("clientId", "i")]);
        let configuration = Configuration::new(&manifest(Vec::new(), Some(oauth)), all);
        assert_eq!(read(&configuration, "clientId").as_deref(), Some("i"));
        assert_eq!(read(&configuration, "clientSecret"), None);
        assert_eq!(read(&configuration, OAUTH_RESULT), None);
        assert!(configuration.value(OAUTH_RESULT).is_some());
    }

    #[test]
    fn numbers_and_booleans_keep_their_type_for_the_check() {
        let fields = vec![
            field("n", FieldKind::Number, false),
            field("b", FieldKind::Boolean, false),
            field("t", FieldKind::Line, false),
        ];
        let all = values(&[("n", "0"), ("b", "false"), ("t", "7")]);
        let json = Configuration::new(&manifest(fields, None), all).to_json();
        assert_eq!(json, r#"{"n":0,"b":false,"t":"7"}"#);
    }
}
