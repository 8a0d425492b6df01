//! Runs the users API on its own.

use std::net::SocketAddr;

use clap::Parser;
use users_api::{DEFAULT_KEY, Server};

/// A small users API, to call from the `users` example. It keeps users in memory.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen. Port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The key that callers must send as `Authorization: Bearer KEY`
    #[arg(long, env = "USERS_API_KEY", default_value = DEFAULT_KEY, hide_env_values = true)]
    key: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { listen, key } = Arguments::parse();
    let server = Server::bind(listen, key).await?;
    println!("users API at {}", server.url());
    server.run().await
}
