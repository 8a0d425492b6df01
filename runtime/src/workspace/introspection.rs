//! The actions as the workspace wants to read them: a text that looks like TypeScript.
//!
//! The dialect is the Node SDK's, to the blank, and is not valid TypeScript (`{a; b}` patterns, dots
//! in function names). It is made from JSON Schemas that come from the guest, so their depth, their
//! number and their words are bounded, and what is cut reads `any`.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::manifest::Action;

/// The whole text. It is sent at every registration; a large connector needs a tenth of it.
const TEXT_BYTES: usize = 1024 * 1024;
/// What the words of one action may add to it, so that one hostile schema leaves room for the rest.
const ACTION_BYTES: usize = 64 * 1024;
/// Types within types. Deeper ones tell nobody anything.
const DEPTH: usize = 12;
/// One documentation text.
const DOC_BYTES: usize = 4 * 1024;
/// One literal: a constant, a member of an enumeration or a default.
const LITERAL_BYTES: usize = 256;
/// Members of an enumeration of which the kinds are told in place of themselves. Those of the others are
/// seldom different.
const KINDS: usize = 256;
/// A reference within the schema. Longer ones are not followed.
const REFERENCE_BYTES: usize = 1024;
/// What a type costs beside its words, so that a schema of empty types ends, too.
const TYPE_COST: usize = 8;

/// The text for all actions, in their order. Actions beyond the limit are counted in a last comment.
pub fn introspect(actions: &[Action]) -> String {
    let mut text = String::new();
    for (index, action) in actions.iter().enumerate() {
        let block = block(action);
        if text.len() + block.len() > TEXT_BYTES {
            let left = actions.len() - index;
            text.push_str(&format!("\n/** {left} more actions are not shown **/\n"));
            break;
        }
        text.push_str(&block);
    }
    text
}

/// The line with the four blanks and the last one with the six are the dialect's.
fn block(action: &Action) -> String {
    let name = one_line(&action.name);
    let description = doc(&action.description).replace('\n', "\n * ");
    let namespace = match name.rsplit_once('.') {
        Some((namespace, _)) => format!("@namespace {namespace}"),
        None => String::new(),
    };
    let mut budget = ACTION_BYTES;
    let parameters = Types::new(&action.arguments, &mut budget).parameters();
    let result = match &action.result {
        Some(schema) => Types::new(schema, &mut budget).of(schema).text,
        None => ANY.into(),
    };
    format!(
        "\n/**\n * {description}\n *\n * {namespace}\n * \n **/    \n\
         declare function {name}({parameters}): {result};\n      "
    )
}

const ANY: &str = "any";

/// A type as text.
#[derive(Clone, PartialEq)]
struct Type {
    text: String,
    /// Has `|` or `&` at its top, so it needs parentheses next to `[]` and `&`.
    loose: bool,
}

impl Type {
    fn word(text: impl Into<String>) -> Self {
        Self { text: text.into(), loose: false }
    }

    fn any() -> Self {
        Self::word(ANY)
    }

    fn tight(self) -> String {
        if self.loose { format!("({})", self.text) } else { self.text }
    }

    fn union(types: Vec<Type>) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for kind in types {
            // `any` swallows every other member.
            if kind.text == ANY {
                return Self::any();
            }
            if !texts.contains(&kind.text) {
                texts.push(kind.text);
            }
        }
        match texts.len() {
            0 => Self::any(),
            more => Self { text: texts.join(" | "), loose: more > 1 },
        }
    }

    fn intersection(mut types: Vec<Type>) -> Self {
        match types.len() {
            0 => Self::any(),
            1 => types.remove(0),
            _ => {
                let texts: Vec<_> = types.into_iter().map(Type::tight).collect();
                Self { text: texts.join(" & "), loose: true }
            }
        }
    }
}

/// Makes types of one schema and all that it refers to.
struct Types<'a> {
    root: &'a Value,
    /// What may still be written.
    budget: &'a mut usize,
    depth: usize,
    /// The references that are being followed.
    following: Vec<&'a str>,
}

impl<'a> Types<'a> {
    fn new(root: &'a Value, budget: &'a mut usize) -> Self {
        Self { root, budget, depth: 0, following: Vec::new() }
    }

