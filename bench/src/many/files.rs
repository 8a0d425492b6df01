//! Open files: a socket is one, and by default a process may have fewer than a thousand connectors take.

use anyhow::ensure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process, and those that it starts from now on, have so many files open.
///
/// # Errors
/// When this user may not have so many; says how to change that.
pub fn make_room(wanted: u64) -> anyhow::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None stands for no limit.
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    ensure!(
        maximum.is_none_or(|maximum| maximum >= wanted),
        "{wanted} files would be open, and this user may have {} at most; raise it with \
         `ulimit -Hn {wanted}` as root, or LimitNOFILE",
        maximum.unwrap_or_default()
    );
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })?;
    Ok(())
}
