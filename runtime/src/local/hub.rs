//! What the files of this room share: the store, the connectors' seats, and what waits and happens.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use secrecy::SecretString;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access::Access;
use super::calls::CallLog;
use super::feed::Feed;
use super::oauth::Flows;
use super::pending::{Pending, Unanswered};
use super::seats::{Seat, Seats};
use super::store::Store;
use crate::ids::fresh_id;
use crate::manifest::Manifest;
use crate::workspace::packet::Packet;

/// One per workspace.
pub struct Hub {
    pub access: Access,
    pub registration_token: SecretString,
    pub store: Store,
    pub seats: Seats,
    pub pending: Pending,
    pub feed: Feed,
    pub calls: CallLog,
    pub flows: Flows,
    /// Connectors of this very process, of which everything is known.
    pub hosted: Mutex<HashMap<String, Arc<Manifest>>>,
    /// Sockets and calls under way.
    pub tasks: TaskTracker,
    pub stopping: CancellationToken,
}

impl Hub {
    /// What a connector of this process says of itself.
    pub fn hosted(&self, id: &str) -> Option<Arc<Manifest>> {
        self.hosted.lock().get(id).cloned()
    }

    /// Asks a connector something that is no call.
    pub async fn ask(
        &self,
        seat: &Seat,
        method: &str,
        arguments: Box<RawValue>,
        limit: std::time::Duration,
    ) -> Result<Box<RawValue>, Unanswered> {
        let request = Packet::request(&fresh_id(), method, arguments);
        self.pending.ask(&seat.connector, &seat.outbox, request, limit).await
    }
}
