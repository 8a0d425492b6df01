//! `aloma-wasm compile-worker`: the compiler, as a process that this program starts for itself.

use std::process::ExitCode;

use super::args;
use crate::connector::code::worker::Worker;

pub(super) fn compile_worker(args: &args::CompileWorker) -> ExitCode {
    Worker { memory: args.memory, cpu: args.cpu }.work()
}