    /// What stands between the parentheses of the function.
    fn parameters(&mut self) -> String {
        let schema = self.resolved(self.root);
        let Some(object) = schema.as_object() else { return String::new() };
        if !is_plain_object(object) {
            return match self.of(schema).text {
                text if text == ANY || text == "null" || text == "{}" => String::new(),
                text => format!("args: {text}"),
            };
        }
        let members = self.members(object);
        if members.is_empty() {
            return String::new();
        }
        let names: Vec<_> = members.iter().map(Member::pattern).collect();
        let types: Vec<_> = members.iter().map(Member::documented).collect();
        format!("{{{}}}: {{{}}}", names.join("; "), types.join("; "))
    }

    /// The schema behind the references at the top, if they end within the depth.
    fn resolved(&self, mut schema: &'a Value) -> &'a Value {
        for _ in 0..DEPTH {
            if schema.as_object().is_some_and(is_extended) {
                break;
            }
            match schema.get("$ref").and_then(Value::as_str).and_then(|at| self.target(at)) {
                Some(target) => schema = target,
                None => break,
            }
        }
        schema
    }

    /// Only within the document: nothing is ever fetched.
    fn target(&self, reference: &str) -> Option<&'a Value> {
        let pointer = reference.strip_prefix('#').filter(|at| at.len() < REFERENCE_BYTES)?;
        self.root.pointer(pointer).or_else(|| self.root.pointer(&percent_decoded(pointer)?))
    }

    fn spend(&mut self, bytes: usize) -> bool {
        let enough = *self.budget >= bytes;
        *self.budget = self.budget.saturating_sub(bytes);
        enough
    }

    fn of(&mut self, schema: &'a Value) -> Type {
        if self.depth >= DEPTH || !self.spend(TYPE_COST) {
            return Type::any();
        }
        self.depth += 1;
        let made = match schema {
            Value::Bool(false) => Type::word("never"),
            Value::Object(schema) => self.of_object(schema),
            _ => Type::any(),
        };
        self.depth -= 1;
        made
    }

    fn of_object(&mut self, schema: &'a Map<String, Value>) -> Type {
        if let Some(Value::String(reference)) = schema.get("$ref") {
            let behind = self.behind(reference);
            return nullable(schema, self.beside(schema, behind));
        }
        if let Some(value) = schema.get("const") {
            return self.literals(std::slice::from_ref(value));
        }
        if let Some(Value::Array(values)) = schema.get("enum") {
            return self.literals(values);
        }
        let mut parts: Vec<Type> = self.own(schema).into_iter().collect();
        for (keyword, join) in [
            ("oneOf", Type::union as fn(Vec<Type>) -> Type),
            ("anyOf", Type::union),
            ("allOf", Type::intersection),
        ] {
            if let Some(Value::Array(schemas)) = schema.get(keyword) {
                parts.push(join(self.each(schemas)));
            }
        }
        if parts.len() > 1 {
            parts.retain(|part| part.text != ANY);
        }
        nullable(schema, Type::intersection(parts))
    }

    fn behind(&mut self, reference: &'a str) -> Type {
        let Some(target) = self.target(reference) else { return Type::any() };
        if self.following.contains(&reference) {
            return Type::any();
        }
        self.following.push(reference);
        let made = self.of(target);
        self.following.pop();
        made
    }

    /// schemars writes the tag of a variant beside the reference to its content.
    fn beside(&mut self, schema: &'a Map<String, Value>, behind: Type) -> Type {
        match is_extended(schema) {
            true => Type::intersection(vec![self.object(schema), behind]),
            false => behind,
        }
    }

    fn each(&mut self, schemas: &'a [Value]) -> Vec<Type> {
        let mut types = Vec::new();
        for schema in schemas {
            if *self.budget == 0 {
                types.push(Type::any());
                break;
            }
            types.push(self.of(schema));
        }
        types
    }

    fn literals(&mut self, values: &[Value]) -> Type {
        let mut types = Vec::new();
        for value in values {
            let text = value.to_string();
            let affordable = self.spend(text.len() + TYPE_COST);
            if text.len() > LITERAL_BYTES || !affordable {
                return self.kinds(values);
            }
            types.push(Type::word(text));
        }
        Type::union(types)
    }

    fn kinds(&mut self, values: &[Value]) -> Type {
        let values = &values[..values.len().min(KINDS)];
        self.spend(values.len());
        Type::union(values.iter().map(kind_of).collect())
    }

