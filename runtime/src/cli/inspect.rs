//! `aloma-wasm inspect`

use std::fmt::{self, Write as _};
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::args::{self, limits_of};
use crate::broker::{Mode, Policy, Standing};
use crate::connector::{Isolation, Loaded};
use crate::envelope::{Limit, Limits};
use crate::manifest::{Action, Ask, Credential, CredentialKind, Hints, Manifest};
use crate::printable::printable;
use crate::run::loader;
use crate::settings::Environment;
use crate::settings::choice::Choice;
use crate::settings::file::File;

/// A connector, and the settings that would be in force.
struct Inspected {
    id: String,
    loaded: Loaded,
    file: Option<PathBuf>,
    policy: Policy,
    revealed: Vec<String>,
    /// The declared credentials that the settings file has in their place.
    replaced: Vec<String>,
    limits: Limits,
    isolation: Isolation,
}

pub(super) async fn inspect(args: args::Inspect, environment: Environment) -> anyhow::Result<()> {
    let Choice { component, file } = args.rules.choose(std::slice::from_ref(&args.file))?.remove(0);
    let limits = limits_of(file.as_ref());
    let loaded = loader(&environment)?.load(&component, &limits).await?;
    let manifest = &loaded.manifest;
    let own = manifest.id.as_ref().unwrap_or(&manifest.name);
    let set = file.as_ref().and_then(|file| file.id.as_deref()).or(environment.get("CONNECTOR_ID"));
    let inspected = Inspected {
        id: set.unwrap_or(own).to_owned(),
        policy: args.rules.policy(file.as_ref())?,
        revealed: args.rules.revealed(file.as_ref()),
        replaced: replaced(manifest, file.as_ref()),
        isolation: file.as_ref().map(|file| file.isolation).unwrap_or_default(),
        file: file.map(|file| file.path),
        loaded,
        limits,
    };
    let text = if args.json { as_json(&inspected)? } else { as_text(&inspected) };
    super::print(text.trim_end())
}

fn replaced(manifest: &Manifest, file: Option<&File>) -> Vec<String> {
    let names = manifest.credentials.iter().map(|credential| &credential.name);
    let is_own = |name: &&String| file.is_some_and(|file| file.credentials.contains_key(*name));
    names.filter(is_own).cloned().collect()
}

fn as_json(inspected: &Inspected) -> anyhow::Result<String> {
    let Inspected { id, loaded, file, policy, revealed, replaced, limits, isolation } = inspected;
    let limits: Map<String, Value> =
        Limit::all().map(|limit| (limit.key().to_owned(), limits.get(limit).into())).collect();
    let asked = |Ask { origin, .. }: &Ask| (origin.clone(), json!(policy.standing(origin)));
    let value = json!({
        "id": id,
        "bytes": loaded.size,
        "imports": loaded.imports,
        "manifest": *loaded.manifest,
        "limits": limits,
        "settings": {
            "file": file,
            "isolation": isolation,
            "policy": policy.mode(),
            "grants": policy.lines().collect::<Vec<_>>(),
            "asked": loaded.manifest.asks.iter().map(asked).collect::<Map<_, _>>(),
            "bound": policy.bound().map(|(key, to)| (key.to_owned(), to.into())).collect::<Map<_, _>>(),
            "revealed": revealed,
            "replaced": replaced,
        },
    });
    Ok(serde_json::to_string_pretty(&value)?)
}

fn as_text(inspected: &Inspected) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_text(&mut out, inspected);
    out
}

fn write_text(out: &mut String, inspected: &Inspected) -> fmt::Result {
    let Inspected { id, loaded, policy, limits, isolation, .. } = inspected;
    let manifest = &*loaded.manifest;
    writeln!(out, "{} {} (id {id}, {} KiB)", manifest.name, manifest.version, loaded.size >> 10)?;
    if let Some(summary) = &manifest.summary {
        writeln!(out, "{}", printable(summary))?;
    }
    write_asks(out, manifest, policy)?;
    write_credentials(out, inspected)?;
    write_grants(out, inspected)?;
    write_fields(out, manifest)?;
    writeln!(out, "\nActions")?;
    for action in &manifest.actions {
        write_action(out, action)?;
    }
    writeln!(out, "\nImports")?;
    for import in &loaded.imports {
        writeln!(out, "  {}", printable(import))?;
    }
    let instances = match isolation {
        Isolation::Reuse => "an instance serves one call after the other",
        Isolation::Call => "every call has an instance of its own",
    };
    writeln!(out, "\nIsolation\n  {instances}")?;
    writeln!(out, "\nLimits")?;
    for limit in Limit::all() {
        let (key, value) = (limit.key(), limits.shown(limit));
        writeln!(out, "  {key:18} {value:>9}  {}", limit.what())?;
    }
    Ok(())
}

