//! What the workspace asks of us, read from a packet.

use std::fmt;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::limits::{QUERY_ELEMENTS, QUERY_TEXT};
use super::packet::raw;
use super::secrets::{Secrets, SetConfig};

/// Names that every JavaScript object has. The Node SDK removes them from queries.
const NOT_NAMES: [&str; 5] = ["constructor", "__proto__", "toString", "toSource", "prototype"];

/// The method that has no answer unless it fails.
pub(super) const SET_CONFIG: &str = "connector.set-config";

/// A request of the workspace. Debug output shows no payload.
pub enum Request {
    /// New configuration. Values are plain or sealed.
    SetConfig(SetConfig),
    /// What is this connector?
    Introspect,
    /// Call an action.
    Query(Query),
    /// Begin an authorization.
    StartOauth,
    /// The user has authorized.
    FinishOauth {
        /// The authorization code.
        code: SecretString,
        /// Where the user was sent back to; the token endpoint compares it.
        redirect_uri: Option<String>,
        /// The PKCE verifier, if there was a challenge.
        code_verifier: Option<SecretString>,
    },
}

/// A call of an action.
pub struct Query {
    /// The names to walk, without those that the Node SDK removes.
    pub path: Vec<String>,
    /// The query as it came, for the fallback.
    pub original: Box<RawValue>,
    /// The arguments: a JSON object.
    pub variables: Box<RawValue>,
    /// The task that calls.
    pub task_id: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// What the workspace means by `sticky` is not known.
    pub sticky: Option<String>,
}

impl Request {
    /// Reads a request. The error is for the caller.
    pub fn read(method: &str, arguments: Option<Box<RawValue>>) -> Result<Self, String> {
        let arguments = arguments.as_deref();
        match method {
            SET_CONFIG => read_set_config(arguments),
            "connector.introspect" => Ok(Self::Introspect),
            "connector.query" => read_query(arguments).map(Self::Query),
            "connector.start-oauth" => Ok(Self::StartOauth),
            "connector.finish-oauth" => read_finish_oauth(arguments),
            _ => Err("cannot handle packet".into()),
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetConfig(_) => f.write_str("SetConfig"),
            Self::Introspect => f.write_str("Introspect"),
            Self::Query(query) => query.fmt(f),
            Self::StartOauth => f.write_str("StartOauth"),
            Self::FinishOauth { .. } => f.write_str("FinishOauth"),
        }
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Query({:?})", self.path)
    }
}

fn read_set_config(arguments: Option<&RawValue>) -> Result<Request, String> {
    #[derive(Deserialize)]
    struct Arguments {
        secrets: Secrets,
    }
    let Arguments { secrets } = read(arguments, "`secrets` must be an object")?;
    Ok(Request::SetConfig(SetConfig::new(secrets)))
}

fn read_finish_oauth(arguments: Option<&RawValue>) -> Result<Request, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct FinishOauth {
        code: String,
        #[serde(rename = "redirectURI")]
        redirect_uri: Option<String>,
        code_verifier: Option<String>,
    }
    let FinishOauth { code, redirect_uri, code_verifier } = read(
        arguments,
        "`code` must be a string, `redirectURI` and `codeVerifier` too if present",
    )?;
    let code_verifier = code_verifier.map(SecretString::from);
    Ok(Request::FinishOauth { code: code.into(), redirect_uri, code_verifier })
}

fn read_query(arguments: Option<&RawValue>) -> Result<Query, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Arguments<'a> {
        query: Option<Box<RawValue>>,
        variables: Option<Box<RawValue>>,
        #[serde(borrow)]
        task_id: Option<&'a RawValue>,
        #[serde(borrow)]
        namespace: Option<&'a RawValue>,
        #[serde(borrow)]
        sticky: Option<&'a RawValue>,
    }
    let read: Arguments = read(arguments, "the arguments must be an object")?;
    let original = read.query.unwrap_or_else(|| raw(&Value::Null));
    is_short("query", original.get())?;
    Ok(Query {
        path: read_path(&original)?,
        original,
        variables: read_variables(read.variables)?,
        task_id: read_text("taskId", read.task_id)?,
        namespace: read_text("namespace", read.namespace)?,
        sticky: read_text("sticky", read.sticky)?,
    })
}

fn read_text(name: &str, value: Option<&RawValue>) -> Result<Option<String>, String> {
    let Some(value) = value else { return Ok(None) };
    is_short(name, value.get())?;
    Ok(serde_json::from_str(value.get()).ok().map(text))
}

fn is_short(name: &str, json: &str) -> Result<(), String> {
    if json.len() <= QUERY_TEXT {
        return Ok(());
    }
    Err(format!("malformed arguments: `{name}` is longer than {QUERY_TEXT} bytes"))
}

