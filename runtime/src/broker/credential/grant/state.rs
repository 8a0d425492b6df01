//! What is known of one grant: its tokens, what failed, and what is under way.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, Shared};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::super::super::limits::{
    DEAD_PAUSE, LONGEST_DEAD_PAUSE, LONGEST_REFRESH_PAUSE, REFRESH_PAUSE, TOKENS_SCRUBBED,
};
use super::super::super::request::Error;
use super::super::endpoint::TokenError;
use super::super::recipe::Recipe;
use super::super::tokens::{Age, Bearer, Tokens};
use crate::vault::Scrubber;

#[derive(Default)]
pub(super) struct State {
    pub recipe: Option<Arc<Recipe>>,
    pub tokens: Option<Tokens>,
    /// Finds the tokens that were in use before. Requests that carry them may be under way.
    pub previous: Vec<Arc<Scrubber>>,
    /// The tokens that the configuration gave last.
    pub configured: Option<Tokens>,
    /// The access token that the store held last, as far as is known.
    pub seen: Option<SecretString>,
    pub flight: Option<Flight>,
    pub flights: u64,
    pub failure: Option<Failure>,
    /// The access token that was refused when the grant ended.
    pub spent: Option<Bearer>,
    /// When a token was last renewed because it was refused, and for how long not again.
    pub forced: Option<(Instant, Duration)>,
    /// The access token of which it was told that the API wants more of it.
    pub too_narrow: Option<Bearer>,
    /// A call wanted a token, and there was none.
    pub missed: bool,
    /// Why the tokens are not saved.
    pub unsaved: Option<String>,
}

/// A token request that is under way.
#[derive(Clone)]
pub(super) struct Flight {
    pub number: u64,
    pub recipe: Arc<Recipe>,
    pub outcome: Shared<BoxFuture<'static, Result<Bearer, Error>>>,
}

/// The last token request, which failed.
pub(super) struct Failure {
    pub error: Error,
    pub is_dead: bool,
    /// When to try again. None: not before other tokens come.
    pub until: Option<Instant>,
    pub times: u32,
}

impl State {
    /// Takes the recipe of a call. Tokens of another identity are dropped; a secret that changed may
    /// cure what failed.
    pub fn fit(&mut self, recipe: &Arc<Recipe>) {
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
    pub fn emptied(&self) -> Self {
        Self { flights: self.flights, ..Self::default() }
    }

    pub fn is_of(&self, recipe: &Recipe) -> bool {
        self.recipe.as_ref().is_some_and(|own| own.identity == recipe.identity)
    }

    pub fn replace(&mut self, new: Tokens) {
        self.previous = self.previous();
        self.tokens = Some(new);
    }

    /// The token in hand, where it can be sent.
    pub fn usable(&self, recipe: &Recipe, now: Instant) -> Option<Bearer> {
        let tokens = self.tokens.as_ref()?;
        let is_over = tokens.age(now) == Age::Over && recipe.can_renew(Some(tokens));
        let is_spent = self.spent.as_ref().is_some_and(|spent| spent.is(tokens));
        (!is_over && !is_spent).then(|| tokens.bearer())
    }

    /// Why not to ask for a token now.
    pub fn cooling(&self, now: Instant) -> Option<Error> {
        let failure = self.failure.as_ref()?;
        let is_cooling = failure.until.is_none_or(|until| now < until);
        is_cooling.then(|| failure.error.clone())
    }

    /// Whether it was not told before that the API wants more of this token, which is in use.
    pub fn is_news_of(&mut self, narrow: &Bearer) -> bool {
        let is_ours = self.tokens.as_ref().is_some_and(|tokens| narrow.is(tokens));
        let is_told = self.too_narrow.as_ref().is_some_and(|told| told.is_same(narrow));
        if is_ours {
            self.too_narrow = Some(narrow.clone());
        }
        is_ours && !is_told
    }

    /// Whether a token that was refused is not renewed: it cannot be, or it is new, or the last one
    /// that was renewed for the same reason did not help either.
    pub fn is_as_new_as_it_gets(&self, recipe: &Recipe, now: Instant) -> bool {
        let Some(tokens) = &self.tokens else { return true };
        let is_within = |at: Instant, pause| now.saturating_duration_since(at) < pause;
        !recipe.can_renew(Some(tokens))
            || tokens.asked.is_some_and(|at| is_within(at, REFRESH_PAUSE))
            || self.forced.is_some_and(|(at, pause)| is_within(at, pause))
    }

    /// The pause after a renewal by force: longer each time, until they are far apart again.
    pub fn next_forced(&self) -> Duration {
        match self.forced {
            Some((at, pause)) if at.elapsed() < pause * 4 => (pause * 2).min(LONGEST_REFRESH_PAUSE),
            _ => REFRESH_PAUSE,
        }
    }

    pub fn failure(&self, recipe: &Recipe, name: &str, error: TokenError) -> Failure {
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
    pub fn previous(&self) -> Vec<Arc<Scrubber>> {
        let current = self.tokens.iter().map(|tokens| &tokens.scrubber);
        current.chain(&self.previous).take(TOKENS_SCRUBBED).cloned().collect()
    }

    /// Has tokens scrubbed that are sent and not kept.
    pub fn pass_on(&mut self, tokens: &Tokens) {
        self.previous.insert(0, tokens.scrubber.clone());
        self.previous.truncate(TOKENS_SCRUBBED);
    }
}

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(1 << times.saturating_sub(1).min(16))
}

pub(super) fn same(one: &Option<Tokens>, other: &Option<Tokens>) -> bool {
    one.as_ref().map(Tokens::exposed) == other.as_ref().map(Tokens::exposed)
}

pub(super) fn same_access(one: Option<&Tokens>, other: Option<&Tokens>) -> bool {
    let access = |tokens: Option<&Tokens>| tokens.map(|one| one.access.expose_secret().to_owned());
    access(one) == access(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_that_is_too_small_is_told_once_for_each_token() {
        let tokens = |text: &str| Tokens::new(text.into(), None, None);
        let (one, two) = (tokens("token-1"), tokens("token-2"));
        let mut state = State::default();
        assert!(!state.is_news_of(&one.bearer()), "it is not in use");
        state.replace(one.clone());
        assert!(state.is_news_of(&one.bearer()));
        assert!(!state.is_news_of(&one.bearer()));
        state.replace(two.clone());
        assert!(!state.is_news_of(&one.bearer()), "it is not in use any more");
        assert!(state.is_news_of(&two.bearer()));
    }

    #[test]
    fn tokens_are_scrubbed_for_a_while_after_others_came() {
        let mut state = State::default();
        for number in 0..TOKENS_SCRUBBED + 3 {
            state.replace(Tokens::new(format!("the-token-{number:03}").into(), None, None));
        }
        let is_found = |number: usize| {
            let text = format!("the-token-{number:03}");
            state.previous.iter().any(|one| one.scrub(text.as_bytes()).is_some())
        };
        let found: Vec<_> = (0..TOKENS_SCRUBBED + 2).map(is_found).collect();
        assert_eq!(found, [&[false; 2][..], &[true; TOKENS_SCRUBBED][..]].concat());
        state.pass_on(&Tokens::new("the-token-sent".into(), None, None));
        assert!(state.previous[0].scrub(b"the-token-sent").is_some());
        assert_eq!(state.previous.len(), TOKENS_SCRUBBED);
    }
}
