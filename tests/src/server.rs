//! A server on a thread and a runtime of its own, so that it can die as suddenly as a real one.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use axum::Router;
use tokio::sync::oneshot;

/// A running server. It dies when this goes.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    gone: oneshot::Receiver<()>,
}

impl Server {
    /// Serves at a free port of this machine.
    pub fn start(router: Router) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), router)
    }

    /// Serves at this address.
    pub fn start_at(address: SocketAddr, router: Router) -> Self {
        let listener = listen(address);
        let address = listener.local_addr().expect("a bound socket has an address");
        let (stop, stopped) = oneshot::channel();
        let (going, gone) = oneshot::channel();
        thread::spawn(move || {
            serve(listener, router, stopped);
            // Nobody may be waiting, which is fine.
            let _ = going.send(());
        });
        Self { address, stop, gone }
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it: every connection is closed without a word when this returns.
    pub async fn kill(self) {
        drop(self.stop);
        // An error would mean that its thread panicked, which leaves it as dead as wanted.
        let _ = self.gone.await;
    }
}

fn listen(address: SocketAddr) -> TcpListener {
    let listener = TcpListener::bind(address)
        .unwrap_or_else(|error| panic!("cannot listen at {address}: {error}"));
    listener.set_nonblocking(true).expect("a socket can be made non-blocking");
    listener
}

/// Returns when stopped. The runtime goes here, and with it every connection.
fn serve(listener: TcpListener, router: Router, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime for a server");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listening socket");
        tokio::select! {
            _ = axum::serve(listener, router) => {}
            _ = stopped => {}
        }
    });
}
