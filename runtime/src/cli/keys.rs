//! `aloma-wasm keys`

use super::args;
use crate::keyfile;
use crate::workspace::keys::KeyPair;

pub(super) fn keys(args: &args::Keys) -> anyhow::Result<()> {
    if args.stdout {
        return super::print(keyfile::lines(&KeyPair::generate()?).trim_end());
    }
    let file = &args.env_file;
    keyfile::add(file)?;
    super::print(&format!(
        "wrote PRIVATE_KEY and PUBLIC_KEY to {}; keep it to yourself",
        file.display()
    ))
}
