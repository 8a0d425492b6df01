//! The native floor: the link of aloma-wasm as it is, and in place of the sandbox a closure.

use std::env;
use std::sync::Arc;

use aloma_wasm::workspace::{Identity, Incoming, LinkSettings, Query, Request, open, wrap_result};
use anyhow::Context as _;
use serde_json::json;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::load::ANSWER;

type Action = Arc<dyn Fn(&RawValue) -> Box<RawValue> + Send + Sync>;

/// Joins the workspace of the environment and answers until the process is ended.
pub async fn run() -> anyhow::Result<()> {
    let settings = LinkSettings {
        device_endpoint: variable("DEVICE_ENDPOINT")?.parse()?,
        websocket_endpoint: variable("WEBSOCKET_ENDPOINT")?.parse()?,
        token: variable("REGISTRATION_TOKEN")?.into(),
    };
    let (link, mut incoming, driver) = open(settings, identity());
    let answer = RawValue::from_string(ANSWER.to_owned())?;
    let action: Action = Arc::new(move |_| answer.clone());
    let calls = async move {
        while let Some(Incoming { request, reply }) = incoming.recv().await {
            match request {
                Request::SetConfig { .. } => link.health(&[]),
                // On the spot, as the dispatcher does quick calls.
                Request::Query(Query { path, variables, .. }) => {
                    reply.answer(wrap_result(&path, action(&variables))).await;
                }
                _ => reply.refuse("only configuration and calls are understood here"),
            }
        }
    };
    // A task, as every connector of the program is.
    let member = async move { tokio::join!(calls, driver.run(CancellationToken::new())) };
    tokio::spawn(member).await.context("the link crashed").map(drop)
}

fn identity() -> Identity {
    Identity {
        id: "native".into(),
        version: "0.0.0".into(),
        name: "native/0.0.0".into(),
        deployment: String::new(),
        public_key: None,
        config_schema: json!({ "fields": {} }),
        introspect: String::new(),
        icon: None,
    }
}

fn variable(name: &str) -> anyhow::Result<String> {
    env::var(name).with_context(|| format!("{name} is not set"))
}
