//! An API that breaks the connection: below HTTP, so a raw TCP server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::limits::LARGEST_REQUEST;

/// When the connection breaks.
#[derive(Clone, Copy, Debug)]
pub enum Breaks {
    /// As soon as it is accepted.
    BeforeReading,
    /// When the whole request was read.
    AfterReading,
    /// After a part of the answer's body.
    MidAnswer,
}

/// A running broken API.
pub struct BrokenApi {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl BrokenApi {
    /// Starts one at a free port.
    pub async fn start(breaks: Breaks) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (connections, requests) =
            (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counts = (connections.clone(), requests.clone());
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counts.0.fetch_add(1, Ordering::SeqCst);
                serve(&mut stream, breaks, &counts.1).await;
            }
        });
        Self { address, connections, requests, task }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections came.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many whole requests were read.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for BrokenApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: &mut TcpStream, breaks: Breaks, requests: &AtomicUsize) {
    if matches!(breaks, Breaks::BeforeReading) || !read_request(stream).await {
        return;
    }
    requests.fetch_add(1, Ordering::SeqCst);
    if matches!(breaks, Breaks::MidAnswer) {
        let start = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of it";
        // The other side may be gone already.
        let _ = stream.write_all(start).await;
    }
}

/// Reads head and body. False when the other side gave up before the end.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    while !is_whole(&seen) {
        match stream.read_buf(&mut seen).await {
            Ok(count) if count > 0 && seen.len() < LARGEST_REQUEST => {}
            _ => return false,
        }
    }
    true
}

fn is_whole(seen: &[u8]) -> bool {
    let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&seen[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    seen.len() >= end + 4 + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_with_its_body() {
        for (text, whole) in [
            ("GET / HTTP/1.1\r\nhost: a\r\n", false),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", false),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", true),
        ] {
            assert_eq!(is_whole(text.as_bytes()), whole, "{text}");
        }
    }
}
