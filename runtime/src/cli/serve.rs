//! `aloma-wasm serve`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;

use super::args;
use super::run::{announce, signals};
use crate::run::{self, Origin, Served, Settings};
use crate::settings::Environment;

pub(super) async fn serve(args: args::Serve, environment: Environment) -> anyhow::Result<()> {
    let (folders, files): (Vec<PathBuf>, _) =
        args.paths.into_iter().partition(|path| path.is_dir());
    for file in &files {
        ensure!(file.exists(), "there is no {}; name a folder or a file", file.display());
    }
    let settings = Settings {
        record: args.record,
        environment,
        grace: Duration::from_secs(args.end.shutdown_timeout),
        listen: args.local.listen,
        data: args.local.data,
        announce,
    };
    let served = Served { files, folders, read: origin };
    run::serve(settings, served, signals()?).await
}

/// A file is all that is said of a connector: there are no flags for it, and nothing beside it counts.
pub(super) fn origin(file: &Path) -> Origin {
    let rules = args::Rules { no_settings: true, ..args::Rules::default() };
    Arc::new(args::Connector { rules, ..args::Connector::default() }).origin(file)
}
