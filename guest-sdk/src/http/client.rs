//! What several requests have in common.

use std::time::Duration;

use super::request::{Options, RequestBuilder, basic, bearer, milliseconds};

/// Headers and options that several requests have in common. What a request sets itself wins.
///
/// It holds no connections (the broker does), so it costs nothing to make one where it is needed.
///
/// ```no_run
/// # async fn example() -> aloma_connector::Result<()> {
/// use aloma_connector::{config, http::Client};
///
/// let api = Client::new().bearer_auth(config::require("API_KEY")?);
/// let answer = api.get("https://api.example.com/users").send().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Client {
    headers: Vec<(String, String)>,
    options: Options,
}

impl Client {
    /// A client that adds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header to every request that does not set it.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds `Authorization: Bearer …`.
    pub fn bearer_auth(self, token: impl AsRef<str>) -> Self {
        self.header("Authorization", bearer(token.as_ref()))
    }

    /// Adds `Authorization: Basic …`.
    pub fn basic_auth(self, user: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        self.header("Authorization", basic(user.as_ref(), password.as_ref()))
    }

    /// See [`RequestBuilder::credential`].
    pub fn credential(mut self, name: impl Into<String>) -> Self {
        self.options.credential = Some(name.into());
        self
    }

    /// See [`RequestBuilder::timeout`].
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.options.timeout_ms = Some(milliseconds(limit));
        self
    }

    /// See [`RequestBuilder::attempts`].
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.options.attempts = Some(attempts);
        self
    }

    /// A `GET` request.
    pub fn get(&self, url: impl Into<String>) -> RequestBuilder {
        self.request("GET", url)
    }

    /// A `POST` request.
    pub fn post(&self, url: impl Into<String>) -> RequestBuilder {
        self.request("POST", url)
    }

    /// A `PUT` request.
    pub fn put(&self, url: impl Into<String>) -> RequestBuilder {
        self.request("PUT", url)
    }

    /// A `PATCH` request.
    pub fn patch(&self, url: impl Into<String>) -> RequestBuilder {
        self.request("PATCH", url)
    }

    /// A `DELETE` request.
    pub fn delete(&self, url: impl Into<String>) -> RequestBuilder {
        self.request("DELETE", url)
    }

    /// A `HEAD` request.
    pub fn head(&self, url: impl Into<String>) -> RequestBuilder {
        self.request("HEAD", url)
    }

    /// A request of any method.
    pub fn request(&self, method: impl Into<String>, url: impl Into<String>) -> RequestBuilder {
        RequestBuilder::new(method.into(), url.into())
            .with_defaults(self.headers.clone(), self.options.clone())
    }
}
