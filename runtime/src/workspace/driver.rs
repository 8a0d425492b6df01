//! Keeps a websocket to the workspace: connects, waits, connects again, and says good-bye.

use std::sync::Arc;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::complaints::Complaints;
use super::link::{Shared, Status};
use super::registration::Registration;
use super::session::{self, Ended};
use super::socket::{Dialer, Socket};

/// The part of the link that does the work. Nothing happens until it runs.
pub struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) registration: Registration,
    pub(super) dialer: Dialer,
    pub(super) backoff: Backoff,
    pub(super) complaints: Complaints,
}

impl Driver {
    /// Keeps the link up until `stop` is cancelled. Then it tells the workspace what is left in the
    /// outbox (for a bounded time), closes the socket, calls `disconnect`, and returns; whoever
    /// still has calls running should let them end before cancelling.
    pub async fn run(mut self, stop: CancellationToken) {
        let shared = self.shared.clone();
        let deliver = async {
            shared.inbox.deliver_waiting().await;
            // The dispatcher is gone. That ends nothing here: there may be answers to write.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = self.stay_connected(&stop) => {}
            () = shared.time_is_up(&stop) => {}
            () = deliver => {}
        }
        self.leave().await;
    }

    async fn leave(&self) {
        let left = self.shared.outbox.left();
        if left > 0 {
            let connector = self.shared.id();
            tracing::warn!(
                connector,
                left,
                "shut down with packets that the workspace may not have"
            );
        }
        self.shared.outbox.close();
        self.shared.pending.close();
        self.registration.disconnect().await;
        self.shared.status.send_replace(Status::Closed);
    }
}

impl Shared {
    /// For the log, where many links tell.
    pub(super) fn id(&self) -> String {
        self.nameplate.read().id.clone()
    }

    /// The backstop for a shutdown without a socket. A session keeps to the time by itself and then
    /// needs a moment to close.
    async fn time_is_up(&self, stop: &CancellationToken) {
        stop.cancelled().await;
        sleep(self.timing.flush + 2 * self.timing.close).await;
    }

    async fn stopped_and_settled(&self, stop: &CancellationToken) {
        stop.cancelled().await;
        if !self.outbox.is_settled() {
            std::future::pending().await
        }
    }
}

impl Driver {
    /// Returns when stopped, and only then.
    async fn stay_connected(&mut self, stop: &CancellationToken) {
        let shared = self.shared.clone();
        loop {
            shared.status.send_replace(Status::Connecting);
            let connected = tokio::select! {
                biased;
                () = shared.stopped_and_settled(stop) => return,
                connected = self.connect() => connected,
            };
            let reason = match connected {
                Err(error) => format!("{error:#}"),
                Ok(socket) => match self.converse(socket, stop).await {
                    Ended::Stopped => return,
                    ended => ended.to_string(),
                },
            };
            self.pause(reason, stop).await;
        }
    }

    async fn connect(&mut self) -> anyhow::Result<Socket> {
        let key = self.registration.connect().await?;
        self.dialer.open(&key, self.registration.user_agent()).await
    }

    async fn converse(&mut self, socket: Socket, stop: &CancellationToken) -> Ended {
        tracing::info!(connector = self.shared.id(), "connected to the workspace");
        self.shared.status.send_replace(Status::Connected);
        self.complaints.clear();
        let since = Instant::now();
        let ended = session::run(socket, &self.shared, stop).await;
        if since.elapsed() >= self.shared.timing.stable_after {
            self.backoff.reset();
        }
        ended
    }

    /// Waits for the next attempt. A shutdown cuts the wait short once, for what is left to tell.
    async fn pause(&mut self, reason: String, stop: &CancellationToken) {
        let wait = self.backoff.next_wait();
        if self.complaints.is_news(&reason) {
            let connector = self.shared.id();
            tracing::warn!(
                connector,
                reason,
                ?wait,
                "not connected to the workspace; trying again"
            );
        } else {
            let connector = self.shared.id();
            tracing::debug!(
                connector,
                reason,
                ?wait,
                "still not connected to the workspace; trying again"
            );
        }
        self.shared.status.send_replace(Status::Lost { reason: reason.into(), retry_in: wait });
        let stopping = stop.is_cancelled();
        tokio::select! {
            () = sleep(wait) => {}
            () = stop.cancelled(), if !stopping => {}
        }
    }
}