    /// What the schema says by its `type`, or by keywords that only one type has.
    fn own(&mut self, schema: &'a Map<String, Value>) -> Option<Type> {
        match schema.get("type") {
            Some(Value::String(kind)) => self.named(kind, schema),
            Some(Value::Array(kinds)) => {
                let kinds = kinds.iter().take(TYPE_NAMES).filter_map(Value::as_str);
                Some(Type::union(kinds.filter_map(|kind| self.named(kind, schema)).collect()))
            }
            _ => self.named(inferred(schema)?, schema),
        }
    }

    fn named(&mut self, kind: &str, schema: &'a Map<String, Value>) -> Option<Type> {
        match kind {
            "string" | "boolean" | "null" => Some(Type::word(kind)),
            "number" | "integer" => Some(Type::word("number")),
            "array" => Some(self.array(schema)),
            // Beside `oneOf` and its like a bare `object` says nothing that they do not say.
            "object" if is_bare(schema) && is_composed(schema) => None,
            "object" => Some(self.object(schema)),
            _ => Some(Type::any()),
        }
    }

    fn array(&mut self, schema: &'a Map<String, Value>) -> Type {
        let (first, rest) = match (schema.get("prefixItems"), schema.get("items")) {
            (Some(Value::Array(first)), rest) => (first, rest),
            (_, Some(Value::Array(first))) => (first, schema.get("additionalItems")),
            (_, Some(items)) => return Type::word(self.of(items).tight() + "[]"),
            (_, None) => return Type::word("any[]"),
        };
        let mut items: Vec<_> = self.each(first).into_iter().map(|item| item.text).collect();
        if let Some(rest @ Value::Object(_)) = rest {
            items.push(format!("...{}[]", self.of(rest).tight()));
        }
        Type::word(format!("[{}]", items.join(", ")))
    }

    fn object(&mut self, schema: &'a Map<String, Value>) -> Type {
        let members = self.members(schema);
        let others = self.others(schema);
        let mut text: String = members.iter().map(|member| member.inline() + " ").collect();
        match others {
            // The usual spelling of a map has no semicolon.
            Some(kind) if members.is_empty() => {
                return Type::word(format!("{{ [key: string]: {kind} }}"));
            }
            Some(kind) => text.push_str(&format!("[key: string]: {kind}; ")),
            None if members.is_empty() => return Type::word("{}"),
            None => {}
        }
        Type::word(format!("{{ {text}}}"))
    }

    /// The type of the members that have no name in the schema.
    fn others(&mut self, schema: &'a Map<String, Value>) -> Option<String> {
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        let more = match schema.get("additionalProperties") {
            None | Some(Value::Bool(false)) => None,
            Some(more) => Some(more),
        };
        let mut types = Vec::new();
        for schema in patterns.into_iter().flat_map(Map::values).chain(more) {
            if *self.budget == 0 {
                return Some(ANY.into());
            }
            types.push(self.of(schema));
        }
        (!types.is_empty()).then(|| Type::union(types).text)
    }

    fn members(&mut self, schema: &'a Map<String, Value>) -> Vec<Member> {
        let Some(Value::Object(properties)) = schema.get("properties") else { return Vec::new() };
        let required = schema.get("required").and_then(Value::as_array);
        let required: HashSet<_> =
            required.into_iter().flatten().filter_map(Value::as_str).collect();
        self.spend(required.len());
        let mut members = Vec::new();
        for (name, property) in properties {
            let doc = self.documentation(property);
            if !self.spend(name.len() + doc.len()) {
                break;
            }
            members.push(Member {
                name: property_name(name),
                optional: !required.contains(name.as_str()),
                kind: self.of(property).text,
                default: self.default_of(property),
                doc,
            });
        }
        members
    }

    fn default_of(&mut self, property: &Value) -> Option<String> {
        let text = property.get("default").filter(|value| !value.is_null())?.to_string();
        let affordable = self.spend(text.len());
        Some(text).filter(|text| affordable && text.len() <= LITERAL_BYTES)
    }

    /// Its own, else that of what it refers to.
    fn documentation(&self, property: &'a Value) -> String {
        let text = |schema: &Value| Some(doc(schema.get("description")?.as_str()?));
        text(property).or_else(|| text(self.resolved(property))).unwrap_or_default()
    }
}

/// One member of an object.
struct Member {
    name: String,
    optional: bool,
    kind: String,
    default: Option<String>,
    doc: String,
}

