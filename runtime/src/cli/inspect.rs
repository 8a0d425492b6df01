//! `aloma-wasm inspect`

use std::fmt::{self, Write as _};

use serde_json::{Map, Value, json};

use super::args;
use crate::connector::{Engine, Limits, Loaded};
use crate::manifest::{Action, Ask, Hints, Manifest};
use crate::printable::printable;
use crate::run::{cache, connector_id};
use crate::settings::Environment;

pub(super) async fn inspect(args: args::Inspect, environment: Environment) -> anyhow::Result<()> {
    let limits = Limits::default();
    let loaded =
        Loaded::from_file(&args.file, &Engine::new()?, cache(&environment), limits.memory).await?;
    let id = connector_id(&loaded.manifest, &environment);
    let text =
        if args.json { as_json(&id, &loaded, &limits)? } else { as_text(&id, &loaded, &limits) };
    super::print(text.trim_end())
}

fn as_json(id: &str, loaded: &Loaded, limits: &Limits) -> anyhow::Result<String> {
    let limits: Map<String, Value> = Loaded::limits(limits)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let value = json!({
        "id": id,
        "bytes": loaded.size,
        "imports": loaded.imports,
        "manifest": *loaded.manifest,
        "limits": limits,
    });
    Ok(serde_json::to_string_pretty(&value)?)
}

fn as_text(id: &str, loaded: &Loaded, limits: &Limits) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_text(&mut out, id, loaded, limits);
    out
}

fn write_text(out: &mut String, id: &str, loaded: &Loaded, limits: &Limits) -> fmt::Result {
    let manifest = &*loaded.manifest;
    writeln!(out, "{} {} (id {id}, {} KiB)", manifest.name, manifest.version, loaded.size >> 10)?;
    if let Some(summary) = &manifest.summary {
        writeln!(out, "{}", printable(summary))?;
    }
    write_asks(out, manifest)?;
    write_fields(out, manifest)?;
    writeln!(out, "\nActions")?;
    for action in &manifest.actions {
        write_action(out, action)?;
    }
    writeln!(out, "\nImports")?;
    for import in &loaded.imports {
        writeln!(out, "  {}", printable(import))?;
    }
    writeln!(out, "\nLimits")?;
    for (name, value) in Loaded::limits(limits) {
        writeln!(out, "  {name:34} {value}")?;
    }
    Ok(())
}

fn write_asks(out: &mut String, manifest: &Manifest) -> fmt::Result {
    if manifest.asks.is_empty() && manifest.oauth.is_none() {
        return writeln!(out, "\nAsks to reach nothing");
    }
    writeln!(out, "\nAsks to reach (nothing is granted until you do)")?;
    for Ask { origin, reason } in &manifest.asks {
        writeln!(out, "  {origin}  {}", printable(reason.as_deref().unwrap_or_default()))?;
        if !origin.starts_with("{{") {
            writeln!(out, "    grant it with --allow {origin}")?;
        }
    }
    if let Some(oauth) = &manifest.oauth {
        writeln!(out, "  {}  for OAuth tokens", printable(&oauth.token_url))?;
    }
    Ok(())
}

fn write_fields(out: &mut String, manifest: &Manifest) -> fmt::Result {
    let fields = manifest.all_fields();
    if !fields.is_empty() {
        writeln!(out, "\nConfiguration")?;
    }
    for field in fields {
        let kind = format!("{:?}", field.kind).to_lowercase();
        let secret = if field.plain { "" } else { ", secret" };
        let optional = if field.optional { ", optional" } else { "" };
        let name = printable(&field.name);
        writeln!(out, "  {:24} {name} ({kind}{secret}{optional})", field.key)?;
    }
    Ok(())
}

fn write_action(out: &mut String, action: &Action) -> fmt::Result {
    writeln!(out, "  {}{}  {}", action.name, hints(action.hints), first_line(&action.description))?;
    let required: Vec<_> = action.arguments["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, schema) in action.arguments["properties"].as_object().into_iter().flatten() {
        let optional = if required.contains(&name.as_str()) { "" } else { "?" };
        let argument = printable(&format!("{name}{optional}: {}", type_of(schema)));
        let description = schema["description"].as_str().unwrap_or_default();
        writeln!(out, "    {argument:28} {}", first_line(description))?;
    }
    if let Some(result) = &action.result {
        writeln!(out, "    → {}", printable(&type_of(result)))?;
    }
    Ok(())
}

fn hints(hints: Hints) -> String {
    let said = [
        (hints.read_only, "read-only"),
        (hints.destructive, "destructive"),
        (hints.idempotent, "idempotent"),
    ];
    let said: Vec<_> = said.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
    if said.is_empty() { String::new() } else { format!(" [{}]", said.join(", ")) }
}

fn first_line(text: &str) -> String {
    printable(text.lines().next().unwrap_or_default())
}

/// A few words for a schema; the whole of it is in the JSON form.
fn type_of(schema: &Value) -> String {
    let name = match &schema["type"] {
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.collect::<Vec<_>>().join(" | ")
        }
        _ => return "any".to_owned(),
    };
    let members = schema["properties"].as_object().into_iter().flatten();
    let members: Vec<_> = members.map(|(name, _)| name.as_str()).collect();
    match (name.as_str(), members.as_slice()) {
        ("object", []) | (_, []) => name,
        (_, members) => format!("{{ {} }}", members.join(", ")),
    }
}
