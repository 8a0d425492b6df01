//! `bench broker`: what a request costs beyond the HTTP library that sends it.
//!
//! The broker, in this process, and the same library used directly with the same settings make the
//! same requests of the same server, by turns. The server is a process of its own.

mod client;
pub mod server;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use self::client::{Client, Kind, load};
use self::server::Server;
use crate::Settings;
use crate::limits::{REQUESTS_AT_ONCE, REQUESTS_COUNTED, WARM_UP};
use crate::load::Samples;
use crate::usage::own_cpu;

/// One client in one round.
pub struct Round {
    /// Connections opened for [`REQUESTS_COUNTED`] requests, [`REQUESTS_AT_ONCE`].
    pub connections: u64,
    /// One request in flight.
    pub one: Loaded,
    /// [`REQUESTS_AT_ONCE`] in flight.
    pub many: Loaded,
}

/// One load and what it cost.
pub struct Loaded {
    /// The times.
    pub samples: Samples,
    /// CPU time of this process.
    pub cpu: Duration,
}

/// Everything measured of one client.
pub struct Measured {
    kind: Kind,
    rounds: Vec<Round>,
}

/// Measures and prints the table.
pub async fn measure(settings: &Settings) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let time = Duration::from_secs(settings.seconds);
    let new = |kind| Measured { kind, rounds: Vec::new() };
    let mut measured = [Kind::Broker, Kind::Direct, Kind::Watched].map(new);
    // In turn, so that whatever else the machine does meets all; each first once.
    for number in 0..settings.rounds as usize {
        measured.rotate_left(number.min(1));
        for one in &mut measured {
            one.rounds.push(round(one.kind, &server, time).await?);
        }
    }
    table::print(&measured)
}

async fn round(kind: Kind, server: &Server, time: Duration) -> anyhow::Result<Round> {
    let client = Arc::new(Client::new(kind, &server.origin())?);
    let connections = connections(&client, server).await?;
    timed(&client, 1, WARM_UP).await?;
    let one = timed(&client, 1, time * 2 / 3).await?;
    let many = timed(&client, REQUESTS_AT_ONCE, time).await?;
    Ok(Round { connections, one, many })
}

/// A client that has no connection yet makes many requests.
async fn connections(client: &Arc<Client>, server: &Server) -> anyhow::Result<u64> {
    let before = server.connections().await?;
    let left = Arc::new(AtomicUsize::new(REQUESTS_COUNTED));
    let take = move |_| {
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    };
    load(client, REQUESTS_AT_ONCE, take).await?;
    Ok(server.connections().await? - before)
}

async fn timed(client: &Arc<Client>, at_once: usize, time: Duration) -> anyhow::Result<Loaded> {
    let (begin, cpu) = (Instant::now(), own_cpu());
    let latencies = load(client, at_once, move |_| begin.elapsed() < time).await?;
    let cpu = own_cpu().saturating_sub(cpu);
    Ok(Loaded { samples: Samples::new(begin.elapsed(), latencies), cpu })
}
