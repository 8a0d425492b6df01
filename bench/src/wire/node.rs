//! The Node baseline: finds Node, and installs what the program needs once.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::process::Subject;

/// The packages are where they were installed before.
const PACKAGES: &str = "node_modules/ws";

/// The plain Node program.
///
/// # Errors
/// When there is no Node, or no way to the packages; says what to do.
pub fn subject(folder: &Path) -> anyhow::Result<Subject> {
    let node = program("node").context(
        "there is no `node`; install Node 20 or newer (https://nodejs.org/en/download), or \
         `apt-get install nodejs npm`",
    )?;
    let baseline = Path::new(env!("CARGO_MANIFEST_DIR")).join("node-baseline");
    if !baseline.join(PACKAGES).exists() {
        install(&baseline)?;
    }
    let program = baseline.join("connector.mjs");
    Ok(Subject::new("Node", node, [program], folder.join("node")))
}

fn install(baseline: &Path) -> anyhow::Result<()> {
    let npm = program("npm").context("there is no `npm`, which comes with Node")?;
    let status = Command::new(npm)
        .current_dir(baseline)
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .status()
        .context("cannot run npm")?;
    ensure!(status.success(), "`npm ci` failed in {}", baseline.display());
    Ok(())
}

/// Its whole path: what is started has an environment without `PATH`.
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let name = format!("{name}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&path).map(|folder| folder.join(&name)).find(|program| program.is_file())
}
