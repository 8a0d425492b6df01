//! `docs/broker.md` tells the numbers that are in force.

use std::time::Duration;

use super::super::limits::*;
use super::{Limit, Limits};

const PAGE: &str = include_str!("../../../../docs/broker.md");

fn size(bytes: usize) -> String {
    match bytes.is_multiple_of(1 << 20) {
        true => format!("{} MiB", bytes >> 20),
        false => format!("{} KiB", bytes >> 10),
    }
}

#[test]
fn the_table_of_limits_is_true() {
    let rows = [
        ("a URL", size(URL_BYTES)),
        ("header fields of a request", HEADERS.to_string()),
        ("header of a request", size(HEADER_BYTES)),
        ("header fields of an answer", ANSWER_HEADERS.to_string()),
        ("header of an answer", size(ANSWER_HEAD)),
        ("requests to an origin on the wire", PLACES_PER_ORIGIN.to_string()),
        ("answer of a token endpoint", size(TOKEN_ANSWER)),
        ("an idempotency key", format!("{IDEMPOTENCY_KEY_BYTES} characters")),
        ("a file with a secret", size(SECRET_FILE as usize)),
        ("times over that an answer is compressed", CODINGS.to_string()),
    ];
    let expected: Vec<_> = rows.iter().map(|(what, much)| format!("| {what} | {much} |")).collect();
    let (_, table) = PAGE.split_once("| limit | number |\n| --- | --- |\n").expect("the table");
    let shown: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert_eq!(shown, expected);
}

/// The rows of a table as they begin: key, what it is, and default.
fn rows(limits: [Limit; 4]) -> Vec<String> {
    let shown = |limit: Limit| Limits::default().shown(limit);
    let row = |limit: Limit| format!("| `{}` | {} | {} |", limit.key(), limit.what(), shown(limit));
    limits.map(row).into()
}

#[test]
fn the_tables_of_what_a_connector_may_use_up_are_true() {
    for (of, limits) in [
        ("a call", [Limit::Requests, Limit::Sent, Limit::Received, Limit::Decoded]),
        ("a connector", [Limit::InFlight, Limit::RequestBody, Limit::AnswerBody, Limit::Held]),
    ] {
        let (_, table) = PAGE.split_once(&format!("| key | of {of} | default |")).expect("a table");
        let shown: Vec<_> =
            table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
        let expected = rows(limits);
        assert_eq!(shown.len(), expected.len());
        for (shown, expected) in shown.iter().zip(expected) {
            assert!(shown.starts_with(&expected), "{shown}: {expected}");
        }
    }
}

#[test]
fn the_numbers_in_its_sentences_are_true() {
    let words = PAGE.split_whitespace().collect::<Vec<_>>().join(" ");
    let seconds = |time: Duration| time.as_secs();
    for sentence in [
        format!("| attempts | {ATTEMPTS}, the first included; 1 to {MOST_ATTEMPTS} by"),
        format!(
            "| pauses | {} s, doubling, up to {} s, each up to {} % longer",
            seconds(FIRST_PAUSE),
            seconds(LONGEST_PAUSE),
            JITTER * 100.0
        ),
        format!(
            "{} s for an attempt and {} s for all, or the request's own time limit of up to {} \
             minutes",
            seconds(ATTEMPT),
            seconds(TOTAL),
            seconds(LONGEST_TOTAL) / 60
        ),
        format!(
            "as many repeats of a connector at once as requests on the wire, but at least \
             {LEAST_REPEATS}; one more for every \
             {REQUESTS_PER_REPEAT} requests, and one every {} s",
            seconds(REPEAT_EVERY)
        ),
        format!("{} requests of a connector at once (`", Limits::default().shown(Limit::InFlight)),
        format!("After {BREAKER_FAILURES} failures in a row"),
        format!("fail at once for {} s", seconds(BREAKER_FIRST_PAUSE)),
        format!("doubles the pause, up to {} s", seconds(BREAKER_LONGEST_PAUSE)),
        format!("before it said so, for {} s at most", seconds(LONGEST_QUIET)),
        format!(
            "kept for {} s, up to {IDLE_PER_ORIGIN} idle ones for an origin",
            seconds(IDLE_CONNECTION)
        ),
        format!(
            "up to {ADDRESSES} are tried, a next one beside the last after {} ms. {} s for the \
             look-up, {} s with connecting",
            NEXT_ADDRESS.as_millis(),
            seconds(RESOLVE),
            seconds(CONNECT)
        ),
        format!("at most {} s between two pieces", seconds(PAUSE)),
        format!("renewed {} minutes before its end", seconds(TOKEN_AHEAD) / 60),
        format!("in its last {} s", seconds(TOKEN_LEEWAY)),
        format!(
            "the same error for {} s, then {} s, up to {} minutes",
            seconds(REFRESH_PAUSE),
            2 * seconds(REFRESH_PAUSE),
            seconds(LONGEST_REFRESH_PAUSE) / 60
        ),
        format!("of others after {TOKEN_FAILURES} in a row"),
    ] {
        assert!(words.contains(&sentence), "it does not say: {sentence}");
    }
}
