//! The wire: whatever the workspace sends is read or refused, and a request that is refused says
//! nothing of what it held.

use aloma_wasm::workspace::packet::{Packet, encode, parse, raw};
use aloma_wasm::workspace::{Request, error_value, wrap_result};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// What stands in place of every text when the same request is read once more.
const OTHER_TEXT: &str = "•";

/// Reads one message of the websocket, which is text.
pub fn packets(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(message) = parse(&text) else { return };
    let items: Map<String, Value> = match serde_json::from_str(&text) {
        Ok(items) => items,
        // A number that no value holds, say. The message was read all the same.
        Err(_) => Map::new(),
    };
    if let Some(Value::Array(items)) = items.get("p") {
        assert_eq!(items.len(), message.packets.len() + message.strays, "an item was lost");
    }
    comes_back(&message.packets);
    for packet in message.packets {
        answers(&packet);
        reads(packet);
    }
}

/// What is written is read again as it was.
fn comes_back(packets: &[Packet]) {
    let again = parse(&encode(packets)).expect("a message that was written can be read");
    assert_eq!((again.strays, again.packets.len()), (0, packets.len()));
    for (one, other) in packets.iter().zip(&again.packets) {
        assert_eq!((&one.c, &one.m, &one.id), (&other.c, &other.m, &other.id));
        let text = |packet: &Packet| packet.a.as_ref().map(|value| value.get().to_owned());
        assert_eq!(text(one), text(other));
    }
}

/// An answer is an object, whatever the result and however an error is put.
fn answers(packet: &Packet) {
    let Some(value) = &packet.a else { return };
    let path: Vec<_> = packet.m.iter().chain(&packet.c).cloned().collect();
    let wrapped = wrap_result(&path, value.clone());
    assert!(wrapped.get().trim_start().starts_with('{'), "{wrapped}");
    let error: Map<String, Value> =
        serde_json::from_str(error_value(value.get()).get()).expect("an error is an object");
    assert!(error["error"].as_str().is_some_and(|text| text.starts_with("Error: ")));
}

/// What is said of a request does not depend on the texts in it, so it shows none of them.
fn reads(packet: Packet) {
    let Packet { m: Some(method), a, .. } = packet else { return };
    let _ = Request::read(&method, a.clone());
    let Some(Ok(mut arguments)) = a.map(|value| serde_json::from_str::<Value>(value.get())) else {
        return;
    };
    let said = said(&method, &arguments);
    // The names of a query are shown.
    let names = arguments.get_mut("query").map(Value::take);
    mask(&mut arguments);
    if let Some(names) = names {
        arguments["query"] = names;
    }
    assert_eq!(said, self::said(&method, &arguments), "{method}");
}

fn said(method: &str, arguments: &Value) -> String {
    let arguments: Box<RawValue> = raw(arguments);
    format!("{:?}", Request::read(method, Some(arguments)))
}

fn mask(value: &mut Value) {
    match value {
        Value::String(text) => *text = OTHER_TEXT.into(),
        Value::Array(values) => values.iter_mut().for_each(mask),
        Value::Object(values) => values.values_mut().for_each(mask),
        _ => {}
    }
}
