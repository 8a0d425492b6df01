//! `aloma-wasm call`

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, anyhow, ensure};
use serde_json::value::RawValue;

use super::args::{self, Arguments, object};
use super::run::until_asked_to_stop;
use super::trace::{self, Called, Trace};
use crate::connector::{self, CallError, Connector, Context, Services};
use crate::dispatch::target;
use crate::envelope::{Limit, Limits};
use crate::events::Component;
use crate::oauth::{Authorization, Overrides};
use crate::recording::Recording;
use crate::run::{Shared, loader, tell_mode};
use crate::settings::{self, Environment};
use crate::tasks::NoWorkspace;

pub(super) async fn call(args: args::Call, environment: Environment) -> anyhow::Result<()> {
    let settings = args.connector.settings(std::slice::from_ref(&args.file))?.remove(0);
    let arguments = arguments(args.arguments, &settings.limits)?;
    let loaded = settings.load(&loader(&environment)?).await?;
    let manifest = loaded.manifest.clone();
    let id = settings.id(&manifest, &environment);
    settings::check_assignments(&settings.fields.values, &[(&id, &manifest)])?;
    let configuration = settings.configuration(&id, &manifest, &environment)?;
    tell_mode(&id, &settings.policy);
    let shared = Shared::default();
    let events = shared.events.clone();
    let recording = args.connector.record.as_deref().map(|file| Recording::start(file, &events));
    let recording = recording.transpose()?;
    let trace = args.trace.then(|| Trace::begin(&events));
    let component = Component { connector: id.clone(), digest: loaded.digest.clone() };
    let broker = Arc::new(settings.broker(component.clone(), &manifest, &environment, &shared)?);
    let (limits, isolation) = (settings.limits.clone(), settings.isolation);
    let oauth = Overrides::of(&environment);
    Authorization::new(id.clone(), &manifest, oauth, broker.clone(), None)
        .configure(&configuration);
    let services = Services { broker, workspace: Arc::new(NoWorkspace) };
    let settings = connector::Settings { id, services, configuration, limits, isolation, events };
    let connector = Connector::new(loaded, settings);
    let target = target(&manifest, std::slice::from_ref(&args.action));
    let context = Context { call: Some(crate::ids::fresh_id().into()), ..Context::default() };
    let (began, since) = (SystemTime::now(), Instant::now());
    let shutdown = until_asked_to_stop()?;
    let outcome = tokio::select! {
        outcome = connector.call(&target, &arguments, &context) => outcome.map(|done| done.json),
        () = shutdown.cancelled() => Err(CallError::CutOff),
    };
    let took = since.elapsed();
    connector.shut_down().await;
    let outcome = outcome.map_err(|error| anyhow!("{error}{}", hint(&connector)));
    // With the connector go the last requests and their events.
    drop(connector);
    if let Some(recording) = recording {
        recording.finish().await;
    }
    if let Some(trace) = trace {
        let action = &*args.action;
        let called =
            Called { action, component: &component, failed: outcome.is_err(), began, took };
        let tree = trace::tree(&called, &trace.end().await, super::in_colour(&environment));
        // Nobody may be there to read it; the result is worth more.
        let _ = std::io::stderr().write_all(tree.as_bytes());
    }
    super::print(outcome?.get())
}

/// What an operator has probably forgotten.
fn hint(connector: &Connector) -> String {
    match connector.configuration().missing_keys().as_slice() {
        [] => String::new(),
        keys => {
            let flags: Vec<_> = keys.iter().map(|key| format!("--config {key}=…")).collect();
            format!("\nnot set: {}; set with {}", keys.join(", "), flags.join(" "))
        }
    }
}

fn arguments(given: Arguments, limits: &Limits) -> anyhow::Result<Box<RawValue>> {
    let mut text = String::new();
    match given {
        Arguments::Given(object) => return Ok(object),
        Arguments::Input => {
            // One byte more than is accepted, so that the limit is told and not a broken end.
            let longest = limits.bytes(Limit::Json).saturating_add(1);
            let mut input = std::io::stdin().lock().take(longest as u64);
            input.read_to_string(&mut text).context("cannot read standard input")?;
            ensure!(text.len() < longest, "standard input: {}", limits.breach(Limit::Json));
        }
    }
    object(&text).map_err(|why| anyhow!("standard input: {why}"))
}
