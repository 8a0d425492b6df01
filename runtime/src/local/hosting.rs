//! The connectors of this very process, which come, change and go.

use std::sync::Arc;

use serde_json::json;

use super::hub::Hub;
use super::limits::INTROSPECTION;
use super::session;
use crate::manifest::Manifest;
use crate::workspace::packet::raw;

/// A connector that runs in this very process, of which everything is known.
pub struct Hosted {
    /// The id that it registers with.
    pub id: String,
    /// All that it says of itself.
    pub manifest: Arc<Manifest>,
}

/// Tells the workspace about the connectors of its process. Cheap to clone.
#[derive(Clone)]
pub struct Hosting(pub(super) Arc<Hub>);

impl Hosting {
    /// There is one more.
    pub fn add(&self, hosted: Hosted) {
        self.0.hosted.lock().insert(hosted.id, hosted.manifest);
    }

    /// A new version of one has taken over: the workspace asks it again what it is, over the socket
    /// that it has.
    pub fn replace(&self, hosted: Hosted) {
        let (id, hub) = (hosted.id.clone(), self.0.clone());
        self.add(hosted);
        self.0.tasks.spawn(async move {
            let Some(seat) = hub.seats.get(&id).filter(|seat| seat.connected()) else { return };
            let nothing = raw(&json!({}));
            if let Ok(said) = hub.ask(&seat, "connector.introspect", nothing, INTROSPECTION).await {
                session::describe(&hub, &seat, said.get()).await;
            }
        });
    }

    /// One has gone. The workspace remembers it like any other.
    pub fn remove(&self, id: &str) {
        self.0.hosted.lock().remove(id);
    }
}
