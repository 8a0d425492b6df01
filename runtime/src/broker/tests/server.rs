//! A server on loopback that does what a test orders, also what no server should.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What the server does with a request that it has read.
#[derive(Clone)]
pub(super) enum Step {
    /// Answers and keeps the connection.
    Answer(String),
    /// Answers with these bytes and keeps the connection.
    Bytes(Vec<u8>),
    /// Writes what comes, and drops the connection when no more can come.
    Fed(Feed),
    /// Writes this and drops the connection.
    Cut(String),
    /// Answers with a body that never ends.
    Flood,
    /// Never answers.
    Hang,
}

/// What a test has a server write while it goes on.
pub(super) type Feed = Arc<tokio::sync::Mutex<UnboundedReceiver<Vec<u8>>>>;

pub(super) fn feed() -> (UnboundedSender<Vec<u8>>, Feed) {
    let (sender, receiver) = unbounded_channel();
    (sender, Arc::new(tokio::sync::Mutex::new(receiver)))
}

/// A request that the server has read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub head: String,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

pub(super) struct Server {
    pub port: u16,
    pub seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    /// Connections that ended where a request was to come, or the rest of one.
    pub ended: AtomicUsize,
    /// Connections still to be dropped unread.
    pub drops: AtomicUsize,
}

type Behaviour = Box<dyn Fn(&Seen) -> Step + Send + Sync>;

impl Server {
    pub async fn start(behaviour: Behaviour) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Arc::new(Self {
            port: listener.local_addr().expect("an address").port(),
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            drops: AtomicUsize::new(0),
        });
        // Ends with the test's runtime.
        tokio::spawn(server.clone().accept(listener, Arc::new(behaviour)));
        server
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, behaviour: Arc<Behaviour>) {
        while let Ok((stream, _)) = listener.accept().await {
            self.connections.fetch_add(1, Ordering::SeqCst);
            let left = self.drops.load(Ordering::SeqCst);
            if left > 0 {
                self.drops.store(left - 1, Ordering::SeqCst);
                continue;
            }
            let (server, behaviour) = (self.clone(), behaviour.clone());
            tokio::spawn(async move { server.serve(stream, &behaviour).await });
        }
    }

    async fn serve(&self, mut stream: TcpStream, behaviour: &Behaviour) -> io::Result<()> {
        while let Some(seen) = self.read_request(&mut stream).await? {
            self.seen.lock().push(seen.clone());
            match behaviour(&seen) {
                Step::Answer(text) => stream.write_all(text.as_bytes()).await?,
                Step::Bytes(bytes) => stream.write_all(&bytes).await?,
                Step::Fed(feed) => {
                    let mut feed = feed.lock().await;
                    while let Some(piece) = feed.recv().await {
                        stream.write_all(&piece).await?;
                    }
                    return Ok(());
                }
                Step::Cut(text) => return stream.write_all(text.as_bytes()).await,
                Step::Flood => flood(&mut stream).await?,
                Step::Hang => std::future::pending().await,
            }
        }
        Ok(())
    }

    async fn read_request(&self, stream: &mut TcpStream) -> io::Result<Option<Seen>> {
        let mut read = Vec::new();
        let seen = read_request(stream, &mut read).await;
        if !matches!(seen, Ok(Some(_))) {
            self.ended.fetch_add(1, Ordering::SeqCst);
        }
        seen
    }

    pub fn reads(&self) -> usize {
        self.seen.lock().len()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn read_request(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<Option<Seen>> {
    let head_end = loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&read[..head_end]).into_owned();
    let mut seen = Seen { head, body: String::new() };
    let is_chunked = seen.header("transfer-encoding") == Some("chunked");
    let length: usize =
        seen.header("content-length").map_or(0, |text| text.parse().expect("a length"));
    let is_whole = |body: &[u8]| match is_chunked {
        true => body.ends_with(b"0\r\n\r\n"),
        false => body.len() >= length,
    };
    while !is_whole(&read[head_end..]) {
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
    let body = String::from_utf8_lossy(&read[head_end..]).into_owned();
    seen.body = if is_chunked { without_chunks(&body) } else { body };
    Ok(Some(seen))
}

fn without_chunks(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a length");
        whole.push_str(&rest[..length]);
        body = rest[length..].trim_start_matches("\r\n");
    }
    whole
}

async fn flood(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
    let chunk = format!("100000\r\n{}\r\n", "x".repeat(0x10_0000));
    loop {
        stream.write_all(chunk.as_bytes()).await?;
    }
}

pub(super) fn answer(status: u16, fields: &str, body: &str) -> Step {
    let length = body.len();
    Step::Answer(format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{fields}\r\n{body}"))
}
