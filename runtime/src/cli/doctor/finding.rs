//! One line of the report.

use std::fmt::Write as _;

use serde::Serialize;

use crate::printable::printable;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Standing {
    /// As it should be.
    Ok,
    /// It works, and could be better or should be known.
    Note,
    /// It must be mended.
    Problem,
}

/// What was looked at, how it is, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub what: &'static str,
    pub standing: Standing,
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    pub fn ok(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, standing: Standing::Ok, text: text.into(), advice: None }
    }

    pub fn note(what: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        let (text, advice) = (text.into(), Some(advice.into()));
        Self { what, standing: Standing::Note, text, advice }
    }

    pub fn problem(what: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { standing: Standing::Problem, ..Self::note(what, text, advice) }
    }
}

/// A line each, with what to do below it, and how many must be mended.
pub(super) fn as_text(findings: &[Finding]) -> String {
    let mut out = String::new();
    for Finding { what, standing, text, advice } in findings {
        let standing = match standing {
            Standing::Ok => "ok",
            Standing::Note => "note",
            Standing::Problem => "problem",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{standing:8} {what:12} {}", printable(text));
        if let Some(advice) = advice {
            let _ = writeln!(out, "{:21} {}", "", printable(advice));
        }
    }
    let problems = findings.iter().filter(|finding| finding.standing == Standing::Problem).count();
    let _ = match problems {
        0 => writeln!(out, "\nnothing to mend"),
        1 => writeln!(out, "\n1 problem to mend"),
        many => writeln!(out, "\n{many} problems to mend"),
    };
    out
}

pub(super) fn as_json(findings: &[Finding]) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(findings)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_with_what_to_do_below_it() {
        let findings = [
            Finding::ok("kernel", "Linux 6.12"),
            Finding::note("keys", "none", "make some"),
            Finding::problem("cache", "cannot\u{1b}[0m be written", "mend it"),
        ];
        let expected = "\
ok       kernel       Linux 6.12
note     keys         none
                      make some
problem  cache        cannot␊[0m be written
                      mend it

1 problem to mend
";
        assert_eq!(as_text(&findings), expected);
        assert!(as_text(&findings[..2]).ends_with("\nnothing to mend\n"));
        let json: serde_json::Value =
            serde_json::from_str(&as_json(&findings).expect("JSON")).expect("JSON");
        assert_eq!(json[2]["standing"], "problem");
        assert_eq!(json[0].get("advice"), None);
    }
}
