//! The tokens of one grant: one request for a new one at a time, however many calls wait for it.
//!
//! A token is renewed in the background before its end, and once when it is refused; a new one is
//! saved before it is used. What the endpoint refuses for good is told through health and asked for
//! more and more rarely; what fails for a while costs no grant.

mod renewal;
mod state;

use std::sync::Arc;

use futures_util::future::FutureExt;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use self::state::{Failure, Flight, State, same};
use super::super::limits::{TOKEN_FAILURES, TOKEN_TURNS};
use super::super::request::Error;
use super::Tools;
use super::recipe::Recipe;
use super::store::EntryName;
use super::tokens::{Age, Bearer, Tokens};
use crate::vault::Scrubber;

/// The tokens of one grant.
pub(super) struct Grant {
    name: EntryName,
    tools: Arc<Tools>,
    state: Mutex<State>,
}

/// What a call does about a token.
enum Step {
    Use(Bearer),
    Fail(Error),
    Wait(Flight),
}

/// Ends a flight, also one that was cut off.
struct Landing {
    grant: Arc<Grant>,
    number: u64,
}

impl Grant {
    pub fn new(name: EntryName, tools: Arc<Tools>) -> Self {
        Self { name, tools, state: Mutex::default() }
    }

    /// A token that is good, waiting for it where there is none.
    pub async fn token(
        self: &Arc<Self>,
        recipe: &Arc<Recipe>,
        until: Instant,
    ) -> Result<Bearer, Error> {
        for _ in 0..TOKEN_TURNS {
            let flight = match self.step(recipe) {
                Step::Use(bearer) => return Ok(bearer),
                Step::Fail(error) => return Err(error),
                Step::Wait(flight) => flight,
            };
            let is_ours = flight.recipe.digest == recipe.digest;
            let outcome = self.wait(flight, until).await;
            if is_ours {
                return outcome;
            }
        }
        let name = &self.name.credential;
        let text = format!("the settings of the credential {name:?} keep changing; call again");
        Err(Error::Credential(text))
    }

    /// A token in place of one that was refused. Gives whether there is another one, which is worth
    /// a second try.
    pub async fn replace(
        self: &Arc<Self>,
        recipe: &Arc<Recipe>,
        refused: &Bearer,
        until: Instant,
    ) -> Result<bool, Error> {
        let flight = {
            let state = &mut *self.state.lock();
            state.fit(recipe);
            let now = Instant::now();
            match &state.tokens {
                None => return Ok(false),
                // Somebody else has brought a new one.
                Some(tokens) if !refused.is(tokens) => return Ok(true),
                Some(_) => {}
            }
            if let Some(error) = state.cooling(now) {
                return Err(error);
            }
            match &state.flight {
                Some(flight) if flight.recipe.digest == recipe.digest => flight.clone(),
                _ if state.is_as_new_as_it_gets(recipe, now) => return Ok(false),
                _ => self.take_off(state, recipe, Some(refused.clone())),
            }
        };
        let bearer = self.wait(flight, until).await?;
        Ok(!bearer.is_same(refused))
    }

    /// Takes another client into use, or none. Tokens stay unless they belong to another.
    pub fn set_recipe(&self, recipe: Option<&Arc<Recipe>>) {
        let mut state = self.state.lock();
        match recipe {
            Some(recipe) => state.fit(recipe),
            None => *state = State { previous: state.previous(), ..state.emptied() },
        }
    }

    /// Takes tokens from the configuration. Those that came before change nothing, so that an old
    /// configuration sent again does not undo a refresh.
    pub fn set_tokens(&self, tokens: Option<Tokens>) {
        let mut state = self.state.lock();
        let came_before = tokens.is_some() && same(&tokens, &state.configured);
        if came_before {
            return;
        }
        let configured = tokens.clone();
        let (recipe, previous) = (state.recipe.take(), state.previous());
        // The workspace gives back what a refresh brought: no news, and no reason to refresh again.
        let is_known = same(&tokens, &state.tokens);
        let forced = state.forced.take().filter(|_| is_known);
        let tokens = if is_known { state.tokens.take() } else { tokens };
        *state = State { recipe, configured, tokens, previous, forced, ..state.emptied() };
    }

