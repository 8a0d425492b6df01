//! The dialect, case by case.

use serde_json::json;

use super::*;
use crate::manifest::Hints;

fn action(name: &str, arguments: Value, result: Option<Value>) -> Action {
    Action {
        name: name.into(),
        description: "say hello".into(),
        arguments,
        result,
        hints: Hints::default(),
    }
}

fn text(action: Action) -> String {
    introspect(&[action])
}

fn hi() -> Value {
    json!({"type": "object", "properties": {"hi": {"type": "string"}}, "required": ["hi"]})
}

fn type_of(schema: &Value) -> String {
    Types::new(schema, &mut { ACTION_BYTES }).of(schema).text
}

fn parameters(schema: &Value) -> String {
    Types::new(schema, &mut { ACTION_BYTES }).parameters()
}

const HELLO: &str = "\n/**\n * say hello\n *\n * \n * \n **/    \ndeclare function hello(): { hi: string; };\n      ";

#[test]
fn the_template_reads_as_the_node_sdk_writes_it() {
    for arguments in [json!({}), json!({"type": "object"}), json!(null), json!(true)] {
        assert_eq!(text(action("hello", arguments, Some(hi()))), HELLO);
    }
    let two = [action("hello", json!({}), Some(hi())), action("hello", json!({}), Some(hi()))];
    assert_eq!(introspect(&two), HELLO.repeat(2));
    assert_eq!(introspect(&[]), "");
}

#[test]
fn a_rich_action_reads_like_the_dialect() {
    let arguments = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Args",
        "type": "object",
        "properties": {
            "a": {"type": "string", "description": "doc of a"},
            "b": {"type": ["integer", "null"], "default": 1},
            "x-y": {"$ref": "#/$defs/Level"}
        },
        "required": ["a", "x-y"],
        "$defs": {"Level": {"type": "string", "enum": ["low", "high"], "description": "how\nmuch"}}
    });
    let mut action = action("crm.contacts.create", arguments, None);
    action.description = "Creates.\n\nReally */ does.".into();
    assert_eq!(
        text(action),
        "\n/**\n * Creates.\n * \n * Really *\\/ does.\n *\n * @namespace crm.contacts\n * \n **/    \n\
         declare function crm.contacts.create({a; b = 1; \"x-y\"}: {\
         \n/**\ndoc of a\n */\n a: string; \
         \n/**\n\n */\n b?: number | null; \
         \n/**\nhow\nmuch\n */\n \"x-y\": \"low\" | \"high\"}): any;\n      "
    );
}

