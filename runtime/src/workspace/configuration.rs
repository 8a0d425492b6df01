//! Configuration on the wire: the form that is sent, and the values that come back, mostly sealed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use secrecy::SecretString;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::keys::KeyPair;
use super::sealing::OpenError;
use super::secrets::{Secrets, tell};
use crate::manifest::{ENDPOINT_URL, Field, FieldKind, Manifest};

/// What a `set-config` held.
#[derive(Debug, Default)]
pub struct Opened {
    /// The values that are set, in text form.
    pub values: BTreeMap<String, SecretString>,
    /// One line for each value that was dropped: which and why, never what.
    pub problems: Vec<String>,
}

/// Opens the values of a `set-config`; `fields` are all fields of the form, the managed ones too.
///
/// A value of a `plain` field is taken as it is, an empty text, zero and `false` included. Any other
/// must be sealed; there `null` and all that JavaScript calls falsy mean that nothing is set.
pub fn open(
    secrets: &Secrets,
    fields: &[Field],
    keys: Option<&KeyPair>,
    audience: &str,
    now: SystemTime,
) -> Opened {
    let (values, problems) = (BTreeMap::new(), secrets.problems().to_vec());
    let mut opened = Opened { values, problems };
    for (key, value) in secrets.iter() {
        // One after the other, because values take up more than their text.
        let value = serde_json::from_str(value.get()).map_err(|_| Problem::Unreadable);
        let text = value.and_then(|value| match is_plain(key, fields) {
            true => Ok(plain_text(value)),
            false => unseal(value, keys, audience, now),
        });
        match text {
            Ok(Some(text)) => drop(opened.values.insert(key.to_owned(), text)),
            Ok(None) => {}
            Err(problem) => opened.problems.push(tell(key, problem)),
        }
    }
    opened
}

/// The form as the workspace shows it: `configSchema` of registration and introspection.
pub fn config_schema(manifest: &Manifest) -> Value {
    let fields: Map<String, Value> =
        manifest.all_fields().into_iter().map(|field| (field.key.clone(), entry(field))).collect();
    let mut schema = Map::from_iter([("fields".into(), Value::Object(fields))]);
    let mut add = |name: &str, value: Option<Value>| {
        schema.extend(value.map(|value| (name.to_owned(), value)));
    };
    add("description", manifest.description.clone().map(Value::from));
    add("summary", manifest.summary.clone().map(Value::from));
    add("oauth", manifest.oauth.as_ref().map(|_| json!(true)));
    Value::Object(schema)
}

/// One field of the form. What is usual is left out, as authors of the Node SDK leave it out.
fn entry(field: Field) -> Value {
    let optional = field.optional || field.kind == FieldKind::Managed;
    let parts = [
        ("name", Some(json!(field.name))),
        ("placeholder", field.placeholder.map(Value::from)),
        ("type", Some(json!(field.kind))),
        ("description", field.description.map(Value::from)),
        ("height", field.height.map(Value::from)),
        ("optional", optional.then_some(json!(field.optional))),
        ("plain", field.plain.then_some(json!(true))),
    ];
    parts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Why a value was dropped.
enum Problem {
    Unreadable,
    NoKeys,
    NotText,
    Shut(OpenError),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str(
                "cannot be read: it is nested too deep, or has a broken character; \
                 enter the value again",
            ),
            Self::NoKeys => f.write_str(
                "came sealed, but there are no keys; \
                 put the output of \"aloma-wasm keys\" into .env and enter the value again",
            ),
            Self::NotText => f.write_str(
                "must come sealed, which is a text, but another type came; \
                 enter the value again, or declare the field plain",
            ),
            Self::Shut(reason) => {
                write!(f, "cannot be opened: {reason}; enter the value again")
            }
        }
    }
}

fn is_plain(key: &str, fields: &[Field]) -> bool {
    key == ENDPOINT_URL || fields.iter().any(|field| field.key == key && field.plain)
}

fn plain_text(value: Value) -> Option<SecretString> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.into()),
        other => Some(other.to_string().into()),
    }
}

fn unseal(
    value: Value,
    keys: Option<&KeyPair>,
    audience: &str,
    now: SystemTime,
) -> Result<Option<SecretString>, Problem> {
    if is_falsy(&value) {
        return Ok(None);
    }
    let Value::String(jwe) = value else { return Err(Problem::NotText) };
    // A workspace that sends a sealed field as it is has sent a secret.
    let jwe = Zeroizing::new(jwe);
    let keys = keys.ok_or(Problem::NoKeys)?;
    let value = keys.open(&jwe, audience, now).map_err(Problem::Shut)?;
    Ok(value.into_text())
}

