//! The configuration as one connector sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::manifest::{ENDPOINT_URL, Field, FieldKind, Manifest, OAUTH_RESULT};
use crate::vault::{Placeholders, Vault};

/// Values by field key.
pub type Values = BTreeMap<String, SecretString>;

/// The configuration of a connector: the workspace's values before the operator's own.
///
/// A guest sees only fields that its author declared, so that neither the OAuth tokens nor another
/// connector's values can be read. Of a field that is not plain it sees a placeholder, also where
/// the field is a number or a boolean.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    visible: BTreeSet<String>,
    fields: Vec<Field>,
    workspace: Values,
    operator: Values,
    placeholders: Placeholders,
    revealed: BTreeSet<String>,
    vault: Arc<Vault>,
}

impl Configuration {
    /// A configuration with the operator's own values, before the workspace sent any. The guest
    /// reads the secrets in `revealed` as they are.
    pub fn new(manifest: &Manifest, operator: Values, revealed: &[String]) -> Self {
        let endpoint = manifest.endpoint.map(|_| ENDPOINT_URL.to_owned());
        let configuration = Self {
            visible: visible(manifest).map(|field| field.key).chain(endpoint).collect(),
            fields: manifest.all_fields(),
            workspace: Values::new(),
            operator,
            placeholders: Placeholders::new(secret_fields(manifest)),
            revealed: revealed.iter().cloned().collect(),
            vault: Arc::default(),
        };
        configuration.sealed()
    }

    /// The same with other values from the workspace.
    pub fn with_workspace(&self, workspace: Values) -> Self {
        Self { workspace, ..self.clone() }.sealed()
    }

    fn sealed(self) -> Self {
        let value = |key: &String| Some((key.clone(), self.set_value(key)?.clone()));
        let values = self.visible.iter().filter_map(value).collect();
        let vault = Arc::new(Vault::new(values, &self.placeholders, &self.revealed));
        Self { vault, ..self }
    }

    /// The secrets among the values.
    pub fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// What the guest reads. Of a secret that is the placeholder, unless the operator revealed it.
    pub fn visible(&self, key: &str) -> Option<&str> {
        if !self.visible.contains(key) {
            return None;
        }
        self.vault.visible(key).or_else(|| self.value(key).map(SecretString::expose_secret))
    }

    fn set_value(&self, key: &str) -> Option<&SecretString> {
        self.value(key).filter(|value| !value.expose_secret().is_empty())
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
        let unset = |field: &&Field| self.set_value(&field.key).is_none();
        self.fields.iter().filter(|field| !field.optional).filter(unset)
    }

    /// What the guest reads as a JSON object with typed values, for `config-check`. Placeholders are
    /// text.
    pub fn to_json(&self) -> String {
        let entries = self.fields.iter().filter_map(|field| {
            Some((field.key.clone(), typed(field.kind, self.visible(&field.key)?)))
        });
        Value::Object(entries.collect::<Map<_, _>>()).to_string()
    }
}

/// The fields that a guest reads.
fn visible(manifest: &Manifest) -> impl Iterator<Item = Field> {
    manifest.all_fields().into_iter().filter(|field| {
        let added = !manifest.fields.iter().any(|own| own.key == field.key);
        let credential = field.key == OAUTH_RESULT || field.key == "clientSecret";
        !(added && credential)
    })
}

/// The keys of the fields that a guest reads as placeholders, unless they are revealed.
pub fn secret_fields(manifest: &Manifest) -> impl Iterator<Item = String> {
    visible(manifest).filter(|field| !field.plain).map(|field| field.key)
}

