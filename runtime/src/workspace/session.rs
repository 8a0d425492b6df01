//! One websocket, from open to close: a reader, a writer, and the reasons to give up on it.
//!
//! Reader and writer run side by side in one task and never wait for each other, so that a peer who
//! stops reading cannot stop us from reading.

use std::fmt;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout, timeout_at};
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_util::sync::CancellationToken;

use super::complaints::Complaints;
use super::inbox::Incoming;
use super::link::Shared;
use super::outbox::Batch;
use super::packet::{self, Packet};
use super::reply::Reply;
use super::request::{Request, SET_CONFIG};
use super::socket::Socket;

/// Why a session ended.
#[derive(Debug)]
pub enum Ended {
    /// We are shutting down, and everything was told or the time was up.
    Stopped,
    /// The workspace hung up.
    HungUp(Option<CloseFrame>),
    /// The connection broke.
    Broken(String),
    /// The workspace sent no ping for too long.
    NoServerPing,
    /// The workspace did not answer our ping.
    NoPong,
    /// The workspace does not read what we write.
    WriteBlocked,
    /// The workspace sent a message larger than the limit.
    MessageTooLarge(usize),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("shut down"),
            Self::HungUp(None) => f.write_str("the workspace hung up"),
            Self::HungUp(Some(frame)) => {
                let (code, reason) = (u16::from(frame.code), frame.reason.as_str());
                write!(f, "the workspace hung up with code {code} and reason {reason:?}")
            }
            Self::Broken(problem) => write!(f, "the connection broke: {problem}"),
            Self::NoServerPing => f.write_str("the workspace sent no ping in time"),
            Self::NoPong => f.write_str("the workspace did not answer a ping in time"),
            Self::WriteBlocked => f.write_str("the workspace does not read what is written"),
            Self::MessageTooLarge(bytes) => {
                write!(f, "the workspace sent a message of {bytes} bytes, which is too large")
            }
        }
    }
}

/// Runs a session until it ends, and leaves the outbox and the pending requests ready for the next.
pub async fn run(socket: Socket, shared: &Shared, stop: &CancellationToken) -> Ended {
    let (mut sink, mut stream) = socket.split();
    let pongs = Notify::new();
    let mut reader = Reader::new(shared, &pongs);
    let writer = Writer::new(shared, &pongs, &mut sink);
    let ended = tokio::select! {
        ended = reader.run(&mut stream) => ended,
        ended = writer.run(stop) => ended,
    };
    if too_large_for_the_workspace(&ended) {
        shared.outbox.refused_as_too_large();
    }
    shared.outbox.connection_lost();
    shared.pending.connection_lost();
    // A peer that is gone or stuck must not hold us up.
    let _ = timeout(shared.timing.close, say_goodbye(&ended, sink, stream)).await;
    ended
}

fn too_large_for_the_workspace(ended: &Ended) -> bool {
    matches!(ended, Ended::HungUp(Some(frame)) if frame.code == CloseCode::Size)
}

async fn say_goodbye(
    ended: &Ended,
    mut sink: SplitSink<Socket, Message>,
    mut stream: SplitStream<Socket>,
) -> Result<(), Error> {
    match ended {
        Ended::Stopped => sink.send(close_frame(CloseCode::Normal)).await?,
        Ended::MessageTooLarge(_) => return sink.send(close_frame(CloseCode::Size)).await,
        // Reading on sends the library's answer to their close frame.
        Ended::HungUp(_) => {}
        _ => return Ok(()),
    }
    while stream.next().await.transpose()?.is_some() {}
    Ok(())
}

fn close_frame(code: CloseCode) -> Message {
    Message::Close(Some(CloseFrame { code, reason: Default::default() }))
}

struct Reader<'a> {
    shared: &'a Shared,
    pongs: &'a Notify,
    garbage: Complaints,
}

impl<'a> Reader<'a> {
    fn new(shared: &'a Shared, pongs: &'a Notify) -> Self {
        Self { shared, pongs, garbage: Complaints::new(shared.timing.complain_again) }
    }

    async fn run(&mut self, stream: &mut SplitStream<Socket>) -> Ended {
        let silence = self.shared.timing.server_silence;
        let mut hang_up_at = Instant::now() + silence;
        // The second condition holds when messages come so fast that nobody ever waits.
        while let Ok(message) = timeout_at(hang_up_at, stream.next()).await
            && Instant::now() < hang_up_at
        {
            match message {
                Some(Ok(Message::Ping(_))) => hang_up_at = Instant::now() + silence,
                Some(Ok(Message::Pong(mark))) => self.confirm(&mark),
                Some(Ok(Message::Text(text))) => self.receive(&text),
                Some(Ok(Message::Close(frame))) => return Ended::HungUp(frame),
                Some(Ok(_)) => self.complain("a message that is not text"),
                Some(Err(error)) => return broken(error),
                None => return Ended::HungUp(None),
            }
        }
        Ended::NoServerPing
    }

