//! What the system lets this process have.

use rustix::process::{Resource, getrlimit};

use super::finding::Finding;

/// A process is meant to run so many connectors.
const CONNECTORS: u64 = 1000;
/// Open files of an idle connector, its link, and of three requests at once.
const FILES_OF_CONNECTOR: u64 = 4;
/// Those of the process: its logs, its store, its timers and libraries.
const FILES_OF_PROCESS: u64 = 64;

/// Bytes of addresses that the engine reserves for guests when it starts. It takes no memory for them.
/// The engine tries it out; this is for those who set a limit.
const FEW_ADDRESSES: u64 = 1 << 40;

pub(super) fn open_files() -> Finding {
    files(getrlimit(Resource::Nofile).current)
}

fn files(limit: Option<u64>) -> Finding {
    const WHAT: &str = "files";
    const WANTED: u64 = CONNECTORS * FILES_OF_CONNECTOR + FILES_OF_PROCESS;
    match limit {
        Some(limit) if limit < WANTED => {
            let connectors = limit.saturating_sub(FILES_OF_PROCESS) / FILES_OF_CONNECTOR;
            let text = format!("{limit} may be open at once, enough for {connectors} connectors");
            let advice = format!(
                "for {CONNECTORS} connectors raise it to {WANTED}: ulimit -n {WANTED}, or \
                 LimitNOFILE={WANTED} in a systemd unit"
            );
            match connectors {
                0 => Finding::problem(WHAT, text, advice),
                _ => Finding::note(WHAT, text, advice),
            }
        }
        limit => {
            let limit = limit.map_or("any number".to_owned(), |limit| limit.to_string());
            Finding::ok(WHAT, format!("{limit} may be open at once"))
        }
    }
}

pub(super) fn addresses() -> Finding {
    const WHAT: &str = "addresses";
    match getrlimit(Resource::As).current {
        Some(limit) if limit < FEW_ADDRESSES => Finding::note(
            WHAT,
            format!("limited to {} MiB, while the engine reserves many for guests", limit >> 20),
            "take the limit away: ulimit -v unlimited; a limit of memory belongs into a cgroup \
             (MemoryMax= in a systemd unit, --memory of a container)",
        ),
        _ => Finding::ok(WHAT, "no limit that matters"),
    }
}

/// Threads are made as they are needed, so a limit would show late.
pub(super) fn threads() -> Finding {
    const WHAT: &str = "threads";
    match std::thread::Builder::new().spawn(|| ()).map(std::thread::JoinHandle::join) {
        Ok(Ok(())) => Finding::ok(WHAT, "can be made while confined"),
        Ok(Err(_)) => Finding::problem(WHAT, "a thread failed at once", "tell us"),
        Err(error) => Finding::problem(
            WHAT,
            format!("none can be made: {error}"),
            "raise the limit of processes: ulimit -u, TasksMax= in a systemd unit, --pids-limit of a \
             container",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Standing;
    use super::*;

    #[test]
    fn few_open_files_are_told_with_what_they_are_enough_for() {
        for (limit, standing, says) in [
            (Some(32), Standing::Problem, "32 may be open at once, enough for 0 connectors"),
            (Some(1024), Standing::Note, "1024 may be open at once, enough for 240 connectors"),
            (Some(1 << 20), Standing::Ok, "1048576 may be open at once"),
            (None, Standing::Ok, "any number may be open at once"),
        ] {
            let finding = files(limit);
            assert_eq!((finding.standing, finding.text.as_str()), (standing, says));
        }
    }
}
