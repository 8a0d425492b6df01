//! `aloma-wasm policy`: grants from a recording, and what versions of a connector ask for.

mod write;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::args::{self, PolicyCommand, limits_of};
use crate::connector::Loaded;
use crate::printable::printable;
use crate::run::loader;
use crate::settings::Environment;
use crate::settings::accepted::{Accepted, Asks};
use crate::settings::choice::{Choice, From, choose, is_settings};
use crate::settings::file::{File, read_text};
use crate::settings::suggestion::Suggestion;

pub(super) async fn policy(
    command: PolicyCommand,
    environment: Environment,
) -> anyhow::Result<ExitCode> {
    match command {
        PolicyCommand::Suggest(args) => suggest(&args),
        PolicyCommand::Diff(args) => diff(&args, &environment).await,
        PolicyCommand::Accept(args) => accept(&args, &environment).await,
    }
}

fn suggest(args: &args::Suggest) -> anyhow::Result<ExitCode> {
    let path = &args.recording;
    let recording: Box<dyn BufRead> = match path.to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => Box::new(BufReader::new(
            fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?,
        )),
    };
    let suggestion = Suggestion::read(recording, args.connector.as_deref())
        .with_context(|| path.display().to_string())?;
    super::print(suggestion.to_toml().trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// One version of a connector.
struct Version {
    name: String,
    version: String,
    asks: Asks,
}

async fn diff(args: &args::Diff, environment: &Environment) -> anyhow::Result<ExitCode> {
    let old = match accepted(&args.old)? {
        Some(version) => version,
        None => Version::load(&args.old, environment).await?,
    };
    let new = Version::load(&args.new, environment).await?;
    let (more, less) = (new.asks.beyond(&old.asks), old.asks.beyond(&new.asks));
    if args.json {
        let value = json!({"old": old.json(), "new": new.json(), "more": more, "less": less});
        super::print(&serde_json::to_string_pretty(&value)?)?;
    } else {
        super::print(&difference(&old, &new, &more, &less))?;
    }
    Ok(if more.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn difference(old: &Version, new: &Version, more: &Asks, less: &Asks) -> String {
    let title = format!("{} {} → {} {}", old.name, old.version, new.name, new.version);
    let mut lines = vec![printable(&title)];
    let mut list = |title: &str, asks: &Asks| {
        lines.push(title.to_owned());
        lines.extend(asks.lines().iter().map(|line| format!("  {line}")));
    };
    match more.is_empty() {
        true => list("asks for nothing more", more),
        false => list("asks for more:", more),
    }
    if !less.is_empty() {
        list("no longer asks for:", less);
    }
    lines.join("\n")
}

/// The version that a settings file has accepted, where it is one and has.
fn accepted(file: &Path) -> anyhow::Result<Option<Version>> {
    if !is_settings(file) {
        return Ok(None);
    }
    let File { id, accepted, path, .. } = File::read(file)?;
    let name = id.unwrap_or_else(|| path.display().to_string());
    let version = |accepted: Accepted| Version {
        name,
        asks: accepted.asks(),
        version: format!("{} (accepted)", accepted.version),
    };
    Ok(accepted.map(version))
}

impl Version {
    async fn load(file: &Path, environment: &Environment) -> anyhow::Result<Self> {
        let choice = choose(&[file.to_owned()], From::Nowhere)?.remove(0);
        let loaded = load(&choice, environment).await?;
        Ok(Self {
            name: loaded.manifest.name.clone(),
            version: loaded.manifest.version.clone(),
            asks: Asks::of(&loaded.manifest, &loaded.imports),
        })
    }

    fn json(&self) -> Value {
        json!({"name": self.name, "version": self.version, "asks": self.asks})
    }
}

async fn load(choice: &Choice, environment: &Environment) -> anyhow::Result<Loaded> {
    let limits = limits_of(choice.file.as_ref());
    loader(environment)?.load(&choice.component, &limits).await
}

async fn accept(args: &args::Accept, environment: &Environment) -> anyhow::Result<ExitCode> {
    ensure!(
        args.settings.extension().is_none_or(|extension| extension != "wasm"),
        "{0} is no settings file; name one first, like: aloma-wasm policy accept connector.toml {0}",
        args.settings.display()
    );
    let text = read_text(&args.settings)?;
    let file = File::parse(&text, &args.settings)?;
    let component = component(args, &file)?;
    let before = file.accepted.as_ref().map(Accepted::asks).unwrap_or_default();
    let choice = Choice { component: component.clone(), file: Some(file) };
    let loaded = load(&choice, environment).await?;
    let asks = Asks::of(&loaded.manifest, &loaded.imports);
    let more = asks.beyond(&before);
    let accepted = Accepted::of(&loaded.manifest.version, digest_of(&component)?, asks);
    if args.print {
        super::print(accepted.table("\n").trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let shown = args.settings.display();
    let new = accepted.put_into(&text).with_context(|| shown.to_string())?;
    write::replace(&args.settings, &new)?;
    let name = format!("{} {}", loaded.manifest.name, loaded.manifest.version);
    let mut lines = vec![format!("accepted {} in {shown}; it asks for", printable(&name))];
    lines.extend(more.lines().iter().map(|line| format!("  {line}")));
    match more.is_empty() {
        true => lines[0] += " nothing more than before",
        false => lines[0] += " these, which were not accepted before:",
    }
    super::print(&lines.join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn component(args: &args::Accept, file: &File) -> anyhow::Result<PathBuf> {
    match args.component.as_ref().or(file.component.as_ref()) {
        Some(component) => Ok(component.clone()),
        None => bail!(
            "{0} names no component; name it too: aloma-wasm policy accept {0} connector.wasm",
            args.settings.display()
        ),
    }
}

fn digest_of(component: &Path) -> anyhow::Result<String> {
    let bytes =
        fs::read(component).with_context(|| format!("cannot read {}", component.display()))?;
    let digest = digest(&SHA256, &bytes);
    let digits: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sha256:{digits}"))
}
