//! Builds what is measured, as a user would, and says where it lies.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

const GUEST_TARGET: &str = "wasm32-wasip2";

/// What was built.
pub struct Built {
    /// The program.
    pub program: PathBuf,
    /// The connector `hello`.
    pub component: PathBuf,
}

/// Builds the program and the connector. Quick when nothing has changed.
pub fn build() -> anyhow::Result<Built> {
    let target = target_directory()?;
    cargo(&target, &["--package", "aloma-wasm"])?;
    cargo(&target, &["--package", "hello", "--target", GUEST_TARGET])?;
    let program = format!("aloma-wasm{}", std::env::consts::EXE_SUFFIX);
    Ok(Built {
        program: target.join("release").join(program),
        component: target.join(GUEST_TARGET).join("release/hello.wasm"),
    })
}

fn cargo(target: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let status = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--release", "--target-dir"])
        .arg(target)
        .args(arguments)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "`cargo build --release {}` failed", arguments.join(" "));
    Ok(())
}

/// This program lies in `TARGET/release`, whatever the target folder was.
fn target_directory() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("where is this program?")?;
    let target = program.ancestors().nth(2).context("this program lies in no target folder")?;
    Ok(target.to_owned())
}
