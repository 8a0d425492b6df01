//! Any value of a type of `wit/`, made of a fuzzer's bytes.
//!
//! A value is JSON: records are objects, options are null or the value, enums and flags are numbers, and
//! variants and results are `[case, payload]`.

use serde_json::{Map, Value, json};
use wit_parser::{Resolve, Type, TypeDefKind};

use crate::given::Given;

/// What a guest could have learned, and must not get out.
pub(crate) const SECRET: &str = "the-value-of-the-secret";

/// Elements of a list. More only take time.
const ELEMENTS: usize = 4;

const LABELS: &[&str] = &["a", "crm.list", "KEY", "PLAIN", "1.2.3", "oauthResult", "b-2", "ü"];
const URLS: &[&str] = &[
    "https://api.example.com/v1?q=1",
    "http://127.0.0.1:1/",
    "http://[::ffff:a9fe:a9fe]/latest",
    "https://{{BASE_URL}}/x",
    "https://*.example.com",
    "https://u:p@example.com/",
    "file:///etc/passwd",
    "{{PLAIN}}",
];
const SCHEMAS: &[&str] = &[
    "",
    "{}",
    "true",
    "[]",
    r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}"#,
    r##"{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a"}}}"##,
    r#"{"properties":{"a":{"pattern":"(a+)+$"}}}"#,
    r#"{"type":7}"#,
];
const METHODS: &[&str] = &["GET", "post", "CONNECT", "TRACE", "", "G ET", "PATCH", "é"];
const WORDS: &[&str] = &[
    "",
    "content-length",
    "Host",
    "accept-encoding",
    "idempotency-key",
    "transfer-encoding",
    "\r\nx: y",
    SECRET,
    "{\"a\":[1,2.50,\"the-value-of-the-secret\"]}",
    "null",
    "[[[[[[",
    "\u{0}",
    "endpointUrl",
    "18446744073709551616",
];

/// A value of the type. `name` is that of the field that holds it.
pub(crate) fn any(resolve: &Resolve, ty: &Type, name: &str, given: &mut Given<'_>) -> Value {
    match ty {
        Type::Bool => json!(given.byte() & 1),
        Type::Char => json!(u32::from(char::from(given.byte()))),
        Type::String => json!(text(name, given)),
        Type::Id(id) => of_kind(resolve, &resolve.types[*id].kind, name, given),
        _ => json!(number(given)),
    }
}

fn of_kind(resolve: &Resolve, kind: &TypeDefKind, name: &str, given: &mut Given<'_>) -> Value {
    let payload = |case: usize, ty: Option<&Type>, given: &mut Given<'_>| {
        json!([case, ty.map_or(Value::Null, |ty| any(resolve, ty, name, given))])
    };
    match kind {
        TypeDefKind::Type(ty) => any(resolve, ty, name, given),
        TypeDefKind::Record(record) => {
            let field = |field: &wit_parser::Field| {
                (field.name.clone(), any(resolve, &field.ty, &field.name, given))
            };
            Value::Object(record.fields.iter().map(field).collect::<Map<_, _>>())
        }
        TypeDefKind::Tuple(tuple) => {
            tuple.types.iter().map(|ty| any(resolve, ty, name, given)).collect()
        }
        TypeDefKind::Flags(flags) => json!(given.below(1 << flags.flags.len())),
        TypeDefKind::Enum(of) => json!(given.below(of.cases.len())),
        TypeDefKind::Option(ty) => {
            let is_some = given.byte() & 1 == 1;
            // An option of a value is never an option of an option in `wit/`.
            if is_some { any(resolve, ty, name, given) } else { Value::Null }
        }
        TypeDefKind::List(Type::U8) => {
            let length = usize::from(given.byte());
            given.bytes(length).iter().map(|byte| json!(byte)).collect()
        }
        TypeDefKind::List(ty) => {
            (0..given.below(ELEMENTS + 1)).map(|_| any(resolve, ty, name, given)).collect()
        }
        TypeDefKind::Result(result) => match given.byte() & 1 {
            0 => payload(0, result.ok.as_ref(), given),
            _ => payload(1, result.err.as_ref(), given),
        },
        TypeDefKind::Variant(variant) => {
            let case = given.below(variant.cases.len());
            payload(case, variant.cases[case].ty.as_ref(), given)
        }
        other => panic!("wit/ has got a {}, of which no value is made yet", other.as_str()),
    }
}

/// Mostly small: handles and limits are.
fn number(given: &mut Given<'_>) -> u64 {
    match given.byte() {
        0xff => given.number(),
        0xfe => u64::MAX,
        small => small.into(),
    }
}

fn text(name: &str, given: &mut Given<'_>) -> String {
    let words = match name {
        "name" | "version" | "id" | "key" | "value" | "username" | "password" | "client-id"
        | "client-secret" | "credential" | "bearer" | "kind" | "call-id" => LABELS,
        "url" | "origin" | "origins" | "token-url" | "authorization-url" => URLS,
        "arguments-schema" | "result-schema" => SCHEMAS,
        "method" => METHODS,
        _ => WORDS,
    };
    match given.byte() {
        0xff => given.text(),
        0xfe => WORDS[given.below(WORDS.len())].repeat(1 + usize::from(given.byte())),
        word => {
            let plain = words[usize::from(word) % words.len()];
            // Two of one list need not have the same name.
            if word & 0x80 == 0 { plain.to_owned() } else { format!("{plain}{}", given.byte()) }
        }
    }
}
