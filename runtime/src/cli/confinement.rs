//! What each command still needs once its settings are read, and nothing more.

use std::path::{Path, PathBuf};

use crate::confine::{Needs, confine};
use crate::run::{ConnectorSettings, local_data};
use crate::settings::choice::Choice;
use crate::settings::file::Source;
use crate::settings::{self, Environment, Platform};

use super::args;

/// Confines the process before `run`.
pub(super) fn of_run(args: &args::Run, environment: &Environment) -> anyhow::Result<()> {
    let mut needs = own(environment);
    // A platform that is set up wrongly is told of later, and has no embedded workspace.
    if let Ok(None) = Platform::read(environment) {
        needs = needs.listen(args.local.listen.port());
        if let Ok(data) = local_data(args.local.data.clone(), environment) {
            needs = needs.keep_folder(data);
        }
    }
    with_connectors(needs, &args.connector, &args.files)
}

/// Confines the process before `call`.
pub(super) fn of_call(args: &args::Call, environment: &Environment) -> anyhow::Result<()> {
    with_connectors(own(environment), &args.connector, std::slice::from_ref(&args.file))
}

/// Confines the process before `inspect`, which is how one looks at what nobody knows yet.
pub(super) fn of_inspect(args: &args::Inspect, environment: &Environment) -> anyhow::Result<()> {
    let choices = args.rules.choose(std::slice::from_ref(&args.file))?;
    let files = choices.into_iter().flat_map(|Choice { component, file }| {
        [Some(component), file.map(|file| file.path)].into_iter().flatten()
    });
    apply(&files.fold(own(environment), Needs::read_file), args.no_confinement);
    Ok(())
}

/// The folders that this program keeps for its user.
pub(super) fn own(environment: &Environment) -> Needs {
    let needs = Needs::new(environment.get("HOME").map(Into::into));
    let folders = [settings::cache_folder(environment), settings::token_folder(environment)];
    folders.into_iter().flatten().fold(needs, Needs::keep_folder)
}

fn with_connectors(needs: Needs, args: &args::Connector, files: &[PathBuf]) -> anyhow::Result<()> {
    let connectors = args.settings(files)?;
    let needs = args.record.iter().fold(needs, Needs::write_file);
    apply(&connectors.iter().fold(needs, of_connector), args.no_confinement);
    Ok(())
}

fn apply(needs: &Needs, left_out: bool) {
    if left_out {
        tracing::warn!(
            "this process keeps all rights of its user, also those that it never uses: \
             --no-confinement"
        );
    } else {
        confine(needs).tell();
    }
}

/// The files of a connector. All of them are read again when a new version takes over.
pub(super) fn of_connector(needs: Needs, settings: &ConnectorSettings) -> Needs {
    let mut needs = needs.read_file(&settings.component);
    let folder = settings.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    if let Some(file) = &settings.file {
        needs = needs.read_file(file);
    }
    for source in settings.fields.sources.values() {
        if let Source::File(file) = source {
            needs = needs.read_file(file);
        }
    }
    let of_credentials = settings.credentials.values().flat_map(|credential| credential.files());
    let roots = settings.network.iter().filter_map(|network| network.ca_file.as_ref());
    needs = of_credentials.fold(needs, |needs, file| needs.read_file(folder.join(file)));
    needs = roots.fold(needs, |needs, file| needs.read_file(folder.join(file)));
    let certificates = settings.policy.client_certificates();
    certificates
        .fold(needs, |needs, files| needs.read_file(&files.certificate).read_file(&files.key))
}
