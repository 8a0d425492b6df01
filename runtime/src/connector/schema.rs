//! Checks a call's arguments against the action's schema, before a guest sees them.

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::limits;

/// Faults that one error text names. More would bury the first.
const FAULTS: usize = 5;

/// The schema of one action's arguments, ready to use.
pub(super) struct Arguments {
    /// None where every object fits.
    validator: Option<Validator>,
}

impl Arguments {
    /// Prepares a schema that a guest wrote. What would cost too much to check is not checked (see
    /// [`expanded`]): the guest reads its arguments again anyhow. Other documents are not fetched, and
    /// patterns use an engine whose time is linear.
    ///
    /// # Errors
    /// When it is no JSON Schema.
    pub(super) fn new(schema: &Value) -> Result<Self, String> {
        if takes_any_object(schema) {
            return Ok(Self { validator: None });
        }
        let patterns = PatternOptions::regex()
            .size_limit(limits::PATTERN_BYTES)
            .dfa_size_limit(limits::PATTERN_BYTES);
        jsonschema::options()
            .with_pattern_options(patterns)
            .build(&expanded(schema))
            .map(|validator| Self { validator: Some(validator) })
            .map_err(|error| error.to_string())
    }

    /// Checks arguments, and says which of them do not fit. Takes time in proportion to their length.
    ///
    /// # Errors
    /// A sentence for the caller that names each field at fault.
    pub(super) fn check(&self, action: &str, arguments: &RawValue) -> Result<(), String> {
        let Some(validator) = &self.validator else {
            let is_object = arguments.get().trim_ascii_start().starts_with('{');
            let fault = || format!("arguments of `{action}` do not fit: they are no object");
            return is_object.then_some(()).ok_or_else(fault);
        };
        let value: Value = serde_json::from_str(arguments.get())
            .map_err(|error| format!("arguments of `{action}` are no JSON: {error}"))?;
        if validator.is_valid(&value) {
            return Ok(());
        }
        let faults: Vec<_> =
            validator.iter_errors(&value).take(FAULTS).map(|e| fault(&e)).collect();
        Err(format!("arguments of `{action}` do not fit: {}", faults.join("; ")))
    }
}

/// Whether a schema says no more than that there is an object, as those of actions without arguments.
/// Arguments always are one.
fn takes_any_object(schema: &Value) -> bool {
    let says_nothing = |(key, value): (&String, &Value)| match key.as_str() {
        "type" => value == "object",
        "properties" => value.as_object().is_some_and(Map::is_empty),
        "additionalProperties" => *value == json!(true),
        key => ["$schema", "title", "description"].contains(&key),
    };
    schema.as_object().is_some_and(|schema| schema.iter().all(says_nothing))
}

fn fault(error: &ValidationError<'_>) -> String {
    let place = error.instance_path().to_string();
    let field = place.trim_start_matches('/').replace('/', ".");
    let text = error.masked().to_string();
    let text = text.strip_prefix("value ").unwrap_or(&text);
    if field.is_empty() { text.to_owned() } else { format!("`{field}` {text}") }
}

/// The schema with its references put in place, so that its size is its cost.
///
/// A chain of references overflows a checker's stack, references that double at each step take for
/// ever, and neither shows in the length of the text. What is behind a reference to itself, too deep,
/// or past the number of nodes, becomes `true`: it is not checked.
fn expanded(schema: &Value) -> Value {
    Expansion { root: schema, nodes: limits::SCHEMA_NODES, open: Vec::new() }.of(schema, 0)
}

struct Expansion<'a> {
    root: &'a Value,
    nodes: usize,
    /// The references that are being put in place.
    open: Vec<&'a str>,
}

impl<'a> Expansion<'a> {
    fn of(&mut self, schema: &'a Value, depth: usize) -> Value {
        if self.nodes == 0 || depth > limits::SCHEMA_DEPTH {
            return Value::Bool(true);
        }
        self.nodes -= 1;
        match schema {
            Value::Object(keywords) => self.keywords(keywords, depth),
            // `true`, `false`, or what the checker will say is no schema.
            other => other.clone(),
        }
    }

