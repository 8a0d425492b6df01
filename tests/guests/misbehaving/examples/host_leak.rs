//! A connector that keeps handles behind each of which the host holds as much as it can be made to.

use aloma_connector::{Error, Result, connector};
use misbehaving::WELL;
use wasip2::cli::stdout::get_stdout;
use wasip2::http::types::{Fields, OutgoingRequest};
use wasip2::io::streams::OutputStream;
use wasip2::sockets::network::IpAddressFamily;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp_create_socket::create_udp_socket;

/// Bytes of a header field: most of what one message may have.
const LARGE: usize = 100 << 10;

/// Bytes that are written at once at most.
const CHUNK: usize = 1 << 20;

/// Bytes of a part of a line, as much as a standard output takes at once.
const LINE: usize = 4 << 10;

/// The controller.
#[derive(Default)]
pub struct HostLeak;

/// Keeps handles behind each of which the host holds as much as it can be made to.
#[connector]
impl HostLeak {
    /// behaves
    pub async fn behave(&self) -> Result<&'static str> {
        Ok(WELL)
    }

    /// header fields of messages that are never sent
    pub async fn misbehave(&self) -> Result<()> {
        let large = vec![b'x'; LARGE];
        loop {
            let fields = Fields::new();
            fields.append("x-large", &large).expect("a field that may be");
            std::mem::forget(fields);
        }
    }

    /// bodies of requests that are never sent
    pub async fn misbehave_with_bodies(&self) -> Result<()> {
        loop {
            let request = OutgoingRequest::new(Fields::new());
            let body = request.body().expect("the body is asked for once");
            let stream = body.write().expect("the stream is asked for once");
            fill(&stream);
            std::mem::forget((request, body, stream));
        }
    }

    /// lines that never end, each in a standard output of its own
    pub async fn misbehave_with_output(&self) -> Result<()> {
        loop {
            let stream = get_stdout();
            for _ in 0..3 {
                let _ = stream.blocking_write_and_flush(&[b'x'; LINE]);
            }
            std::mem::forget(stream);
        }
    }

    /// sockets that are never connected
    pub async fn misbehave_with_sockets(&self) -> Result<()> {
        loop {
            let tcp = create_tcp_socket(IpAddressFamily::Ipv4);
            let udp = create_udp_socket(IpAddressFamily::Ipv6);
            if tcp.is_err() && udp.is_err() {
                return Err(Error::msg("there are no sockets"));
            }
            std::mem::forget((tcp, udp));
        }
    }
}

/// Writes as much as the host takes without anybody who reads.
fn fill(stream: &OutputStream) {
    let chunk = vec![b'x'; CHUNK];
    while let Ok(room) = stream.check_write() {
        let now = usize::try_from(room).unwrap_or(CHUNK).min(CHUNK);
        if now == 0 || stream.write(&chunk[..now]).is_err() {
            return;
        }
    }
}
