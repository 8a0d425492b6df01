//! One connector as the operator describes it: component, settings file and flags in one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;

use crate::broker::{CredentialSettings, NetworkSettings, Policy};
use crate::connector::{self, Configuration, Isolation, Loaded, Loader};
use crate::envelope::Limits;
use crate::manifest::{Manifest, OAUTH_CLIENT};
use crate::settings::accepted::Accepted;
use crate::settings::file::Source;
use crate::settings::{self, Assignment, Environment, WorkspaceSettings};

/// One connector, and what the operator says of it.
pub struct ConnectorSettings {
    /// The component file.
    pub component: PathBuf,
    /// The settings file, where there is one.
    pub file: Option<PathBuf>,
    /// The id that the settings file gives it.
    pub id: Option<String>,
    /// What may be reached.
    pub policy: Policy,
    /// The operator's word on configuration fields.
    pub fields: Fields,
    /// Limits.
    pub limits: Arc<Limits>,
    /// Whether calls share instances.
    pub isolation: Isolation,
    /// Credentials by name, as the settings file has them.
    pub credentials: BTreeMap<String, CredentialSettings>,
    /// The way to the network, as the settings file has it.
    pub network: Option<NetworkSettings>,
    /// The workspace that it joins, as the settings file has it.
    pub workspace: WorkspaceSettings,
    /// What the operator has seen that it asks for.
    pub accepted: Option<Accepted>,
    /// More files that the settings take something from.
    pub named: Vec<PathBuf>,
}

/// What the operator says of configuration fields.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// The values that flags give.
    pub values: Vec<Assignment>,
    /// Where the settings file takes values from, by key.
    pub sources: BTreeMap<String, Source>,
    /// The keys of secrets that connectors read as they are.
    pub revealed: Vec<String>,
    /// The keys of secrets that the settings file says something of.
    pub secrets: Vec<String>,
    /// The variables that settings files take something from, this one's and those of others in the
    /// same process. A line of `.env` under such a name is for that, and fills no field by itself.
    pub variables: BTreeSet<String>,
}

impl Fields {
    /// Whether the settings file sets the connector's OAuth client, or a part of it.
    pub fn has_client(&self) -> bool {
        OAUTH_CLIENT.iter().any(|key| self.sources.contains_key(*key))
    }
}

impl ConnectorSettings {
    /// All files that it is made of.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.file.iter().chain([&self.component]).chain(&self.named)
    }

    /// Loads the connector.
    ///
    /// # Errors
    /// When the file is no connector, or asks for more than was accepted.
    pub async fn load(&self, loader: &Loader) -> anyhow::Result<Loaded> {
        if let Some(file) = &self.file {
            // The file may have been found without being named.
            tracing::info!("settings of {}: {}", self.component.display(), file.display());
        }
        let loaded = loader.load(&self.component, &self.limits).await?;
        if let (Some(accepted), Some(file)) = (&self.accepted, &self.file) {
            accepted.check(&loaded.manifest, &loaded.imports, &self.component, file)?;
        }
        Ok(loaded)
    }

    /// The id under which it joins: what the settings file says, else `CONNECTOR_ID`, else what the
    /// author says, else the name.
    pub fn id(&self, manifest: &Manifest, environment: &Environment) -> Arc<str> {
        let set = self.id.as_deref().or(environment.get("CONNECTOR_ID"));
        set.or(manifest.id.as_deref()).unwrap_or(&manifest.name).into()
    }

    /// The configuration that it begins with.
    ///
    /// # Errors
    /// When the operator names a field that the connector does not declare, or that is no secret
    /// where only a secret makes sense.
    pub fn configuration(
        &self,
        id: &str,
        manifest: &Manifest,
        environment: &Environment,
    ) -> anyhow::Result<Configuration> {
        let fields = &self.fields;
        let of_file = || self.read_configuration(id, manifest, environment);
        let values = match &self.file {
            Some(file) => of_file().with_context(|| file.display().to_string())?,
            None => of_file()?,
        };
        settings::check_secrets(manifest, "--reveal", fields.revealed.iter().map(String::as_str))?;
        settings::check_secrets(manifest, "--bind", self.policy.bound().map(|(key, _)| key))?;
        Ok(Configuration::new(manifest, values, &fields.revealed))
    }

    fn read_configuration(
        &self,
        id: &str,
        manifest: &Manifest,
        environment: &Environment,
    ) -> anyhow::Result<connector::Values> {
        let secrets = self.fields.secrets.iter().map(String::as_str);
        settings::check_secrets(manifest, "[secrets]", secrets)?;
        settings::operator_values(id, manifest, &self.fields, environment)
    }
}

/// Where the settings of a connector come from, now and when they have changed.
#[derive(Clone)]
pub struct Origin {
    /// The file that names it.
    pub path: PathBuf,
    /// Reads everything that is said of it.
    pub read: Arc<dyn Fn() -> anyhow::Result<ConnectorSettings> + Send + Sync>,
}
