//! Checks a call's arguments against the action's schema, before a guest sees them.

use std::collections::HashMap;

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::limits;

/// Faults that one error text names. More would bury the first.
const FAULTS: usize = 5;

/// Bytes of a string in the arguments that cost as much as a value of its own.
const VALUE_TEXT: usize = 64;

/// Bytes of a compiled pattern that cost as much at each byte of a text as a node does at each value.
const PATTERN_WORK: usize = 128;

/// Keywords of which a checker tells all faults in one.
const WORDY: [&str; 4] = ["anyOf", "oneOf", "unevaluatedItems", "unevaluatedProperties"];

/// What the schemas of all actions of a connector may still use up together.
pub(super) struct Budget {
    nodes: usize,
    /// Bytes of compiled patterns.
    patterns: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { nodes: limits::SCHEMAS_NODES, patterns: limits::PATTERNS_BYTES }
    }
}

/// The schema of one action's arguments, ready to use.
#[derive(Default)]
pub(super) struct Arguments {
    /// None where every object fits, and where checking would cost too much.
    validator: Option<Validator>,
    /// What the schema costs at each value of the arguments.
    nodes: usize,
    /// Bytes of its compiled patterns, each counted as often as it is there.
    patterns: usize,
    /// Whether a keyword is there whose faults cannot be had one by one.
    is_wordy: bool,
}

impl Arguments {
    /// Prepares a schema that a guest wrote. None where it would cost too much to check (see
    /// [`Expansion`]): the guest reads its arguments again anyhow. Other documents are not fetched, and
    /// patterns use an engine whose time is linear.
    ///
    /// # Errors
    /// When it is no JSON Schema.
    pub(super) fn new(schema: &Value, budget: &mut Budget) -> Result<Option<Self>, String> {
        if takes_any_object(schema) {
            return Ok(Some(Self::default()));
        }
        let nodes = budget.nodes.min(limits::SCHEMA_NODES);
        let mut expansion = Expansion::new(schema, nodes, &mut budget.patterns);
        let expanded = match expansion.of(schema, Place::top()) {
            Ok(expanded) => expanded,
            Err(Stop::TooMuch) => return Ok(None),
            Err(Stop::NoSchema(why)) => return Err(why),
        };
        let Expansion { nodes: left, compiled: patterns, is_wordy, .. } = expansion;
        let nodes = nodes - left;
        budget.nodes -= nodes;
        let validator = Some(compiled(&expanded, limits::PATTERN_BYTES)?);
        Ok(Some(Self { validator, nodes, patterns, is_wordy }))
    }

    /// Whether a check takes so little time that it can be done between two other things.
    pub(super) fn is_quick(&self, arguments: &RawValue) -> bool {
        let bytes = arguments.get().len();
        let is_quick = || self.work(bytes, bytes) <= limits::QUICK_CHECK;
        self.validator.is_none() || bytes <= limits::QUICK_CHECK_BYTES && is_quick()
    }

    /// What a check of so many values costs, with so many bytes of text.
    fn work(&self, values: usize, text: usize) -> usize {
        let of_patterns = text.saturating_mul(self.patterns) / PATTERN_WORK;
        values.saturating_mul(self.nodes).saturating_add(of_patterns)
    }

    /// Checks arguments, and says which of them do not fit. Long ones for which a check would take too
    /// long are not checked.
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
        let is_long = || {
            let size = Size::of(&value);
            self.work(size.values, size.text) > limits::LONGEST_CHECK
        };
        if !self.is_quick(arguments) && is_long() || validator.is_valid(&value) {
            return Ok(());
        }
        let faults = self.faults(validator, &value).join("; ");
        Err(format!("arguments of `{action}` do not fit: {faults}"))
    }

    /// What does not fit. Each fault costs memory, told or not, and a checker seeks all or the first
    /// one; of alternatives and of what is left over it seeks all.
    fn faults(&self, validator: &Validator, value: &Value) -> Vec<String> {
        let size = Size::of(value);
        let most = (size.values + (size.text + size.paths) / VALUE_TEXT).saturating_mul(self.nodes);
        if most <= limits::FAULTS_SOUGHT {
            validator.iter_errors(value).take(FAULTS).map(|error| fault(&error)).collect()
        } else if self.is_wordy {
            vec!["they are not what its schema asks for, and too many to say where".to_owned()]
        } else {
            validator.validate(value).err().iter().map(fault).collect()
        }
    }
}

