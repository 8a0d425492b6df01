//! `aloma-wasm call`

use std::io::Read as _;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use serde_json::value::RawValue;

use super::args::{self, Arguments, object};
use crate::broker::Broker;
use crate::connector::{self, Connector, Context, Engine, Loaded, Services, limits};
use crate::dispatch::target;
use crate::events::Events;
use crate::run::{cache, configuration, connector_id};
use crate::settings::Environment;
use crate::tasks::NoWorkspace;

pub(super) async fn call(args: args::Call, environment: Environment) -> anyhow::Result<()> {
    let arguments = arguments(args.arguments)?;
    let limits = args.connector.limits();
    let policy = args.connector.policy()?;
    let loaded =
        Loaded::from_file(&args.file, &Engine::new()?, cache(&environment), limits.memory).await?;
    let manifest = loaded.manifest.clone();
    let configuration = configuration(&manifest, &args.connector.fields(), &policy, &environment)?;
    let id = connector_id(&manifest, &environment);
    let events = Events::default();
    let services = Services {
        broker: Arc::new(Broker::new(id.clone(), policy, events.clone())),
        workspace: Arc::new(NoWorkspace),
    };
    let settings = connector::Settings { id, services, configuration, limits, events };
    let connector = Connector::new(loaded, settings);
    let target = target(&manifest, std::slice::from_ref(&args.action));
    let context = Context { call: Some(crate::ids::fresh_id().into()), ..Context::default() };
    let outcome = connector.call(&target, &arguments, &context).await;
    connector.shut_down().await;
    super::print(outcome?.get())
}

fn arguments(given: Arguments) -> anyhow::Result<Box<RawValue>> {
    let mut text = String::new();
    match given {
        Arguments::Given(object) => return Ok(object),
        Arguments::Input => {
            let longest = u64::try_from(limits::JSON_BYTES).unwrap_or(u64::MAX);
            let mut input = std::io::stdin().lock().take(longest);
            input.read_to_string(&mut text).context("cannot read standard input")?;
        }
    }
    object(&text).map_err(|why| anyhow!("standard input: {why}"))
}