    /// Says once for each token that the API wants more of it.
    pub fn lacks_scope(&self, refused: &Bearer) {
        if self.state.lock().is_news_of(refused) {
            tracing::warn!(
                connector = &*self.name.connector,
                credential = &*self.name.credential,
                "the API refused the token because its scope is too small (insufficient_scope); \
                 another token would be no better: ask for more scope"
            );
        }
    }

    /// What finds the tokens in an answer.
    pub fn scrubbers(&self) -> impl Iterator<Item = Arc<Scrubber>> {
        let state = self.state.lock();
        let current = state.tokens.as_ref().map(|tokens| tokens.scrubber.clone());
        current.into_iter().chain(state.previous.clone())
    }

    /// What is wrong with the grant, for the connector's health.
    pub fn problems(&self) -> Vec<String> {
        let state = self.state.lock();
        let lasts = |failure: &&Failure| failure.is_dead || failure.times >= TOKEN_FAILURES;
        let failed = state.failure.as_ref().filter(lasts);
        let failed = failed.map(|failure| failure.error.to_string());
        let is_missing = state.missed && state.recipe.is_some() && state.tokens.is_none();
        let missing = is_missing.then(|| no_token().to_string());
        [failed.or(missing), state.unsaved.clone()].into_iter().flatten().collect()
    }

    fn step(self: &Arc<Self>, recipe: &Arc<Recipe>) -> Step {
        let state = &mut *self.state.lock();
        state.fit(recipe);
        let now = Instant::now();
        if let Some(bearer) = state.usable(recipe, now) {
            let is_ageing = state.tokens.as_ref().is_some_and(|one| one.age(now) != Age::Good);
            let is_time = is_ageing && state.flight.is_none() && state.cooling(now).is_none();
            if is_time && recipe.can_renew(state.tokens.as_ref()) {
                self.take_off(state, recipe, None);
            }
            return Step::Use(bearer);
        }
        if let Some(flight) = &state.flight {
            return Step::Wait(flight.clone());
        }
        if let Some(error) = state.cooling(now) {
            return Step::Fail(error);
        }
        if !recipe.can_renew(state.tokens.as_ref()) {
            state.missed = true;
            return Step::Fail(no_token());
        }
        Step::Wait(self.take_off(state, recipe, None))
    }

    async fn wait(&self, flight: Flight, until: Instant) -> Result<Bearer, Error> {
        timeout_at(until, flight.outcome).await.unwrap_or_else(|_| {
            let name = &self.name.credential;
            let text = format!("no token for the credential {name:?} came within the time limit");
            Err(Error::Timeout(text))
        })
    }

    /// Begins a token request, in a task of its own: a caller that gives up must not lose the only
    /// copy of a refresh token that was just exchanged. The task ends by itself, everything in it
    /// having a time limit.
    fn take_off(
        self: &Arc<Self>,
        state: &mut State,
        recipe: &Arc<Recipe>,
        refused: Option<Bearer>,
    ) -> Flight {
        state.flights += 1;
        let number = state.flights;
        let (grant, with) = (self.clone(), recipe.clone());
        let task = tokio::spawn(async move {
            let landing = Landing { grant, number };
            landing.grant.renew(&with, refused).await
        });
        let outcome = async {
            task.await
                .unwrap_or_else(|_| Err(Error::Credential("the token request was cut off".into())))
        };
        let flight = Flight { number, recipe: recipe.clone(), outcome: outcome.boxed().shared() };
        state.flight = Some(flight.clone());
        flight
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut state = self.grant.state.lock();
        if state.flight.as_ref().is_some_and(|flight| flight.number == self.number) {
            state.flight = None;
        }
    }
}

fn no_token() -> Error {
    Error::Credential("no access token: the OAuth connection is not made yet; connect it".into())
}