/// How large arguments are.
#[derive(Default)]
struct Size {
    values: usize,
    /// Bytes of strings and names.
    text: usize,
    /// Bytes of the paths to all values.
    paths: usize,
}

impl Size {
    fn of(value: &Value) -> Self {
        let mut size = Self::default();
        size.add(value, 0);
        size
    }

    fn add(&mut self, value: &Value, path: usize) {
        self.values += 1;
        self.paths += path;
        match value {
            Value::String(text) => self.text += text.len(),
            Value::Array(values) => values.iter().for_each(|value| self.add(value, path)),
            Value::Object(members) => members.iter().for_each(|(name, value)| {
                self.text += name.len();
                self.add(value, path + name.len());
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

fn compiled(schema: &Value, pattern_bytes: usize) -> Result<Validator, String> {
    let patterns =
        PatternOptions::regex().size_limit(pattern_bytes).dfa_size_limit(limits::PATTERN_BYTES);
    let options = jsonschema::options().with_pattern_options(patterns);
    options.build(schema).map_err(|error| error.to_string())
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
    match field.as_str() {
        "" => cut(text),
        field => format!("`{}` {}", cut(field), cut(text)),
    }
}

/// A text of which nobody reads the end, since a name or a list in it may have any length.
fn cut(text: &str) -> String {
    match &text[..text.floor_char_boundary(limits::FAULT_TEXT)] {
        all if all.len() == text.len() => all.to_owned(),
        begin => format!("{begin}…"),
    }
}

/// Puts references in place, so that a schema's size is its cost.
///
/// A chain of references overflows a checker's stack, references that double at each step take for
/// ever, and neither shows in the length of the text. What is behind a reference to itself becomes
/// `true`: it is not checked. A schema that is too deep or past a budget is not checked at all, since
/// the half of one may refuse what the whole lets pass.
struct Expansion<'a> {
    root: &'a Value,
    /// How many more there may be.
    nodes: usize,
    /// How many more bytes of patterns there may be.
    patterns: &'a mut usize,
    /// The patterns that are there, which are in memory once, and the bytes of each.
    known: HashMap<&'a str, usize>,
    /// Bytes of all patterns, each counted as often as it is there.
    compiled: usize,
    /// The references that are being put in place.
    open: Vec<&'a str>,
    is_wordy: bool,
}

/// Why a schema cannot be expanded.
enum Stop {
    TooMuch,
    NoSchema(String),
}

/// Where in the expanded schema a node is.
#[derive(Clone, Copy)]
struct Place {
    depth: usize,
    /// Bytes of the path to it, which a checker keeps for each node.
    path: usize,
    /// How often a checker keeps it or looks at it.
    times: usize,
}

impl Place {
    fn top() -> Self {
        Self { depth: 0, path: 0, times: 1 }
    }

    fn under(self, name: &str) -> Self {
        Self { depth: self.depth + 1, path: self.path + 1 + name.len(), ..self }
    }

    fn in_list(self) -> Self {
        // A slash and some digits.
        Self { path: self.path + 4, ..self }
    }

    fn named(self, name: &str) -> Self {
        Self { path: self.path + 1 + name.len(), ..self }
    }

    /// The place of a schema for the value that the schema around it is for, too. Where that one has a
    /// keyword for what no other has evaluated, a checker goes through it again to find out, and if
    /// this one has such a keyword, too, once more in each round.
    fn in_place(self, name: &str, around: &Map<String, Value>) -> Self {
        let asks = ["unevaluatedProperties", "unevaluatedItems"];
        let rounds = if asks.iter().any(|name| around.contains_key(*name)) { 3 } else { 1 };
        Self { times: self.times.saturating_mul(rounds), ..self.under(name) }
    }
}

impl<'a> Expansion<'a> {
    fn new(root: &'a Value, nodes: usize, patterns: &'a mut usize) -> Self {
        let (known, open) = Default::default();
        Self { root, nodes, patterns, known, compiled: 0, open, is_wordy: false }
    }

    fn of(&mut self, schema: &'a Value, place: Place) -> Result<Value, Stop> {
        if place.depth > limits::SCHEMA_DEPTH {
            return Err(Stop::TooMuch);
        }
        match schema {
            Value::Object(keywords) => {
                self.spend(place, place.path)?;
                self.keywords(keywords, place)
            }
            // `true`, `false`, or what the checker will say is no schema.
            other => self.data(other, place),
        }
    }

    fn spend(&mut self, place: Place, text: usize) -> Result<(), Stop> {
        let cost = (1 + text / limits::NODE_TEXT).saturating_mul(place.times);
        self.nodes = self.nodes.checked_sub(cost).ok_or(Stop::TooMuch)?;
        Ok(())
    }

    fn keywords(&mut self, keywords: &'a Map<String, Value>, place: Place) -> Result<Value, Stop> {
        let target = match keywords.get("$ref") {
            Some(Value::String(reference)) => {
                Some(self.behind(reference, place.in_place("allOf/0", keywords))?)
            }
            _ => None,
        };
        let mut own = Map::new();
        for (name, value) in keywords {
            if let Some(value) = self.keyword(name, value, keywords, place)? {
                own.insert(name.clone(), value);
            }
        }
        Ok(match target {
            Some(target) if own.is_empty() => target,
            Some(target) => json!({ "allOf": [target, own] }),
            None => Value::Object(own),
        })
    }

    /// One keyword's value with the schemas in it expanded. None for what is left out.
    fn keyword(
        &mut self,
        name: &str,
        value: &'a Value,
        around: &Map<String, Value>,
        place: Place,
    ) -> Result<Option<Value>, Stop> {
        let (inner, beside) = (place.under(name), place.in_place(name, around));
        self.is_wordy |= WORDY.contains(&name);
        Ok(Some(match (name, value) {
            // A checker keeps a copy of it for its error.
            ("not", schema) => self.of(schema, Place { times: beside.times + 1, ..beside })?,
            ("if" | "then" | "else", schema) => self.of(schema, beside)?,
            ("contains" | "propertyNames" | "items" | "additionalProperties", schema)
            | ("unevaluatedProperties" | "unevaluatedItems", schema) => self.of(schema, inner)?,
            ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => self.list(schemas, beside)?,
            ("prefixItems", Value::Array(schemas)) => self.list(schemas, inner)?,
            ("dependentSchemas", Value::Object(schemas)) => self.named(schemas, beside)?,
            ("properties", Value::Object(schemas)) => self.named(schemas, inner)?,
            ("patternProperties", Value::Object(schemas)) => {
                for pattern in schemas.keys() {
                    self.pattern(pattern, place)?;
                }
                self.named(schemas, inner)?
            }
            ("pattern", Value::String(pattern)) => {
                self.pattern(pattern, place)?;
                self.data(value, place)?
            }
            // Nothing is checked by these.
            ("title" | "description", Value::String(_)) | ("default", _) => return Ok(None),
            ("examples", Value::Array(_)) => return Ok(None),
            // Data, in which a member called `$ref` is no reference.
            ("const" | "enum" | "examples", data) => self.data(data, place)?,
            // Names of other places, definitions, and whatever else could hold a schema unseen.
            (name, _) if name.starts_with('$') => return Ok(None),
            (_, Value::Object(_)) => return Ok(None),
            (_, plain) => self.data(plain, place)?,
        }))
    }

    fn list(&mut self, schemas: &'a [Value], place: Place) -> Result<Value, Stop> {
        schemas.iter().map(|schema| self.of(schema, place.in_list())).collect()
    }

    fn named(&mut self, schemas: &'a Map<String, Value>, place: Place) -> Result<Value, Stop> {
        let each = |(name, schema): (&String, &'a Value)| {
            Ok((name.clone(), self.of(schema, place.named(name))?))
        };
        Ok(Value::Object(schemas.iter().map(each).collect::<Result<_, _>>()?))
    }

    /// What is taken as it is, in which each value is a node.
    fn data(&mut self, data: &Value, place: Place) -> Result<Value, Stop> {
        self.spend_on(data, place)?;
        Ok(data.clone())
    }

    fn spend_on(&mut self, data: &Value, place: Place) -> Result<(), Stop> {
        self.spend(place, data.as_str().map_or(0, str::len))?;
        match data {
            Value::Array(values) => values.iter().try_for_each(|value| self.spend_on(value, place)),
            Value::Object(members) => members.iter().try_for_each(|(name, value)| {
                self.spend(place, name.len())?;
                self.spend_on(value, place)
            }),
            _ => Ok(()),
        }
    }

    /// A pattern is compiled here once more than needed, to learn how large it becomes.
    fn pattern(&mut self, pattern: &'a str, place: Place) -> Result<(), Stop> {
        if pattern.len() > limits::PATTERN_TEXT {
            return Err(Stop::TooMuch);
        }
        let bytes = match self.known.get(pattern) {
            Some(bytes) => *bytes,
            None => {
                let bytes = compiled_size(pattern).map_err(Stop::NoSchema)?;
                let left = self.patterns.checked_sub(limits::PATTERN_BASE + 2 * bytes);
                *self.patterns = left.ok_or(Stop::TooMuch)?;
                self.known.insert(pattern, bytes);
                bytes
            }
        };
        self.compiled = self.compiled.saturating_add(bytes.saturating_mul(place.times));
        Ok(())
    }

    fn behind(&mut self, reference: &'a str, place: Place) -> Result<Value, Stop> {
        self.spend(place, reference.len())?;
        let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let Some(target) = target.filter(|_| !self.open.contains(&reference)) else {
            return Ok(Value::Bool(true));
        };
        self.open.push(reference);
        let expanded = self.of(target, place);
        self.open.pop();
        expanded
    }
}

/// The bytes that a pattern takes when it is compiled, rounded up to the next power of two.
///
/// # Errors
/// When it is no pattern, or too large.
fn compiled_size(pattern: &str) -> Result<usize, String> {
    let schema = json!({ "pattern": pattern });
    let mut bytes = limits::SMALL_PATTERN;
    loop {
        match compiled(&schema, bytes) {
            Ok(_) => return Ok(bytes),
            Err(why) if bytes >= limits::PATTERN_BYTES => return Err(why),
            Err(_) => bytes *= 2,
        }
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
            let arguments = prepared(&schema);
            assert_eq!(arguments.validator.is_none(), any, "{schema}");
        }
        let arguments = prepared(&json!({"type": "object"}));
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
        let arguments = prepared(&schema);
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
        let arguments = prepared(&json!({"properties": {"n": {"type": "integer"}}}));
        let error = arguments.check("a", &raw(&json!({"n": "hunter2"}))).expect_err("does not fit");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_schema_that_is_none_is_refused() {
        for schema in [
            json!({"type": "strnig"}),
            json!({"properties": {"a": {"pattern": "("}}}),
            json!({"pattern": r"(\w{200}){200}"}),
        ] {
            assert!(Arguments::new(&schema, &mut Budget::default()).is_err(), "{schema}");
        }
    }

    #[test]
    fn references_are_followed() {
        let schema = json!({
            "properties": {"user": {"$ref": "#/$defs/User", "description": "who"}},
            "$defs": {"User": {"required": ["id"], "properties": {"boss": {"$ref": "#/$defs/User"}}}},
        });
        let arguments = prepared(&schema);
        let check = |value: Value| arguments.check("a", &raw(&value));
        assert_eq!(check(json!({"user": {"id": 1, "boss": {"id": 2}}})), Ok(()));
        assert!(check(json!({"user": {}})).expect_err("no id").contains("`user`"));
        // Another document, or one's own self once more, is not checked.
        let elsewhere = json!({"properties": {"a": {"$ref": "https://example.com/schema.json"}}});
        let elsewhere = prepared(&elsewhere);
        assert_eq!(elsewhere.check("a", &raw(&json!({"a": 1}))), Ok(()));
    }

    #[test]
    fn a_hostile_schema_is_not_checked() {
        let mut chain = Map::new();
        for n in 0..20_000 {
            chain.insert(format!("a{n}"), json!({"$ref": format!("#/$defs/a{}", n + 1)}));
        }
        let mut doubling = Map::new();
        for n in 0..60 {
            let next = json!({"$ref": format!("#/$defs/a{}", n + 1)});
            doubling.insert(format!("a{n}"), json!({"allOf": [next, next]}));
        }
        for definitions in [chain, doubling] {
            let schema = json!({"$ref": "#/$defs/a0", "required": ["x"], "$defs": definitions});
            assert!(is_too_much(&schema));
        }
        let mut deep = json!({"required": ["x"]});
        // JSON text is not read any deeper.
        for _ in 0..120 {
            deep = json!({"not": deep});
        }
        assert!(is_too_much(&deep));
    }

    #[test]
    fn what_is_behind_a_reference_counts_each_time() {
        let of = |references: usize, definition: Value| {
            let reference = json!({"$ref": "#/$defs/a"});
            json!({"allOf": vec![reference; references], "$defs": {"a": definition}})
        };
        let mixed: Vec<_> = (0..500).flat_map(|n| [json!(n), json!(n.to_string())]).collect();
        let words: Vec<_> = (0..1000).map(|n| n.to_string()).collect();
        let text = "x".repeat(limits::NODE_TEXT * 1000);
        let named = json!({"properties": {text.clone(): {"type": "string"}}});
        for definition in [
            json!({"enum": mixed}),
            json!({"required": words}),
            json!({"const": {"a": mixed}}),
            json!({"const": text}),
            json!({"const": {text.clone(): 1}}),
            named,
        ] {
            assert!(!is_too_much(&of(2, definition.clone())));
            assert!(is_too_much(&of(20, definition)));
        }
        // What only people read is free.
        let told = json!({"title": text, "description": text, "default": mixed, "examples": mixed});
        assert!(!is_too_much(&of(20, told)));
    }

    #[test]
    fn a_schema_costs_what_a_checker_makes_of_it() {
        let wide = |width: usize| json!({"allOf": vec![json!({"type": "string"}); width]});
        let mut kept_often = wide(500);
        for _ in 0..25 {
            kept_often = json!({"not": kept_often});
        }
        // A checker of this one would take hours for a few bytes.
        let mut doubling = json!({"properties": {"a": {}}});
        for _ in 0..25 {
            doubling = json!({"allOf": [doubling], "unevaluatedProperties": false});
        }
        let mut far = wide(1000);
        for _ in 0..25 {
            far = json!({"properties": {"x".repeat(limits::NODE_TEXT): far}});
        }
        for hostile in [kept_often, doubling, far] {
            assert!(is_too_much(&hostile));
        }
        let closed = json!({
            "allOf": [{"properties": {"a": {"type": "string"}}, "unevaluatedProperties": false}],
            "unevaluatedProperties": false,
        });
        let closed = prepared(&closed);
        assert_eq!(closed.check("a", &raw(&json!({"a": "b"}))), Ok(()));
        assert!(closed.check("a", &raw(&json!({"b": 1}))).is_err());
    }

    #[test]
    fn all_actions_of_a_connector_share_one_budget() {
        let schema = json!({"properties": {"a": {"type": "string", "pattern": "^a+b$"}}});
        let actions = |nodes, patterns| {
            let mut budget = Budget { nodes, patterns };
            let mut prepared = || Arguments::new(&schema, &mut budget).expect("a schema");
            (0..5).filter_map(|_| prepared()).count()
        };
        let all = Budget::default();
        let one = prepared(&schema);
        assert_eq!(actions(all.nodes, all.patterns), 5);
        assert_eq!(actions(3 * one.nodes, all.patterns), 3);
        let pattern = limits::PATTERN_BASE + 2 * one.patterns;
        assert_eq!(actions(all.nodes, 4 * pattern - 1), 3);
    }

    #[test]
    fn a_pattern_is_paid_for_once_and_a_long_one_is_not_read() {
        let each = json!({"pattern": "^a+b$"});
        let schema = json!({"items": each, "contains": each, "patternProperties": {"^a+b$": {}}});
        let mut budget = Budget::default();
        let arguments = Arguments::new(&schema, &mut budget).expect("a schema").expect("not large");
        assert_eq!(arguments.patterns, 3 * limits::SMALL_PATTERN);
        let paid = limits::PATTERNS_BYTES - budget.patterns;
        assert_eq!(paid, limits::PATTERN_BASE + 2 * limits::SMALL_PATTERN);
        let long = "a".repeat(limits::PATTERN_TEXT + 1);
        assert!(is_too_much(&json!({"pattern": long})));
        assert!(is_too_much(&json!({"patternProperties": {long: {}}})));
    }

    #[test]
    fn of_many_faults_the_first_is_told_and_of_few_a_few() {
        let strings = json!({"type": "array", "items": {"type": "string"}});
        let arguments = prepared(&json!({"properties": {"urls": strings}}));
        let faults = |arguments: &Arguments, count: usize| {
            let urls = raw(&json!({"urls": vec![0; count]}));
            arguments.check("a", &urls).expect_err("numbers")
        };
        assert_eq!(faults(&arguments, 100).matches("is not of type").count(), FAULTS);
        let many = faults(&arguments, 100_000);
        assert_eq!(many.matches("is not of type").count(), 1);
        assert!(many.contains("`urls.0`"), "{many}");
        // Of these a checker has only all.
        for either in [
            json!({"properties": {"urls": {"anyOf": [strings, {"type": "null"}]}}}),
            json!({"properties": {"urls": {"unevaluatedItems": {"type": "string"}}}}),
        ] {
            let arguments = prepared(&either);
            assert!(faults(&arguments, 100).contains("`urls`"));
            let many = faults(&arguments, 100_000);
            assert!(many.contains("too many to say where"), "{many}");
        }
        // A name is in the path of each fault.
        let long = raw(&json!({"urls": [0], "x".repeat(10 << 20): 0}));
        let told = arguments.check("a", &long).expect_err("a number");
        assert_eq!(told.matches("is not of type").count(), 1);
    }

    #[test]
    fn a_fault_is_cut() {
        let name = "é".repeat(limits::FAULT_TEXT);
        let member = |value: Value| Value::Object([(name.clone(), value)].into_iter().collect());
        let typed = json!({"type": "string"});
        for (schema, value) in [
            (json!({"properties": member(typed)}), member(json!(1))),
            (json!({"required": [name]}), json!({})),
            (json!({"properties": {"a": {}}, "additionalProperties": false}), member(json!(1))),
        ] {
            let error = prepared(&schema).check("a", &raw(&value)).expect_err("does not fit");
            assert!(error.contains('…') && error.len() < 3 * limits::FAULT_TEXT, "{error}");
        }
    }

    #[test]
    fn a_check_that_takes_long_is_no_quick_one_and_the_longest_is_left_out() {
        let mut arguments = prepared(&json!({"properties": {"a": {"type": "string"}}}));
        let small = raw(&json!({"a": 1}));
        let long = raw(&json!({"a": vec![0; limits::QUICK_CHECK_BYTES]}));
        assert!(arguments.is_quick(&small) && !arguments.is_quick(&long));
        assert!(arguments.check("a", &long).is_err());
        let per_value = (arguments.nodes, arguments.patterns);
        arguments.nodes = limits::LONGEST_CHECK;
        assert!(!arguments.is_quick(&small));
        assert_eq!(arguments.check("a", &long), Ok(()));
        (arguments.nodes, arguments.patterns) = (per_value.0, limits::QUICK_CHECK * PATTERN_WORK);
        assert!(!arguments.is_quick(&small));
        // Where every object fits there is nothing to do.
        assert!(Arguments::default().is_quick(&long));
    }

    fn prepared(schema: &Value) -> Arguments {
        let prepared = Arguments::new(schema, &mut Budget::default());
        prepared.expect("a schema").expect("not too large")
    }

    fn is_too_much(schema: &Value) -> bool {
        Arguments::new(schema, &mut Budget::default()).expect("a schema").is_none()
    }

    fn raw(value: &Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(value).expect("JSON")
    }
}
