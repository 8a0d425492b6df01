//! The websocket: asks, answers and checks every packet that comes.

use axum::extract::State as Extract;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::interval;

use super::http::{header, knows, record};
use super::state::{Command, Reply, Shared};
use super::{fresh_id, wire};
use crate::limits::{LARGEST_MESSAGE, PING_EVERY};

/// `GET /transport/` with an upgrade.
pub async fn transport(
    Extract(shared): Extract<Shared>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let request = record(&shared, &uri, &headers, "");
    if header(&headers, "sec-websocket-protocol") != "connector" {
        shared.breach("a socket without the subprotocol connector");
    }
    if !knows(&shared, &request) {
        shared.breach(format!("a socket with {:?}", request.authorization));
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let upgrade = upgrade.max_message_size(LARGEST_MESSAGE).max_frame_size(LARGEST_MESSAGE);
    match shared.look(|state| state.rules.forget_subprotocol) {
        true => upgrade.on_upgrade(|socket| wait_for_refusal(socket, shared)),
        false => upgrade.protocols(["connector"]).on_upgrade(|socket| serve(socket, shared)),
    }
}

/// Without the subprotocol nobody may speak: the connector has to hang up.
async fn wait_for_refusal(mut socket: WebSocket, shared: Shared) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            shared.breach("a packet on a socket without the subprotocol");
        }
    }
}

async fn serve(mut socket: WebSocket, shared: Shared) {
    let (way_in, mut commands) = mpsc::unbounded_channel();
    let number = shared.change(|state| {
        state.sockets += 1;
        state.socket = Some(way_in);
        state.sockets
    });
    let mut pings = interval(PING_EVERY);
    let withhold_pings = shared.look(|state| state.rules.withhold_pings);
    loop {
        let going_on = tokio::select! {
            Some(command) = commands.recv() => obey(&mut socket, command).await,
            message = socket.recv() => match message {
                Some(Ok(message)) => listen(&mut socket, &shared, number, message).await,
                _ => false,
            },
            _ = pings.tick(), if !withhold_pings => {
                socket.send(Message::Ping(Bytes::new())).await.is_ok()
            }
        };
        if !going_on {
            break;
        }
    }
    shared.change(|state| {
        if state.sockets == number {
            state.socket = None;
        }
    });
}

/// Does what the test wants. False when that was the end.
async fn obey(socket: &mut WebSocket, command: Command) -> bool {
    match command {
        Command::Send(text) => socket.send(Message::Text(text.into())).await.is_ok(),
        Command::SendBinary(bytes) => socket.send(Message::Binary(bytes.into())).await.is_ok(),
        // The connector's answer ends the loop.
        Command::Close => socket.send(Message::Close(None)).await.is_ok(),
        Command::Drop => false,
    }
}

/// Takes one message. False when the socket is at its end.
async fn listen(socket: &mut WebSocket, shared: &Shared, number: usize, message: Message) -> bool {
    match message {
        Message::Text(text) => {
            let answers = read(shared, number, text.as_str());
            answers.is_empty() || socket.send(Message::Text(encode(&answers).into())).await.is_ok()
        }
        Message::Binary(_) => {
            shared.breach("a binary frame");
            true
        }
        Message::Ping(_) => {
            shared.change(|state| state.pings += 1);
            true
        }
        Message::Pong(_) => true,
        Message::Close(_) => false,
    }
}

/// Reads one message and gives the answers to it.
fn read(shared: &Shared, number: usize, text: &str) -> Vec<Value> {
    let packets = match wire::packets(text) {
        Ok(packets) => packets,
        Err(breach) => {
            shared.breach(breach);
            return Vec::new();
        }
    };
    packets.iter().filter_map(|packet| take(shared, number, packet)).collect()
}

/// Takes one packet and gives the answer to it, where it wants one.
fn take(shared: &Shared, number: usize, packet: &Value) -> Option<Value> {
    for breach in wire::breaches(packet) {
        shared.breach(breach);
    }
    let Some(method) = packet["m"].as_str() else {
        hear_answer(shared, number, packet);
        return None;
    };
    let responder = shared.change(|state| {
        state.packets.push(packet.clone());
        state.responders.get(method).cloned()
    });
    let key = packet.get("c")?;
    let value = match responder {
        Some(respond) => respond(&packet["a"]),
        None => json!({"error": "Error: cannot handle packet"}),
    };
    Some(json!({"c": key, "a": value, "id": fresh_id()}))
}

fn hear_answer(shared: &Shared, number: usize, packet: &Value) {
    let key = packet["c"].as_str().unwrap_or_default();
    let reply = Reply { value: packet["a"].clone(), socket: number };
    let breach = shared.change(|state| match state.asked.get_mut(key) {
        None => Some("an answer that nobody asked for"),
        // What was sent into a socket that broke may be sent again: nobody knows if it arrived.
        Some(Some(earlier)) if earlier.socket != number => None,
        Some(Some(_)) => Some("a second answer"),
        Some(slot) => {
            *slot = Some(reply);
            None
        }
    });
    if let Some(breach) = breach {
        shared.breach(format!("{breach}: {packet}"));
    }
}

/// A message of these packets.
pub fn encode(packets: &[Value]) -> String {
    json!({ "p": packets }).to_string()
}
