//! A try of the engine on this machine: does it compile and run, and does a guest that spins give way.

use anyhow::{Context as _, ensure};
use wasmtime::{Instance, Module, Store};

use super::engine::Engine;

/// `(module (func (export "answer") (result i32) i32.const 42)
///          (func (export "spin") (loop br 0)))`
const GUEST: &[u8] = b"\0asm\x01\0\0\0\
    \x01\x08\x02\x60\0\x01\x7f\x60\0\0\
    \x03\x03\x02\0\x01\
    \x07\x11\x02\x06answer\0\0\x04spin\0\x01\
    \x0a\x0f\x02\x04\0\x41\x2a\x0b\x08\0\x03\x40\x0c\0\x0b\0\x0b";

/// Turns of the engine's clock that it gets.
const TURNS: u64 = 2;

impl Engine {
    /// Compiles a small guest in this process, runs it, and has it stopped when it spins.
    ///
    /// # Errors
    /// What did not work.
    pub fn try_out(&self) -> anyhow::Result<()> {
        let module = Module::new(self.wasmtime(), GUEST)
            .map_err(anyhow::Error::from)
            .context("cannot compile a guest")?;
        let mut store = Store::new(self.wasmtime(), ());
        store.set_epoch_deadline(TURNS);
        let instance = Instance::new(&mut store, &module, &[])
            .map_err(anyhow::Error::from)
            .context("cannot make an instance")?;
        let answer = instance.get_typed_func::<(), i32>(&mut store, "answer")?;
        let answer = answer.call(&mut store, ())?;
        ensure!(answer == 42, "a guest computed {answer} in place of 42");
        let _ticking = self.ticking();
        let spin = instance.get_typed_func::<(), ()>(&mut store, "spin")?;
        ensure!(spin.call(&mut store, ()).is_err(), "a guest that spins ended");
        Ok(())
    }
}
