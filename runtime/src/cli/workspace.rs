//! `aloma-wasm workspace`

use secrecy::ExposeSecret as _;

use super::args;
use super::run::{check_loopback, until_asked_to_stop};
use crate::events::Events;
use crate::local::{LocalSettings, LocalWorkspace};
use crate::run::local_data;
use crate::settings::Environment;

pub(super) async fn workspace(
    args: args::Workspace,
    environment: Environment,
) -> anyhow::Result<()> {
    check_loopback(&args.local)?;
    let local = LocalWorkspace::bind(LocalSettings {
        listen: args.local.listen,
        data: local_data(args.local.data, &environment)?,
        events: Events::default(),
        hosted: Vec::new(),
    })
    .await?;
    println!("workspace: {}", local.page());
    println!("\nA connector joins with:");
    println!("  DEVICE_ENDPOINT={}", local.device_endpoint());
    println!("  WEBSOCKET_ENDPOINT={}", local.websocket_endpoint());
    // The one place where the token is shown: joining is what this command is for.
    println!("  REGISTRATION_TOKEN={}", local.registration_token().expose_secret());
    local.serve(until_asked_to_stop()?).await
}
