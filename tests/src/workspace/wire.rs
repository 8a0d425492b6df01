//! What the wire allows: every breach that a connector can commit in a message, as a text.

use serde_json::{Map, Value};

/// Checks one message of a connector and gives its packets, or what is wrong with it.
pub fn packets(text: &str) -> Result<Vec<Value>, String> {
    let message: Value =
        serde_json::from_str(text).map_err(|error| format!("a message is not JSON: {error}"))?;
    let fields = message.as_object().ok_or("a message is no object")?;
    if fields.len() != 1 {
        return Err(format!("a message has fields beside p: {:?}", fields.keys()));
    }
    match fields.get("p") {
        Some(Value::Array(packets)) if packets.is_empty() => Err("an empty message".into()),
        Some(Value::Array(packets)) => Ok(packets.clone()),
        _ => Err("a message without a list p".into()),
    }
}

/// Everything that is wrong with one packet of a connector.
pub fn breaches(packet: &Value) -> Vec<String> {
    let Some(fields) = packet.as_object() else { return vec![format!("no packet: {packet}")] };
    let mut found = Vec::new();
    let mut check = |holds: bool, what: &str| {
        if !holds {
            found.push(format!("{what}: {packet}"));
        }
    };
    check(fields.keys().all(|key| ["id", "c", "m", "a"].contains(&key.as_str())), "unknown field");
    check(text(fields, "id").is_some_and(is_id), "the id has not the platform's form");
    check(fields.get("a").is_some_and(Value::is_object), "a is no object");
    match text(fields, "m") {
        Some(method) => check(call_is_right(method, fields), "a method with wrong fields"),
        None => check(!fields.contains_key("m") && text(fields, "c").is_some(), "no m and no c"),
    }
    found
}

/// A cuid2 of length 32.
pub fn is_id(text: &str) -> bool {
    let rest = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    text.len() == 32 && text.starts_with(|first: char| first.is_ascii_lowercase()) && rest
}

/// Whether a packet of the connector's own has a method that exists, and its fields.
fn call_is_right(method: &str, fields: &Map<String, Value>) -> bool {
    let argument = |key: &str| fields.get("a").and_then(|arguments| arguments.get(key));
    let is_text = |key: &str| argument(key).is_some_and(Value::is_string);
    let wants_answer =
        text(fields, "c").and_then(|key| key.strip_prefix("_req-")).is_some_and(is_id);
    let is_notice = !fields.contains_key("c");
    match method {
        "connector.health.check" => is_notice && health_is_right(argument("ok"), argument("error")),
        "connector.config-update" => is_notice && is_text("value"),
        "connector.task.new" => wants_answer && is_text("name") && argument("a").is_some(),
        "connector.task.update" => wants_answer && is_text("id") && argument("a").is_some(),
        "connector.blob.create" => wants_answer && is_text("content"),
        "connector.blob.get" | "connector.blob.get-content" => wants_answer && is_text("id"),
        _ => false,
    }
}

/// `{"ok":true,"error":null}` or `{"ok":false,"error":"…"}`.
fn health_is_right(ok: Option<&Value>, error: Option<&Value>) -> bool {
    match (ok, error) {
        (Some(Value::Bool(true)), Some(Value::Null)) => true,
        (Some(Value::Bool(false)), Some(Value::String(text))) => !text.is_empty(),
        _ => false,
    }
}

fn text<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    fields.get(key).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "wrw1ww0v7op62b6rbvb0rdg4vzp8v0r1";

    #[test]
    fn the_captured_session_is_right() {
        let key = format!("_req-{ID}");
        for packet in [
            json!({"id": ID, "m": "connector.health.check", "a": {"ok": true, "error": null}}),
            json!({"id": ID, "m": "connector.health.check", "a": {"ok": false, "error": "unwell"}}),
            json!({"c": "_srv-1", "a": {"hi": "world"}, "id": ID}),
            json!({"id": ID, "c": key, "m": "connector.task.new", "a": {"name": "n", "a": {}}}),
            json!({"id": ID, "m": "connector.config-update", "a": {"value": "eyJ"}}),
        ] {
            assert_eq!(breaches(&packet), Vec::<String>::new(), "{packet}");
        }
    }

    #[test]
    fn a_breach_is_seen() {
        for packet in [
            json!(null),
            json!({"id": "short", "c": "k", "a": {}}),
            json!({"id": ID, "c": "k", "a": 1}),
            json!({"id": ID, "a": {}}),
            json!({"id": ID, "c": "k", "m": null, "a": {}}),
            json!({"id": ID, "c": "k", "a": {}, "x": 1}),
            json!({"id": ID, "m": "connector.unheard-of", "a": {}}),
            json!({"id": ID, "m": "connector.health.check", "a": {"ok": true}}),
            json!({"id": ID, "m": "connector.task.new", "a": {"name": "n", "a": {}}}),
        ] {
            assert!(!breaches(&packet).is_empty(), "{packet}");
        }
    }
}
