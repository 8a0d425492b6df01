//! Connects to whichever address of a host answers first (Happy Eyeballs, RFC 8305).

use std::io;
use std::net::{IpAddr, SocketAddr};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Resolve;
use crate::broker::limits::NEXT_ADDRESS;

/// Tries the targets in order, the next one when the last has failed or is slow. The losers are
/// dropped.
pub(super) async fn first_that_connects(
    network: &dyn Resolve,
    targets: Vec<SocketAddr>,
) -> io::Result<(SocketAddr, TcpStream)> {
    let mut targets = targets.into_iter();
    let mut trying = FuturesUnordered::new();
    let mut last = io::Error::other("no address to connect to");
    loop {
        trying.extend(targets.next().map(|target| {
            let connecting = network.connect(target);
            async move { connecting.await.map(|stream| (target, stream)) }
        }));
        let outcome = match targets.len() {
            0 => trying.next().await,
            _ => match timeout(NEXT_ADDRESS, trying.next()).await {
                Ok(outcome) => outcome,
                Err(_) => continue,
            },
        };
        match outcome {
            Some(Ok(connected)) => return Ok(connected),
            Some(Err(error)) => last = error,
            None => return Err(last),
        }
    }
}

/// Addresses of both families by turns, the resolver's first choice first.
pub(super) fn by_turns(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let prefers_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == prefers_v6);
    let longest = first.len().max(second.len());
    (0..longest).flat_map(|at| [first.get(at), second.get(at)]).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_are_tried_by_turns() {
        for (given, expected) in [
            ("::1 ::2 1.1.1.1 1.1.1.2", "::1 1.1.1.1 ::2 1.1.1.2"),
            ("1.1.1.1 ::1 ::2", "1.1.1.1 ::1 ::2"),
            ("1.1.1.1 1.1.1.2 1.1.1.3 ::1", "1.1.1.1 ::1 1.1.1.2 1.1.1.3"),
            ("1.1.1.1", "1.1.1.1"),
        ] {
            let parse = |text: &str| -> Vec<IpAddr> {
                text.split(' ').map(|address| address.parse().expect(address)).collect()
            };
            assert_eq!(by_turns(parse(given)), parse(expected), "{given}");
        }
    }
}
