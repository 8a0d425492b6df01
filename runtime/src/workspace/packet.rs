//! The wire's spelling: one websocket message is `{"p":[packet, packet, …]}`, in either direction.
//!
//! Values stay raw JSON text, so that a call's arguments and its result are not parsed on the way.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::limits::PACKETS_OF_A_MESSAGE;
use crate::ids::fresh_id;

/// One packet. On a request `c` says "answer with this", on an answer it is the request's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Packet {
    /// The answer's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c: Option<String>,
    /// The method. An answer has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub m: Option<String>,
    /// The arguments, or the answer's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub a: Option<Box<RawValue>>,
    /// The packet's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl Packet {
    /// A packet that wants no answer.
    pub fn notice(method: &str, arguments: Box<RawValue>) -> Self {
        Self { c: None, m: Some(method.into()), a: Some(arguments), id: Some(fresh_id()) }
    }

    /// A packet that wants an answer under `key`.
    pub fn request(key: &str, method: &str, arguments: Box<RawValue>) -> Self {
        Self { c: Some(key.into()), ..Self::notice(method, arguments) }
    }

    /// The answer to the request that came with `key`. The value must be an object.
    pub fn answer(key: &str, value: Box<RawValue>) -> Self {
        Self { c: Some(key.into()), m: None, a: Some(value), id: Some(fresh_id()) }
    }
}

/// JSON text of a value that always has one.
pub fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("types of this crate have string keys and no failing serializers")
}

/// What a message held.
#[derive(Debug, Default)]
pub struct Message {
    /// The packets that could be read, in order.
    pub packets: Vec<Packet>,
    /// How many items were no packets. The Node SDK sends `null` in a batch that it could not
    /// encode, so one bad item says nothing about its neighbours.
    pub strays: usize,
    /// How many items came after [`PACKETS_OF_A_MESSAGE`] and were not looked at.
    pub beyond: usize,
}

/// A message that is not `{"p":[…]}`.
#[derive(Debug, thiserror::Error)]
#[error("not a message of packets: {0}")]
pub struct NotAMessage(#[from] serde_json::Error);

#[derive(Deserialize)]
struct Envelope<T> {
    p: Items<T>,
}

/// So many items of a list as there may be, and the number of the others. A few bytes of a message can
/// stand for a packet that takes a hundred here.
struct Items<T> {
    items: Vec<T>,
    beyond: usize,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(Counting(PhantomData))
    }
}

struct Counting<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Counting<T> {
    type Value = Items<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Items<T>, A::Error> {
        let (mut items, mut beyond) = (Vec::new(), 0);
        while items.len() < PACKETS_OF_A_MESSAGE
            && let Some(item) = list.next_element()?
        {
            items.push(item);
        }
        while items.len() == PACKETS_OF_A_MESSAGE && list.next_element::<IgnoredAny>()?.is_some() {
            beyond += 1;
        }
        Ok(Items { items, beyond })
    }
}

/// Reads a message. Items that are no packets are counted and left out.
pub fn parse(text: &str) -> Result<Message, NotAMessage> {
    // In one pass, as nearly all are.
    if let Ok(Envelope { p: Items { items, beyond } }) = serde_json::from_str(text) {
        return Ok(Message { packets: items, strays: 0, beyond });
    }
    let Envelope { p } = serde_json::from_str::<Envelope<&RawValue>>(text)?;
    let mut message = Message { beyond: p.beyond, ..Message::default() };
    for item in p.items {
        match serde_json::from_str(item.get()) {
            Ok(packet) => message.packets.push(packet),
            Err(_) => message.strays += 1,
        }
    }
    Ok(message)
}

/// Writes a message.
pub fn encode<'a>(packets: impl IntoIterator<Item = &'a Packet>) -> String {
    let mut text = br#"{"p":["#.to_vec();
    for (index, packet) in packets.into_iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        serde_json::to_writer(&mut text, packet).expect("packets have no failing serializers");
    }
    text.extend_from_slice(b"]}");
    String::from_utf8(text).expect("JSON is UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_what_is_no_packet() {
        for (text, packets, strays) in [
            (r#"{"p":[]}"#, 0, 0),
            (r#"{"p":[null,{}]}"#, 1, 1),
            (r#"{"p":[{"m":"connector.introspect","a":{},"e":1}]}"#, 1, 0),
            (r#"{"p":[{"m":1},7,"x",[1],{"c":"k"}]}"#, 1, 4),
        ] {
            let message = parse(text).expect(text);
            assert_eq!((message.packets.len(), message.strays), (packets, strays), "{text}");
        }
    }

    #[test]
    fn a_message_of_very_many_packets_is_read_in_part() {
        for item in ["{}", "7"] {
            let items = vec![item; PACKETS_OF_A_MESSAGE + 3].join(",");
            let message = parse(&format!("{{\"p\":[{items}]}}")).expect("a message");
            let read = message.packets.len() + message.strays;
            assert_eq!((read, message.beyond), (PACKETS_OF_A_MESSAGE, 3));
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for text in ["", "null", "[]", "{}", r#"{"p":{}}"#, r#"{"p":["#, "not json"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_packet_keeps_its_arguments_to_the_letter() {
        let text = r#"{"p":[{"c":"k","m":"connector.query","a":{"n":1.50,"big":12345678901234567890},"id":"i"}]}"#;
        let message = parse(text).expect("a message");
        assert_eq!(encode(&message.packets), text);
    }

    #[test]
    fn an_answer_has_no_method() {
        let text = encode([&Packet::answer("k", raw(&serde_json::json!({"hi": "world"})))]);
        assert!(text.starts_with(r#"{"p":[{"c":"k","a":{"hi":"world"},"id":""#), "{text}");
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Option<Box<RawValue>>> {
        let texts = prop_oneof![
            any::<String>().prop_map(|text| raw(&text)),
            any::<Vec<Option<f32>>>().prop_map(|numbers| raw(&numbers)),
            any::<std::collections::BTreeMap<String, u64>>().prop_map(|map| raw(&map)),
            Just(RawValue::from_string(" [ 1.50 ]".trim().into()).expect("JSON")),
        ];
        proptest::option::of(texts)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_it_was(
            packets in proptest::collection::vec(
                (any::<Option<String>>(), any::<Option<String>>(), value(), any::<Option<String>>()),
                0..8,
            ),
        ) {
            let packet = |(c, m, a, id)| Packet { c, m, a, id };
            let packets: Vec<_> = packets.into_iter().map(packet).collect();
            let text = encode(&packets);
            let message = parse(&text).expect("a message");
            prop_assert_eq!(message.strays, 0);
            prop_assert_eq!(encode(&message.packets), text);
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = parse(&text);
            let message = parse(&format!("{{\"p\":[{text}]}}"));
            if let Ok(message) = message {
                let items: Vec<serde::de::IgnoredAny> =
                    serde_json::from_str(&format!("[{text}]")).unwrap_or_default();
                prop_assert_eq!(message.packets.len() + message.strays, items.len());
            }
        }
    }
}
