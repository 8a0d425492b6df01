//! Which connectors the operator means, and which settings belong to each.
//!
//! A connector is named by its component or by its settings file. A component named alone has the
//! settings of `connector.toml` in the working directory, where there is one.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::file::{FILE_NAME, File};

/// One connector, as the operator named it.
#[derive(Debug)]
pub struct Choice {
    /// The component.
    pub component: PathBuf,
    /// Its settings.
    pub file: Option<File>,
}

/// Where settings come from when no FILE is a settings file.
#[derive(Clone, Copy, Debug)]
pub enum From<'a> {
    /// `connector.toml` of this folder, where there is one.
    Folder(&'a Path),
    /// This file.
    Named(&'a Path),
    /// Nowhere.
    Nowhere,
}

/// Finds component and settings of each FILE.
///
/// # Errors
/// When a settings file cannot be read, names no component, or names another one; or when it is not
/// clear for which of several connectors it is.
pub fn choose(files: &[PathBuf], from: From<'_>) -> anyhow::Result<Vec<Choice>> {
    let components = files.iter().filter(|file| !is_settings(file)).count();
    if let From::Named(path) = from {
        ensure!(
            files.len() == 1 && components == 1,
            "--settings is for one component; name settings files in place of components, each \
             with its `component`: not {}",
            path.display()
        );
    }
    let beside = match from {
        From::Named(path) => Some(path.to_owned()),
        From::Nowhere => None,
        // Settings files that are named themselves have nothing to do with the one that lies there.
        From::Folder(_) if components == 0 => None,
        From::Folder(folder) => Some(folder.join(FILE_NAME)).filter(|path| path.exists()),
    };
    if let Some(path) = beside.as_ref().filter(|_| files.len() > 1) {
        bail!(
            "{} is for one connector, and several are named; name a settings file for each, with its \
             `component`, or leave it out with --no-settings",
            path.display()
        );
    }
    if let (Some(path), From::Folder(_)) = (&beside, from) {
        check_owner(path)?;
    }
    let choose = |file: &PathBuf| match is_settings(file) {
        true => alone(File::read(file)?),
        false => with(file, beside.as_deref()),
    };
    files.iter().map(choose).collect()
}

/// A file that was not named is believed only where it is the operator's own: the folder may be one
/// that anybody can write to.
fn check_owner(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let metadata = path.metadata().with_context(|| format!("cannot read {shown}"))?;
    let is_own = [0, rustix::process::geteuid().as_raw()].contains(&metadata.uid());
    ensure!(
        is_own && metadata.mode() & 0o002 == 0,
        "{shown} {}; look at it, and name it with --settings if it is right, or leave it out with \
         --no-settings",
        if is_own { "can be written by everybody" } else { "belongs to another user" }
    );
    Ok(())
}

/// Whether a FILE is meant as settings.
pub fn is_settings(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
}

/// A settings file that was named in place of a component.
fn alone(file: File) -> anyhow::Result<Choice> {
    let component = file.component.clone().with_context(|| {
        format!(
            "{} names no component; add a line like component = \"users.wasm\", a path from its \
             folder",
            file.path.display()
        )
    })?;
    Ok(Choice { component, file: Some(file) })
}

fn with(component: &Path, settings: Option<&Path>) -> anyhow::Result<Choice> {
    let file = settings.map(File::read).transpose()?;
    if let Some(file) = &file {
        check_component(component, file)?;
    }
    Ok(Choice { component: component.to_owned(), file })
}

fn check_component(given: &Path, file: &File) -> anyhow::Result<()> {
    let Some(own) = &file.component else { return Ok(()) };
    // A file that is not there is the same under no other name.
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    ensure!(
        real(own) == real(given),
        "{} is for {}, not for {}; name another settings file with --settings, or leave it out with \
         --no-settings",
        file.path.display(),
        own.display(),
        given.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these files; settings have this component.
    fn folder(settings: &[(&str, &str)], components: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, component) in settings {
            let text = if component.is_empty() {
                String::new()
            } else {
                format!("component = '{component}'")
            };
            std::fs::write(folder.path().join(name), text).expect("a file");
        }
        for name in components {
            std::fs::write(folder.path().join(name), "").expect("a file");
        }
        folder
    }

    #[test]
    fn a_file_that_anybody_can_write_to_is_read_only_where_it_is_named() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder =
            folder(&[("connector.toml", "a.wasm"), ("x.toml", "a.wasm")], &["a.wasm", "b.wasm"]);
        let at = |name: &str| folder.path().join(name);
        for name in ["connector.toml", "x.toml"] {
            let everybody = std::fs::Permissions::from_mode(0o666);
            std::fs::set_permissions(at(name), everybody).expect("permissions");
        }
        let (unasked, named) = (From::Folder(folder.path()), at("connector.toml"));
        let told = choose(&[at("a.wasm")], unasked).expect_err("nobody named it").to_string();
        assert!(
            told.contains("can be written by everybody") && told.contains("--settings"),
            "{told}"
        );
        for (file, from) in [
            ("a.wasm", From::Named(&named)),
            ("a.wasm", From::Nowhere),
            ("connector.toml", unasked),
            ("x.toml", unasked),
        ] {
            choose(&[at(file)], from).unwrap_or_else(|error| panic!("{file}: {error}"));
        }
    }

    #[test]
    fn each_file_gets_its_component_and_its_settings() {
        for (settings, from, files, chosen) in [
            (&[][..], "folder", &["a.wasm", "b.wasm"][..], Ok(&["a.wasm", "b.wasm"][..])),
            (&[("connector.toml", "")], "folder", &["a.wasm"], Ok(&["a.wasm connector.toml"])),
            (
                &[("connector.toml", "a.wasm")],
                "folder",
                &["a.wasm"],
                Ok(&["a.wasm connector.toml"]),
            ),
            (&[("connector.toml", "./b.wasm")], "folder", &["a.wasm"], Err("is for ")),
            (&[("connector.toml", "b.wasm")], "nowhere", &["a.wasm"], Ok(&["a.wasm"])),
            (&[("connector.toml", "")], "folder", &["a.wasm", "b.wasm"], Err("several are named")),
            (
                &[("connector.toml", "")],
                "nowhere",
                &["a.wasm", "b.wasm"],
                Ok(&["a.wasm", "b.wasm"]),
            ),
            (&[("connector.toml", "")], "folder", &["connector.toml"], Err("names no component")),
            (
                &[("x.toml", "a.wasm"), ("y.toml", "b.wasm"), ("connector.toml", "c.wasm")],
                "folder",
                &["x.toml", "y.toml"],
                Ok(&["a.wasm x.toml", "b.wasm y.toml"]),
            ),
            (
                &[("x.toml", "a.wasm")],
                "folder",
                &["x.toml", "b.wasm"],
                Ok(&["a.wasm x.toml", "b.wasm"]),
            ),
            (&[("x.toml", "")], "x.toml", &["a.wasm"], Ok(&["a.wasm x.toml"])),
            (&[("x.toml", "b.wasm")], "x.toml", &["a.wasm"], Err("is for ")),
            (
                &[("x.toml", "")],
                "x.toml",
                &["a.wasm", "b.wasm"],
                Err("--settings is for one component"),
            ),
            (
                &[("x.toml", "a.wasm")],
                "x.toml",
                &["x.toml"],
                Err("--settings is for one component"),
            ),
            (&[], "x.toml", &["a.wasm"], Err("cannot read ")),
        ] {
            let folder = folder(settings, &["a.wasm", "b.wasm"]);
            let at = |name: &str| folder.path().join(name);
            let named = at(from);
            let from = match from {
                "folder" => From::Folder(folder.path()),
                "nowhere" => From::Nowhere,
                _ => From::Named(&named),
            };
            let files: Vec<_> = files.iter().map(|name| at(name)).collect();
            let shown = |choice: &Choice| {
                let name =
                    |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
                let settings = choice.file.as_ref().map(|file| format!(" {}", name(&file.path)));
                format!("{}{}", name(&choice.component), settings.unwrap_or_default())
            };
            match (choose(&files, from), chosen) {
                (Ok(choices), Ok(expected)) => {
                    assert_eq!(choices.iter().map(shown).collect::<Vec<_>>(), expected);
                }
                (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{error}"),
                (got, expected) => panic!("{settings:?} {files:?}: {got:?}, not {expected:?}"),
            }
        }
    }
}
