//! The way out: through which proxy, and which certificates are believed and shown.

mod no_proxy;
mod settings;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

use self::no_proxy::NoProxy;
use super::policy::literal;
use super::proxy::Proxy;
use crate::tls::{self, ClientIdentity};

pub use settings::NetworkSettings;

/// The network of one connector, ready for use. By default there is no proxy, and the system's roots
/// are believed.
#[derive(Debug)]
pub struct Network {
    proxies: Proxies,
    roots: Arc<RootCertStore>,
    /// One for each client certificate, so that sessions are resumed only with the same one.
    configs: Mutex<HashMap<Option<Arc<ClientIdentity>>, Arc<ClientConfig>>>,
}

/// The operator's proxies, for the two kinds of targets.
#[derive(Clone, Debug, Default)]
struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    except: NoProxy,
    /// Whether names go to the proxy as they are.
    resolve: bool,
}

impl Default for Network {
    fn default() -> Self {
        Self::new(Proxies::default(), tls::roots())
    }
}

impl Network {
    fn new(proxies: Proxies, roots: Arc<RootCertStore>) -> Self {
        Self { proxies, roots, configs: Mutex::default() }
    }

    /// The proxy for a target, before its addresses are known.
    pub(super) fn proxy(&self, target: &Url) -> Option<&Proxy> {
        let Proxies { http, https, except, .. } = &self.proxies;
        let proxy = if target.scheme() == "https" { https } else { http };
        let (host, port) = (target.host()?, target.port_or_known_default()?);
        let is_direct = is_here(&host) || except.holds(&host, port);
        proxy.as_ref().filter(|_| !is_direct)
    }

    /// Whether the proxy is given names, and looks them up itself.
    pub(super) fn proxy_resolves(&self) -> bool {
        self.proxies.resolve
    }

    /// Whether a target at these addresses is reached without the proxy that its name has.
    pub(super) fn is_direct(&self, addresses: &[IpAddr], port: u16) -> bool {
        let except = &self.proxies.except;
        // This host as the proxy sees it is another one.
        addresses
            .iter()
            .all(|&address| address.is_loopback() || except.holds_address(address, port))
    }

    /// TLS as it is spoken with this client certificate, or with none.
    pub(super) fn tls(&self, identity: Option<&Arc<ClientIdentity>>) -> Arc<ClientConfig> {
        let make = || {
            let mut config =
                tls::client_config_with(self.roots.clone(), identity.map(|one| &**one));
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            Arc::new(config)
        };
        self.configs.lock().entry(identity.cloned()).or_insert_with(make).clone()
    }
}

/// Whether the host is this one whatever a look-up says.
fn is_here(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        host => literal(host).is_some_and(is_this_host),
    }
}

/// This host as a proxy sees it is another one: itself.
fn is_this_host(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_loopback() || address.is_unspecified()
}
