//! `config`: what the connector may know of its configuration.

use crate::connector::bindings::aloma::connector::config::Host;
use crate::connector::sandbox::State;

impl Host for State {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.configuration.visible(&key).map(str::to_owned))
    }
}
