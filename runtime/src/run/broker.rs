//! Makes a connector's broker out of what the operator says of it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};

use super::ConnectorSettings;
use crate::broker::{
    Broker, ClientCertificate, DiskStore, MemoryStore, Network, Prepared, Setup, Store, Traffic,
};
use crate::connector::secret_fields;
use crate::events::{Component, Events};
use crate::manifest::Manifest;
use crate::settings::{self, Environment};
use crate::tls::ClientIdentity;

/// What the brokers of a process share.
#[derive(Clone, Default)]
pub struct Shared {
    /// Who may send when.
    pub traffic: Traffic,
    /// Where records go.
    pub events: Events,
}

impl ConnectorSettings {
    /// The broker of this connector.
    ///
    /// # Errors
    /// When a credential takes its value from where there is none.
    pub fn broker(
        &self,
        component: Component,
        manifest: &Manifest,
        environment: &Environment,
        shared: &Shared,
    ) -> anyhow::Result<Broker> {
        let credentials = self.credentials(manifest, environment);
        let credentials = match &self.file {
            Some(file) => credentials.with_context(|| file.display().to_string())?,
            None => credentials?,
        };
        let Shared { traffic, events } = shared.clone();
        Ok(Broker::new(Setup {
            component,
            policy: self.policy.clone(),
            store: store(&credentials, environment)?,
            credentials,
            network: self.network(environment)?,
            identities: self.identities()?,
            traffic,
            events,
        }))
    }

    /// The folder that files named in the settings are found in.
    fn folder(&self) -> &Path {
        self.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""))
    }

    fn network(&self, environment: &Environment) -> anyhow::Result<Network> {
        let settings = self.network.clone().unwrap_or_default();
        let variable = |name: &str| environment.get(name).map(str::to_owned);
        settings.resolve(self.folder(), &variable)
    }

    fn identities(&self) -> anyhow::Result<HashMap<ClientCertificate, Arc<ClientIdentity>>> {
        let mut identities = HashMap::new();
        for files in self.policy.client_certificates() {
            let identity = ClientIdentity::from_pem_files(&files.certificate, &files.key)
                .context("client-certificate of a [[grant]]")?;
            identities.insert(files.clone(), Arc::new(identity));
        }
        Ok(identities)
    }

    fn credentials(
        &self,
        manifest: &Manifest,
        environment: &Environment,
    ) -> anyhow::Result<BTreeMap<String, Prepared>> {
        let folder = self.folder();
        let variable = |name: &str| environment.secret(name).cloned();
        let mut all = BTreeMap::new();
        for (name, credential) in &self.credentials {
            let prepared = credential.resolve(name, folder, &variable)?;
            for field in prepared.fields() {
                check_field(manifest, name, field)?;
            }
            all.insert(name.clone(), prepared);
        }
        Ok(all)
    }
}

fn check_field(manifest: &Manifest, name: &str, field: &str) -> anyhow::Result<()> {
    let secrets: Vec<_> = secret_fields(manifest).collect();
    ensure!(
        secrets.iter().any(|secret| secret == field),
        "[credentials.{name}] takes a value from the field {field}, which is no secret field of {}; \
         it has: {}",
        manifest.name,
        if secrets.is_empty() { "none".to_owned() } else { secrets.join(", ") }
    );
    Ok(())
}

/// Tokens outlive the process where a credential has some; the grant made through the workspace is
/// kept there.
fn store(
    credentials: &BTreeMap<String, Prepared>,
    environment: &Environment,
) -> anyhow::Result<Arc<dyn Store>> {
    if !credentials.values().any(Prepared::has_tokens) {
        return Ok(Arc::new(MemoryStore::default()));
    }
    let Some(folder) = settings::token_folder(environment) else {
        tracing::warn!("tokens are lost with the process: set XDG_DATA_HOME or HOME to keep them");
        return Ok(Arc::new(MemoryStore::default()));
    };
    let store = DiskStore::open(&folder).context("cannot keep tokens")?;
    Ok(Arc::new(store))
}
