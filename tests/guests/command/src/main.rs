//! A program for another world, `wasi:cli/command`: what comes out when a connector is built as a
//! binary.

fn main() {
    println!("nobody runs this");
}
