//! `config`: what the connector may know of its configuration.

use secrecy::ExposeSecret;

use crate::connector::bindings::aloma::connector::config::Host;
use crate::connector::sandbox::State;

impl Host for State {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.configuration.visible(&key).map(|value| value.expose_secret().to_owned()))
    }
}
