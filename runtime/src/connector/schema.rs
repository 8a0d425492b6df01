//! Checks a call's arguments against the action's schema, before a guest sees them.

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;
use serde_json::value::RawValue;

use super::limits;

/// Faults that one error text names. More would bury the first.
const FAULTS: usize = 5;

/// The schema of one action's arguments, ready to use.
pub(super) struct Arguments(Validator);

impl Arguments {
    /// Prepares a schema. References to other documents are not followed, and patterns use an engine
    /// whose time is linear: the schema comes from the guest.
    ///
    /// # Errors
    /// When it is no JSON Schema.
    pub(super) fn new(schema: &Value) -> Result<Self, String> {
        jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .build(schema)
            .map(Self)
            .map_err(|error| error.to_string())
    }

    /// Checks arguments, and says which of them do not fit.
    ///
    /// # Errors
    /// A sentence for the caller that names each field at fault.
    pub(super) fn check(&self, action: &str, arguments: &RawValue) -> Result<(), String> {
        if arguments.get().len() > limits::JSON_BYTES {
            return Err(format!(
                "arguments of {} MiB, more than the limit of {} MiB",
                arguments.get().len() >> 20,
                limits::JSON_BYTES >> 20
            ));
        }
        let value: Value = serde_json::from_str(arguments.get())
            .map_err(|error| format!("arguments of `{action}` are no JSON: {error}"))?;
        if self.0.is_valid(&value) {
            return Ok(());
        }
        let faults: Vec<_> = self.0.iter_errors(&value).take(FAULTS).map(|e| fault(&e)).collect();
        Err(format!("arguments of `{action}` do not fit: {}", faults.join("; ")))
    }
}

fn fault(error: &ValidationError<'_>) -> String {
    let place = error.instance_path().to_string();
    let field = place.trim_start_matches('/').replace('/', ".");
    let text = error.masked().to_string();
    let text = text.strip_prefix("value ").unwrap_or(&text);
    if field.is_empty() { text.to_owned() } else { format!("`{field}` {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_field_at_fault_is_named() {
        let schema = json!({
            "type": "object",
            "required": ["email"],
            "properties": {
                "email": {"type": "string"},
                "limit": {"type": "integer"},
                "user": {"type": "object", "required": ["id"]},
            },
        });
        let arguments = Arguments::new(&schema).expect("a schema");
        for (value, parts) in [
            (json!({}), vec!["\"email\" is a required property"]),
            (json!({"email": 1}), vec!["`email`", "string"]),
            (json!({"email": "a", "limit": "ten"}), vec!["`limit`", "integer"]),
            (json!({"email": "a", "user": {}}), vec!["`user`", "\"id\" is a required property"]),
            (json!([]), vec!["object"]),
        ] {
            let raw = raw(&value);
            let error = arguments.check("createUser", &raw).expect_err(&value.to_string());
            for part in parts {
                assert!(error.contains(part), "{value}: {error}");
            }
        }
        assert_eq!(arguments.check("createUser", &raw(&json!({"email": "a"}))), Ok(()));
    }

    #[test]
    fn a_value_is_not_repeated_in_the_error() {
        let arguments =
            Arguments::new(&json!({"properties": {"n": {"type": "integer"}}})).expect("a schema");
        let error = arguments.check("a", &raw(&json!({"n": "hunter2"}))).expect_err("does not fit");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_schema_that_is_none_is_refused() {
        assert!(Arguments::new(&json!({"type": "strnig"})).is_err());
        assert!(Arguments::new(&json!({"$ref": "https://example.com/schema.json"})).is_err());
    }

    fn raw(value: &Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(value).expect("JSON")
    }
}
