//! What a guest calls JSON, looked at before anybody else has to parse it.

use serde_json::value::RawValue;

use super::limits;

/// Checks a guest's result: JSON, not too long, not too deep. An empty text counts as `null`.
///
/// # Errors
/// A sentence for the caller.
pub fn result(text: String) -> Result<Box<RawValue>, String> {
    if text.trim().is_empty() { sound("null".to_owned()) } else { sound(text) }
}

/// Checks any JSON text of a guest: not too long, not too deep.
///
/// # Errors
/// What is wrong, to put behind "it is".
pub fn sound(text: String) -> Result<Box<RawValue>, String> {
    if text.len() > limits::JSON_BYTES {
        return Err(format!(
            "{} MiB of JSON, more than the limit of {} MiB",
            text.len() >> 20,
            limits::JSON_BYTES >> 20
        ));
    }
    if depth(&text) > limits::JSON_DEPTH {
        return Err(format!("JSON nested deeper than {} levels", limits::JSON_DEPTH));
    }
    RawValue::from_string(text).map_err(|error| format!("not JSON: {error}"))
}

/// How deep the brackets outside strings go. Right for every JSON text; for others it is enough that
/// it ends.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sound_json_is_a_result() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for (text, sound) in [
            (r#"{"hi":"world"}"#, true),
            ("42", true),
            ("", true),
            ("null", true),
            (r#""[[[\"[""#, true),
            ("{hi}", false),
            ("1 2", false),
            ("NaN", false),
            (deep.as_str(), false),
        ] {
            assert_eq!(result(text.to_owned()).is_ok(), sound, "{}", &text[..text.len().min(40)]);
        }
    }

    #[test]
    fn brackets_in_strings_are_not_depth() {
        for (text, expected) in [("[[1],[2]]", 2), (r#"{"a":"[[[","b":{}}"#, 2), (r#""\"[""#, 0)] {
            assert_eq!(depth(text), expected, "{text}");
        }
    }
}
