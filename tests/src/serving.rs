//! `serve`: a folder of connectors, each with a workspace of its own.

use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use crate::guests::guest;
use crate::keys::KeyPair;
use crate::process::{Invocation, Process};
use crate::workspace::FakeWorkspace;

/// A folder with components and settings files that change while they are used.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Default for Folder {
    fn default() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }
}

impl Folder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file in it.
    pub fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Puts a file there in one step, as a careful deployment does.
    pub fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
        // A hidden name is nobody's settings file.
        let aside = self.at(".aside");
        std::fs::write(&aside, content).expect("a file");
        std::fs::rename(&aside, &path).expect("a file is moved");
    }

    /// Puts a guest of the tests there.
    pub fn put_guest(&self, name: &str, guest_name: &str) {
        self.put(name, std::fs::read(guest(guest_name)).expect("a guest"));
    }

    /// Takes a file away.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.at(name)).expect("the file was there");
    }

    /// A settings file `NAME.toml` for a guest that joins a workspace of its own. The id is the first
    /// part of the name.
    pub fn put_connector(&self, name: &str, guest_name: &str, more: &str) -> FakeWorkspace {
        let workspace = FakeWorkspace::start();
        let id = name.split('/').next().unwrap_or(name);
        self.put(&format!("{name}.toml"), settings(id, guest_name, &workspace, more));
        workspace
    }
}

/// The settings of a guest that joins that workspace. `more` begins at the top level.
pub fn settings(id: &str, guest_name: &str, workspace: &FakeWorkspace, more: &str) -> String {
    let [(_, token), (_, device), (_, websocket)] = workspace.environment();
    // JSON's text is TOML's, too.
    let component = json!(guest(guest_name));
    format!(
        "id = '{id}'\ncomponent = {component}\n{more}\n[workspace]\ntoken = '{token}'\n\
         device-endpoint = '{device}'\nwebsocket-endpoint = '{websocket}'\n"
    )
}

/// A process of `serve`.
#[derive(Debug)]
pub struct Serving {
    /// The program.
    pub process: Process,
}

impl Serving {
    /// Serves these folders and files.
    pub fn start(paths: &[&Path]) -> Self {
        Self::with_environment(paths, &[])
    }

    /// The same with more of an environment.
    pub fn with_environment(paths: &[&Path], environment: &[(&str, String)]) -> Self {
        let keys = KeyPair::shared();
        let mut invocation = Invocation { args: vec!["serve".into()], ..Default::default() };
        invocation.args.extend(paths.iter().map(|path| path.into()));
        invocation.args.extend(["--listen", "127.0.0.1:0"].map(Into::into));
        invocation.env.insert("PRIVATE_KEY".into(), keys.private.clone());
        invocation.env.insert("PUBLIC_KEY".into(), keys.public.clone());
        for (name, value) in environment {
            invocation.env.insert((*name).into(), value.clone());
        }
        Self { process: Process::start(&invocation) }
    }

    /// Waits until a connector has joined, and sends it a configuration.
    pub async fn joined(&self, workspace: &mut FakeWorkspace) {
        workspace.attach(self.process.log());
        workspace.connected().await;
        workspace.configure(&[]).await;
    }
}
