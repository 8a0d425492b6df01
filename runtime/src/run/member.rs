//! One connector in its workspace: its dispatcher and its link.

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::candidate::{Candidate, Membership};
use super::process::Process;
use crate::dispatch::{Dispatcher, Prepared};
use crate::workspace::{self, Incoming, Status};

/// A connector that has its link.
pub(super) struct Member {
    dispatcher: Dispatcher,
    first: Prepared,
    incoming: mpsc::Receiver<Incoming>,
    driver: workspace::Driver,
}

impl Member {
    /// Makes link and dispatcher. Nothing is dialled yet.
    pub fn join(candidate: Candidate, membership: &Membership, process: &Process) -> Self {
        let Membership { link, keys, .. } = membership;
        let id = candidate.standing.id.clone();
        let first = candidate.prepared(keys.as_deref(), process);
        let (link, incoming, driver) =
            workspace::open_by(&process.transport, link.clone(), first.identity.clone());
        let dispatcher = Dispatcher { id, link, keys: keys.clone(), grace: process.grace };
        Self { dispatcher, first, incoming, driver }
    }

    /// Where the link stands.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.dispatcher.link.status()
    }

    /// Runs until `shutdown`: first the calls end, then the link, so that every reply is sent. Each
    /// version that comes by `next` takes the place of the one before.
    pub async fn run(self, next: mpsc::Receiver<Prepared>, shutdown: CancellationToken) {
        let Self { dispatcher, first, incoming, driver } = self;
        let calls_ended = CancellationToken::new();
        let calls = async {
            dispatcher.run(first, incoming, next, shutdown).await;
            calls_ended.cancel();
        };
        tokio::join!(calls, driver.run(calls_ended.clone()));
    }
}
