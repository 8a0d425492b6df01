//! `bench wire`: how fast the release binary answers `hello`.
//!
//! A lean workspace on loopback loads processes in turn, over the real protocol: aloma-wasm; a plain
//! Node program, which is what people would write instead; a native floor, which is the link of
//! aloma-wasm with a closure in place of the sandbox; and a bare socket, which shows what the machine
//! and the load generator can do. So ratios mean something where absolute numbers do not.

pub mod bare;
pub mod native;
mod node;
mod round;
mod session;
mod table;

use std::path::Path;
use std::time::Duration;

use self::round::Measured;
use crate::Settings;
use crate::aims::Aim;
use crate::cargo::{self, Built};
use crate::process::Subject;
use crate::workspace::Workspace;

/// An empty configuration, as the workspace sends it.
pub const CONFIGURATION: &str = r#"{"p":[{"id":"c0000000000000000000000000000000","m":"connector.set-config","a":{"secrets":{}}}]}"#;

/// What is in a connector's report of its health.
pub const HEALTH: &str = r#""connector.health.check""#;

/// What stands in the columns of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// aloma-wasm
    Ours,
    /// The plain Node program.
    Node,
    /// Our link without the sandbox.
    Native,
    /// Not even our link.
    Bare,
}

/// Measures and prints the table.
pub async fn measure(settings: &Settings) -> anyhow::Result<Vec<Aim>> {
    let built = cargo::build()?;
    let folder = tempfile::tempdir()?;
    let mut measured = subjects(&built, folder.path())?;
    let mut workspace = Workspace::start().await?;

    // The cache is empty here, and never again.
    for one in measured.iter_mut().filter(|one| one.kind == Kind::Ours) {
        one.cold = Some(round::start_once(&one.subject, &mut workspace).await?);
    }
    for _ in 0..settings.starts {
        for one in &mut measured {
            one.starts.push(round::start_once(&one.subject, &mut workspace).await?);
        }
    }
    // In turn, so that whatever else the machine does meets all; each first once.
    for number in 0..settings.rounds as usize {
        measured.rotate_left(number.min(1));
        for one in &mut measured {
            one.round(&mut workspace, Duration::from_secs(settings.seconds)).await?;
        }
    }
    table::print(&measured, &built)?;
    Ok(table::aims(&measured))
}

fn subjects(built: &Built, folder: &Path) -> anyhow::Result<Vec<Measured>> {
    let ours = Subject::aloma_wasm(built, folder);
    let native = Subject::this_program("native floor", "native", folder)?;
    let bare = Subject::this_program("bare socket", "bare", folder)?;
    let mut all = vec![
        Measured::new(Kind::Ours, ours),
        Measured::new(Kind::Native, native),
        Measured::new(Kind::Bare, bare),
    ];
    match node::subject(folder) {
        Ok(node) => all.insert(1, Measured::new(Kind::Node, node)),
        Err(why) => eprintln!("\nwithout the column of Node: {why:#}\n"),
    }
    Ok(all)
}
