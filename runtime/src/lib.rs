//! aloma-wasm runs ALOMA connectors that nobody has to trust.
//!
//! The rooms: [`workspace`] speaks with the workspace, [`connector`] runs wasm, [`broker`] makes
//! every request; they meet in [`dispatch`]. The [`vault`] keeps secrets from the second and gives
//! them to the third. [`local`] is the embedded workspace. [`confine`] is the wall around all of it.

pub mod broker;
mod cli;
pub mod confine;
pub mod connector;
pub mod dispatch;
pub mod envelope;
pub mod events;
pub mod fair;
pub mod ids;
mod keyfile;
pub mod local;
pub mod manifest;
mod oauth;
mod printable;
pub mod recording;
pub mod run;
pub mod settings;
mod tasks;
pub mod tls;
pub mod vault;
pub mod workspace;

pub use cli::main;