    fn keywords(&mut self, keywords: &'a Map<String, Value>, depth: usize) -> Value {
        let reference = keywords.get("$ref").and_then(Value::as_str);
        let target = reference.map(|reference| self.behind(reference, depth));
        let own = keywords
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), self.keyword(name, value, depth)?)));
        let own: Map<_, _> = own.collect();
        match target {
            Some(target) if own.is_empty() => target,
            Some(target) => json!({ "allOf": [target, own] }),
            None => Value::Object(own),
        }
    }

    /// One keyword's value with the schemas in it expanded. None for what is left out.
    fn keyword(&mut self, name: &str, value: &'a Value, depth: usize) -> Option<Value> {
        let depth = depth + 1;
        Some(match (name, value) {
            ("not" | "if" | "then" | "else" | "contains" | "propertyNames", schema)
            | ("items" | "additionalProperties", schema) => self.of(schema, depth),
            ("unevaluatedProperties" | "unevaluatedItems", schema) => self.of(schema, depth),
            ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(schemas)) => {
                schemas.iter().map(|schema| self.of(schema, depth)).collect()
            }
            ("properties" | "patternProperties" | "dependentSchemas", Value::Object(schemas)) => {
                let each = |(name, schema): (&String, _)| (name.clone(), self.of(schema, depth));
                schemas.iter().map(each).collect()
            }
            // Data, in which a member called `$ref` is no reference.
            ("const" | "enum" | "default" | "examples", data) => data.clone(),
            // Names of other places, definitions, and whatever else could hold a schema unseen.
            (name, _) if name.starts_with('$') => return None,
            (_, Value::Object(_)) => return None,
            (_, plain) => plain.clone(),
        })
    }

    fn behind(&mut self, reference: &'a str, depth: usize) -> Value {
        let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let Some(target) = target.filter(|_| !self.open.contains(&reference)) else {
            return Value::Bool(true);
        };
        self.open.push(reference);
        let expanded = self.of(target, depth + 1);
        self.open.pop();
        expanded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_every_object_fits_nothing_is_parsed_and_nothing_else_fits() {
        for (schema, any) in [
            (json!({"type": "object"}), true),
            (json!({"type": "object", "title": "None", "properties": {}}), true),
            (json!({"type": "object", "additionalProperties": false}), false),
            (json!({"type": "object", "properties": {"a": {}}}), false),
            (json!({"type": "array"}), false),
            (json!(true), false),
        ] {
            let arguments = Arguments::new(&schema).expect("a schema");
            assert_eq!(arguments.validator.is_none(), any, "{schema}");
        }
        let arguments = Arguments::new(&json!({"type": "object"})).expect("a schema");
        assert_eq!(arguments.check("a", &raw(&json!({"b": 1}))), Ok(()));
        assert!(arguments.check("a", &raw(&json!([]))).is_err());
    }

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
        assert!(Arguments::new(&json!({"properties": {"a": {"pattern": "("}}})).is_err());
    }

    #[test]
    fn references_are_followed() {
        let schema = json!({
            "properties": {"user": {"$ref": "#/$defs/User", "description": "who"}},
            "$defs": {"User": {"required": ["id"], "properties": {"boss": {"$ref": "#/$defs/User"}}}},
        });
        let arguments = Arguments::new(&schema).expect("a schema");
        let check = |value: Value| arguments.check("a", &raw(&value));
        assert_eq!(check(json!({"user": {"id": 1, "boss": {"id": 2}}})), Ok(()));
        assert!(check(json!({"user": {}})).expect_err("no id").contains("`user`"));
        // Another document, or one's own self once more, is not checked.
        let elsewhere = json!({"properties": {"a": {"$ref": "https://example.com/schema.json"}}});
        let elsewhere = Arguments::new(&elsewhere).expect("a schema");
        assert_eq!(elsewhere.check("a", &raw(&json!({"a": 1}))), Ok(()));
    }

    #[test]
    fn a_hostile_schema_neither_overflows_the_stack_nor_takes_for_ever() {
        let mut chain = Map::new();
        for n in 0..20_000 {
            chain.insert(format!("a{n}"), json!({"$ref": format!("#/$defs/a{}", n + 1)}));
        }
        let mut doubling = Map::new();
        for n in 0..60 {
            let next = json!({"$ref": format!("#/$defs/a{}", n + 1)});
            doubling.insert(format!("a{n}"), json!({"allOf": [next, next]}));
        }
        let mut deep = json!({"required": ["x"]});
        // JSON text is not read any deeper.
        for _ in 0..120 {
            deep = json!({"not": deep});
        }
        for (schema, definitions) in [
            (json!({"$ref": "#/$defs/a0", "required": ["x"]}), chain),
            (json!({"$ref": "#/$defs/a0", "required": ["x"]}), doubling),
        ] {
            let mut schema = schema;
            schema["$defs"] = Value::Object(definitions);
            let arguments = Arguments::new(&schema).expect("a schema");
            assert!(arguments.check("a", &raw(&json!({}))).is_err());
        }
        assert!(Arguments::new(&deep).is_ok());
        let patterns = json!({"pattern": r"(\w{200}){200}"});
        assert!(Arguments::new(&patterns).is_err());
    }

    fn raw(value: &Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(value).expect("JSON")
    }
}
