//! The guard before every dial: look up once, check every address, dial only what was checked.
//!
//! Our own connector under hyper-util's client, and not reqwest: reqwest's resolver hook sees
//! neither literal addresses nor the scheme and port, so a guard there can be walked around. Here
//! every connection passes, whoever asked for it. Through a proxy the same holds: it is asked for a
//! tunnel to the address that was checked, unless the operator leaves names to it.

mod eyeballs;
mod private;
mod wire;

use std::error::Error as StdError;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;
use url::{Host, Url};

use self::eyeballs::{by_turns, first_that_connects};
use self::private::is_private;
use super::address::METADATA_NAMES;
use super::limits::{ADDRESSES, CONNECT, RESOLVE};
use super::network::Network;
use super::policy::{Permit, Policy, Refusal, literal};
use super::proxy::{NoTunnel, Proxy, Remedy};
use crate::tls::ClientIdentity;

pub(super) use wire::{Dialled, Open, Used, Wire};

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
    /// The proxy does not want to, and will not want to later.
    #[error("{0}")]
    Proxy(String),
}

type BoxError = Box<dyn StdError + Send + Sync>;

/// What connections have in common. Requests of two profiles must not share a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Profile {
    pub network: Arc<Network>,
    /// Shown to servers that ask for a client certificate.
    pub identity: Option<Arc<ClientIdentity>>,
    /// For plain http with a secret in it: no public address may be reached, also not by a name that
    /// was granted as private and has become public.
    pub private_only: bool,
    /// Counts them.
    pub open: Open,
}

/// Makes connections: the guard, TLS over it, and a time limit around both.
#[derive(Clone)]
pub(super) struct Connector(HttpsConnector<Guard>);

impl Connector {
    pub fn new(policy: Arc<Policy>, resolver: Arc<dyn Resolve>, profile: Profile) -> Self {
        let Profile { network, identity, private_only, open } = profile;
        let tls = network.tls(identity.as_ref());
        Self((Guard { policy, resolver, network, private_only, open }, tls).into())
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<Wire>;
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

/// Opens a connection to a granted origin.
#[derive(Clone)]
struct Guard {
    policy: Arc<Policy>,
    resolver: Arc<dyn Resolve>,
    network: Arc<Network>,
    private_only: bool,
    open: Open,
}

impl Service<Uri> for Guard {
    type Response = Wire;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<Wire, DialError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let guard = self.clone();
        Box::pin(async move { guard.dial(&uri).await.map(|wire| wire.counted(&guard.open)) })
    }
}

impl Guard {
    async fn dial(&self, uri: &Uri) -> Result<Wire, DialError> {
        let url = Url::parse(&uri.to_string())
            .map_err(|error| DialError::Connect(format!("{uri} is no URL: {error}")))?;
        let permit = self.policy.check_origin(&url)?;
        let (host, port) = host_and_port(&url)?;
        let proxy = self.network.proxy(&url);
        if let (Some(proxy), Host::Domain(name), true) =
            (proxy, &host, self.network.proxy_resolves())
        {
            self.check_name(name, &url, &permit)?;
            return self.tunnel_to_name(proxy, &format!("{name}:{port}")).await;
        }
        let addresses = self.addresses(&host).await?;
        self.check(&addresses, &url, &permit)?;
        let proxy = proxy.filter(|_| !self.network.is_direct(&addresses, port));
        let targets = addresses.into_iter().map(|address| SocketAddr::new(address, port));
        let targets = targets.take(ADDRESSES).collect();
        match proxy {
            Some(proxy) => self.tunnel(proxy, targets).await,
            None => self.connect(targets, permit.origin()).await,
        }
    }

    /// All of them, not only the one that is dialled: an answer that mixes public and private
    /// addresses is an attack or a mistake, and luck must not decide which.
    fn check(&self, addresses: &[IpAddr], url: &Url, permit: &Permit) -> Result<(), Refusal> {
        for &address in addresses {
            permit.judge(address)?;
        }
        if !self.is_for_private_only(url) {
            return Ok(());
        }
        match addresses.iter().find(|address| !is_private(**address)) {
            Some(address) => Err(not_private(url, &address.to_string())),
            None => Ok(()),
        }
    }

