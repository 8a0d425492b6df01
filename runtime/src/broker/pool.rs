//! Connections that are kept for the next request, apart from each other where what they were made
//! for differs.

use std::collections::HashMap;
use std::sync::Arc;

use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;

use super::dial::{Connector, Open, Profile, Resolve};
use super::limits::{ANSWER_HEAD, ANSWER_HEADERS, CONNECTIONS, IDLE_CONNECTION, IDLE_PER_ORIGIN};
use super::network::Network;
use super::payload::Payload;
use super::policy::{ClientCertificate, Policy};
use super::request::Error;
use crate::tls::ClientIdentity;

pub(super) type HttpClient = Client<Connector, Payload>;

/// What a connection was made for. There are as many of them as the operator has credentials and
/// certificates, twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Purpose {
    /// The credential that goes over it: a server may tie what it grants to the connection.
    pub credential: Option<Arc<str>>,
    /// The certificate that it shows.
    pub certificate: Option<ClientCertificate>,
    /// Whether it carries secrets in the clear, and so must not leave the operator's own network.
    pub private_only: bool,
}

/// One connector's connections.
pub(super) struct Pools {
    policy: Arc<Policy>,
    resolver: Arc<dyn Resolve>,
    network: Arc<Network>,
    identities: HashMap<ClientCertificate, Arc<ClientIdentity>>,
    clients: Mutex<HashMap<Purpose, HttpClient>>,
    pub open: Open,
}

impl Pools {
    pub fn new(
        policy: Arc<Policy>,
        resolver: Arc<dyn Resolve>,
        network: Arc<Network>,
        identities: HashMap<ClientCertificate, Arc<ClientIdentity>>,
    ) -> Self {
        Self {
            policy,
            resolver,
            network,
            identities,
            clients: Mutex::default(),
            open: Open::default(),
        }
    }

    /// The client whose connections are for that and nothing else.
    ///
    /// # Errors
    /// When there is no such certificate.
    pub fn client(&self, purpose: &Purpose) -> Result<HttpClient, Error> {
        let mut clients = self.clients.lock();
        // With the clients, the connections go that nobody uses.
        if self.open.count() > CONNECTIONS {
            clients.clear();
        }
        if let Some(client) = clients.get(purpose) {
            return Ok(client.clone());
        }
        let profile = Profile {
            network: self.network.clone(),
            identity: purpose.certificate.as_ref().map(|one| self.identity(one)).transpose()?,
            private_only: purpose.private_only,
            open: self.open.clone(),
        };
        let connector = Connector::new(self.policy.clone(), self.resolver.clone(), profile);
        let client = client(connector);
        clients.insert(purpose.clone(), client.clone());
        Ok(client)
    }

    fn identity(&self, certificate: &ClientCertificate) -> Result<Arc<ClientIdentity>, Error> {
        self.identities.get(certificate).cloned().ok_or_else(|| {
            let file = certificate.certificate.display();
            Error::Connect(format!("the client certificate {file} was not loaded"))
        })
    }
}

fn client(connector: Connector) -> HttpClient {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_CONNECTION)
        .pool_max_idle_per_host(IDLE_PER_ORIGIN)
        .http1_max_buf_size(ANSWER_HEAD)
        .http1_max_headers(ANSWER_HEADERS)
        .http2_max_header_list_size(ANSWER_HEAD as u32)
        // Safe for a POST, too: it repeats only what hyper gives back unsent because a connection
        // from the pool had closed in the meantime.
        .retry_canceled_requests(true)
        .build(connector)
}
