//! Tokens as a token endpoint gives them, and how long they are good for.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::Instant;

use super::super::limits::{LONGEST_LIFE, TOKEN_AHEAD, TOKEN_LEEWAY};
use super::super::request::Error;
use crate::vault::Scrubber;

/// Stands in an answer where a secret of a credential stood.
pub(super) const TOKEN_MARK: &str = "aloma-sealed-token";

/// A token on its way into a request.
#[derive(Clone, Debug)]
pub(super) struct Bearer(SecretString);

/// An access token, and what brings the next one.
#[derive(Clone)]
pub(super) struct Tokens {
    pub access: SecretString,
    pub refresh: Option<SecretString>,
    /// None where the endpoint did not say: then it is used until it is refused.
    pub life: Option<Life>,
    /// When this process asked for them. None for those that came from elsewhere.
    pub asked: Option<Instant>,
    pub scrubber: Arc<Scrubber>,
}

/// The times of an access token, by a clock that nobody sets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    /// Its end, as the endpoint said.
    pub ends: Instant,
    /// All of it.
    pub whole: Duration,
    renew: Instant,
    stop: Instant,
}

/// How far an access token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    Good,
    /// It still works, and the next one should be there before it does not.
    Ageing,
    Over,
}

impl Bearer {
    pub fn header(&self) -> Result<HeaderValue, Error> {
        let text = format!("Bearer {}", self.0.expose_secret());
        let mut value = HeaderValue::try_from(text).map_err(|_| {
            Error::Credential("the OAuth token holds control characters; connect again".into())
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    pub fn is_same(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }

    pub fn is(&self, tokens: &Tokens) -> bool {
        self.0.expose_secret() == tokens.access.expose_secret()
    }
}

impl Tokens {
    /// Reads an answer that came just now. `random` lies between 0 and 1.
    pub fn fresh(answer: &Value, random: f64) -> Result<Self, Error> {
        let now = Instant::now();
        let life =
            lifetime(&answer["expires_in"]).map(|whole| Life::new(now, whole, whole, random));
        Ok(Self { life, asked: Some(now), ..Self::read(answer)? })
    }

    /// Reads an answer that came nobody knows when.
    pub fn read(answer: &Value) -> Result<Self, Error> {
        let token = |name: &str| {
            answer[name].as_str().filter(|token| !token.is_empty()).map(SecretString::from)
        };
        let access = token("access_token").ok_or_else(|| {
            Error::Credential("the OAuth result holds no access_token; connect again".into())
        })?;
        Ok(Self::new(access, token("refresh_token"), None))
    }

    pub fn new(access: SecretString, refresh: Option<SecretString>, life: Option<Life>) -> Self {
        let values = [Some(&access), refresh.as_ref()].into_iter().flatten();
        let scrubber = Scrubber::new(values.map(|token| (token.expose_secret(), TOKEN_MARK)));
        Self { access, refresh, life, asked: None, scrubber: Arc::new(scrubber) }
    }

    pub fn bearer(&self) -> Bearer {
        Bearer(self.access.clone())
    }

    pub fn age(&self, now: Instant) -> Age {
        match self.life {
            Some(life) if now >= life.stop => Age::Over,
            Some(life) if now >= life.renew => Age::Ageing,
            _ => Age::Good,
        }
    }

    pub fn exposed(&self) -> (&str, Option<&str>) {
        (self.access.expose_secret(), self.refresh.as_ref().map(|token| token.expose_secret()))
    }
}

impl Life {
    /// A life of which so much is left now.
    pub fn new(now: Instant, whole: Duration, left: Duration, random: f64) -> Self {
        let left = left.min(whole);
        // Two processes, or two hundred, do not ask at the same moment.
        let ahead = TOKEN_AHEAD.min(whole / 5).mul_f64(1.0 + random.clamp(0.0, 1.0) / 2.0);
        let leeway = TOKEN_LEEWAY.min(whole / 10);
        Self {
            ends: now + left,
            whole,
            renew: now + left.saturating_sub(ahead),
            stop: now + left.saturating_sub(leeway),
        }
    }
}

/// How long a token is good for. Endpoints write the number as they like; nothing, no time at all
/// and more than anyone means is not known.
fn lifetime(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    let is_life = seconds > 0.0 && seconds <= LONGEST_LIFE.as_secs_f64();
    is_life.then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lifetime_is_read_in_every_form_and_nonsense_is_none() {
        for (value, expected) in [
            (json!(3600), Some(3600.0)),
            (json!("3600"), Some(3600.0)),
            (json!(" 3600 "), Some(3600.0)),
            (json!(0.5), Some(0.5)),
            (json!("1e3"), Some(1000.0)),
            (json!(0), None),
            (json!(-1), None),
            (json!("-3600"), None),
            (json!("soon"), None),
            (json!(""), None),
            (json!("NaN"), None),
            (json!("inf"), None),
            (json!(1e300), None),
            (json!(u64::MAX), None),
            (json!(null), None),
            (json!([3600]), None),
        ] {
            assert_eq!(lifetime(&value), expected.map(Duration::from_secs_f64), "{value}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_ages_before_it_is_over() {
        let now = Instant::now();
        for (whole, left, random, ageing, over) in [
            (3600.0, 3600.0, 0.0, 3300.0, 3590.0),
            (3600.0, 3600.0, 1.0, 3150.0, 3590.0),
            (3600.0, 600.0, 0.0, 300.0, 590.0),
            (3600.0, 60.0, 0.0, 0.0, 50.0),
            (3600.0, 0.0, 0.0, 0.0, 0.0),
            (10.0, 10.0, 0.0, 8.0, 9.0),
            // A clock that was set back makes no life longer.
            (10.0, 99.0, 1.0, 7.0, 9.0),
        ] {
            let [whole, left] = [whole, left].map(Duration::from_secs_f64);
            let life = Life::new(now, whole, left, random);
            let tokens = Tokens::new("t".into(), None, Some(life));
            let age = |seconds: f64| tokens.age(now + Duration::from_secs_f64(seconds));
            assert_eq!(age(over), Age::Over, "{whole:?}");
            if over > ageing {
                assert_eq!(age(ageing), Age::Ageing, "{whole:?}");
                assert_eq!(age(over - 0.01), Age::Ageing, "{whole:?}");
            }
            if ageing > 0.0 {
                assert_eq!(age(ageing - 0.01), Age::Good, "{whole:?}");
            }
        }
        assert_eq!(Tokens::new("t".into(), None, None).age(now), Age::Good);
    }
}
