//! What the process gives up once its settings are read: files that are not its own (Landlock), system
//! calls that it never makes (seccomp), and what root may do beyond that (capabilities).
//!
//! The wall around a guest is WebAssembly. This one stands behind it: whoever gets through the first
//! finds a process that can open little and ask the kernel for little. It takes no privileges, cannot
//! be undone, and holds for every thread and every child made afterwards. So it is put up by the
//! only thread there is, before the async runtime and the engine make theirs.

mod calls;
mod landlock;
mod needs;
pub(crate) mod privileges;
pub(crate) mod probe;
mod seccomp;
mod system;

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};

pub use self::needs::Needs;

/// Whether Landlock refuses files to this process. Confining is about a whole process, and for good.
static IS_CONFINED: AtomicBool = AtomicBool::new(false);

/// What is in force after [`confine`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Landlock: which files can be opened.
    pub files: Wall,
    /// Seccomp: which system calls can be made.
    pub calls: Wall,
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wall {
    /// It stands.
    Stands(String),
    /// It could not be put up, because of this.
    Missing(String),
}

/// Confines this process for good. Where the kernel lacks a part the rest is done all the same.
///
/// To be called once, while there is one thread: before Linux 7.0 Landlock holds for the calling
/// thread and for those that it makes. Folders in `needs` that are not there yet are made.
pub fn confine(needs: &Needs) -> Report {
    needs.make();
    privileges::give_up();
    // Landlock first: its own calls are none that connectors need, so the list does not have them.
    let files = landlock::restrict(needs);
    if matches!(files, Wall::Stands(_)) {
        IS_CONFINED.store(true, Ordering::Relaxed);
        tell_alone(needs);
    }
    Report { files, calls: seccomp::restrict() }
}

/// An operator who puts a new file there should not have to guess.
fn tell_alone(needs: &Needs) {
    for file in needs.alone() {
        tracing::info!(
            "{} can be read and its folder cannot, because that holds far more: a file that takes its \
             place is seen after a restart; to have it seen at once, give it a folder of its own",
            file.display()
        );
    }
}

/// Says what to do where a file was refused, which may be this wall's doing.
pub fn with_remedy(error: anyhow::Error) -> anyhow::Error {
    // Some on the way have made a text of it.
    let refused = std::io::Error::from(ErrorKind::PermissionDenied).to_string();
    let text = format!("{error:#}");
    if !IS_CONFINED.load(Ordering::Relaxed) || !text.to_lowercase().contains(&refused) {
        return error;
    }
    anyhow::anyhow!(
        "{text}; this process may read only what it was told of at its start, and a folder that takes \
         the place of another is a new one: put the file into the served folder, restart, or use \
         --no-confinement"
    )
}

impl Report {
    /// Both parts with their names.
    pub fn walls(&self) -> [(&'static str, &Wall); 2] {
        [("Landlock", &self.files), ("seccomp", &self.calls)]
    }

    /// One line for the log, and one for what is missing.
    pub fn tell(&self) {
        let shown = |(name, wall): (&str, &Wall)| match wall {
            Wall::Stands(how) => Some(format!("{name} ({how})")),
            Wall::Missing(_) => None,
        };
        let standing: Vec<_> = self.walls().into_iter().filter_map(shown).collect();
        if !standing.is_empty() {
            let standing = standing.join(" and ");
            tracing::info!("this process confined itself with {standing}");
        }
        for (name, wall) in self.walls() {
            if let Wall::Missing(why) = wall {
                tracing::info!("this process is not confined by {name}: {why}");
            }
        }
    }
}

#[cfg(test)]
mod tests;
