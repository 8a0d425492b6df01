//! Header fields: what can be done with them, and what cannot.

use serde_json::{Value, json};
use wasip2::http::types::{Fields, HeaderError};

use crate::answer::{arrived, told};
use crate::request::{get, to};

/// Those that belong to the connection, which is the host's.
const FORBIDDEN: [&str; 9] = [
    "host",
    "Connection",
    "keep-alive",
    "transfer-encoding",
    "upgrade",
    "proxy-authorization",
    "proxy-connection",
    "http2-settings",
    "te",
];

/// Does everything to fields that their interface offers.
pub fn look(authority: &str) -> Value {
    let fields = list(&[("x-one", "1"), ("x-two", "a"), ("x-two", "b")]).expect("these are right");
    let copy = fields.clone();
    copy.set("x-one", &[b"2".to_vec(), b"3".to_vec()]).expect("a copy can be changed");
    copy.delete("x-two").expect("a copy can be changed");
    let request = to(authority, "/", list(&[("x-kept", "yes")]).expect("these are right"));
    let response = arrived(&get(authority, "/")).expect("an answer");
    json!({
        "get": fields.get("X-Two").len(),
        "has": [fields.has("X-ONE"), fields.has("x-none")],
        "copy": told(&copy),
        "original": told(&fields),
        "ofRequest": outcome(request.headers().append("x-more", b"1")),
        "ofResponse": outcome(response.headers().delete("content-type")),
        "copyOfRequest": outcome(request.headers().clone().append("x-more", b"1")),
        "requestAfterwards": told(&request.headers()),
        "badName": refused("bad name", "1"),
        "badValue": refused("x-bad", "1\r\nx-smuggled: 2"),
        "emptyName": refused("", "1"),
        "forbidden": FORBIDDEN.map(|name| refused(name, "x")),
        "twoLengths": outcome(list(&[("content-length", "1"), ("content-length", "2")])),
        "strangeLength": refused("content-length", "+1"),
    })
}

/// Adds fields until there are enough.
pub fn fill(count: usize, size: usize) -> Value {
    let fields = Fields::new();
    let value = vec![b'x'; size];
    for number in 0..count {
        if let Err(error) = fields.append(&format!("x-{number}"), &value) {
            return json!({"made": number, "error": format!("{error:?}")});
        }
    }
    json!({ "made": count })
}

fn refused(name: &str, value: &str) -> Value {
    outcome(Fields::new().append(name, value.as_bytes()))
}

fn list(entries: &[(&str, &str)]) -> Result<Fields, HeaderError> {
    let entry = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
    Fields::from_list(&entries.iter().map(entry).collect::<Vec<_>>())
}

fn outcome<T>(result: Result<T, HeaderError>) -> Value {
    match result {
        Ok(_) => json!("taken"),
        Err(error) => json!(format!("{error:?}")),
    }
}
