//! What a guest calls JSON, looked at before anybody else has to parse it.

use serde_json::value::RawValue;

use crate::envelope::{Breach, Limit, Limits};

/// What is wrong with a text that should be JSON.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JsonError {
    /// Too long or too deep.
    #[error(transparent)]
    Limit(#[from] Breach),
    /// No JSON.
    #[error("it is no JSON: {0}")]
    Syntax(String),
}

/// Checks a guest's result: JSON, not too long, not too deep. An empty text counts as `null`.
///
/// # Errors
/// What is wrong, for the caller.
pub fn result(text: String, limits: &Limits) -> Result<Box<RawValue>, JsonError> {
    let text = if text.trim_ascii().is_empty() { "null".to_owned() } else { text };
    sound(text, limits)
}

/// Checks any JSON text of a guest: not too long, not too deep.
///
/// # Errors
/// What is wrong.
pub fn sound(text: String, limits: &Limits) -> Result<Box<RawValue>, JsonError> {
    check_size(text.len(), limits)?;
    if depth(&text) > limits.count(Limit::JsonDepth) {
        return Err(limits.breach(Limit::JsonDepth).into());
    }
    RawValue::from_string(text).map_err(|error| JsonError::Syntax(error.to_string()))
}

/// Checks the size of a JSON text, in bytes.
///
/// # Errors
/// When it is too long.
pub fn check_size(bytes: usize, limits: &Limits) -> Result<(), Breach> {
    if bytes > limits.bytes(Limit::Json) { Err(limits.breach(Limit::Json)) } else { Ok(()) }
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
            assert_eq!(
                result(text.to_owned(), &Limits::default()).is_ok(),
                sound,
                "{}",
                &text[..text.len().min(40)]
            );
        }
    }

    #[test]
    fn brackets_in_strings_are_not_depth() {
        for (text, expected) in [("[[1],[2]]", 2), (r#"{"a":"[[[","b":{}}"#, 2), (r#""\"[""#, 0)] {
            assert_eq!(depth(text), expected, "{text}");
        }
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn deep(value: &Value) -> usize {
        match value {
            Value::Array(values) => 1 + values.iter().map(deep).max().unwrap_or_default(),
            Value::Object(values) => 1 + values.values().map(deep).max().unwrap_or_default(),
            _ => 0,
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[\\[\\]{}\"\\\\]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 40, 4, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
            let map = prop::collection::btree_map(any::<String>(), inner, 0..4);
            prop_oneof![list, map.prop_map(|map| Value::Object(map.into_iter().collect()))]
        })
    }

    proptest! {
        #[test]
        fn json_passes_to_the_letter_and_its_depth_is_seen(value in json()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).expect("JSON")] {
                prop_assert_eq!(depth(&text), deep(&value), "{}", text);
                let passed = sound(text.clone(), &Limits::default());
                prop_assert_eq!(passed.expect("sound JSON").get(), text);
            }
        }

        #[test]
        fn what_passes_can_be_read_by_any_parser(text: String, brackets in "[\\[\\]{}:,\"\\\\ 1a]{0,300}") {
            for text in [text, brackets] {
                if let Ok(passed) = result(text, &Limits::default()) {
                    let nothing: Result<serde::de::IgnoredAny, _> = serde_json::from_str(passed.get());
                    prop_assert!(nothing.is_ok(), "{}", passed);
                }
            }
        }
    }
}
