//! A connection that knows where it leads.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Where a request went. hyper puts it into the extensions of every answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) struct Dialled {
    /// The checked address. The proxy's own where names are left to it, and nobody else knows.
    pub address: SocketAddr,
    /// Whether a proxy stood in between.
    pub proxied: bool,
}

/// Whether a request has used the connection before. Beside [`Dialled`] in the extensions.
#[derive(Clone, Debug, Default)]
pub(in crate::broker) struct Used(Arc<AtomicBool>);

impl Used {
    /// Notes a use, and gives whether it is not the first.
    pub fn again(&self) -> bool {
        self.0.swap(true, Ordering::Relaxed)
    }
}

/// How many connections there are. Clones count together.
#[derive(Clone, Debug, Default)]
pub(in crate::broker) struct Open(Arc<AtomicUsize>);

impl Open {
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of them.
struct Counted(Open);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the guard gives: a TCP connection, or a tunnel within one.
pub(in crate::broker) struct Wire {
    stream: TokioIo<TcpStream>,
    dialled: Dialled,
    _counted: Option<Counted>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, dialled: Dialled) -> Self {
        // An error here means a slower connection, not a broken one.
        let _ = stream.set_nodelay(true);
        Self { stream: TokioIo::new(stream), dialled, _counted: None }
    }

    /// Counts as open until it is dropped.
    pub(super) fn counted(self, open: &Open) -> Self {
        open.0.fetch_add(1, Ordering::Relaxed);
        Self { _counted: Some(Counted(open.clone())), ..self }
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut TokioIo<TcpStream>> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.dialled).extra(Used::default())
    }
}

// Handed through as they are.

impl Read for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(context, buffer)
    }
}

impl Write for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(context, parts)
    }
}
