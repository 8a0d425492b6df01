//! An API below HTTP: it answers every request with the bytes that a test wrote.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::guests::PROJECT;
use crate::limits::LARGEST_REQUEST;
use crate::log::Log;
use crate::process::within;

/// What follows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The connection is closed.
    Close,
    /// The connection stays, and nothing more comes.
    Stay,
}

/// A running raw API.
pub struct RawApi {
    scheme: &'static str,
    address: SocketAddr,
    seen: watch::Sender<Seen>,
    task: JoinHandle<()>,
}

#[derive(Clone, Default)]
struct Seen {
    requests: Vec<String>,
    hang_ups: usize,
}

impl RawApi {
    /// Starts one at a free port.
    pub async fn start(answer: &str, then: Then) -> Self {
        Self::start_over(None, answer, then).await
    }

    /// Starts one that speaks TLS, with a certificate for 127.0.0.1 that only `authority` vouches for.
    pub async fn start_tls(answer: &str, then: Then) -> Self {
        Self::start_over(Some(acceptor()), answer, then).await
    }

    async fn start_over(tls: Option<TlsAcceptor>, answer: &str, then: Then) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let seen = watch::Sender::new(Seen::default());
        let (answer, desk) = (answer.to_owned(), seen.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, answer, desk) = (tls.clone(), answer.clone(), desk.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, answer, then, desk).await,
                        // The other side may refuse the certificate.
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, answer, then, desk).await,
                            Err(_) => desk.send_modify(|seen| seen.hang_ups += 1),
                        },
                    }
                });
            }
        });
        Self { scheme, address, seen, task }
    }

    /// Reads requests and answers none.
    pub async fn silent() -> Self {
        Self::start("", Then::Stay).await
    }

    /// `http://127.0.0.1:PORT`, or `https`.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far, to the last byte.
    pub fn requests(&self) -> Vec<String> {
        self.seen.borrow().requests.clone()
    }

    /// Waits until a whole request has come.
    pub async fn asked(&self, log: &Log) {
        let mut watch = self.seen.subscribe();
        let came = watch.wait_for(|seen| !seen.requests.is_empty());
        within("a request", log, came).await.expect("the desk stays");
    }

    /// Waits until the other side has given up a connection.
    pub async fn hang_up(&self, log: &Log) {
        let mut watch = self.seen.subscribe();
        let gone = watch.wait_for(|seen| seen.hang_ups > 0);
        within("a connection that is given up", log, gone).await.expect("the desk stays");
    }
}

impl Drop for RawApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The certificate of who vouches for a raw API over TLS.
pub fn authority() -> PathBuf {
    certificate("ca.pem")
}

fn certificate(file: &str) -> PathBuf {
    Path::new(PROJECT).join("runtime/src/broker/testdata/tls").join(file)
}

fn acceptor() -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certificate("server.pem")).expect("a certificate");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(certificate("server.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the key is that of the certificate");
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: String,
    then: Then,
    seen: watch::Sender<Seen>,
) {
    while let Some(request) = read_request(&mut stream).await {
        seen.send_modify(|seen| seen.requests.push(request));
        // The other side may be gone already.
        let _ = stream.write_all(answer.as_bytes()).await;
        if then == Then::Close {
            // TLS says goodbye; without it an answer would be taken for cut off.
            let _ = stream.shutdown().await;
            return;
        }
    }
    seen.send_modify(|seen| seen.hang_ups += 1);
}

/// Reads head and body. Nothing when the other side gave up before the end.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut seen = Vec::new();
    while !is_whole(&String::from_utf8_lossy(&seen)) {
        match stream.read_buf(&mut seen).await {
            Ok(count) if count > 0 && seen.len() < LARGEST_REQUEST => {}
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&seen).into_owned())
}

fn is_whole(seen: &str) -> bool {
    let Some((head, body)) = seen.split_once("\r\n\r\n") else { return false };
    let head = head.to_lowercase();
    if head.contains("transfer-encoding: chunked") {
        let last = body.starts_with("0\r\n") || body.contains("\r\n0\r\n");
        return last && body.ends_with("\r\n\r\n");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    body.len() >= length.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_with_its_body_and_its_trailers() {
        const CHUNKED: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (text, whole) in [
            ("GET / HTTP/1.1\r\nhost: a\r\n".to_owned(), false),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), true),
            ("POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nab".to_owned(), false),
            ("POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc".to_owned(), true),
            (CHUNKED.to_owned(), false),
            (format!("{CHUNKED}3\r\nabc\r\n"), false),
            (format!("{CHUNKED}3\r\nabc\r\n0\r\n\r\n"), true),
            (format!("{CHUNKED}0\r\n\r\n"), true),
            (format!("{CHUNKED}3\r\nabc\r\n0\r\nx-sum: 1\r\n"), false),
            (format!("{CHUNKED}3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"), true),
        ] {
            assert_eq!(is_whole(&text), whole, "{text}");
        }
    }
}
