//! Makes a connector's broker out of what the operator says of it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use parking_lot::Mutex;

use super::ConnectorSettings;
use crate::broker::{
    Broker, ClientCertificate, DiskStore, MemoryStore, Network, Prepared, Setup, Store, Traffic,
};
use crate::connector::{declared_credential, secret_fields};
use crate::events::{Component, Events};
use crate::manifest::{Credential, Manifest};
use crate::settings::{self, Environment};
use crate::tls::ClientIdentity;

/// What the brokers of a process share.
#[derive(Clone, Default)]
pub struct Shared {
    /// Who may send when.
    pub traffic: Traffic,
    /// Where records go.
    pub events: Events,
    /// Where tokens are kept.
    pub tokens: TokenStores,
}

/// The stores of a process. Versions of a connector that follow each other have the same one. Cheap to
/// clone.
#[derive(Clone, Default)]
pub struct TokenStores(Arc<Mutex<Opened>>);

#[derive(Default)]
struct Opened {
    disk: Option<Arc<DiskStore>>,
    memory: Option<Arc<MemoryStore>>,
}

impl TokenStores {
    /// Tokens outlive the process where a credential has some; the grant made through the workspace
    /// is kept there.
    fn store(
        &self,
        credentials: &BTreeMap<String, Prepared>,
        environment: &Environment,
    ) -> anyhow::Result<Arc<dyn Store>> {
        if !credentials.values().any(Prepared::has_tokens) {
            return Ok(Arc::new(MemoryStore::default()));
        }
        let mut opened = self.0.lock();
        let Some(folder) = settings::token_folder(environment) else {
            let memory = opened.memory.get_or_insert_with(|| {
                tracing::warn!(
                    "tokens are lost with the process: set XDG_DATA_HOME or HOME to keep them"
                );
                Arc::default()
            });
            return Ok(memory.clone());
        };
        if let Some(disk) = &opened.disk {
            return Ok(disk.clone());
        }
        let disk = Arc::new(DiskStore::open(&folder).context("cannot keep tokens")?);
        Ok(opened.disk.insert(disk).clone())
    }
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
        self.broker_setup(component, manifest, environment, shared).map(Broker::new)
    }

    /// What the broker of this connector is made of.
    ///
    /// # Errors
    /// As [`Self::broker`].
    pub fn broker_setup(
        &self,
        component: Component,
        manifest: &Manifest,
        environment: &Environment,
        shared: &Shared,
    ) -> anyhow::Result<Setup> {
        let credentials = self.of_file(self.credentials(manifest, environment))?;
        let Shared { traffic, events, tokens } = shared.clone();
        Ok(Setup {
            component,
            policy: self.policy.clone(),
            limits: self.limits.clone(),
            store: tokens.store(&credentials, environment)?,
            credentials,
            network: self.network(environment)?,
            identities: self.of_file(self.identities())?,
            traffic,
            events,
        })
    }

    /// Names the settings file in an error.
    fn of_file<T>(&self, read: anyhow::Result<T>) -> anyhow::Result<T> {
        match &self.file {
            Some(file) => read.with_context(|| file.display().to_string()),
            None => read,
        }
    }

    /// The folder that files named in the settings are found in.
    fn folder(&self) -> &Path {
        self.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""))
    }

    fn network(&self, environment: &Environment) -> anyhow::Result<Network> {
        let settings = self.network.clone().unwrap_or_default();
        let variable = |name: &str| environment.get(name).map(str::to_owned);
        let network = settings.resolve(self.folder(), &variable);
        // Without the table it is the environment that is wrong.
        if self.network.is_some() { self.of_file(network) } else { network }
    }

    fn identities(&self) -> anyhow::Result<HashMap<ClientCertificate, Arc<ClientIdentity>>> {
        let mut identities = HashMap::new();
        for (grant, files) in self.policy.client_certificates() {
            let identity = ClientIdentity::from_pem_files(&files.certificate, &files.key)
                .with_context(|| format!("client-certificate of {grant}"))?;
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
        // The operator's own takes the place of the one that the connector declares.
        let is_own = |declared: &&Credential| self.credentials.contains_key(&declared.name);
        for declared in manifest.credentials.iter().filter(|declared| !is_own(declared)) {
            all.insert(declared.name.clone(), declared_credential(declared)?);
        }
        for (name, credential) in &self.credentials {
            let prepared = credential.resolve(name, folder, &variable)?;
            check_fields(manifest, name, &prepared)?;
            all.insert(name.clone(), prepared);
        }
        self.check_attached(&all)?;
        Ok(all)
    }

    /// Whether the credentials that grants name are there.
    fn check_attached(&self, all: &BTreeMap<String, Prepared>) -> anyhow::Result<()> {
        let mut attached = self.policy.credentials();
        let Some(missing) = attached.find(|name| *name != OAUTH && !all.contains_key(*name)) else {
            return Ok(());
        };
        let names: Vec<_> = all.keys().map(String::as_str).collect();
        bail!(
            "a grant names the credential {missing:?}, which is none of [credentials] and none that \
             the connector declares; {}",
            match names.as_slice() {
                [] => format!("add [credentials.{missing}]"),
                names => format!("there are: {}", names.join(", ")),
            }
        )
    }
}

/// The grant that the connector declares and the workspace makes.
const OAUTH: &str = "oauth";

fn check_fields(manifest: &Manifest, name: &str, prepared: &Prepared) -> anyhow::Result<()> {
    let secrets: Vec<_> = secret_fields(manifest).collect();
    let plain: Vec<_> =
        manifest.fields.iter().filter(|field| field.plain).map(|field| field.key.clone()).collect();
    for (fields, what, fit) in [
        (prepared.secret_fields(), "a secret", vec![&secrets]),
        (prepared.url_fields(), "a URL", vec![&plain]),
        (prepared.fields(), "a value", vec![&secrets, &plain]),
    ] {
        let fit: Vec<_> = fit.into_iter().flatten().map(String::as_str).collect();
        if let Some(wrong) = fields.iter().find(|field| !fit.contains(field)) {
            bail!(
                "[credentials.{name}] takes {what} from the field {wrong}, which is no such field of \
                 {}; it has: {}",
                manifest.name,
                if fit.is_empty() { "none".to_owned() } else { fit.join(", ") }
            );
        }
    }
    Ok(())
}
