//! The guard before every dial: look up once, check every address, dial only what was checked.
//!
//! Our own connector under hyper-util's client, and not reqwest: reqwest's resolver hook sees
//! neither literal addresses nor the scheme and port, so a guard there can be walked around. Here
//! every connection passes, whoever asked for it. There are no proxies, so the address dialled is
//! the one that the request reaches.

use std::error::Error as StdError;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;
use url::Url;

use super::limits::{ADDRESSES, CONNECT, NEXT_ADDRESS, RESOLVE};
use super::policy::{Policy, Refusal, literal};

/// The network as the guard uses it: a look-up, and connections to addresses that were checked.
pub(super) trait Resolve: Send + Sync {
    /// Finds the addresses of a name.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;

    /// Opens a connection. The only place where one is opened, so that a test sees all of them.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>> {
        Box::pin(TcpStream::connect(address))
    }
}

/// The system's resolver.
pub(super) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name, 0)).await?;
            Ok(addresses.map(|address| address.ip()).collect())
        })
    }
}

/// Why there is no connection. In every case the request was not sent.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error(transparent)]
    Denied(#[from] Refusal),
    #[error("{0}")]
    Dns(String),
    #[error("{0}")]
    Connect(String),
}

type BoxError = Box<dyn StdError + Send + Sync>;

/// Makes connections: the guard, TLS over it, and a time limit around both.
#[derive(Clone)]
pub(super) struct Connector(HttpsConnector<Guard>);

impl Connector {
    pub fn new(policy: Arc<Policy>, resolver: Arc<dyn Resolve>) -> Self {
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(crate::tls::client_config())
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(Guard { policy, resolver });
        Self(https)
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            timeout(CONNECT, connecting).await.unwrap_or_else(|_| {
                let text = format!("no connection within {} seconds", CONNECT.as_secs());
                Err(DialError::Connect(text).into())
            })
        })
    }
}

/// Opens a TCP connection to a granted origin.
#[derive(Clone)]
struct Guard {
    policy: Arc<Policy>,
    resolver: Arc<dyn Resolve>,
}

impl Service<Uri> for Guard {
    type Response = TokioIo<TcpStream>;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<Self::Response, DialError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let guard = self.clone();
        Box::pin(async move { guard.dial(&uri).await.map(TokioIo::new) })
    }
}

impl Guard {
    async fn dial(&self, uri: &Uri) -> Result<TcpStream, DialError> {
        let url = Url::parse(&uri.to_string())
            .map_err(|error| DialError::Connect(format!("{uri} is no URL: {error}")))?;
        let permit = self.policy.check_origin(&url)?;
        let addresses = self.addresses(&url).await?;
        // All of them, not only the one that is dialled: an answer that mixes public and private
        // addresses is an attack or a mistake, and luck must not decide which.
        for &address in &addresses {
            permit.judge(address)?;
        }
        let port = url.port_or_known_default().unwrap_or_default();
        let targets = addresses.into_iter().map(|address| SocketAddr::new(address, port));
        let targets = targets.take(ADDRESSES).collect();
        let stream = first_that_connects(&*self.resolver, targets).await.map_err(|error| {
            DialError::Connect(format!("cannot connect to {}: {error}", permit.origin()))
        })?;
        // An error here means a slower connection, not a broken one.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    async fn addresses(&self, url: &Url) -> Result<Vec<IpAddr>, DialError> {
        let host = url.host().ok_or_else(|| DialError::Dns(format!("{url} has no host")))?;
        if let Some(address) = literal(&host) {
            return Ok(vec![address]);
        }
        let name = host.to_string();
        match timeout(RESOLVE, self.resolver.resolve(&name)).await {
            Ok(Ok(addresses)) if !addresses.is_empty() => Ok(by_turns(addresses)),
            Ok(Ok(_)) => Err(DialError::Dns(format!("{name} has no address"))),
            Ok(Err(error)) => Err(DialError::Dns(format!("cannot find {name}: {error}"))),
            Err(_) => {
                let seconds = RESOLVE.as_secs();
                Err(DialError::Dns(format!("cannot find {name}: no answer in {seconds} seconds")))
            }
        }
    }
}

/// Addresses of both families by turns, the resolver's first choice first.
fn by_turns(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let prefers_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == prefers_v6);
    let longest = first.len().max(second.len());
    (0..longest).flat_map(|at| [first.get(at), second.get(at)]).flatten().copied().collect()
}

/// Happy Eyeballs (RFC 8305): tries the targets in order, the next one when the last has failed or
/// is slow. The losers are dropped.
async fn first_that_connects(
    network: &dyn Resolve,
    targets: Vec<SocketAddr>,
) -> io::Result<TcpStream> {
    let mut targets = targets.into_iter();
    let mut trying = FuturesUnordered::new();
    let mut last = io::Error::other("no address to connect to");
    loop {
        trying.extend(targets.next().map(|target| network.connect(target)));
        let outcome = match targets.len() {
            0 => trying.next().await,
            _ => match timeout(NEXT_ADDRESS, trying.next()).await {
                Ok(outcome) => outcome,
                Err(_) => continue,
            },
        };
        match outcome {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => last = error,
            None => return Err(last),
        }
    }
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
