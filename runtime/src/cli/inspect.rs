//! `aloma-wasm inspect`

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::args;
use crate::connector::{Engine, Limits, Loaded};
use crate::manifest::{Action, Field, Manifest};
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

fn write_text(
    out: &mut String,
    id: &str,
    loaded: &Loaded,
    limits: &Limits,
) -> Result<(), std::fmt::Error> {
    let manifest = &*loaded.manifest;
    writeln!(out, "{} {} (id {id}, {} KiB)", manifest.name, manifest.version, loaded.size >> 10)?;
    if let Some(summary) = &manifest.summary {
        writeln!(out, "{summary}")?;
    }
    write_asks(out, manifest)?;
    let fields = manifest.all_fields();
    if !fields.is_empty() {
        writeln!(out, "\nConfiguration")?;
    }
    for field in fields {
        writeln!(out, "  {:24} {}", field.key, about(&field))?;
    }
    writeln!(out, "\nActions")?;
    for action in &manifest.actions {
        write_action(out, action)?;
    }
    writeln!(out, "\nImports")?;
    for import in &loaded.imports {
        writeln!(out, "  {import}")?;
    }
    writeln!(out, "\nLimits")?;
    for (name, value) in Loaded::limits(limits) {
        writeln!(out, "  {name:32} {value}")?;
    }
    Ok(())
}

fn write_asks(out: &mut String, manifest: &Manifest) -> Result<(), std::fmt::Error> {
    if manifest.asks.is_empty() {
        return writeln!(out, "\nAsks to reach nothing");
    }
    writeln!(out, "\nAsks to reach (nothing is granted until you do)")?;
    for ask in &manifest.asks {
        writeln!(out, "  {}  {}", ask.origin, ask.reason.as_deref().unwrap_or_default())?;
        if !ask.origin.starts_with("{{") {
            writeln!(out, "    grant it with --allow {}", ask.origin)?;
        }
    }
    Ok(())
}

fn about(field: &Field) -> String {
    let kind = format!("{:?}", field.kind).to_lowercase();
    let secret = if field.plain { "" } else { ", secret" };
    let optional = if field.optional { ", optional" } else { "" };
    format!("{} ({kind}{secret}{optional})", field.name)
}

fn write_action(out: &mut String, action: &Action) -> Result<(), std::fmt::Error> {
    let summary = action.description.lines().next().unwrap_or_default();
    writeln!(out, "  {}  {summary}", action.name)?;
    let required: Vec<_> = action.arguments["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, schema) in action.arguments["properties"].as_object().into_iter().flatten() {
        let optional = if required.contains(&name.as_str()) { "" } else { "?" };
        let description = schema["description"].as_str().unwrap_or_default();
        let argument = format!("{name}{optional}: {}", type_of(schema));
        writeln!(out, "    {argument:28} {}", description.lines().next().unwrap_or_default())?;
    }
    Ok(())
}

fn type_of(schema: &Value) -> String {
    match &schema["type"] {
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            let names: Vec<_> =
                names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect();
            names.join(" | ")
        }
        _ => "any".to_owned(),
    }
}
