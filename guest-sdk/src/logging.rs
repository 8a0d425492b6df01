//! Log lines. They reach the operator, never the workspace.

use std::fmt;

use crate::host;

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// What helps to find a fault.
    Debug,
    /// What happened.
    Info,
    /// What may be wrong.
    Warn,
    /// What went wrong.
    Error,
}

/// Whether lines of this level are kept. The macros ask by themselves.
pub fn enabled(level: Level) -> bool {
    host::log_enabled(level)
}

/// Logs one line. The macros, such as [`info!`](crate::info), are handier.
pub fn log(level: Level, message: fmt::Arguments<'_>) {
    // Asked first, because making a line that nobody keeps costs more than asking.
    if enabled(level) {
        host::log(level, &message.to_string());
    }
}

/// Logs a line of level trace, with the arguments of `format!`.
#[macro_export]
macro_rules! trace {
    ($($message:tt)+) => {
        $crate::logging::log($crate::logging::Level::Trace, ::core::format_args!($($message)+))
    };
}

/// Logs a line of level debug, with the arguments of `format!`.
#[macro_export]
macro_rules! debug {
    ($($message:tt)+) => {
        $crate::logging::log($crate::logging::Level::Debug, ::core::format_args!($($message)+))
    };
}

/// Logs a line of level info, with the arguments of `format!`.
#[macro_export]
macro_rules! info {
    ($($message:tt)+) => {
        $crate::logging::log($crate::logging::Level::Info, ::core::format_args!($($message)+))
    };
}

/// Logs a line of level warn, with the arguments of `format!`.
#[macro_export]
macro_rules! warn {
    ($($message:tt)+) => {
        $crate::logging::log($crate::logging::Level::Warn, ::core::format_args!($($message)+))
    };
}

/// Logs a line of level error, with the arguments of `format!`.
#[macro_export]
macro_rules! error {
    ($($message:tt)+) => {
        $crate::logging::log($crate::logging::Level::Error, ::core::format_args!($($message)+))
    };
}
