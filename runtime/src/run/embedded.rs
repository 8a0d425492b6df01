//! The embedded workspace of a process: started when the first connector needs it, and gone after
//! the last one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::local_data;
use crate::events::Events;
use crate::keyfile;
use crate::local::{Hosting, LocalSettings, LocalWorkspace};
use crate::settings::{self, Environment};
use crate::workspace::LinkSettings;
use crate::workspace::keys::KeyPair;

/// Tells where the embedded workspace's page is.
pub type Announce = fn(&LocalWorkspace) -> anyhow::Result<()>;

/// Where the embedded workspace is, if it comes to that.
pub(super) struct Embedded {
    pub listen: SocketAddr,
    pub data: Option<PathBuf>,
    pub events: Events,
    pub announce: Announce,
    /// Held while it is started, so that there is one.
    running: Mutex<Option<Running>>,
    connectors_gone: CancellationToken,
}

struct Running {
    joining: Joining,
    serving: JoinHandle<anyhow::Result<()>>,
}

/// What a connector needs to join.
#[derive(Clone)]
pub(super) struct Joining {
    pub link: LinkSettings,
    /// For connectors without keys of their own.
    pub keys: Arc<KeyPair>,
    pub hosting: Hosting,
}

impl Embedded {
    pub fn new(
        listen: SocketAddr,
        data: Option<PathBuf>,
        events: Events,
        announce: Announce,
    ) -> Self {
        let (running, connectors_gone) = (Mutex::default(), CancellationToken::new());
        Self { listen, data, events, announce, running, connectors_gone }
    }

    /// What it takes to join it; starts it where it does not run yet.
    pub async fn join(&self, environment: &Environment) -> anyhow::Result<Joining> {
        let mut running = self.running.lock().await;
        if let Some(running) = &*running {
            return Ok(running.joining.clone());
        }
        let started = self.start(environment).await.context("the embedded workspace")?;
        Ok(running.insert(started).joining.clone())
    }

    async fn start(&self, environment: &Environment) -> anyhow::Result<Running> {
        let data = local_data(self.data.clone(), environment)?;
        let local = LocalWorkspace::bind(LocalSettings {
            listen: self.listen,
            data: data.clone(),
            events: self.events.clone(),
            hosted: Vec::new(),
        })
        .await?;
        let link = LinkSettings {
            device_endpoint: local.device_endpoint(),
            websocket_endpoint: local.websocket_endpoint(),
            token: local.registration_token(),
        };
        let keys = match settings::keys(environment)? {
            Some(keys) => keys,
            None => keyfile::read_or_make(&data.join("keys"))?,
        };
        let joining = Joining { link, keys, hosting: local.hosting() };
        (self.announce)(&local)?;
        let serving = tokio::spawn(local.serve(self.connectors_gone.clone()));
        Ok(Running { joining, serving })
    }

    /// Ends it. It outlives its connectors, so that their last replies arrive.
    pub async fn end(&self) -> anyhow::Result<()> {
        self.connectors_gone.cancel();
        let Some(Running { serving, .. }) = self.running.lock().await.take() else { return Ok(()) };
        serving.await.context("the embedded workspace crashed")?
    }
}
