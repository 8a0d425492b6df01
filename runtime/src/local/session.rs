//! One socket of a connector, from its opening to its end.

use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Map, Value, json};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::feed::Happening;
use super::form::Form;
use super::hub::Hub;
use super::limits::{CLOSE, INTROSPECT_BYTES, PING_EVERY, SILENCE, WRITE};
use super::requests;
use super::seats::{Live, Seat};
use super::store::values::Stored;
use super::store::{connectors, values};
use crate::ids::fresh_id;
use crate::workspace::packet::{Packet, encode, parse, raw};

/// A socket and whose it is.
pub struct Session {
    pub hub: Arc<Hub>,
    pub seat: Arc<Seat>,
    pub live: Live,
    /// The key of the question that opens every session.
    introspect: String,
}

/// Serves a socket until it ends, is replaced, or the workspace stops.
pub async fn run(hub: Arc<Hub>, seat: Arc<Seat>, socket: WebSocket) {
    let live = seat.open();
    hub.feed.tell(&seat.connector, Happening::Connected);
    let session = Session { hub, seat, live, introspect: fresh_id() };
    let (mut writer, mut reader) = socket.split();
    let why = tokio::select! {
        why = session.read(&mut reader) => why,
        why = session.write(&mut writer) => why,
        () = session.live.out.cancelled() => "a newer connection, or the connector signed off",
        () = session.hub.stopping.cancelled() => "the workspace stops",
    };
    say_goodbye(&mut writer, why).await;
    if session.seat.close(&session.live) {
        session.hub.feed.tell(&session.seat.connector, Happening::Disconnected(why));
    }
}

impl Session {
    async fn read(&self, reader: &mut SplitStream<WebSocket>) -> &'static str {
        loop {
            match timeout(SILENCE, reader.next()).await {
                Err(_) => return "no sign of life",
                Ok(None | Some(Err(_))) => return "the connection broke",
                Ok(Some(Ok(Message::Close(_)))) => return "closed by the connector",
                Ok(Some(Ok(Message::Text(text)))) => self.message(&text).await,
                Ok(Some(Ok(_))) => {}
            }
        }
    }

    async fn message(&self, text: &str) {
        let connector = &*self.seat.connector;
        match parse(text) {
            Err(error) => tracing::warn!(connector, "{error}"),
            Ok(message) => {
                if message.strays > 0 {
                    tracing::warn!(connector, strays = message.strays, "items that are no packets");
                }
                for packet in message.packets {
                    self.packet(packet).await;
                }
            }
        }
    }

    /// A packet without a method is an answer, and is never answered itself.
    async fn packet(&self, packet: Packet) {
        match packet {
            Packet { m: Some(method), c, a, .. } => requests::handle(self, &method, c, a).await,
            Packet { c: Some(key), a, .. } if key == self.introspect => {
                if let Some(said) = a {
                    describe(&self.hub, &self.seat, said.get()).await;
                }
            }
            Packet { c: Some(key), a, .. } => {
                let value = a.unwrap_or_else(|| raw(&json!({})));
                if !self.hub.pending.answer(&self.seat.connector, &key, value) {
                    tracing::debug!(
                        connector = &*self.seat.connector,
                        "an answer that nobody awaits"
                    );
                }
            }
            Packet { .. } => {}
        }
    }

    async fn write(&self, writer: &mut SplitSink<WebSocket, Message>) -> &'static str {
        let mut ping = interval(PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.seat.outbox.take_configure();
        if let Err(why) = self.greet(writer).await {
            return why;
        }
        loop {
            let sent = tokio::select! {
                _ = ping.tick() => send(writer, Message::Ping("".into())).await,
                () = self.seat.outbox.ready() => self.flush(writer).await,
            };
            if let Err(why) = sent {
                return why;
            }
        }
    }

    /// The configuration comes first, also when it is empty: a connector of the Node SDK is not
    /// itself before it has one.
    async fn greet(&self, writer: &mut SplitSink<WebSocket, Message>) -> Result<(), &'static str> {
        let introspect = Packet::request(&self.introspect, "connector.introspect", raw(&json!({})));
        self.send_configuration(writer).await?;
        send(writer, Message::text(encode([&introspect]))).await
    }

    async fn flush(&self, writer: &mut SplitSink<WebSocket, Message>) -> Result<(), &'static str> {
        if self.seat.outbox.take_configure() {
            self.send_configuration(writer).await?;
        }
        let packets = self.seat.outbox.take();
        if packets.is_empty() {
            return Ok(());
        }
        send(writer, Message::text(encode(&packets))).await
    }

    async fn send_configuration(
        &self,
        writer: &mut SplitSink<WebSocket, Message>,
    ) -> Result<(), &'static str> {
        let secrets = self.secrets().await.map_err(|error| {
            tracing::error!("local workspace: {error:#}");
            "the workspace's store failed"
        })?;
        let arguments = raw(&json!({"secrets": secrets}));
        send(writer, Message::text(encode([&Packet::notice("connector.set-config", arguments)])))
            .await
    }

    /// The values of the declared fields: what is not declared would be taken for sealed.
    async fn secrets(&self) -> anyhow::Result<Map<String, Value>> {
        let id = self.seat.connector.to_string();
        let read = move |store: &rusqlite::Connection| {
            Ok((connectors::get(store, &id)?, values::all(store, &id)?))
        };
        let (registered, mut stored) = self.hub.store.with(read).await?;
        let form =
            registered.map(|connector| Form::from_text(&connector.schema)).unwrap_or_default();
        let values =
            form.fields.into_iter().filter_map(|field| match stored.remove(&field.key)? {
                Stored::Plain(value) => Some((field.key, value)),
                Stored::Sealed(jwe) => Some((field.key, jwe.into())),
                Stored::Lost => None,
            });
        Ok(values.collect())
    }
}

/// Takes over what a connector says of itself.
pub(super) async fn describe(hub: &Hub, seat: &Seat, said: &str) {
    let Ok(said) = serde_json::from_str::<Value>(said) else { return };
    let schema = said.get("configSchema").filter(|schema| schema.is_object());
    let (Some(schema), Some(text)) = (schema, said.get("introspect").and_then(Value::as_str))
    else {
        return;
    };
    let (schema, text) = (schema.to_string(), text.to_owned());
    if schema.len() + text.len() > INTROSPECT_BYTES {
        return;
    }
    let id = seat.connector.to_string();
    let stored =
        hub.store.with(move |store| connectors::describe(store, &id, &schema, &text)).await;
    match stored {
        Ok(()) => hub.feed.tell(&seat.connector, Happening::Registered),
        Err(error) => tracing::error!("local workspace: {error:#}"),
    }
}

async fn send(
    writer: &mut SplitSink<WebSocket, Message>,
    message: Message,
) -> Result<(), &'static str> {
    match timeout(WRITE, writer.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err("the connection broke"),
        Err(_) => Err("the connector does not read"),
    }
}

async fn say_goodbye(writer: &mut SplitSink<WebSocket, Message>, why: &'static str) {
    let frame = CloseFrame { code: close_code::NORMAL, reason: Utf8Bytes::from_static(why) };
    // It is gone either way.
    let _ = timeout(CLOSE, writer.send(Message::Close(Some(frame)))).await;
}
