//! A gate that holds something until the test opens it.

use std::sync::Arc;

use tokio::sync::watch;

/// Closed at first, then open for ever. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Gate {
    /// Lets everything through that waits, and all that comes later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until the gate is open.
    pub async fn pass(&self) {
        // An error would mean that the sender is gone; this clone holds it.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}