#[test]
fn every_schema_has_its_type() {
    for (schema, text) in [
        (json!(true), "any"),
        (json!(false), "never"),
        (json!({}), "any"),
        (json!({"title": "AnyValue"}), "any"),
        (json!("no schema"), "any"),
        (json!({"type": "string", "format": "uuid"}), "string"),
        (json!({"type": "number"}), "number"),
        (json!({"type": "integer", "format": "uint8", "minimum": 0}), "number"),
        (json!({"type": "boolean"}), "boolean"),
        (json!({"type": "null"}), "null"),
        (json!({"type": "bogus"}), "any"),
        (json!({"type": 7}), "any"),
        (json!({"type": ["string", "null"]}), "string | null"),
        (json!({"type": ["integer", "number"]}), "number"),
        (json!({"type": "string", "nullable": true}), "string | null"),
        (json!({"const": "a"}), "\"a\""),
        (json!({"type": "string", "const": "a\"\n"}), "\"a\\\"\\n\""),
        (json!({"enum": ["a", 1, true, null, "a"]}), "\"a\" | 1 | true | null"),
        (json!({"enum": ["a", "x".repeat(300)]}), "string"),
        (json!({"enum": []}), "any"),
        (json!({"pattern": "^a"}), "string"),
        (json!({"minimum": 1}), "number"),
        // Arrays.
        (json!({"type": "array"}), "any[]"),
        (json!({"type": "array", "items": true}), "any[]"),
        (json!({"items": {"type": "string"}}), "string[]"),
        (json!({"type": "array", "items": {"type": ["string", "null"]}}), "(string | null)[]"),
        (json!({"type": ["array", "null"], "items": {"type": "string"}}), "string[] | null"),
        (
            json!({"type": "array", "items": {"type": "array", "items": hi()}}),
            "{ hi: string; }[][]",
        ),
        (
            json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}], "minItems": 2}),
            "[string, number]",
        ),
        (
            json!({"type": "array", "items": [{"type": "string"}], "additionalItems": {"type": ["number", "null"]}}),
            "[string, ...(number | null)[]]",
        ),
        (json!({"prefixItems": [{"type": "string"}], "items": false}), "[string]"),
        // Objects.
        (hi(), "{ hi: string; }"),
        (json!({"type": "object"}), "{}"),
        (json!({"type": "object", "additionalProperties": false}), "{}"),
        (json!({"type": "object", "additionalProperties": true}), "{ [key: string]: any }"),
        (
            json!({"type": "object", "additionalProperties": {"type": ["number", "null"]}}),
            "{ [key: string]: number | null }",
        ),
        (
            json!({"type": "object", "patternProperties": {"^\\d+$": {"type": "string"}}, "additionalProperties": false}),
            "{ [key: string]: string }",
        ),
        (
            json!({"properties": {"a": {}, "b c": {"type": "string"}}, "additionalProperties": true}),
            "{ a?: any; \"b c\"?: string; [key: string]: any; }",
        ),
        (
            json!({"properties": {"a": {"properties": {"b": {"type": "string", "description": "in */\ndeep"}}}}, "required": ["a"]}),
            "{ a: { /** in *\\/ deep */ b?: string; }; }",
        ),
        (
            json!({"properties": {"größe": {}, "1": {}, "$a_1": {}}}),
            "{ größe?: any; \"1\"?: any; $a_1?: any; }",
        ),
        // Composition.
        (json!({"oneOf": [{"type": "string"}, {"type": "number"}]}), "string | number"),
        (json!({"anyOf": [{"type": "string"}, {"type": "null"}]}), "string | null"),
        (json!({"anyOf": [{"type": "string"}, {}]}), "any"),
        (json!({"oneOf": []}), "any"),
        (
            json!({"oneOf": [{"const": "a", "description": "one"}, {"type": "string", "enum": ["b", "c"]}]}),
            "\"a\" | \"b\" | \"c\"",
        ),
        (json!({"allOf": [hi()]}), "{ hi: string; }"),
        (
            json!({"allOf": [hi(), {"oneOf": [{"type": "string"}, {"type": "number"}]}]}),
            "{ hi: string; } & (string | number)",
        ),
        (
            json!({"type": "object", "properties": {"k": {"const": 1}}, "required": ["k"], "oneOf": [hi(), {"type": "null"}]}),
            "{ k: 1; } & ({ hi: string; } | null)",
        ),
        (json!({"type": "object", "oneOf": [hi()]}), "{ hi: string; }"),
        (
            json!({"type": "object", "anyOf": [{"required": ["a"]}], "properties": {"a": {}}}),
            "{ a?: any; }",
        ),
    ] {
        assert_eq!(type_of(&schema), text, "{schema}");
    }
}

#[test]
fn references_are_followed_and_cut() {
    let node = json!({
        "$ref": "#/$defs/Node",
        "$defs": {"Node": {
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}},
            "required": ["next"]
        }}
    });
    let shared = json!({
        "type": "array",
        "prefixItems": [{"$ref": "#/definitions/A"}, {"$ref": "#/definitions/A"}],
        "definitions": {"A": {"type": "string"}}
    });
    let tagged = json!({
        "$ref": "#/$defs/A", "type": "object",
        "properties": {"type": {"const": "A"}}, "required": ["type"],
        "$defs": {"A": hi()}
    });
    let spelled = json!({
        "allOf": [{"$ref": "#/$defs/a%20b~1c"}],
        "$defs": {"a b/c": {"type": "string"}}
    });
    for (schema, text) in [
        (node, "{ next: any; }"),
        (shared, "[string, string]"),
        (spelled, "string"),
        (tagged, "{ type: \"A\"; } & { hi: string; }"),
        (json!({"properties": {"me": {"$ref": "#"}}}), "{ me?: { me?: any; }; }"),
        (json!({"$ref": "#"}), "any"),
        (json!({"$ref": "#/$defs/missing"}), "any"),
        (json!({"$ref": "https://example.com/schema.json"}), "any"),
        (json!({"$ref": "#/%zz"}), "any"),
        (
            json!({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}}),
            "any",
        ),
    ] {
        assert_eq!(type_of(&schema), text, "{schema}");
    }
}

