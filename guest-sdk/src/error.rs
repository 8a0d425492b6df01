//! Why an action did not work, as whoever called is told it.

use std::any::Any;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::http;
use crate::time::Elapsed;

/// What a fallible function of a connector returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The code of an error that was not given one.
const FAILED: &str = "failed";
/// The code of a [`time::timeout`](crate::time::timeout) that passed.
const TIMEOUT: &str = "timeout";
/// The code of arguments that do not fit the action.
const INVALID_ARGUMENTS: &str = "invalid-arguments";

/// Why something did not work: a code to branch on and a sentence for a person.
///
/// Any error of the standard kind becomes one by `?`, with the code `failed`; errors of
/// [`http`] and [`time`](crate::time) have their own codes. Therefore it is itself no `std::error::Error`, like the error of
/// `anyhow`.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    code: String,
    message: String,
    retryable: bool,
    /// In a box, because every `Result` of a connector is as large as its error.
    detail: Option<Box<Value>>,
}

impl Error {
    /// An error with a short code in kebab-case and one sentence: lower case, no full stop.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retryable: false, detail: None }
    }

    /// An error that nobody needs to branch on. Its code is `failed`.
    pub fn msg(message: impl Into<String>) -> Self {
        Self::new(FAILED, message)
    }

    /// An error in the arguments of a call. Its code is `invalid-arguments`.
    pub fn invalid_arguments(message: impl Into<String>) -> Self {
        Self::new(INVALID_ARGUMENTS, message)
    }

    /// The same call may work later without any change.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// More for whoever looks closer. What cannot be JSON is left out.
    #[must_use]
    pub fn detail(mut self, detail: impl Serialize) -> Self {
        self.detail = serde_json::to_value(detail).ok().map(Box::new);
        self
    }

    /// The same error with a few words before its message: `reading the list: …`.
    #[must_use]
    pub fn context(mut self, before: impl fmt::Display) -> Self {
        self.message = format!("{before}: {}", self.message);
        self
    }

    /// The code to branch on.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The sentence for a person.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same call may work later without any change.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// More for whoever looks closer.
    pub fn details(&self) -> Option<&Value> {
        self.detail.as_deref()
    }

    fn from_http(error: &http::Error) -> Self {
        let made = Self::new(error.code(), error.to_string());
        let made = if error.is_transient() { made.retryable() } else { made };
        match error {
            http::Error::Status { status, answer, .. } => {
                made.detail(serde_json::json!({ "status": status, "answer": answer }))
            }
            _ => made,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl<E: std::error::Error + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        // One `From` for all errors leaves no room for a second one, so this looks at the type.
        let any = &error as &dyn Any;
        if let Some(error) = any.downcast_ref::<http::Error>() {
            return Self::from_http(error);
        }
        let made = Self::msg(with_sources(&error));
        if any.is::<Elapsed>() { Self { code: TIMEOUT.into(), ..made.retryable() } } else { made }
    }
}

/// The message of an error and of what caused it, as long as they say something new.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        source = cause.source();
    }
    message
}

/// Returns an error at once: `bail!("no user in {list}")`, or with a code of its own,
/// `bail!("user-not-found" => "user not found: {id}")`.
#[macro_export]
macro_rules! bail {
    ($code:literal => $($message:tt)+) => {
        return ::core::result::Result::Err(
            $crate::Error::new($code, ::std::format!($($message)+)).into(),
        )
    };
    ($($message:tt)+) => {
        return ::core::result::Result::Err($crate::Error::msg(::std::format!($($message)+)).into())
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standard_error_becomes_a_failure() {
        let error = Error::from("x".parse::<u8>().expect_err("no number"));
        assert_eq!((error.code(), error.message()), ("failed", "invalid digit found in string"));
        assert!(!error.is_retryable());
    }

    #[test]
    fn an_http_error_keeps_its_code() {
        let error = Error::from(http::Error::Timeout("no answer in 5 s".into()));
        assert_eq!((error.code(), error.message()), ("http-timeout", "no answer in 5 s"));
        assert!(error.is_retryable());
    }

    #[test]
    fn a_time_limit_may_be_tried_again() {
        let error = Error::from(Elapsed);
        assert_eq!((error.code(), error.is_retryable()), ("timeout", true));
    }

    #[test]
    fn bail_gives_code_and_message() {
        fn refuse(id: &str, with_code: bool) -> Result<()> {
            if with_code {
                bail!("user-not-found" => "user not found: {id}");
            }
            bail!("nothing for {id}")
        }
        let code = |error: Error| (error.code().to_owned(), error.message().to_owned());
        assert_eq!(
            refuse("u1", true).map_err(code),
            Err(("user-not-found".into(), "user not found: u1".into()))
        );
        assert_eq!(
            refuse("u1", false).map_err(code),
            Err(("failed".into(), "nothing for u1".into()))
        );
    }

    #[test]
    fn context_goes_before_the_message() {
        assert_eq!(Error::msg("no name").context("user 7").message(), "user 7: no name");
    }
}
