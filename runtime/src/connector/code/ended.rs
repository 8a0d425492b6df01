//! How a compiler process ended, and what that means.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::process::Signal;

use crate::printable::printable;

/// The exit code for a component that is not right. What is wrong is on standard error. (From
/// sysexits.h; Rust's own panics end with 101.)
pub(super) const REFUSED: u8 = 65;
/// The exit code when memory ran out and the compiler noticed.
pub(super) const OUT_OF_MEMORY: u8 = 71;
/// How Rust's abort begins when memory runs out elsewhere.
const NO_MEMORY: &str = "memory allocation of ";

/// What a compiler process left behind.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: Vec<u8>,
    /// For a person.
    pub(super) says: String,
    pub(super) what: What,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum What {
    Done,
    Refused,
    OutOfMemory,
    OutOfTime,
    /// By somebody else.
    Killed,
    Crashed(String),
}

impl Ended {
    pub(super) fn new(status: ExitStatus, code: Vec<u8>, says: &[u8]) -> Self {
        let says = String::from_utf8_lossy(says);
        let lines = says.lines().map(printable).filter(|line| !line.is_empty());
        let says = lines.collect::<Vec<_>>().join("; ");
        let what = what(status, &says);
        Self { code, says, what }
    }
}

fn what(status: ExitStatus, says: &str) -> What {
    let is = |signal: Signal| status.signal() == Some(signal.as_raw());
    match status.code().map(u8::try_from) {
        Some(Ok(0)) => What::Done,
        Some(Ok(REFUSED)) => What::Refused,
        Some(Ok(OUT_OF_MEMORY)) => What::OutOfMemory,
        _ if is(Signal::ABORT) && says.contains(NO_MEMORY) => What::OutOfMemory,
        _ if is(Signal::XCPU) => What::OutOfTime,
        _ if is(Signal::KILL) => What::Killed,
        _ => What::Crashed(status.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_compiler_is_told_apart() {
        let (exit, signal) = (|code: i32| code << 8, |signal: Signal| signal.as_raw());
        let no_memory = "memory allocation of 67108864 bytes failed";
        for (raw, says, expected) in [
            (exit(0), "", Some(What::Done)),
            (exit(65), "unknown type", Some(What::Refused)),
            (exit(71), "", Some(What::OutOfMemory)),
            (signal(Signal::ABORT), no_memory, Some(What::OutOfMemory)),
            (signal(Signal::XCPU), "", Some(What::OutOfTime)),
            (signal(Signal::KILL), "", Some(What::Killed)),
            // A panic, a stack overflow, and what is none of these.
            (exit(101), "thread 'main' panicked", None),
            (signal(Signal::ABORT), "has overflowed its stack", None),
            (signal(Signal::SEGV), "", None),
            (exit(1), no_memory, None),
        ] {
            let ended = Ended::new(ExitStatus::from_raw(raw), Vec::new(), says.as_bytes());
            match expected {
                Some(expected) => assert_eq!(ended.what, expected, "{raw}"),
                None => assert!(matches!(ended.what, What::Crashed(_)), "{raw}: {ended:?}"),
            }
        }
    }

    #[test]
    fn what_a_compiler_says_cannot_steer_a_terminal() {
        let says = b"thread panicked at\n\n\x1b[2Jname\n";
        let ended = Ended::new(ExitStatus::from_raw(101 << 8), Vec::new(), says);
        assert_eq!(ended.says, "thread panicked at; \u{240A}[2Jname");
    }
}
