//! The folders that this program keeps for its user.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::finding::{Finding, Standing};
use crate::broker::DiskStore;
use crate::settings::{self, Environment};

/// Bits of the mode that let others in.
const OTHERS: u32 = 0o077;
/// Those that let others change something.
const OTHERS_WRITE: u32 = 0o022;

pub(super) fn all(environment: &Environment) -> [Finding; 3] {
    [
        folder(
            "cache",
            settings::cache_folder(environment),
            "set XDG_CACHE_HOME or HOME; without it connectors are compiled at every start",
        ),
        tokens(settings::token_folder(environment)),
        folder(
            "data",
            settings::data_folder(environment),
            "set XDG_DATA_HOME or HOME, or --data; the embedded workspace needs one",
        ),
    ]
}

fn folder(what: &'static str, path: Option<PathBuf>, without: &str) -> Finding {
    let Some(path) = path else {
        return Finding::note(what, "there is no folder for it", without);
    };
    let shown = path.display();
    match look_at(&path) {
        Ok(None) => Finding::ok(what, format!("{shown} is private and can be written")),
        Ok(Some((text, advice))) => Finding::problem(what, format!("{shown} {text}"), advice),
        Err(error) => Finding::problem(
            what,
            format!("{shown} cannot be used: {error}"),
            format!("let this user write it, or {without}"),
        ),
    }
}

/// The folder of tokens is only as good as the key in it. Where there is none it is made when it is
/// needed.
fn tokens(path: Option<PathBuf>) -> Finding {
    const WHAT: &str = "tokens";
    let without = "set XDG_DATA_HOME or HOME; without it OAuth tokens are lost with the process";
    let finding = folder(WHAT, path.clone(), without);
    let Some(path) = path.filter(|path| path.join(DiskStore::KEY).exists()) else { return finding };
    match DiskStore::open(&path) {
        Err(error) if finding.standing == Standing::Ok => Finding::problem(
            WHAT,
            error.to_string(),
            "no connector with a token of OAuth starts until then",
        ),
        _ => finding,
    }
}

/// What is wrong with a folder that can be used. It is made where it is not there, as at every start.
fn look_at(path: &Path) -> std::io::Result<Option<(&'static str, String)>> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let metadata = fs::metadata(path)?;
    let shown = path.display();
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        let advice = format!("run as its owner, or move it away: mv {shown} {shown}.old");
        return Ok(Some(("belongs to another user", advice)));
    }
    if metadata.mode() & OTHERS_WRITE != 0 {
        let advice = format!("remove what is in it, which may not be yours, and chmod 700 {shown}");
        return Ok(Some(("can be written by other users", advice)));
    }
    if metadata.mode() & OTHERS != 0 {
        return Ok(Some(("can be read by other users", format!("chmod 700 {shown}"))));
    }
    let file = path.join(format!("doctor.{}", crate::ids::fresh_id()));
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
    fs::remove_file(&file)?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_must_be_private() {
        let base = tempfile::tempdir().expect("a folder");
        for (mode, standing, says) in [
            (0o700, Standing::Ok, "is private and can be written"),
            (0o750, Standing::Problem, "can be read by other users"),
            (0o775, Standing::Problem, "can be written by other users"),
        ] {
            let path = base.path().join(format!("{mode:o}"));
            fs::create_dir(&path).expect("a folder");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
            let finding = folder("cache", Some(path.clone()), "");
            assert_eq!(finding.standing, standing, "{finding:?}");
            assert!(finding.text.ends_with(says), "{finding:?}");
            assert_eq!(fs::read_dir(&path).expect("a folder").count(), 0);
        }
    }

    #[test]
    fn the_key_of_the_tokens_must_be_private_too() {
        let base = tempfile::tempdir().expect("a folder");
        let path = base.path().join("tokens");
        let look = || tokens(Some(path.clone()));
        assert_eq!(look().standing, Standing::Ok);
        DiskStore::open(&path).expect("a store");
        assert_eq!(look().standing, Standing::Ok);
        let open = fs::Permissions::from_mode(0o644);
        fs::set_permissions(path.join(DiskStore::KEY), open).expect("a mode");
        let finding = look();
        assert_eq!(finding.standing, Standing::Problem);
        assert!(finding.text.contains("is not private to this user"), "{finding:?}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_a_problem_and_none_at_all_is_not() {
        let finding = folder("data", Some("/dev/null/data".into()), "set --data");
        assert_eq!(finding.standing, Standing::Problem);
        let advice = "let this user write it, or set --data";
        assert_eq!(finding.advice.as_deref(), Some(advice));
        assert_eq!(folder("data", None, "set --data").standing, Standing::Note);
    }
}
