//! `aloma-wasm cache`: what is compiled, and an end to it.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;

use super::args::{self, CacheCommand};
use crate::connector::Engine;
use crate::connector::code::cache::{Folder, Found, Room, settings_of};
use crate::settings::{self, Environment};

pub(super) fn cache(args: &args::Cache, environment: &Environment) -> anyhow::Result<()> {
    let folder = settings::cache_folder(environment)
        .context("no folder for the cache: set XDG_CACHE_HOME or HOME")?;
    let folder = Folder::new(&folder);
    let text = match &args.command {
        None => show(&folder)?,
        Some(CacheCommand::Clear(args)) => clear(&folder, args.old)?,
    };
    super::print(text.trim_end())
}

fn show(folder: &Folder) -> anyhow::Result<String> {
    let (entries, mine) = (folder.entries()?, settings_of(&Engine::compiling()?));
    let now = SystemTime::now();
    let mut out = format!("{}\n", folder.path().display());
    for Found { digest, settings, bytes, used, .. } in &entries {
        let other = if *settings == mine { "" } else { "  for another version" };
        let age = age(now.duration_since(*used).unwrap_or_default());
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {digest}  {:>9}  used {age}{other}", mebibytes(*bytes));
    }
    let (room, total) = (Room::default(), entries.iter().map(|entry| entry.bytes).sum());
    let count = counted(entries.len());
    let (total, most) = (mebibytes(total), room.bytes >> 20);
    let _ = writeln!(out, "{count}, {total} of at most {most} MiB and {} entries", room.entries);
    Ok(out)
}

fn clear(folder: &Folder, only_old: bool) -> anyhow::Result<String> {
    let mine = settings_of(&Engine::compiling()?);
    let freed = folder.clear(|entry| !only_old || entry.settings != mine)?;
    let (count, bytes) = (counted(freed.entries), mebibytes(freed.bytes));
    Ok(format!("removed {count}, {bytes}, from {}", folder.path().display()))
}

fn counted(entries: usize) -> String {
    match entries {
        1 => "1 entry".to_owned(),
        entries => format!("{entries} entries"),
    }
}

fn mebibytes(bytes: u64) -> String {
    // For people: a tenth is exact enough, and so is a float.
    #[expect(
        clippy::cast_precision_loss,
        reason = "no file has so many bytes that a tenth of a MiB is lost"
    )]
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    format!("{mebibytes:.1} MiB")
}

fn age(age: Duration) -> String {
    let minutes = age.as_secs() / 60;
    match (minutes / 60 / 24, minutes / 60, minutes) {
        (0, 0, 0) => "just now".to_owned(),
        (0, 0, minutes) => format!("{minutes} min ago"),
        (0, hours, _) => format!("{hours} h ago"),
        (days, ..) => format!("{days} d ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_are_for_people() {
        for (seconds, says) in [
            (0, "just now"),
            (59, "just now"),
            (60, "1 min ago"),
            (3600, "1 h ago"),
            (86_399, "23 h ago"),
            (86_400 * 40, "40 d ago"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), says);
        }
        assert_eq!(mebibytes(1_572_864), "1.5 MiB");
    }
}
