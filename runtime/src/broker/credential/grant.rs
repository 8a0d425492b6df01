//! The tokens of one grant: one request for a new one at a time, however many calls wait for it.
//!
//! A token is renewed in the background before its end, and once when it is refused; a new one is
//! saved before it is used. What the endpoint refuses for good is told through health and asked for
//! more and more rarely; what fails for a while costs no grant.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::{BoxFuture, FutureExt, Shared};
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use super::super::limits::{
    DEAD_PAUSE, LONGEST_DEAD_PAUSE, LONGEST_REFRESH_PAUSE, REFRESH_PAUSE, SAVE_TOKEN,
    TOKEN_FAILURES, TOKEN_TURNS,
};
use super::super::request::Error;
use super::Tools;
use super::endpoint::{TokenError, read_answer};
use super::recipe::Recipe;
use super::store::{Entry, EntryName};
use super::tokens::{Age, Bearer, Life, Tokens};
use crate::vault::Scrubber;

/// The tokens of one grant.
pub(super) struct Grant {
    name: EntryName,
    tools: Arc<Tools>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    recipe: Option<Arc<Recipe>>,
    tokens: Option<Tokens>,
    /// Finds the tokens that were in use before. Requests that carry them may be under way.
    previous: Option<Arc<Scrubber>>,
    /// The tokens that the configuration gave last.
    configured: Option<Tokens>,
    /// The access token that the store held last, as far as is known.
    seen: Option<SecretString>,
    flight: Option<Flight>,
    flights: u64,
    failure: Option<Failure>,
    /// The access token that was refused when the grant ended.
    spent: Option<Bearer>,
    /// When a token was last renewed because it was refused, and for how long not again.
    forced: Option<(Instant, Duration)>,
    /// A call wanted a token, and there was none.
    missed: bool,
    /// Why the tokens are not saved.
    unsaved: Option<String>,
}

/// A token request that is under way.
#[derive(Clone)]
struct Flight {
    number: u64,
    recipe: Arc<Recipe>,
    outcome: Shared<BoxFuture<'static, Result<Bearer, Error>>>,
}