#[test]
fn parameters_that_are_no_plain_object_are_one_argument() {
    let map = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let either =
        json!({"oneOf": [hi(), {"type": "object", "properties": {"n": {"type": "number"}}}]});
    let behind = json!({"$ref": "#/$defs/A", "$defs": {"A": hi()}});
    let tagged = json!({
        "$ref": "#/$defs/A", "properties": {"t": {"const": 1}}, "$defs": {"A": hi()}
    });
    for (schema, text) in [
        (map, "args: { [key: string]: string }"),
        (either, "args: { hi: string; } | { n?: number; }"),
        (json!({"allOf": [hi()]}), "args: { hi: string; }"),
        (tagged, "args: { t?: 1; } & { hi: string; }"),
        (behind, "{hi}: {\n/**\n\n */\n hi: string}"),
        (json!({"type": "null"}), ""),
        (json!({"title": "AnyValue"}), ""),
        (json!({"type": "object", "properties": {}, "additionalProperties": false}), ""),
        (json!({"$ref": "#"}), ""),
    ] {
        assert_eq!(parameters(&schema), text, "{schema}");
    }
}

#[test]
fn long_defaults_and_null_are_no_defaults() {
    let schema = json!({"properties": {
        "a": {"default": null}, "b": {"default": "x".repeat(300)}, "c": {"default": ""}
    }});
    assert!(parameters(&schema).starts_with("{a; b; c = \"\"}: {"));
}

#[test]
fn a_deep_schema_is_cut() {
    let deep = (0..100)
        .fold(json!({"type": "string"}), |inner, _| json!({"type": "array", "items": inner}));
    assert_eq!(type_of(&deep), format!("any{}", "[]".repeat(DEPTH)));
}

#[test]
fn hostile_schemas_stay_within_bounds() {
    // Each level doubles: four billion leaves at the end.
    let mut defs = Map::new();
    for level in 0..32 {
        let next = json!({"$ref": format!("#/$defs/{}", level + 1)});
        defs.insert(
            level.to_string(),
            json!({"prefixItems": [next, next, next, next, next, next]}),
        );
    }
    let bomb = json!({"$ref": "#/$defs/0", "$defs": defs});
    let wide: Map<_, _> =
        (0..50_000).map(|n| (format!("p{n}"), json!({"description": "d".repeat(500)}))).collect();
    let wide = json!({"type": "object", "properties": wide});
    let listed = json!({"enum": (0..100_000).collect::<Vec<_>>()});
    // Long words that leave nothing behind, reached again and again.
    let silent = json!({"items": {"$ref": "#/$defs/0"}, "$defs": {
        "0": {"prefixItems": vec![json!({"$ref": "#/$defs/1"}); 5000]},
        "1": {"properties": {"a": {"$ref": "#/$defs/2"}}, "required": vec!["x"; 50_000]},
        "2": {"description": "\u{1}".repeat(1_000_000), "const": "x".repeat(1_000_000)}
    }});
    for schema in [bomb, wide, listed, silent] {
        let block = text(action("a", schema.clone(), Some(schema)));
        assert!(block.len() < 4 * ACTION_BYTES, "{}", block.len());
        assert!(block.ends_with(";\n      "));
    }
}

#[test]
fn too_many_actions_are_counted() {
    let mut one = action("hello", json!({}), None);
    one.description = "d".repeat(DOC_BYTES);
    let text = introspect(&vec![one; 1000]);
    assert!(text.len() <= TEXT_BYTES + 100);
    assert!(text.ends_with(" more actions are not shown **/\n"), "{}", &text[text.len() - 60..]);
}

#[test]
fn a_name_and_a_text_cannot_break_out() {
    let mut evil = action("a\n*/ b", json!({}), None);
    evil.description = "one *\u{0}/ two **/ three\r\nfour".into();
    let text = text(evil);
    assert_eq!(text.matches("*/").count(), 1, "{text}");
    assert!(text.contains(" * one *\\/ two **\\/ three\n * four\n"), "{text}");
}

#[test]
fn of_a_long_enumeration_the_kinds_of_the_first_members_are_told() {
    let words = |count: usize| {
        let mut words = vec![json!("x".repeat(LITERAL_BYTES)); count];
        words.push(json!(1));
        json!({"properties": {"a": {"enum": words}}})
    };
    for (count, kinds) in [(KINDS - 1, "a?: string | number"), (KINDS, "a?: string}")] {
        let text = text(action("a", words(count), None));
        assert!(text.contains(kinds), "{text}");
    }
    // Each look is paid for, so that many references to one do not add up.
    let all = vec![json!({"$ref": "#/$defs/a"}); ACTION_BYTES];
    let schema = json!({"anyOf": all, "$defs": {"a": words(KINDS)["properties"]["a"]}});
    let mut budget = ACTION_BYTES;
    Types::new(&schema, &mut budget).of(&schema);
    assert_eq!(budget, 0);
}
