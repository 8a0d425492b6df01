//! Token requests through the door, by the same guard as a guest's: policy, check, delivery, record.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::super::answer::Reading;
use super::super::cap::Cap;
use super::super::delivery::Door;
use super::super::limits::{TOKEN_ANSWER, TOKEN_REQUEST};
use super::super::order::{Order, Times};
use super::super::record::Tally;
use super::super::request::{Error, Parsed, Request, Response, Scope};
use super::Sender;

/// The newest door of a connector: a grant may outlive the broker that it was made by.
pub(super) struct Newest(Mutex<Arc<dyn Sender>>);

impl Newest {
    pub fn new(sender: Arc<dyn Sender>) -> Self {
        Self(Mutex::new(sender))
    }

    pub fn replace(&self, sender: Arc<dyn Sender>) {
        *self.0.lock() = sender;
    }
}

impl Sender for Newest {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, Error>> {
        let sender = self.0.lock().clone();
        async move { sender.send(request).await }.boxed()
    }
}

impl Sender for Door {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, Error>> {
        async move {
            let deadline = Instant::now() + TOKEN_REQUEST;
            // For all calls that wait for the token, so it is none of theirs.
            let (vault, allowance) = (Arc::default(), Arc::default());
            let scope = Scope { call: None, deadline, vault, allowance };
            let mut tally = self.tally(&request, &scope);
            let outcome = self.carry_out(request, &scope, &mut tally).await;
            tally.end(outcome.as_ref().map(|answer| answer.status));
            outcome
        }
        .boxed()
    }
}

impl Door {
    /// policy → limits → retry(send), without credential or secrets of its own.
    async fn carry_out(
        &self,
        request: Request,
        scope: &Scope,
        tally: &mut Tally,
    ) -> Result<Response, Error> {
        let mut request = Parsed::new(request, None, self.limits())?;
        request.answer_cap = Cap::fixed(TOKEN_ANSWER);
        let permit = self.policy().check(&request.method, &request.url)?;
        permit.may_carry("the client's secret", &request.url)?;
        tally.permitted(super::super::decision(&permit));
        let times = Times { until: request.until(scope), deadline: scope.deadline };
        let mut order = Order::new(&request, &permit, None, scope, times, Reading::Whole);
        order.purpose.private_only = request.url.scheme() == "http";
        self.deliver(&order, tally).await?.whole(TOKEN_ANSWER, self.budget().hold()).await
    }
}