/// The last token request, which failed.
struct Failure {
    error: Error,
    is_dead: bool,
    /// When to try again. None: not before other tokens come.
    until: Option<Instant>,
    times: u32,
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
        let state = self.state.lock();
        if state.tokens.as_ref().is_some_and(|tokens| refused.is(tokens)) {
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
        [current, state.previous.clone()].into_iter().flatten()
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

    async fn renew(&self, recipe: &Recipe, refused: Option<Bearer>) -> Result<Bearer, Error> {
        match self.obtain(recipe, refused.as_ref()).await {
            Ok(bearer) => Ok(bearer),
            Err((held, error)) => Err(self.remember(recipe, held.as_ref(), error, refused)),
        }
    }

    /// A token from another process, or else from the endpoint. An error comes with the tokens that
    /// it is about.
    async fn obtain(
        &self,
        recipe: &Recipe,
        refused: Option<&Bearer>,
    ) -> Result<Bearer, (Option<Tokens>, TokenError)> {
        let loaded = self.catch_up(recipe).await;
        let mut held = self.held(recipe);
        if loaded.is_ok()
            && let Some(bearer) = self.is_good(held.as_ref(), refused)
        {
            return Ok(bearer);
        }
        // Asked with a refresh token that was exchanged long ago, a server ends the whole grant.
        if let Err(error) = loaded
            && held.is_none()
            && recipe.refresh_token(None).is_some()
        {
            return Err((held, error.into()));
        }
        let mut outcome = self.ask(recipe, held.as_ref()).await;
        // Another process may have exchanged the refresh token a moment before us.
        if matches!(outcome, Err(TokenError::Refused { .. }))
            && self.catch_up(recipe).await == Ok(true)
        {
            held = self.held(recipe);
            if let Some(bearer) = self.is_good(held.as_ref(), refused) {
                return Ok(bearer);
            }
            outcome = self.ask(recipe, held.as_ref()).await;
        }
        match outcome {
            Ok(tokens) => Ok(self.adopt(recipe, held.as_ref(), tokens, refused.is_some())),
            Err(error) => Err((held, error)),
        }
    }

    fn held(&self, recipe: &Recipe) -> Option<Tokens> {
        let state = self.state.lock();
        state.tokens.clone().filter(|_| state.is_of(recipe))
    }

    /// The token in hand where another process brought it and it is as good as a new one.
    fn is_good(&self, held: Option<&Tokens>, refused: Option<&Bearer>) -> Option<Bearer> {
        let tokens = held.filter(|tokens| tokens.age(Instant::now()) == Age::Good)?;
        let state = &mut *self.state.lock();
        let is_refused =
            [refused, state.spent.as_ref()].into_iter().flatten().any(|one| one.is(tokens));
        if is_refused {
            return None;
        }
        state.failure = None;
        Some(tokens.bearer())
    }

    /// Asks the endpoint, and saves what it gives.
    async fn ask(&self, recipe: &Recipe, held: Option<&Tokens>) -> Result<Tokens, TokenError> {
        let with = recipe.refresh_token(held);
        let request = recipe.request(with.as_ref(), (self.tools.clock)())?;
        let answer = self.tools.sender.send(request).await?;
        let mut answer = read_answer(&answer, (self.tools.clock)())?;
        match with {
            // Servers that do not rotate refresh tokens leave it out.
            Some(with) if answer["refresh_token"].as_str().is_none_or(str::is_empty) => {
                answer["refresh_token"] = with.expose_secret().into();
            }
            Some(_) => {}
            // Nothing here would use one (RFC 6749, 4.4.3).
            None => drop(answer.as_object_mut().and_then(|all| all.shift_remove("refresh_token"))),
        }
        let tokens = Tokens::fresh(&answer, rand::random())?;
        self.keep(recipe, &tokens, answer).await;
        Ok(tokens)
    }

    /// Saves new tokens. Whether they could be saved or not, the old ones may have ended.
    async fn keep(&self, recipe: &Recipe, tokens: &Tokens, answer: Value) {
        if let Some(keeper) = recipe.keeper() {
            let _ = timeout(SAVE_TOKEN, keeper(answer)).await;
            return;
        }
        let entry = self.entry(recipe, tokens);
        let saved = timeout(SAVE_TOKEN, self.tools.store.save(&self.name, &entry)).await;
        let problem = match saved {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("it takes too long".to_owned()),
        };
        let mut state = self.state.lock();
        match &problem {
            None => state.seen = Some(tokens.access.clone()),
            Some(text) => tracing::warn!(
                connector = &*self.name.connector,
                credential = &*self.name.credential,
                "the tokens are not saved: {text}"
            ),
        }
        state.unsaved = problem.map(|text| {
            format!("the tokens of the credential {:?} are not saved: {text}", self.name.credential)
        });
    }

    /// Takes tokens into use that another process has saved since we looked. Gives whether there
    /// were any.
    async fn catch_up(&self, recipe: &Recipe) -> Result<bool, Error> {
        if recipe.keeper().is_some() {
            return Ok(false);
        }
        let loaded = timeout(SAVE_TOKEN, self.tools.store.load(&self.name)).await;
        let problem = match loaded {
            Ok(Ok(entry)) => return Ok(entry.is_some_and(|entry| self.take_in(recipe, entry))),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it takes too long".to_owned(),
        };
        Err(Error::Credential(format!("its saved tokens cannot be read: {problem}")))
    }

    fn take_in(&self, recipe: &Recipe, entry: Entry) -> bool {
        let state = &mut *self.state.lock();
        let access = entry.access.expose_secret();
        let is_known = state.seen.as_ref().is_some_and(|seen| seen.expose_secret() == access);
        if is_known || entry.identity != recipe.identity || !state.is_of(recipe) {
            return false;
        }
        state.seen = Some(entry.access.clone());
        state.replace(self.tokens(entry));
        true
    }

    /// Takes new tokens into use, unless the configuration brought others in the meantime.
    fn adopt(
        &self,
        recipe: &Recipe,
        held: Option<&Tokens>,
        new: Tokens,
        is_forced: bool,
    ) -> Bearer {
        let state = &mut *self.state.lock();
        if !state.is_of(recipe) {
            return new.bearer();
        }
        if !same_access(state.tokens.as_ref(), held) {
            return state.tokens.as_ref().map_or_else(|| new.bearer(), Tokens::bearer);
        }
        if is_forced && new.asked.is_some() {
            state.forced = Some((Instant::now(), state.next_forced()));
        }
        let bearer = new.bearer();
        state.replace(new);
        state.failure = None;
        state.spent = None;
        bearer
    }

    fn remember(
        &self,
        recipe: &Recipe,
        held: Option<&Tokens>,
        error: TokenError,
        refused: Option<Bearer>,
    ) -> Error {
        let state = &mut *self.state.lock();
        let failure = state.failure(recipe, &self.name.credential, error);
        let told = failure.error.clone();
        // Settings and tokens that came in the meantime are not to blame.
        if state.is_of(recipe) && same_access(state.tokens.as_ref(), held) {
            if failure.is_dead {
                state.spent = refused;
            }
            tracing::warn!(
                connector = &*self.name.connector,
                credential = &*self.name.credential,
                "no new token: {told}"
            );
            state.failure = Some(failure);
        }
        told
    }

    fn entry(&self, recipe: &Recipe, tokens: &Tokens) -> Entry {
        let left = |life: Life| life.ends.saturating_duration_since(Instant::now());
        let ends = tokens.life.and_then(|life| seconds((self.tools.clock)() + left(life)));
        Entry {
            identity: recipe.identity.clone(),
            access: tokens.access.clone(),
            refresh: tokens.refresh.clone(),
            ends,
            life: tokens.life.map(|life| life.whole.as_secs_f64()),
        }
    }

    fn tokens(&self, entry: Entry) -> Tokens {
        let now = seconds((self.tools.clock)()).unwrap_or_default();
        let life = entry.ends.zip(entry.life).and_then(|(ends, whole)| {
            let whole = Duration::try_from_secs_f64(whole).ok()?;
            let left = Duration::from_secs(ends.saturating_sub(now));
            Some(Life::new(Instant::now(), whole, left, rand::random()))
        });
        Tokens::new(entry.access, entry.refresh, life)
    }
}

impl State {
    /// Takes the recipe of a call. Tokens of another identity are dropped; a secret that changed may
    /// cure what failed.
    fn fit(&mut self, recipe: &Arc<Recipe>) {
        if let Some(old) = &self.recipe
            && old.digest != recipe.digest
        {
            if old.identity != recipe.identity {
                *self = Self { previous: self.previous(), ..self.emptied() };
            } else if self.failure.as_ref().is_some_and(|failure| failure.until.is_some()) {
                self.failure = None;
            }
        }
        self.recipe = Some(recipe.clone());
    }

