//! `aloma-wasm workspace`

use secrecy::ExposeSecret as _;

use super::args;
use super::run::until_asked_to_stop;
use crate::events::Events;
use crate::local::{LocalSettings, LocalWorkspace};
use crate::run::local_data;
use crate::settings::Environment;

pub(super) async fn workspace(
    args: args::Workspace,
    environment: Environment,
) -> anyhow::Result<()> {
    let local = LocalWorkspace::bind(LocalSettings {
        listen: args.local.listen,
        data: local_data(args.local.data, &environment)?,
        events: Events::default(),
        hosted: Vec::new(),
    })
    .await?;
    // The one place where the token is shown: joining is what this command is for.
    super::print(&format!(
        "workspace: {}\n\nA connector joins with:\n  DEVICE_ENDPOINT={}\n  WEBSOCKET_ENDPOINT={}\n  \
         REGISTRATION_TOKEN={}",
        local.page(),
        local.device_endpoint(),
        local.websocket_endpoint(),
        local.registration_token().expose_secret()
    ))?;
    local.serve(until_asked_to_stop()?).await
}
