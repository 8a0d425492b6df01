//! One connector, one workspace, one process between them.

use std::path::Path;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::guests::guest;
use crate::keys::KeyPair;
use crate::process::{Invocation, Process};
use crate::workspace::FakeWorkspace;

/// A running scene. The process is killed when it goes.
pub struct Scene {
    /// The program.
    pub process: Process,
    /// The workspace that it joined.
    pub workspace: FakeWorkspace,
    _settings: Option<NamedTempFile>,
}

/// A scene that was not started yet.
#[must_use]
pub struct Setting {
    invocation: Invocation,
    workspace: FakeWorkspace,
    configuration: Option<Vec<(String, Value)>>,
    settings: Option<NamedTempFile>,
}

impl Scene {
    /// `run` with a guest of the tests.
    pub fn connector(name: &str) -> Setting {
        Self::file(&guest(name))
    }

    /// `run` with any file.
    pub fn file(file: &Path) -> Setting {
        let workspace = FakeWorkspace::start();
        let keys = KeyPair::shared();
        let invocation = Invocation { args: vec!["run".into(), file.into()], ..Default::default() };
        let mut setting =
            Setting { invocation, workspace, configuration: Some(Vec::new()), settings: None };
        for (name, value) in setting.workspace.environment() {
            setting = setting.env(name, &value);
        }
        setting.env("PRIVATE_KEY", &keys.private).env("PUBLIC_KEY", &keys.public)
    }

    /// Calls an action and gives the answer.
    pub async fn query(&self, path: &[&str], variables: Value) -> Value {
        self.workspace.query(path, variables).await
    }
}

impl Setting {
    /// One more value of the configuration that the workspace sends.
    pub fn config(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.configuration.get_or_insert_default().push((key.into(), value.into()));
        self
    }

    /// The text of a settings file.
    pub fn settings(mut self, text: &str) -> Self {
        let file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
        std::fs::write(file.path(), text).expect("a settings file");
        self.invocation.args.extend(["--settings".into(), file.path().into()]);
        self.settings = Some(file);
        self
    }

    /// The workspace sends no configuration by itself.
    pub fn unconfigured(mut self) -> Self {
        self.configuration = None;
        self
    }

    /// Grants an origin.
    pub fn allow(self, origin: &str) -> Self {
        self.args(["--allow", origin])
    }

    /// Grants an origin at an address that is not public.
    pub fn allow_private(self, origin: &str) -> Self {
        self.args(["--allow-private", origin])
    }

    /// More arguments.
    pub fn args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.invocation.args.extend(args.map(Into::into));
        self
    }

    /// A variable of the environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.invocation.env.insert(name.into(), value.into());
        self
    }

    /// Without that variable.
    pub fn without_env(mut self, name: &str) -> Self {
        self.invocation.env.remove(name);
        self
    }

    /// Without a key pair.
    pub fn without_keys(self) -> Self {
        self.without_env("PRIVATE_KEY").without_env("PUBLIC_KEY")
    }

    /// Changes the workspace before anybody speaks to it.
    pub fn workspace(self, change: impl FnOnce(&FakeWorkspace)) -> Self {
        change(&self.workspace);
        self
    }

    /// The workspace is not there, until a test brings it back.
    pub async fn without_workspace(mut self) -> Self {
        self.workspace.stop().await;
        self
    }

    /// Starts the process and waits until it has joined; then the workspace sends the
    /// configuration, as the platform does.
    pub async fn start(mut self) -> Scene {
        let configuration = self.configuration.take();
        let scene = self.launch();
        scene.workspace.connected().await;
        if let Some(values) = configuration {
            scene.workspace.configure(&values).await;
        }
        scene
    }

    /// Starts the process and waits for nothing.
    pub fn launch(mut self) -> Scene {
        let process = Process::start(&self.invocation);
        self.workspace.attach(process.log());
        Scene { process, workspace: self.workspace, _settings: self.settings }
    }
}
