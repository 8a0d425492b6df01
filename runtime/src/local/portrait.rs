//! All that the API shows of a connector. Never the value of a field that is not plain.

use serde::Serialize;
use serde_json::Value;

use super::form::{Form, FormField};
use super::hub::Hub;
use super::introspection;
use super::seats::Health;
use super::store::connectors::Registered;
use super::store::values::{self, Stored};
use crate::manifest::{Ask, Manifest};

/// A connector as the API shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Portrait {
    id: String,
    name: String,
    version: String,
    /// A PNG in base64.
    icon: Option<String>,
    connected: bool,
    last_seen: i64,
    health: Option<Health>,
    summary: Option<String>,
    description: Option<String>,
    /// Whether it has a public key, without which no sealed value can be set.
    can_seal: bool,
    oauth: bool,
    fields: Vec<FilledField>,
    config_schema: Value,
    /// What it asks to reach; none where it does not run in this process.
    asks: Option<Vec<Ask>>,
    /// With JSON Schemas where it runs in this process, else with what its text tells.
    actions: Value,
    introspect: String,
}

/// A field and what is known of its value.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FilledField {
    #[serde(flatten)]
    field: FormField,
    set: bool,
    /// There was a value that cannot be used any more.
    enter_again: bool,
    /// Of plain fields only.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
}

pub async fn of(hub: &Hub, registered: Registered) -> anyhow::Result<Portrait> {
    let id = registered.id.clone();
    let stored = hub.store.with(move |store| values::all(store, &id)).await?;
    let seat = hub.seats.get(&registered.id);
    let hosted = hub.hosted(&registered.id);
    let hosted = hosted.as_deref();
    let form = Form::from_text(&registered.schema);
    let fields = form.fields.into_iter();
    Ok(Portrait {
        connected: seat.as_ref().is_some_and(|seat| seat.connected()),
        health: seat.and_then(|seat| seat.health()),
        summary: form.summary.or_else(|| hosted?.summary.clone()),
        description: form.description.or_else(|| hosted?.description.clone()),
        can_seal: registered.public_key.is_some(),
        oauth: form.oauth,
        fields: fields.map(|field| fill(stored.get(&field.key), field)).collect(),
        asks: hosted.map(|manifest| manifest.asks.clone()),
        actions: actions(hosted, &registered.introspect)?,
        config_schema: serde_json::from_str(&registered.schema).unwrap_or_default(),
        id: registered.id,
        name: registered.name,
        // One that has just taken over has not registered yet.
        version: hosted.map_or(registered.version, |manifest| manifest.version.clone()),
        icon: registered.icon,
        last_seen: registered.seen,
        introspect: registered.introspect,
    })
}

fn fill(stored: Option<&Stored>, field: FormField) -> FilledField {
    let value = match stored {
        Some(Stored::Plain(value)) if field.is_plain() => Some(value.clone()),
        _ => None,
    };
    FilledField {
        set: matches!(stored, Some(Stored::Plain(_) | Stored::Sealed(_))),
        enter_again: matches!(stored, Some(Stored::Lost)),
        value,
        field,
    }
}

fn actions(hosted: Option<&Manifest>, text: &str) -> serde_json::Result<Value> {
    match hosted {
        Some(manifest) => serde_json::to_value(&manifest.actions),
        None => serde_json::to_value(introspection::actions(text)),
    }
}
