//! One version of a connector: what a new one takes the place of, while link, configuration and
//! tokens stay.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{Dispatcher, STOP, introspection};
use crate::broker::{Broker, Setup};
use crate::connector::{self, Configuration, Connector, Isolation, Loaded, Services};
use crate::envelope::Limits;
use crate::events::Events;
use crate::oauth::{Authorization, Overrides};
use crate::tasks::Tasks;
use crate::workspace::packet::raw;
use crate::workspace::{Identity, Link};

/// All that a version is made of. It was loaded and checked: nothing can go wrong any more.
pub struct Prepared {
    /// The component.
    pub loaded: Loaded,
    /// The operator's own values.
    pub configuration: Configuration,
    /// Its way to the network.
    pub broker: Setup,
    /// What it may use up.
    pub limits: Arc<Limits>,
    /// Whether its calls share instances.
    pub isolation: Isolation,
    /// Where its log lines are told.
    pub events: Events,
    /// Who it is.
    pub identity: Identity,
    /// What the environment says of its OAuth.
    pub oauth: Overrides,
}

/// A version that answers calls.
pub(super) struct Version {
    pub connector: Arc<Connector>,
    pub authorization: Authorization,
    pub introspection: Box<RawValue>,
    /// Cancelled when calls under way have had their time.
    pub cut_off: CancellationToken,
    broker: Arc<Broker>,
    calls: TaskTracker,
}

impl Version {
    /// The first one, or one that takes over what the former one has at servers.
    pub fn start(
        prepared: Prepared,
        place: &Dispatcher,
        former: Option<&Self>,
        cut_off: CancellationToken,
    ) -> Self {
        let Prepared { loaded, configuration, broker, limits, isolation, events, oauth, .. } =
            prepared;
        let Dispatcher { id, link, keys, .. } = place;
        let manifest = loaded.manifest.clone();
        let broker = Arc::new(match former {
            None => Broker::new(broker),
            Some(former) => Broker::after(broker, &former.broker, manifest.oauth.is_some()),
        });
        let services = services(&broker, link);
        let to_workspace = Some((link.clone(), keys.clone()));
        let authorization =
            Authorization::new(id.clone(), &manifest, oauth, broker.clone(), to_workspace);
        let settings = connector::Settings {
            id: id.clone(),
            services,
            configuration,
            limits,
            isolation,
            events,
        };
        Self {
            connector: Arc::new(Connector::new(loaded, settings)),
            authorization,
            introspection: raw(&introspection(&manifest)),
            cut_off,
            broker,
            calls: TaskTracker::new(),
        }
    }

    /// A call under way, until this is dropped.
    pub fn call(&self) -> TaskTrackerToken {
        self.calls.token()
    }

    /// Puts a configuration in force.
    pub fn configure(&self, configuration: Configuration) {
        self.authorization.configure(&configuration);
        self.connector.configure(configuration);
    }

    /// What is wrong with it.
    pub async fn problems(&self) -> Vec<String> {
        let mut problems = self.connector.problems().await;
        problems.extend(self.broker.health_problem());
        problems
    }

    /// Waits for the calls under way, and cuts off those that take longer than the grace.
    pub async fn finish(&self, id: &str, grace: Duration) {
        self.calls.close();
        let left = self.calls.len();
        if left > 0 {
            tracing::info!(connector = id, "{left} calls finish on the former version");
        }
        if timeout(grace, self.calls.wait()).await.is_ok() {
            return;
        }
        let left = self.calls.len();
        tracing::warn!(
            connector = id,
            "{left} calls of the former version are cut off after {grace:?}"
        );
        self.cut_off.cancel();
        // They have only their answers left to queue.
        let _ = timeout(STOP, self.calls.wait()).await;
    }

    /// Stops the connector, of which another version goes on.
    pub async fn make_room(&self, id: &str) {
        stopping(id, self.connector.retire()).await;
    }

    /// Stops the connector for good.
    pub async fn stop(&self, id: &str) {
        stopping(id, self.connector.shut_down()).await;
    }
}

async fn stopping(id: &str, stop: impl Future<Output = ()>) {
    if timeout(STOP, stop).await.is_err() {
        tracing::warn!(connector = id, "`stop` was cut off after {STOP:?}");
    }
}

fn services(broker: &Arc<Broker>, link: &Link) -> Services {
    Services { broker: broker.clone(), workspace: Arc::new(Tasks(link.clone())) }
}
