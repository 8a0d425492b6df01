//! What is wrong with a connector, as it is told: in bounds, and to the log once in a while.

use std::time::Duration;

use crate::printable::printable;
use crate::workspace::Complaints;

/// Problems that are told. Who has mended these sees the others.
const PROBLEMS: usize = 20;

/// Characters of each of them. A connector writes them, and every report has them all.
const PROBLEM: usize = 1000;

/// After this the log hears the same again, for those who read only its end.
const TELL_AGAIN: Duration = Duration::from_secs(600);

/// Tells of the health of one connector.
pub(super) struct Health {
    told: Complaints,
}

impl Health {
    pub fn new() -> Self {
        Self { told: Complaints::new(TELL_AGAIN) }
    }

    /// The problems as the workspace is to hear them. The log hears of them when they are news.
    pub fn tell(&mut self, connector: &str, problems: Vec<String>) -> Vec<String> {
        let problems = in_bounds(problems);
        if problems.is_empty() {
            self.told.clear();
        } else if self.told.is_news(&problems.join("\n")) {
            for problem in &problems {
                tracing::warn!(connector, "not well: {}", printable(problem));
            }
        }
        problems
    }
}

fn in_bounds(mut problems: Vec<String>) -> Vec<String> {
    let more = problems.len().saturating_sub(PROBLEMS);
    problems.truncate(PROBLEMS);
    for problem in &mut problems {
        if let Some((end, _)) = problem.char_indices().nth(PROBLEM) {
            problem.truncate(end);
            problem.push('…');
        }
    }
    if more > 0 {
        problems.push(format!("and {more} more problems"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_cut_and_counted() {
        let told = |count: usize, length: usize| in_bounds(vec!["é".repeat(length); count]);
        assert_eq!(told(PROBLEMS, PROBLEM), vec!["é".repeat(PROBLEM); PROBLEMS]);
        let many = told(PROBLEMS + 7, PROBLEM + 1);
        assert_eq!(many.len(), PROBLEMS + 1);
        assert_eq!(many[0], "é".repeat(PROBLEM) + "…");
        assert_eq!(many[PROBLEMS], "and 7 more problems");
        assert_eq!(told(0, 0), [""; 0]);
    }
}
