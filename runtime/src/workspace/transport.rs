//! What the links of a process share: the HTTP client of the calls, and the TLS of the websockets.

use std::sync::Arc;

use reqwest::Client;
use reqwest::redirect::{Attempt, Policy};
use rustls::ClientConfig;

use super::limits::{IDLE_CONNECTIONS, REDIRECTS};

/// The way to workspaces. Each TLS configuration has a cache of sessions that weighs more than an
/// idle connector, so a process makes one of these and clones it.
#[derive(Clone, Debug)]
pub struct Transport {
    pub(super) http: Client,
    pub(super) tls: Arc<ClientConfig>,
}

impl Default for Transport {
    fn default() -> Self {
        let http = Client::builder()
            .tls_backend_preconfigured(crate::tls::client_config())
            .redirect(Policy::custom(follow))
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .no_proxy()
            .build()
            .expect("a client with its own TLS configuration needs nothing from the system");
        let mut tls = crate::tls::client_config();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { http, tls: Arc::new(tls) }
    }
}

/// Follows like the Node SDK, but not from https to http. The client drops `Authorization` when the
/// origin changes.
fn follow(attempt: Attempt) -> reqwest::redirect::Action {
    let from_https = attempt.previous().iter().any(|url| url.scheme() == "https");
    if from_https && attempt.url().scheme() != "https" {
        return attempt.error("redirected from https to http");
    }
    if attempt.previous().len() > REDIRECTS {
        return attempt.error("too many redirects");
    }
    attempt.follow()
}
