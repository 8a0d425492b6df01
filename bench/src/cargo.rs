//! Builds what is measured, as a user would, and says where it lies.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

const GUEST_TARGET: &str = "wasm32-wasip2";

/// The examples that are connectors.
pub const EXAMPLES: [&str; 3] = ["hello", "fetch", "users"];

/// What was built.
pub struct Built {
    /// The program.
    pub program: PathBuf,
    components: PathBuf,
}

impl Built {
    /// The file of one of the [`EXAMPLES`].
    pub fn component(&self, example: &str) -> PathBuf {
        self.components.join(format!("{example}.wasm"))
    }
}

/// Builds the program and the connectors. Quick when nothing has changed.
pub fn build() -> anyhow::Result<Built> {
    let target = target_directory()?;
    cargo(&target, &["--package", "aloma-wasm"])?;
    let examples = EXAMPLES.iter().flat_map(|example| ["--package", example]);
    let arguments: Vec<_> = examples.chain(["--target", GUEST_TARGET]).collect();
    cargo(&target, &arguments)?;
    let program = format!("aloma-wasm{}", std::env::consts::EXE_SUFFIX);
    Ok(Built {
        program: target.join("release").join(program),
        components: target.join(GUEST_TARGET).join("release"),
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