    /// Nothing, but for what counts on.
    fn emptied(&self) -> Self {
        Self { flights: self.flights, ..Self::default() }
    }

    fn is_of(&self, recipe: &Recipe) -> bool {
        self.recipe.as_ref().is_some_and(|own| own.identity == recipe.identity)
    }

    fn replace(&mut self, new: Tokens) {
        self.previous = self.previous();
        self.tokens = Some(new);
    }

    /// The token in hand, where it can be sent.
    fn usable(&self, recipe: &Recipe, now: Instant) -> Option<Bearer> {
        let tokens = self.tokens.as_ref()?;
        let is_over = tokens.age(now) == Age::Over && recipe.can_renew(Some(tokens));
        let is_spent = self.spent.as_ref().is_some_and(|spent| spent.is(tokens));
        (!is_over && !is_spent).then(|| tokens.bearer())
    }

    /// Why not to ask for a token now.
    fn cooling(&self, now: Instant) -> Option<Error> {
        let failure = self.failure.as_ref()?;
        let is_cooling = failure.until.is_none_or(|until| now < until);
        is_cooling.then(|| failure.error.clone())
    }

    /// Whether a token that was refused is not renewed: it cannot be, or it is new, or the last one
    /// that was renewed for the same reason did not help either.
    fn is_as_new_as_it_gets(&self, recipe: &Recipe, now: Instant) -> bool {
        let Some(tokens) = &self.tokens else { return true };
        let is_within = |at: Instant, pause| now.saturating_duration_since(at) < pause;
        !recipe.can_renew(Some(tokens))
            || tokens.asked.is_some_and(|at| is_within(at, REFRESH_PAUSE))
            || self.forced.is_some_and(|(at, pause)| is_within(at, pause))
    }

    /// The pause after a renewal by force: longer each time, until they are far apart again.
    fn next_forced(&self) -> Duration {
        match self.forced {
            Some((at, pause)) if at.elapsed() < pause * 4 => (pause * 2).min(LONGEST_REFRESH_PAUSE),
            _ => REFRESH_PAUSE,
        }
    }

    fn failure(&self, recipe: &Recipe, name: &str, error: TokenError) -> Failure {
        let (error, is_dead, wait) = match error {
            TokenError::Refused { code, error } => match recipe.dead(name, code) {
                Some(text) => (Error::Credential(text), true, None),
                None => (error, false, None),
            },
            TokenError::Other { error, wait } => (error, false, wait),
        };
        // The grant of the workspace is the only one that needs no name.
        let error = if is_dead || recipe.keeper().is_some() {
            error
        } else {
            error.map(|text| format!("no token for the credential {name:?}: {text}"))
        };
        let before = self.failure.as_ref().filter(|before| before.is_dead == is_dead);
        let times = before.map_or(0, |before| before.times) + 1;
        let pause = if is_dead {
            doubled(DEAD_PAUSE, times).min(LONGEST_DEAD_PAUSE)
        } else {
            doubled(REFRESH_PAUSE, times).min(LONGEST_REFRESH_PAUSE)
        };
        let pause = pause.max(wait.unwrap_or_default().min(LONGEST_DEAD_PAUSE));
        let is_over = is_dead && recipe.ends_for_good();
        let until = (!is_over).then(|| Instant::now() + pause);
        Failure { error, is_dead, until, times }
    }

    /// What finds the tokens of now, once there are others.
    fn previous(&self) -> Option<Arc<Scrubber>> {
        let current = self.tokens.as_ref().map(|tokens| tokens.scrubber.clone());
        current.or_else(|| self.previous.clone())
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

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(1 << times.saturating_sub(1).min(16))
}

fn seconds(time: SystemTime) -> Option<u64> {
    time.duration_since(UNIX_EPOCH).ok().map(|time| time.as_secs())
}

fn same(one: &Option<Tokens>, other: &Option<Tokens>) -> bool {
    one.as_ref().map(Tokens::exposed) == other.as_ref().map(Tokens::exposed)
}

fn same_access(one: Option<&Tokens>, other: Option<&Tokens>) -> bool {
    let access = |tokens: Option<&Tokens>| tokens.map(|one| one.access.expose_secret().to_owned());
    access(one) == access(other)
}

fn no_token() -> Error {
    Error::Credential("no access token: the OAuth connection is not made yet; connect it".into())
}