fn read<'a, T: Deserialize<'a>>(arguments: Option<&'a RawValue>, must: &str) -> Result<T, String> {
    // What serde would say may quote the value, which may be a secret.
    let text = arguments.map_or("{}", RawValue::get);
    serde_json::from_str(text).map_err(|_| format!("malformed arguments: {must}"))
}

fn read_path(query: &RawValue) -> Result<Vec<String>, String> {
    let is_name = |name: &String| !name.is_empty() && !NOT_NAMES.contains(&name.as_str());
    // What nearly all have.
    if let Ok(names) = serde_json::from_str::<Vec<String>>(query.get()) {
        return Ok(names.into_iter().filter(is_name).take(QUERY_ELEMENTS).collect());
    }
    let elements = match serde_json::from_str(query.get()) {
        Ok(Value::String(one)) => vec![Value::String(one)],
        Ok(Value::Array(elements)) => elements,
        _ => {
            return Err("malformed arguments: `query` must be a string or a list of strings".into());
        }
    };
    let names = elements.into_iter().filter(|element| !element.is_null()).map(text);
    Ok(names.filter(is_name).take(QUERY_ELEMENTS).collect())
}

fn read_variables(variables: Option<Box<RawValue>>) -> Result<Box<RawValue>, String> {
    let Some(variables) = variables else { return Ok(raw(&Map::new())) };
    if variables.get().trim_start().starts_with('{') {
        return Ok(variables);
    }
    Err("malformed arguments: `variables` must be an object".into())
}

/// A string as it is, anything else as its JSON text.
fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn query(arguments: Value) -> Result<Query, String> {
        match Request::read("connector.query", Some(raw(&arguments))) {
            Ok(Request::Query(query)) => Ok(query),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        }
    }

    #[test]
    fn a_query_is_a_path_without_names_that_are_none() {
        let many: Vec<String> = (0..30).map(|n| n.to_string()).collect();
        for (given, expected) in [
            (json!("hello"), json!(["hello"])),
            (json!(["crm", "", "__proto__", "list", "constructor"]), json!(["crm", "list"])),
            (json!(["toString", "toSource", "prototype", null]), json!([])),
            (json!([1, true]), json!(["1", "true"])),
            (json!(many), json!(many[..20])),
            (json!([]), json!([])),
        ] {
            let got = query(json!({ "query": given })).unwrap();
            assert_eq!(json!(got.path), expected);
            assert_eq!(got.original.get(), given.to_string());
            assert_eq!(got.variables.get(), "{}");
        }
    }

    #[test]
    fn what_surrounds_a_query_is_text() {
        let got = query(json!({
            "query": "q", "variables": {"n": 1}, "taskId": 7, "namespace": null, "sticky": {"a": true}
        }));
        let got = got.unwrap();
        assert_eq!(got.variables.get(), r#"{"n":1}"#);
        assert_eq!(got.task_id.as_deref(), Some("7"));
        assert_eq!(got.namespace, None);
        assert_eq!(got.sticky.as_deref(), Some(r#"{"a":true}"#));
    }

    #[test]
    fn malformed_arguments_are_named_and_not_quoted() {
        for (method, arguments, expected) in [
            ("connector.query", json!({}), "`query` must be a string"),
            ("connector.query", json!({"query": 1}), "`query` must be a string"),
            ("connector.query", json!("s3cret"), "the arguments must be an object"),
            ("connector.query", json!({"query": "q", "variables": ["s3cret"]}), "`variables` must"),
            ("connector.set-config", json!({"secrets": "s3cret"}), "`secrets` must be an object"),
            ("connector.set-config", json!({}), "`secrets` must be an object"),
            ("connector.finish-oauth", json!({"code": 1}), "`code` must be a string"),
            ("connector.unheard-of", json!({}), "cannot handle packet"),
        ] {
            let error = Request::read(method, Some(raw(&arguments))).unwrap_err();
            assert!(error.contains(expected) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn the_other_requests_are_read_and_never_printed() {
        let read = |method: &str, arguments: Value| {
            format!("{:?}", Request::read(method, Some(raw(&arguments))).unwrap())
        };
        assert_eq!(read(SET_CONFIG, json!({"secrets": {"a": "s3cret"}})), "SetConfig");
        assert_eq!(read("connector.introspect", json!(null)), "Introspect");
        assert_eq!(read("connector.start-oauth", json!([])), "StartOauth");
        let finish = json!({"code": "c", "redirectURI": "https://r", "codeVerifier": "v"});
        assert_eq!(read("connector.finish-oauth", finish), "FinishOauth");
    }
}