impl Member {
    /// As the function's pattern has it.
    fn pattern(&self) -> String {
        match &self.default {
            Some(default) => format!("{} = {default}", self.name),
            None => self.name.clone(),
        }
    }

    fn plain(&self) -> String {
        let mark = if self.optional { "?" } else { "" };
        format!("{}{mark}: {}", self.name, self.kind)
    }

    /// As a parameter. The comment is there even when it is empty, as the Node SDK writes it.
    fn documented(&self) -> String {
        format!("\n/**\n{}\n */\n {}", self.doc, self.plain())
    }

    /// As a member of a nested type.
    fn inline(&self) -> String {
        match self.doc.as_str() {
            "" => format!("{};", self.plain()),
            doc => format!("/** {} */ {};", doc.replace('\n', " "), self.plain()),
        }
    }
}

/// JSON has seven type names, `integer` included.
const TYPE_NAMES: usize = 7;

const COMPOSERS: [&str; 4] = ["oneOf", "anyOf", "allOf", "$ref"];

/// Refers to another schema and adds members to it.
fn is_extended(schema: &Map<String, Value>) -> bool {
    schema.contains_key("$ref") && schema.contains_key("properties")
}

fn is_composed(schema: &Map<String, Value>) -> bool {
    COMPOSERS.iter().any(|keyword| schema.contains_key(*keyword))
}

fn is_bare(schema: &Map<String, Value>) -> bool {
    !["properties", "additionalProperties", "patternProperties"]
        .iter()
        .any(|keyword| schema.contains_key(*keyword))
}

/// An object whose members are all known by name: what a pattern can spell out.
fn is_plain_object(schema: &Map<String, Value>) -> bool {
    let is_object = match schema.get("type") {
        Some(kind) => kind == "object",
        None => true,
    };
    is_object && !is_composed(schema) && (is_bare(schema) || schema.contains_key("properties"))
}

fn inferred(schema: &Map<String, Value>) -> Option<&'static str> {
    const SIGNS: [(&str, &str); 11] = [
        ("properties", "object"),
        ("additionalProperties", "object"),
        ("patternProperties", "object"),
        ("items", "array"),
        ("prefixItems", "array"),
        ("minItems", "array"),
        ("pattern", "string"),
        ("minLength", "string"),
        ("maxLength", "string"),
        ("minimum", "number"),
        ("maximum", "number"),
    ];
    SIGNS.iter().find(|(sign, _)| schema.contains_key(*sign)).map(|(_, kind)| *kind)
}

/// OpenAPI 3.0 says it this way.
fn nullable(schema: &Map<String, Value>, kind: Type) -> Type {
    match schema.get("nullable") {
        Some(Value::Bool(true)) => Type::union(vec![kind, Type::word("null")]),
        _ => kind,
    }
}

fn kind_of(value: &Value) -> Type {
    match value {
        Value::Null => Type::word("null"),
        Value::Bool(_) => Type::word("boolean"),
        Value::Number(_) => Type::word("number"),
        Value::String(_) => Type::word("string"),
        Value::Array(_) | Value::Object(_) => Type::any(),
    }
}

/// As it is where JavaScript allows that, else in quotes.
fn property_name(name: &str) -> String {
    let is_letter = |c: char| c.is_alphabetic() || c == '_' || c == '$';
    let is_name =
        name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_alphanumeric());
    if is_name { name.into() } else { Value::from(name).to_string() }
}

/// A text that fits into a comment and cannot end it.
fn doc(text: &str) -> String {
    // Cut first: what a text costs must not depend on how long it was.
    let cut = &text[..text.floor_char_boundary(DOC_BYTES)];
    let mut kept: String = cut.trim().chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    if cut.len() < text.len() {
        kept.push('…');
    }
    // Last, so that nothing done before can put the two together again.
    kept.replace("*/", "*\\/")
}

/// An action's name has no blanks; one that has cannot break out of its line.
fn one_line(name: &str) -> String {
    let kept: String = name.chars().filter(|c| !c.is_control()).take(LITERAL_BYTES).collect();
    kept.replace("*/", "*\\/")
}

/// References are URI fragments: `#/$defs/a%20b`.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        let (byte, more) = match (first, more) {
            (b'%', [high, low, more @ ..]) => {
                let digits = [*high, *low];
                (u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?, more)
            }
            _ => (first, more),
        };
        bytes.push(byte);
        rest = more;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
