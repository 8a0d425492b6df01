//! The program `aloma-wasm`.

fn main() -> std::process::ExitCode {
    aloma_wasm::main()
}