    /// What can be said of a name whose addresses only the proxy will know.
    fn check_name(&self, name: &str, url: &Url, permit: &Permit) -> Result<(), Refusal> {
        if METADATA_NAMES.contains(&name.strip_suffix('.').unwrap_or(name)) {
            permit.judge(METADATA)?;
        }
        // Where refusals are only reported, public addresses are let through, and no others.
        if let Some(refusal) = permit.would_refuse() {
            return Err(refusal.clone());
        }
        if self.is_for_private_only(url) {
            return Err(not_private(url, "looked up by the proxy"));
        }
        Ok(())
    }

    fn is_for_private_only(&self, url: &Url) -> bool {
        self.private_only && url.scheme() == "http"
    }

    async fn addresses(&self, host: &Host<&str>) -> Result<Vec<IpAddr>, DialError> {
        if let Some(address) = literal(host) {
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

    async fn connect(&self, targets: Vec<SocketAddr>, origin: &str) -> Result<Wire, DialError> {
        let (address, stream) = first_that_connects(&*self.resolver, targets)
            .await
            .map_err(|error| DialError::Connect(format!("cannot connect to {origin}: {error}")))?;
        Ok(Wire::new(stream, Dialled { address, proxied: false }))
    }

    /// A tunnel to the first of the addresses that the proxy reaches. One after the other: each costs
    /// a connection to the proxy.
    async fn tunnel(&self, proxy: &Proxy, targets: Vec<SocketAddr>) -> Result<Wire, DialError> {
        let mut last = DialError::Connect("no address to connect to".into());
        for address in targets {
            let (_, mut stream) = self.connect_to_proxy(proxy).await?;
            match proxy.tunnel(&mut stream, &address.to_string()).await {
                Ok(()) => return Ok(Wire::new(stream, Dialled { address, proxied: true })),
                Err(error) if error.remedy == Remedy::Elsewhere => last = error.into(),
                Err(error) => return Err(error.into()),
            }
        }
        Err(last)
    }

    async fn tunnel_to_name(&self, proxy: &Proxy, target: &str) -> Result<Wire, DialError> {
        let (address, mut stream) = self.connect_to_proxy(proxy).await?;
        proxy.tunnel(&mut stream, target).await?;
        Ok(Wire::new(stream, Dialled { address, proxied: true }))
    }

    async fn connect_to_proxy(&self, proxy: &Proxy) -> Result<(SocketAddr, TcpStream), DialError> {
        let failed =
            |why| DialError::Connect(format!("cannot connect to the proxy {proxy}: {why}"));
        let addresses = match proxy.host() {
            Host::Domain(name) => self.addresses(&Host::Domain(name)).await,
            host => Ok(literal(host).into_iter().collect()),
        };
        let addresses = addresses.map_err(|error| failed(error.to_string()))?;
        addresses.iter().try_for_each(|&address| Proxy::judge(address)).map_err(failed)?;
        let targets = addresses.into_iter().map(|address| SocketAddr::new(address, proxy.port()));
        let connected = first_that_connects(&*self.resolver, targets.take(ADDRESSES).collect());
        connected.await.map_err(|error| failed(error.to_string()))
    }
}

impl From<NoTunnel> for DialError {
    fn from(error: NoTunnel) -> Self {
        match error.remedy {
            Remedy::Elsewhere | Remedy::Later => Self::Connect(error.to_string()),
            Remedy::Settings => Self::Proxy(error.to_string()),
        }
    }
}

/// Where the names of cloud metadata lead.
const METADATA: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254));

fn host_and_port(url: &Url) -> Result<(Host<&str>, u16), DialError> {
    let parts = url.host().zip(url.port_or_known_default());
    parts.ok_or_else(|| DialError::Dns(format!("{url} has no host")))
}

fn not_private(url: &Url, what: &str) -> Refusal {
    let host = url.host_str().unwrap_or_default();
    let who = if host.trim_matches(['[', ']']) == what {
        host.into()
    } else {
        format!("{host} ({what})")
    };
    Refusal::new(format!(
        "secrets are not sent to {who} over plain http, where anyone can read them: it is not known \
         to be in a private network; use https"
    ))
}
