//! Who makes requests: the broker, or the HTTP library without it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aloma_wasm::broker::{Broker, MemoryStore, Network, Policy, Request, Scope, Setup, Traffic};
use aloma_wasm::events::Events;
use anyhow::ensure;
use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::limits::{ANSWER_BYTES, IDLE_CONNECTIONS, IDLE_TIME, PATIENCE};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The broker.
    Broker,
    /// The broker, and somebody who watches all its records.
    Watched,
    /// The library that the broker uses, used directly.
    Direct,
}

/// A client with no connection yet.
pub enum Client {
    Broker(Box<Broker>, String),
    Direct(Box<legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>>, Uri),
}

impl Client {
    /// A client for the server at this origin.
    pub fn new(kind: Kind, origin: &str) -> anyhow::Result<Self> {
        let url = format!("{origin}/things/7");
        if kind == Kind::Direct {
            return Ok(Self::Direct(Box::new(direct()?), url.parse()?));
        }
        let events = Events::default();
        if kind == Kind::Watched {
            watch(&events);
        }
        let broker = Broker::new(Setup {
            network: Network::default(),
            identities: HashMap::new(),
            component: "bench".into(),
            limits: Arc::default(),
            policy: Policy::parse(&[], &[origin.to_owned()])?,
            credentials: BTreeMap::new(),
            store: Arc::new(MemoryStore::default()),
            traffic: Traffic::default(),
            events,
        });
        Ok(Self::Broker(Box::new(broker), url))
    }

    /// Makes a request and takes its whole answer.
    pub async fn get(&self) -> anyhow::Result<()> {
        let (status, length) = match self {
            Self::Broker(broker, url) => {
                let request =
                    Request { method: "GET".into(), url: url.clone(), ..Request::default() };
                let deadline = Instant::now() + PATIENCE;
                let (vault, allowance) = (Arc::default(), Arc::default());
                let scope = Scope { call: None, deadline, vault, allowance };
                let answer = broker.send(request, &scope).await?;
                (answer.status, answer.body.len())
            }
            Self::Direct(client, url) => {
                let mut request = http::Request::new(Full::default());
                *request.uri_mut() = url.clone();
                let answer = client.request(request).await?;
                let status = answer.status().as_u16();
                (status, answer.into_body().collect().await?.to_bytes().len())
            }
        };
        ensure!((status, length) == (200, ANSWER_BYTES), "status {status}, {length} bytes");
        Ok(())
    }
}

/// The library with the broker's settings.
fn direct() -> anyhow::Result<legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>> {
    // No TLS is spoken here, so no root certificate is needed.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(connector);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIME)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .build(connector))
}

fn watch(events: &Events) {
    let mut watcher = events.watch();
    // It ends with the broker.
    tokio::spawn(async move { while !matches!(watcher.recv().await, Err(RecvError::Closed)) {} });
}

/// A load on a client: so many requests at once, each followed by the next.
pub async fn load(
    client: &Arc<Client>,
    at_once: usize,
    goes_on: impl Fn(usize) -> bool + Clone + Send + 'static,
) -> anyhow::Result<Vec<u32>> {
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..at_once {
        let (client, goes_on) = (client.clone(), goes_on.clone());
        workers.spawn(async move {
            let mut latencies = Vec::new();
            while goes_on(latencies.len()) {
                let begin = std::time::Instant::now();
                client.get().await?;
                latencies.push(nanoseconds(begin.elapsed()));
            }
            anyhow::Ok(latencies)
        });
    }
    let mut all = Vec::new();
    while let Some(worker) = workers.join_next().await {
        all.extend(worker??);
    }
    Ok(all)
}

fn nanoseconds(time: Duration) -> u32 {
    u32::try_from(time.as_nanos()).unwrap_or(u32::MAX)
}
