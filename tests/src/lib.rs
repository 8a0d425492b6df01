//! The harness: a scene is a workspace, a process of the real program, and what it talks to.
//!
//! Every wait ends with an event or with a panic that shows what the process printed. Nothing here
//! uses the runtime's own code for the wire or for sealing: it was written a second time, from the
//! protocol's description.

pub mod api;
pub mod authorization_server;
pub mod aws;
pub mod broken_api;
pub mod cli;
pub mod gate;
pub mod guests;
pub mod keys;
pub mod limits;
pub mod local;
pub mod log;
pub mod process;
pub mod raw_api;
pub mod scene;
pub mod sealing;
pub mod server;
pub mod serving;
pub mod stream_api;
pub mod workspace;

pub use api::{Answer, FakeApi, Received};
pub use authorization_server::AuthorizationServer;
pub use broken_api::{Breaks, BrokenApi};
pub use cli::{Output, cli};
pub use gate::Gate;
pub use guests::guest;
pub use keys::KeyPair;
pub use process::Process;
pub use raw_api::{RawApi, Then};
pub use scene::Scene;
pub use sealing::Seal;
pub use serving::{Folder, Serving};
pub use stream_api::StreamApi;
pub use workspace::{FakeWorkspace, error_of};
