//! Connections that are kept for the next request, apart from each other where what they were made
//! for differs.

use std::collections::HashMap;
use std::sync::Arc;

use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;

use super::dial::{Connector, Profile, Resolve};
use super::limits::{ANSWER_HEAD, ANSWER_HEADERS, IDLE_CONNECTION, IDLE_PER_ORIGIN};
use super::payload::Payload;
use super::policy::Policy;

pub(super) type HttpClient = Client<Connector, Payload>;

/// What a connection was made for. There are as many of them as the operator has credentials and
/// certificates, twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Purpose {
    /// The credential that goes over it: a server may tie what it grants to the connection.
    pub credential: Option<Arc<str>>,
}

/// One connector's connections.
pub(super) struct Pools {
    policy: Arc<Policy>,
    resolver: Arc<dyn Resolve>,
    clients: Mutex<HashMap<Purpose, HttpClient>>,
}

impl Pools {
    pub fn new(policy: Arc<Policy>, resolver: Arc<dyn Resolve>) -> Self {
        Self { policy, resolver, clients: Mutex::default() }
    }

    /// The client whose connections are for that and nothing else.
    pub fn client(&self, purpose: &Purpose) -> HttpClient {
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(purpose) {
            return client.clone();
        }
        let client =
            client(Connector::new(self.policy.clone(), self.resolver.clone(), Profile::default()));
        clients.insert(purpose.clone(), client.clone());
        client
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
