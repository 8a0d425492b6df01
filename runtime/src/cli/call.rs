//! `aloma-wasm call`

use std::io::Read as _;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use serde_json::value::RawValue;

use super::args;
use crate::broker::Broker;
use crate::connector::{Configuration, Connector, Context, Engine, Loaded, Services, limits};
use crate::dispatch::target;
use crate::events::Events;
use crate::run::{cache, connector_id};
use crate::settings::{self, Environment};
use crate::tasks::NoWorkspace;

pub(super) async fn call(args: args::Call, environment: Environment) -> anyhow::Result<()> {
    let arguments = arguments(&args.arguments)?;
    let limits = args.connector.limits();
    let policy = args.connector.policy()?;
    let loaded =
        Loaded::from_file(&args.file, &Engine::new()?, cache(&environment), limits.memory).await?;
    let manifest = loaded.manifest.clone();
    let values = settings::operator_values(&manifest, &args.connector.config, &environment)?;
    let id = connector_id(&manifest, &environment);
    let events = Events::default();
    let services = Services {
        broker: Arc::new(Broker::new(id.clone(), policy, events.clone())),
        workspace: Arc::new(NoWorkspace),
    };
    let configuration = Configuration::new(&manifest, values);
    let connector = Connector::new(loaded, id, services, configuration, limits, events);
    let target = target(&manifest, std::slice::from_ref(&args.action));
    let context = Context { call: Some(crate::ids::fresh_id().into()), ..Context::default() };
    let outcome = connector.call(&target, &arguments, &context).await;
    connector.shut_down().await;
    println!("{}", outcome?.get());
    Ok(())
}

fn arguments(text: &str) -> anyhow::Result<Box<RawValue>> {
    let mut read = String::new();
    let text = if text == "-" {
        let longest = u64::try_from(limits::JSON_BYTES).unwrap_or(u64::MAX);
        let mut input = std::io::stdin().lock().take(longest);
        input.read_to_string(&mut read).context("cannot read the arguments from standard input")?;
        &read
    } else {
        text
    };
    let raw: Box<RawValue> = serde_json::from_str(text)
        .context("the arguments are no JSON; write them like '{\"name\":\"value\"}'")?;
    ensure!(
        raw.get().starts_with('{'),
        "the arguments must be a JSON object, like '{{\"name\":\"value\"}}'"
    );
    Ok(raw)
}
