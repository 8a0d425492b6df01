//! A small users API that keeps what it is given in memory. Tests start it in process.

mod answers;
mod routes;
mod store;

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::TcpListener;

/// The key that callers must send where nobody chose another.
pub const DEFAULT_KEY: &str = "demo-key";

/// The API on an address of its own.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    key: String,
}

impl Server {
    /// Takes the address. Port 0 takes a free one.
    pub async fn bind(listen: SocketAddr, key: String) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(listen).await.with_context(|| {
            format!("cannot listen on {listen}; choose another with `--listen`")
        })?;
        let address = listener.local_addr().context("the listener has no address")?;
        Ok(Self { listener, address, key })
    }

    /// The base URL: `http://127.0.0.1:8080`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers until the task is dropped.
    pub async fn run(self) -> anyhow::Result<()> {
        let routes = routes::routes(self.key);
        axum::serve(self.listener, routes).await.context("the users API stopped")
    }
}
