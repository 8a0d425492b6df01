//! A manifest that was let in is one: everything that the host does with it works.

use std::collections::BTreeSet;

use aloma_wasm::connector::{Configuration, Values, declared_credential, secret_fields};
use aloma_wasm::manifest::Manifest;
use aloma_wasm::workspace::configuration::config_schema;
use aloma_wasm::workspace::introspection::introspect;

/// What goes into HTTP headers and file names.
fn is_label(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !"/\\\"':".contains(c))
}

/// Panics where it is none.
pub(crate) fn is_sound(manifest: &Manifest) {
    let labels = manifest.id.iter().chain([&manifest.name, &manifest.version]);
    labels.for_each(|label| assert!(is_label(label), "{label:?}"));
    have_no_twins(manifest.fields.iter().map(|field| &*field.key));
    have_no_twins(manifest.actions.iter().map(|action| &*action.name));
    have_no_twins(manifest.credentials.iter().map(|credential| &*credential.name));
    for credential in &manifest.credentials {
        declared_credential(credential).expect("a credential that was let in can be made");
    }
    for action in &manifest.actions {
        assert!(action.arguments.is_object() || action.arguments.is_boolean(), "{}", action.name);
    }
    let schema = config_schema(manifest);
    let fields = schema["fields"].as_object().expect("a form has fields");
    assert_eq!(fields.len(), manifest.all_fields().len());
    introspect(&manifest.actions);
    reads_as_written(manifest);
    keeps_secrets(manifest);
}

fn have_no_twins<'a>(names: impl Iterator<Item = &'a str>) {
    let mut seen = BTreeSet::new();
    names.for_each(|name| assert!(seen.insert(name), "{name:?} is there twice"));
}

fn reads_as_written(manifest: &Manifest) {
    let text = serde_json::to_string(manifest).expect("a manifest can be written");
    let again: Manifest = serde_json::from_str(&text).expect("a manifest can be read again");
    assert_eq!(serde_json::to_string(&again).expect("written"), text);
}

/// The guest reads a placeholder of every field that is not plain.
fn keeps_secrets(manifest: &Manifest) {
    const VALUE: &str = "value-of-a-field";
    let secret: BTreeSet<_> = secret_fields(manifest).collect();
    let keys = manifest.all_fields().into_iter().map(|field| field.key);
    let values: Values = keys.map(|key| (key, VALUE.into())).collect();
    let configuration = Configuration::new(manifest, values, &[]);
    for field in manifest.all_fields() {
        let read = configuration.visible(&field.key);
        assert!(read != Some(VALUE) || field.plain, "{} is not plain", field.key);
        assert!(!secret.contains(&field.key) || read != Some(VALUE), "{}", field.key);
    }
}
