//! `logging`: lines of a connector, on their way to the operator.

use super::journal::Level;
use crate::connector::bindings::aloma::connector::logging;
use crate::connector::sandbox::State;

impl logging::Host for State {
    fn enabled(&mut self, level: logging::Level) -> wasmtime::Result<bool> {
        Ok(self.journal.keeps(level.into()))
    }

    fn log(&mut self, level: logging::Level, message: String) -> wasmtime::Result<()> {
        self.journal.line(level.into(), message);
        Ok(())
    }
}

impl From<logging::Level> for Level {
    fn from(level: logging::Level) -> Self {
        match level {
            logging::Level::Trace => Self::TRACE,
            logging::Level::Debug => Self::DEBUG,
            logging::Level::Info => Self::INFO,
            logging::Level::Warn => Self::WARN,
            logging::Level::Error => Self::ERROR,
        }
    }
}
