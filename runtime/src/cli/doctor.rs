//! `aloma-wasm doctor`

mod confined;
mod engine;
mod finding;
mod folders;
mod limits;
mod settings;

use std::process::ExitCode;

use self::finding::{Standing, as_json, as_text};
use super::args;
use super::confinement::own;
use crate::confine::confine;
use crate::settings::Environment;

/// Looks at everything, in the order in which a process comes to need it: first with all rights, then
/// confined as `run` is.
pub(super) fn doctor(args: &args::Doctor) -> anyhow::Result<ExitCode> {
    let (environment, settings) = settings::read(args.env_file.as_deref());
    let mut findings = vec![confined::kernel()];
    findings.extend(folders::all(&environment));
    findings.extend(settings);
    findings.extend([settings::roots(), limits::open_files(), limits::addresses()]);
    let before = confined::before();
    let report = confine(&needs(&environment));
    findings.extend(confined::all(&report, &before));
    findings.extend([engine::engine(), confined::names(), confined::roots(), limits::threads()]);
    let text = if args.json { as_json(&findings)? } else { as_text(&findings) };
    super::print(text.trim_end())?;
    let is_amiss = findings.iter().any(|finding| finding.standing == Standing::Problem);
    Ok(if is_amiss { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// As for `run`, with no connector.
fn needs(environment: &Environment) -> crate::confine::Needs {
    let needs = own(environment);
    crate::settings::data_folder(environment)
        .into_iter()
        .fold(needs, crate::confine::Needs::keep_folder)
}