/// The keys of the fields that a guest reads as they are.
pub fn plain_fields(manifest: &Manifest) -> impl Iterator<Item = String> {
    visible(manifest).filter(|field| field.plain).map(|field| field.key)
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
    use serde_json::json;

    fn field(key: &str, kind: &str, plain: bool) -> Value {
        json!({"key": key, "name": key, "type": kind, "optional": false, "plain": plain})
    }

    fn manifest() -> Manifest {
        let fields = json!([
            field("KEY", "line", false),
            field("PIN", "number", false),
            field("COUNT", "number", true),
            field("UNSET", "line", false),
        ]);
        let text =
            json!({"name": "test", "version": "1", "fields": fields, "asks": [], "actions": []});
        let oauth: OAuth = serde_json::from_value(json!({
            "authorizationUrl": "", "tokenUrl": "", "useAuthHeader": false,
            "useCodeChallenge": false, "configurableClient": true,
            "configurableClientOptional": true, "connectionOptional": true,
            "additionalTokenArgs": [],
        }))
        .expect("a grant");
        Manifest { oauth: Some(oauth), ..serde_json::from_value(text).expect("a manifest") }
    }

    fn configuration(revealed: &[&str]) -> Configuration {
        let values =
            [("KEY", "the-secret"), ("PIN", "123456"), ("COUNT", "7"), ("clientSecret", "s")];
        let values = values.map(|(key, value)| (key.to_owned(), value.into())).into();
        let revealed: Vec<_> = revealed.iter().map(|key| (*key).to_owned()).collect();
        Configuration::new(&manifest(), values, &revealed)
    }

    #[test]
    fn a_guest_reads_placeholders_of_secrets_and_the_host_their_values() {
        let configuration = configuration(&[]);
        for key in ["KEY", "PIN"] {
            let seen = configuration.visible(key).expect("a placeholder");
            assert!(seen.starts_with("aloma-sealed-"), "{key}: {seen}");
        }
        assert_eq!(configuration.visible("COUNT"), Some("7"));
        for key in ["UNSET", "clientSecret", "PATH"] {
            assert_eq!(configuration.visible(key), None, "{key}");
        }
        let value = configuration.value("KEY").map(|value| value.expose_secret());
        assert_eq!(value, Some("the-secret"));
        let json: Value = serde_json::from_str(&configuration.to_json()).expect("JSON");
        assert_eq!(json["COUNT"], 7);
        assert_eq!(json["PIN"].as_str(), configuration.visible("PIN"));
    }

    #[test]
    fn a_placeholder_stays_the_same_when_the_value_changes() {
        let first = configuration(&[]);
        let second = first.with_workspace([("KEY".to_owned(), "another-secret".into())].into());
        assert_eq!(first.visible("KEY"), second.visible("KEY"));
        assert_ne!(first.visible("KEY"), configuration(&[]).visible("KEY"));
        assert!(second.vault().answers().scrub(b"another-secret").is_some());
    }

    #[test]
    fn a_revealed_secret_is_read_as_it_is() {
        let configuration = configuration(&["PIN"]);
        assert_eq!(configuration.visible("PIN"), Some("123456"));
        assert_ne!(configuration.visible("KEY"), Some("the-secret"));
    }

    #[test]
    fn only_what_a_guest_reads_and_is_not_plain_is_a_secret() {
        let secrets: Vec<_> = secret_fields(&manifest()).collect();
        assert_eq!(secrets, ["KEY", "PIN", "UNSET"]);
    }

    fn plain_field(key: &str, kind: FieldKind, optional: bool) -> Field {
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

    fn manifest_of(fields: Vec<Field>, oauth: Option<OAuth>) -> Manifest {
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
            credentials: Vec::new(),
            actions: Vec::new(),
        }
    }

    fn read(configuration: &Configuration, key: &str) -> Option<String> {
        configuration.visible(key).map(str::to_owned)
    }

    #[test]
    fn the_workspaces_value_goes_before_the_operators_unless_it_is_empty() {
        let fields = ["a", "b", "c"].map(|key| plain_field(key, FieldKind::Line, false)).to_vec();
        let operator = values(&[("a", "1"), ("b", "2")]);
        let configuration = Configuration::new(&manifest_of(fields, None), operator, &[])
            .with_workspace(values(&[("a", "9"), ("b", "")]));
        assert_eq!(read(&configuration, "a").as_deref(), Some("9"));
        assert_eq!(read(&configuration, "b").as_deref(), Some("2"));
        assert_eq!(configuration.problems(), ["Configuration: the c is required"]);
        assert_eq!(configuration.missing_keys(), ["c"]);
    }

    #[test]
    fn what_is_not_declared_cannot_be_read() {
        let own = vec![plain_field("a", FieldKind::Line, false)];
        let all = values(&[("a", "1"), ("b", "2"), ("PATH", "/bin")]);
        let configuration = Configuration::new(&manifest_of(own, None), all, &[]);
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
        let configuration = Configuration::new(&manifest_of(Vec::new(), Some(oauth)), all, &[]);
        assert_eq!(read(&configuration, "clientId").as_deref(), Some("i"));
        assert_eq!(read(&configuration, "clientSecret"), None);
        assert_eq!(read(&configuration, OAUTH_RESULT), None);
        assert!(configuration.value(OAUTH_RESULT).is_some());
    }

    #[test]
    fn a_connector_with_an_endpoint_reads_where_it_is() {
        let told = || values(&[(ENDPOINT_URL, "https://connect.example.com/e")]);
        let without = Configuration::new(&manifest_of(Vec::new(), None), told(), &[]);
        assert_eq!(read(&without, ENDPOINT_URL), None);
        let endpoint = Some(crate::manifest::EndpointMode::Enabled);
        let manifest = Manifest { endpoint, ..manifest_of(Vec::new(), None) };
        let with = Configuration::new(&manifest, told(), &[]);
        assert_eq!(read(&with, ENDPOINT_URL).as_deref(), Some("https://connect.example.com/e"));
    }

    #[test]
    fn numbers_and_booleans_keep_their_type_for_the_check() {
        let fields = vec![
            plain_field("n", FieldKind::Number, false),
            plain_field("b", FieldKind::Boolean, false),
            plain_field("t", FieldKind::Line, false),
        ];
        let all = values(&[("n", "0"), ("b", "false"), ("t", "7")]);
        let json = Configuration::new(&manifest_of(fields, None), all, &[]).to_json();
        assert_eq!(json, r#"{"n":0,"b":false,"t":"7"}"#);
    }
}
