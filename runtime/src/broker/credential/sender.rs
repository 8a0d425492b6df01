//! Token requests through the door, by the same guard as a guest's: policy, check, delivery, record.

use futures_util::future::{BoxFuture, FutureExt};
use std::sync::Arc;
use tokio::time::Instant;

use super::super::delivery::Door;
use super::super::limits::{TOKEN_ANSWER, TOKEN_REQUEST};
use super::super::request::{Error, Parsed, Request, Response, Scope};
use super::Sender;

impl Sender for Door {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, Error>> {
        async move {
            let deadline = Instant::now() + TOKEN_REQUEST;
            let scope = Scope { call: None, deadline, vault: Arc::default() };
            let mut tally = self.tally(&request, &scope);
            let outcome = async {
                let mut request = Parsed::new(request)?;
                request.answer_bytes = TOKEN_ANSWER;
                let permit = self.policy().check(&request.url)?;
                if !permit.carries_secrets(&request.url) {
                    return Err(Error::Credential("the token URL must begin with https".into()));
                }
                self.deliver(&request, request.until(&scope), &mut tally).await
            }
            .await;
            tally.end(&outcome);
            outcome
        }
        .boxed()
    }
}
