//! `aloma-wasm keys`

use super::args;
use crate::keyfile;
use crate::workspace::keys::KeyPair;

pub(super) fn keys(args: &args::Keys) -> anyhow::Result<()> {
    if args.stdout {
        print!("{}", keyfile::lines(&KeyPair::generate()?));
        return Ok(());
    }
    let file = &args.env_file;
    keyfile::add(file)?;
    println!("wrote PRIVATE_KEY and PUBLIC_KEY to {}; keep it to yourself", file.display());
    Ok(())
}
