//! One renewal of a grant's tokens: look in the store, ask the endpoint, save, take into use.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::super::super::limits::{LONGEST_LIFE, SAVE_TOKEN};
use super::super::super::request::Error;
use super::super::endpoint::{TokenError, read_answer};
use super::super::recipe::Recipe;
use super::super::store::Entry;
use super::super::tokens::{Age, Bearer, Life, Tokens};
use super::Grant;
use super::state::same_access;

impl Grant {
    /// A token in place of the one in hand, taken into use. `refused`: the one that an API refused,
    /// which is no good whatever its age.
    pub(super) async fn renew(
        &self,
        recipe: &Recipe,
        refused: Option<Bearer>,
    ) -> Result<Bearer, Error> {
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
            state.pass_on(&new);
            return new.bearer();
        }
        if !same_access(state.tokens.as_ref(), held) {
            state.pass_on(&new);
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
            // A store may be anybody's: a time that no clock holds would end the process.
            let whole = Duration::try_from_secs_f64(whole).ok()?.min(LONGEST_LIFE);
            let left = Duration::from_secs(ends.saturating_sub(now));
            Some(Life::new(Instant::now(), whole, left, rand::random()))
        });
        Tokens::new(entry.access, entry.refresh, life)
    }
}

fn seconds(time: SystemTime) -> Option<u64> {
    time.duration_since(UNIX_EPOCH).ok().map(|time| time.as_secs())
}
