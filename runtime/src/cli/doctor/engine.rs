//! The WebAssembly engine: does it compile and run, and does a guest that spins give way.

use anyhow::{Context as _, ensure};
use wasmtime::{Instance, Module, Store};

use super::finding::Finding;
use crate::connector::Engine;

/// `(module (func (export "answer") (result i32) i32.const 42)
///          (func (export "spin") (loop br 0)))`
const GUEST: &[u8] = b"\0asm\x01\0\0\0\
    \x01\x08\x02\x60\0\x01\x7f\x60\0\0\
    \x03\x03\x02\0\x01\
    \x07\x11\x02\x06answer\0\0\x04spin\0\x01\
    \x0a\x0f\x02\x04\0\x41\x2a\x0b\x08\0\x03\x40\x0c\0\x0b\0\x0b";

/// Turns of the engine's clock that it gets.
const TURNS: u64 = 2;

pub(super) fn engine() -> Finding {
    const WHAT: &str = "engine";
    match run() {
        Ok(reserved) => Finding::ok(
            WHAT,
            format!(
                "compiles and runs guests while confined, and stops those that spin; with {} GiB of \
                 addresses for them, which are no memory",
                reserved >> 30
            ),
        ),
        Err(error) => Finding::problem(
            WHAT,
            format!("{error:#}"),
            "see what limits memory and addresses here (ulimit -a), and whether memory may be made \
             executable (SELinux, MemoryDenyWriteExecute= in a systemd unit)",
        ),
    }
}

/// Gives the bytes of addresses that it took.
fn run() -> anyhow::Result<u64> {
    let before = addresses();
    let engine = Engine::new()?;
    let module = Module::new(engine.wasmtime(), GUEST)
        .map_err(anyhow::Error::from)
        .context("cannot compile a guest")?;
    let mut store = Store::new(engine.wasmtime(), ());
    store.set_epoch_deadline(TURNS);
    let instance = Instance::new(&mut store, &module, &[])
        .map_err(anyhow::Error::from)
        .context("cannot make an instance")?;
    let answer = instance.get_typed_func::<(), i32>(&mut store, "answer")?.call(&mut store, ())?;
    ensure!(answer == 42, "a guest computed {answer} in place of 42");
    let _ticking = engine.ticking();
    let spin = instance.get_typed_func::<(), ()>(&mut store, "spin")?;
    ensure!(spin.call(&mut store, ()).is_err(), "a guest that spins ended");
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
    #[test]
    fn the_guest_runs_and_is_stopped() {
        super::run().expect("it works on this machine");
    }
}
