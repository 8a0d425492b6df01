//! What each command still needs once its settings are read, and nothing more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::args;
use super::serve;
use crate::confine::{Needs, confine};
use crate::run::{ConnectorSettings, local_data, settings_files};
use crate::settings::choice::Choice;
use crate::settings::file::File;
use crate::settings::{self, Environment};

/// Confines the process before `run`.
pub(super) fn of_run(args: &args::Run, environment: &Environment) -> anyhow::Result<()> {
    if args.connector.no_confinement {
        return stay_free();
    }
    let connectors = args.connector.settings(&args.files)?;
    let mut needs = recording(own(environment), args.connector.record.as_deref());
    // A platform that is set up wrongly is told of later, and has no embedded workspace.
    let is_embedded =
        |one: &ConnectorSettings| matches!(one.workspace.platform(environment), Ok(None));
    if connectors.iter().any(is_embedded) {
        needs = embedded(needs, &args.local, environment);
    }
    confine(&connectors.iter().fold(needs, of_connector)).tell();
    Ok(())
}

/// Confines the process before `serve`. Connectors that come later lie in the folders that are served.
pub(super) fn of_serve(args: &args::Serve, environment: &Environment) -> anyhow::Result<()> {
    if args.no_confinement {
        return stay_free();
    }
    let needs = recording(own(environment), args.record.as_deref());
    let mut needs = embedded(needs, &args.local, environment);
    for path in &args.paths {
        let is_folder = path.is_dir();
        needs = if is_folder { needs.read_folder(path) } else { needs.read_file(path) };
        let files = if is_folder { settings_files(path) } else { BTreeSet::from([path.clone()]) };
        // One that cannot be read is told of later, and may be mended.
        let settings = files.iter().filter_map(|file| (serve::origin(file).read)().ok());
        needs = settings.fold(needs, |needs, settings| of_connector(needs, &settings));
    }
    confine(&needs).tell();
    Ok(())
}

/// Confines the process before `call`.
pub(super) fn of_call(args: &args::Call, environment: &Environment) -> anyhow::Result<()> {
    if args.connector.no_confinement {
        return stay_free();
    }
    let connectors = args.connector.settings(std::slice::from_ref(&args.file))?;
    let needs = recording(own(environment), args.connector.record.as_deref());
    confine(&connectors.iter().fold(needs, of_connector)).tell();
    Ok(())
}

/// Confines the process before `inspect`, which is how one looks at what nobody knows yet.
pub(super) fn of_inspect(args: &args::Inspect, environment: &Environment) -> anyhow::Result<()> {
    if args.no_confinement {
        return stay_free();
    }
    let choices = args.rules.choose(std::slice::from_ref(&args.file))?;
    let files = choices.into_iter().flat_map(|Choice { component, file }| {
        [Some(component), file.map(|file| file.path)].into_iter().flatten()
    });
    confine(&files.fold(own(environment), Needs::read_file)).tell();
    Ok(())
}

/// Confines the process before `policy diff` and `policy accept`, which look at what nobody knows yet.
pub(super) fn of_policy(
    command: &args::PolicyCommand,
    environment: &Environment,
) -> anyhow::Result<()> {
    let needs = match command {
        // It runs no connector.
        args::PolicyCommand::Suggest(_) => return Ok(()),
        args::PolicyCommand::Diff(args) if args.no_confinement => return stay_free(),
        args::PolicyCommand::Accept(args) if args.no_confinement => return stay_free(),
        args::PolicyCommand::Diff(args) => {
            let files = [&args.old, &args.new].map(|file| named(file));
            files.iter().flatten().fold(own(environment), Needs::read_file)
        }
        args::PolicyCommand::Accept(args) => {
            let files = args.component.iter().cloned().chain(named(&args.settings));
            let needs = files.fold(own(environment), Needs::read_file);
            // The file is replaced by one that is written beside it, where its name really leads.
            let folder = args.settings.canonicalize().ok();
            let folder = folder.filter(|_| !args.print);
            let folder = folder.as_deref().and_then(Path::parent);
            folder.into_iter().fold(needs, Needs::keep_folder)
        }
    };
    confine(&needs).tell();
    Ok(())
}

/// A file, and the component that it names where it has settings. What is wrong with it is told later.
fn named(file: &Path) -> Vec<PathBuf> {
    let component = File::read(file).ok().and_then(|file| file.component);
    [Some(file.to_owned()), component].into_iter().flatten().collect()
}

/// Confines the process before `workspace`, which reads no connector and is talked to by them.
pub(super) fn of_workspace(
    args: &args::Workspace,
    environment: &Environment,
) -> anyhow::Result<()> {
    if args.no_confinement {
        return stay_free();
    }
    confine(&embedded(own(environment), &args.local, environment)).tell();
    Ok(())
}

/// The folders that this program keeps for its user.
pub(super) fn own(environment: &Environment) -> Needs {
    let needs = Needs::new(environment.get("HOME").map(Into::into));
    let folders = [settings::cache_folder(environment), settings::token_folder(environment)];
    folders.into_iter().flatten().fold(needs, Needs::keep_folder)
}

fn embedded(needs: Needs, local: &args::Local, environment: &Environment) -> Needs {
    let needs = needs.listen(local.listen.port());
    match local_data(local.data.clone(), environment) {
        Ok(data) => needs.keep_folder(data),
        Err(_) => needs,
    }
}

fn recording(needs: Needs, record: Option<&Path>) -> Needs {
    record.into_iter().fold(needs, |needs, file| needs.write_file(file))
}

/// The files of a connector. All of them are read again when a new version takes over.
fn of_connector(needs: Needs, settings: &ConnectorSettings) -> Needs {
    settings.files().fold(needs, Needs::read_file)
}

fn stay_free() -> anyhow::Result<()> {
    tracing::warn!(
        "this process keeps all rights of its user, also those that it never uses: --no-confinement"
    );
    Ok(())
}
