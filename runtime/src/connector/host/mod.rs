//! The host's side of the imports: one file for each interface of `wit/`, one for each part of WASI
//! that leads outside.

mod config;
pub mod http;
pub mod journal;
mod logging;
pub mod wasi_http;
pub mod workspace;

use super::bindings::aloma::connector::types;
use super::sandbox::State;

impl types::Host for State {}
