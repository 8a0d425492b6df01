//! The WebAssembly engine: whether it works, and how many addresses it takes.

use super::finding::Finding;
use crate::connector::Engine;

pub(super) fn engine() -> Finding {
    const WHAT: &str = "engine";
    match run() {
        Ok(reserved) => Finding::ok(WHAT, works(reserved)),
        Err(error) => Finding::problem(
            WHAT,
            format!("{error:#}"),
            "see what limits memory and addresses here (ulimit -a), and whether memory may be made \
             executable (SELinux, MemoryDenyWriteExecute= in a systemd unit)",
        ),
    }
}

fn works(reserved: u64) -> String {
    let addresses = match reserved >> 30 {
        0 => String::new(),
        many => format!("; it has {many} GiB of addresses for them, which are no memory"),
    };
    format!("compiles and runs guests while confined, and stops those that spin{addresses}")
}

/// Gives the bytes of addresses that it took.
fn run() -> anyhow::Result<u64> {
    let before = addresses();
    let engine = Engine::new()?;
    engine.try_out()?;
    Ok(addresses().saturating_sub(before))
}

/// Bytes of addresses that this process has.
fn addresses() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kibibytes = line.and_then(|text| text.trim().strip_suffix(" kB"));
    1024 * kibibytes.and_then(|text| text.parse::<u64>().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_runs_and_is_stopped() {
        run().expect("it works on this machine");
        assert!(
            works(7 << 30).ends_with("; it has 7 GiB of addresses for them, which are no memory")
        );
    }
}