fn write_asks(out: &mut String, manifest: &Manifest, policy: &Policy) -> fmt::Result {
    let token_urls: Vec<_> = manifest.credentials.iter().filter_map(token_url).collect();
    if manifest.asks.is_empty() && manifest.oauth.is_none() && token_urls.is_empty() {
        return writeln!(out, "\nAsks to reach nothing");
    }
    writeln!(out, "\nAsks to reach (nothing is granted until you do)")?;
    for Ask { origin, reason } in &manifest.asks {
        let (origin, reason) =
            (printable(origin), printable(reason.as_deref().unwrap_or_default()));
        writeln!(out, "  {origin}  {reason}")?;
        match policy.standing(&origin) {
            Some(Standing::Granted) => writeln!(out, "    granted")?,
            Some(Standing::InPart) => writeln!(out, "    granted in part")?,
            Some(Standing::NotGranted) => writeln!(out, "    grant it with --allow {origin}")?,
            // It is filled in from a configuration field.
            None => {}
        }
    }
    if let Some(oauth) = &manifest.oauth {
        writeln!(out, "  {}  for OAuth tokens", printable(&oauth.token_url))?;
    }
    for (name, url) in token_urls {
        writeln!(out, "  {}  for tokens of {name}", printable(url))?;
    }
    Ok(())
}

fn token_url(credential: &Credential) -> Option<(&str, &str)> {
    match &credential.kind {
        CredentialKind::ClientCredentials { token_url, .. } => Some((&credential.name, token_url)),
        _ => None,
    }
}

/// What the connector declares, and what the operator has in its place.
fn write_credentials(out: &mut String, inspected: &Inspected) -> fmt::Result {
    let Inspected { loaded, policy, replaced, .. } = inspected;
    let credentials = &loaded.manifest.credentials;
    if !credentials.is_empty() {
        writeln!(out, "\nDeclares credentials (each goes only where you grant it, too)")?;
    }
    for Credential { name, kind, origins, reason } in credentials {
        let what = printable(&format!("{kind}  {}", reason.as_deref().unwrap_or_default()));
        writeln!(out, "  {name:24} {}", what.trim_end())?;
        if replaced.contains(name) {
            writeln!(out, "    replaced by [credentials.{name}] of the settings")?;
            continue;
        }
        for origin in origins {
            let standing = match policy.standing(origin) {
                Some(Standing::Granted) => ", granted",
                Some(Standing::InPart) => ", granted in part",
                Some(Standing::NotGranted) => ", not granted",
                None => "",
            };
            writeln!(out, "    for {}{standing}", printable(origin))?;
        }
    }
    Ok(())
}

/// What is granted, where it is not nothing.
fn write_grants(out: &mut String, inspected: &Inspected) -> fmt::Result {
    let Inspected { file, policy, revealed, .. } = inspected;
    if let Some(file) = file {
        writeln!(out, "\nSettings of {}", file.display())?;
    }
    let grants: Vec<_> = policy.lines().collect();
    if !grants.is_empty() {
        writeln!(out, "\nGranted")?;
    }
    for grant in grants {
        writeln!(out, "  {grant}")?;
    }
    if policy.mode() == Mode::Report {
        writeln!(
            out,
            "\nWhat is not granted is only reported, and let through to public addresses"
        )?;
    }
    let bound: Vec<_> = policy.bound().collect();
    if !(bound.is_empty() && revealed.is_empty()) {
        writeln!(out, "\nSecrets")?;
    }
    for (key, origins) in bound {
        writeln!(out, "  {key:24} goes to {} only", origins.join(", "))?;
    }
    for key in revealed {
        writeln!(out, "  {key:24} is read by the connector as it is")?;
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
