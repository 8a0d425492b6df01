//! A panic is told to the operator before it stops the instance.

use std::panic::{PanicHookInfo, set_hook};
use std::sync::Once;

use crate::logging::{Level, log};

/// From now on a panic is logged with its place. It still traps; what then happens to the call is
/// the host's matter.
pub(crate) fn report() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| set_hook(Box::new(log_panic)));
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    match panic.location() {
        Some(place) => log(Level::Error, format_args!("panicked at {place}: {message}")),
        None => log(Level::Error, format_args!("panicked: {message}")),
    }
}
