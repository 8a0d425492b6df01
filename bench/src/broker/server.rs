//! The server: the same short answer to every request, in a process whose CPU time does not count.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::limits::{ANSWER_BYTES, REQUEST_HEAD};

/// A running server. It is killed when this goes.
pub struct Server {
    _child: Child,
    address: String,
}

/// The path that answers how many connections were used so far.
const CONNECTIONS: &str = "/connections";

impl Server {
    /// Starts this program again, as the server.
    pub async fn start() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("where is this program?")?;
        let mut command = Command::new(program);
        command.arg("server").stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("cannot start the server")?;
        let output = child.stdout.take().context("the server's output is piped")?;
        let address = BufReader::new(output).lines().next_line().await?;
        let address = address.context("the server ended at once")?;
        Ok(Self { _child: child, address })
    }

    /// `http://127.0.0.1:PORT`
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections have carried a request so far, this one apart.
    pub async fn connections(&self) -> anyhow::Result<u64> {
        let mut socket = TcpStream::connect(&self.address).await?;
        socket.write_all(format!("GET {CONNECTIONS} HTTP/1.1\r\n\r\n").as_bytes()).await?;
        socket.shutdown().await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        let (_, count) = answer.split_once("\r\n\r\n").context("an answer without an end")?;
        Ok(count.parse()?)
    }
}

/// Serves until it is killed. Says first where.
pub async fn run() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    let used = Arc::new(AtomicU64::new(0));
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let used = used.clone();
        // It ends with its connection, and with the process.
        tokio::spawn(async move { serve(socket, &used).await });
    }
}

async fn serve(mut socket: TcpStream, used: &AtomicU64) -> anyhow::Result<()> {
    let answer = answer(&"x".repeat(ANSWER_BYTES));
    let mut is_counted = false;
    let mut head = Vec::with_capacity(REQUEST_HEAD);
    while read_head(&mut socket, &mut head).await? {
        let path = head.strip_prefix(b"GET ").unwrap_or_default();
        if path.starts_with(CONNECTIONS.as_bytes()) {
            let count = used.load(Ordering::Relaxed).to_string();
            socket.write_all(&self::answer(&count)).await?;
        } else {
            used.fetch_add(u64::from(!is_counted), Ordering::Relaxed);
            is_counted = true;
            socket.write_all(&answer).await?;
        }
    }
    Ok(())
}

/// Reads one request, which has no body. False at the end of the connection.
async fn read_head(socket: &mut TcpStream, head: &mut Vec<u8>) -> anyhow::Result<bool> {
    head.clear();
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(head.len() < REQUEST_HEAD, "a request of more than {REQUEST_HEAD} bytes");
        if socket.read_buf(head).await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

fn answer(body: &str) -> Vec<u8> {
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length";
    format!("{head}: {length}\r\n\r\n{body}").into_bytes()
}
