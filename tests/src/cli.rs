//! One-shot commands: run to the end, then look at what came out.

use std::ffi::OsString;
use std::process::ExitStatus;

use serde_json::Value;

use crate::log::Stream;
use crate::process::{Invocation, Process};

/// What a command left behind.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs `aloma-wasm ARGS…` to its end.
pub async fn cli<A: Into<OsString>>(args: impl IntoIterator<Item = A>) -> Output {
    run(Invocation { args: args.into_iter().map(Into::into).collect(), ..Default::default() }).await
}

/// Runs a command to its end.
pub async fn run(invocation: Invocation) -> Output {
    let mut process = Process::start(&invocation);
    let status = process.exit().await;
    let (stdout, stderr) = (process.log().text(Stream::Out), process.log().text(Stream::Err));
    Output { status, stdout, stderr }
}

impl Output {
    /// The JSON on standard output of a command that went well.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.status.code(), Some(0), "{self:#?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Checks that the command failed with this code, printed nothing as a result, and said all of
    /// these on standard error.
    #[track_caller]
    pub fn failed(&self, code: i32, says: &[&str]) {
        assert_eq!(self.status.code(), Some(code), "{self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        for text in says {
            assert!(self.stderr.contains(text), "standard error lacks {text:?}: {self:#?}");
        }
        assert!(!self.stderr.contains("panicked at"), "{self:#?}");
    }
}
