//! The program as the tests run it. Cargo builds a test's own binaries before the test, and no
//! other package's.

fn main() -> std::process::ExitCode {
    aloma_wasm::main()
}