/// As the Node SDK skips them: there is nothing in them to open.
fn is_falsy(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(yes) => !yes,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::manifest::{EndpointMode, OAuth};
    use crate::workspace::sealing::seal;

    static PAIR: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate().expect("a pair"));

    fn field(key: &str, kind: FieldKind) -> Field {
        Field {
            key: key.into(),
            name: key.to_uppercase(),
            kind,
            description: None,
            placeholder: None,
            height: None,
            optional: false,
            plain: false,
        }
    }

    fn fields() -> Vec<Field> {
        vec![
            Field { plain: true, ..field("host", FieldKind::Line) },
            Field { plain: true, ..field("retries", FieldKind::Number) },
            field("apiKey", FieldKind::Line),
            Field { optional: true, ..field("note", FieldKind::Multiline) },
        ]
    }

    fn manifest() -> Manifest {
        Manifest {
            id: None,
            name: "test".into(),
            version: "0.0.1".into(),
            summary: None,
            description: None,
            icon: None,
            fields: Vec::new(),
            oauth: None,
            endpoint: None,
            asks: Vec::new(),
            credentials: Vec::new(),
            actions: Vec::new(),
        }
    }

    fn oauth() -> OAuth {
        OAuth {
            authorization_url: "https://example.com/auth".into(),
            token_url: "https://example.com/token".into(),
            client_id: None,
            client_secret: None,
            scope: None,
            use_auth_header: false,
            use_code_challenge: false,
            configurable_client: false,
            configurable_client_optional: false,
            configurable_client_scope: None,
            connection_optional: false,
            additional_token_args: Vec::new(),
        }
    }

    fn sealed(value: Value) -> Value {
        seal(&value, "1234", PAIR.public()).expect("sealed").into()
    }

    fn secrets(values: Value) -> Secrets {
        serde_json::from_str(&values.to_string()).expect("values")
    }

    fn open_one(key: &str, value: Value, keys: Option<&KeyPair>) -> Opened {
        open(&secrets(json!({ key: value })), &fields(), keys, "1234", SystemTime::now())
    }

    #[test]
    fn every_value_takes_its_way() {
        for (key, value, text) in [
            ("host", json!("example.com"), Some("example.com")),
            ("host", json!(""), Some("")),
            ("host", json!(null), None),
            ("retries", json!(0), Some("0")),
            ("retries", json!(false), Some("false")),
            ("retries", json!(12.5), Some("12.5")),
            ("retries", json!({"a": [1]}), Some(r#"{"a":[1]}"#)),
            ("endpointUrl", json!("https://example.com/x"), Some("https://example.com/x")),
            ("apiKey", sealed(json!("s3cret")), Some("s3cret")),
            ("apiKey", sealed(json!("")), Some("")),
            ("apiKey", sealed(json!(0)), Some("0")),
            ("apiKey", sealed(json!(false)), Some("false")),
            ("apiKey", sealed(json!(null)), None),
            ("apiKey", json!(null), None),
            ("apiKey", json!(""), None),
            ("apiKey", json!(false), None),
            ("apiKey", json!(0), None),
            ("oauthResult", sealed(json!({"access_token": "a"})), Some(r#"{"access_token":"a"}"#)),
            ("unknown", sealed(json!("x")), Some("x")),
        ] {
            let opened = open_one(key, value.clone(), Some(&PAIR));
            let got = opened.values.get(key).map(|value| value.expose_secret());
            assert_eq!(got, text, "{key} {value}");
            assert_eq!(opened.problems, [""; 0], "{key}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_opened_is_dropped_and_told() {
        let foreign = seal(&json!("s3cret"), "999", PAIR.public()).expect("sealed");
        let long = "k".repeat(100);
        let told_long = format!("field \"{}\"… cannot be opened", "k".repeat(64));
        for (key, value, keys, told) in [
            (
                "apiKey",
                sealed(json!("s3cret")),
                None,
                "field \"apiKey\" came sealed, but there are no keys; put the output of \
                 \"aloma-wasm keys\" into .env and enter the value again",
            ),
            (
                "apiKey",
                json!("s3cret"),
                Some(&*PAIR),
                "field \"apiKey\" cannot be opened: it is not sealed (no compact JWE); \
                 enter the value again",
            ),
            (
                "apiKey",
                json!(foreign),
                Some(&*PAIR),
                "field \"apiKey\" cannot be opened: it was sealed for another connector id; \
                 enter the value again",
            ),
            ("apiKey", json!(7), Some(&*PAIR), "field \"apiKey\" must come sealed"),
            ("apiKey", json!({"s3cret": 1}), None, "field \"apiKey\" must come sealed"),
            ("un\nknown", json!("s3cret"), Some(&*PAIR), "field \"un\\nknown\" cannot be opened"),
            (&long, json!("s3cret"), Some(&*PAIR), &told_long),
        ] {
            let opened = open_one(key, value, keys);
            assert!(opened.values.is_empty(), "{told}");
            let [problem] = &opened.problems[..] else { panic!("{:?}", opened.problems) };
            assert!(problem.starts_with(told), "{problem} should say {told}");
            assert!(!problem.contains("s3cret"), "{problem}");
        }
    }

    #[test]
    fn one_bad_value_does_no_harm_to_the_others() {
        let secrets = secrets(json!({"apiKey": "not sealed", "host": "example.com"}));
        let opened = open(&secrets, &fields(), Some(&PAIR), "1234", SystemTime::now());
        assert_eq!(opened.values.keys().collect::<Vec<_>>(), ["host"]);
        assert_eq!(opened.problems.len(), 1);
        assert!(!format!("{opened:?}").contains("example.com"), "values are never printed");
    }

    #[test]
    fn what_was_dropped_or_cannot_be_read_is_told_and_never_shown() {
        let deep =
            format!(r#"{{"host": {}"s3cret"{}, "retries": 1"#, "[".repeat(200), "]".repeat(200));
        let many: String = (0..300).map(|n| format!(r#", "k{n}": "s3cret""#)).collect();
        let secrets = serde_json::from_str(&format!("{deep}{many}}}")).expect("values");
        let opened = open(&secrets, &fields(), None, "1234", SystemTime::now());
        assert_eq!(opened.values.keys().collect::<Vec<_>>(), ["retries"]);
        assert_eq!(opened.problems[0], "more than 256 values came; 46 were dropped");
        assert!(opened.problems[1].starts_with("field \"host\" cannot be read"));
        assert_eq!(opened.problems.len(), 2 + 254);
        assert!(!opened.problems.concat().contains("s3cret"));
    }

    #[test]
    fn the_form_has_the_platforms_spelling() {
        let host = Field {
            name: "Host".into(),
            placeholder: Some("e.g. x".into()),
            plain: true,
            ..field("host", FieldKind::Line)
        };
        let secret = Field {
            name: "Secret".into(),
            description: Some("markdown".into()),
            optional: true,
            ..field("secret", FieldKind::Line)
        };
        let text = Field { height: Some(5), ..field("text", FieldKind::Multiline) };
        let fields = vec![host, secret];
        let table = [
            (manifest(), r#"{"fields":{}}"#),
            (
                Manifest {
                    fields,
                    oauth: Some(oauth()),
                    description: Some("…".into()),
                    summary: Some("…".into()),
                    ..manifest()
                },
                r#"{"fields":{"host":{"name":"Host","placeholder":"e.g. x","type":"line","plain":true},"secret":{"name":"Secret","type":"line","description":"markdown","optional":true},"oauthResult":{"name":"OAuth Result","placeholder":"will be set by finishing the oauth flow","type":"managed","optional":false}},"description":"…","summary":"…","oauth":true}"#,
            ),
            (
                Manifest {
                    fields: vec![text],
                    endpoint: Some(EndpointMode::Enabled),
                    ..manifest()
                },
                r#"{"fields":{"text":{"name":"TEXT","type":"multiline","height":5},"_endpointToken":{"name":"Endpoint Token","type":"line","optional":true}}}"#,
            ),
            (
                Manifest { endpoint: Some(EndpointMode::Required), ..manifest() },
                r#"{"fields":{"_endpointToken":{"name":"Endpoint Token","type":"managed","optional":false}}}"#,
            ),
        ];
        for (manifest, text) in table {
            assert_eq!(config_schema(&manifest).to_string(), text);
        }
    }
}