    fn confirm(&self, mark: &[u8]) {
        // Anything else is nobody's answer: a peer may send pongs unasked.
        if let Ok(mark) = mark.try_into() {
            self.shared.outbox.confirm(u64::from_be_bytes(mark));
            self.pongs.notify_one();
        }
    }

    fn receive(&mut self, text: &str) {
        let Ok(message) = packet::parse(text) else {
            return self.complain("a message that holds no packets");
        };
        if message.strays > 0 {
            self.complain("items that are no packets");
        }
        if message.beyond > 0 {
            self.complain("more packets in one message than are read");
        }
        for packet in message.packets {
            self.sort(packet);
        }
    }

    fn sort(&self, packet: Packet) {
        let Some(packet) = self.shared.pending.settle(packet) else { return };
        // Answering an answer that came too late could go on for ever between two peers built alike.
        let Some(method) = packet.m else {
            let connector = self.shared.id();
            return tracing::debug!(connector, "the workspace sent a packet without a method");
        };
        let reply = Reply::new(packet.c, method == SET_CONFIG, self.shared.outbox.clone());
        match Request::read(&method, packet.a) {
            Ok(request) => self.shared.inbox.offer(Incoming { request, reply }),
            Err(problem) => {
                let connector = self.shared.id();
                tracing::debug!(connector, problem, "the workspace sent a request that is refused");
                reply.refuse(&problem);
            }
        }
    }

    fn complain(&mut self, what: &str) {
        if self.garbage.is_news(what) {
            let connector = self.shared.id();
            tracing::warn!(connector, "the workspace sent {what}; ignored");
        }
    }
}

fn broken(error: Error) -> Ended {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { size, .. }) => Ended::MessageTooLarge(size),
        Error::ConnectionClosed | Error::AlreadyClosed => Ended::HungUp(None),
        other => Ended::Broken(other.to_string()),
    }
}

struct Writer<'a> {
    shared: &'a Shared,
    pongs: &'a Notify,
    sink: &'a mut SplitSink<Socket, Message>,
    /// When the oldest ping was sent that has no pong yet.
    unanswered_since: Option<Instant>,
}

impl<'a> Writer<'a> {
    fn new(
        shared: &'a Shared,
        pongs: &'a Notify,
        sink: &'a mut SplitSink<Socket, Message>,
    ) -> Self {
        Self { shared, pongs, sink, unanswered_since: None }
    }

    async fn run(mut self, stop: &CancellationToken) -> Ended {
        let timing = &self.shared.timing;
        let mut keep_alive = interval_at(Instant::now() + timing.ping_every, timing.ping_every);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop_at = None;
        loop {
            let no_pong_at = self.unanswered_since.map(|since| since + timing.pong_patience);
            let step = tokio::select! {
                batch = self.shared.outbox.next_batch() => self.write(batch).await,
                () = self.pongs.notified() => self.after_pong().await,
                _ = keep_alive.tick() => self.ping().await,
                () = at(no_pong_at) => Err(Ended::NoPong),
                () = stop.cancelled(), if stop_at.is_none() => {
                    stop_at = Some(Instant::now() + timing.flush);
                    Ok(())
                }
                () = at(stop_at) => Err(Ended::Stopped),
            };
            if let Err(ended) = step {
                return ended;
            }
            if stop_at.is_some() && self.shared.outbox.is_settled() {
                return Ended::Stopped;
            }
        }
    }

    async fn write(&mut self, batch: Batch) -> Result<(), Ended> {
        // Before the first byte goes out: from here on nobody can say whether it arrived.
        self.shared.pending.mark_written(&batch.requests);
        if self.unanswered_since.is_some() {
            return self.send([Message::text(batch.text)]).await;
        }
        // Both in one write.
        let ping = self.next_ping();
        self.send([Message::text(batch.text), ping]).await
    }

    /// One ping is under way at most, so a batch that was written in the meantime needs one of its
    /// own.
    async fn after_pong(&mut self) -> Result<(), Ended> {
        self.unanswered_since = None;
        if self.shared.outbox.has_unconfirmed() { self.ping().await } else { Ok(()) }
    }

    async fn ping(&mut self) -> Result<(), Ended> {
        let ping = self.next_ping();
        self.send([ping]).await
    }

    /// A ping that asks whether everything up to now has arrived. From here on a pong is waited for.
    fn next_ping(&mut self) -> Message {
        let mark = self.shared.outbox.last_batch().to_be_bytes();
        self.unanswered_since.get_or_insert_with(Instant::now);
        Message::Ping(Bytes::copy_from_slice(&mark))
    }

    async fn send<const N: usize>(&mut self, messages: [Message; N]) -> Result<(), Ended> {
        let timing = &self.shared.timing;
        let bytes: usize = messages.iter().map(Message::len).sum();
        let moving = Duration::from_secs((bytes / timing.slowest_link.max(1)) as u64);
        let send = async {
            for message in messages {
                self.sink.feed(message).await?;
            }
            self.sink.flush().await
        };
        match timeout(timing.write_patience + moving, send).await {
            Ok(sent) => sent.map_err(broken),
            Err(_) => Err(Ended::WriteBlocked),
        }
    }
}

/// Sleeps until then, or for ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
