//! A folder of settings files, one for each connector.

use std::fs;
use std::path::Path;

use crate::workspace::Workspace;

/// Writes a settings file for each connector. All name the same component.
pub fn fill(
    folder: &Path,
    connectors: usize,
    component: &Path,
    workspace: &Workspace,
) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    for number in 0..connectors {
        let text = settings(number, component, workspace);
        let own = folder.join(format!("hello-{number:04}"));
        fs::create_dir(&own)?;
        fs::write(own.join("connector.toml"), text)?;
    }
    Ok(())
}

fn settings(number: usize, component: &Path, workspace: &Workspace) -> String {
    // `{:?}` writes strings as TOML reads them, for all that paths and addresses hold.
    format!(
        "id = \"hello-{number:04}\"\ncomponent = {:?}\n\n[workspace]\ntoken = \"token-{number:04}\"\n\
         device-endpoint = {:?}\nwebsocket-endpoint = {:?}\n",
        component.display().to_string(),
        workspace.device_endpoint(),
        workspace.websocket_endpoint(),
    )
}
