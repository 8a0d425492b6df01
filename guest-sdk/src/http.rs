//! HTTP requests, made by the host's broker. Shaped like reqwest.
//!
//! ```no_run
//! # async fn example() -> aloma_connector::Result<()> {
//! use aloma_connector::http;
//!
//! let users: Vec<String> = http::get("https://api.example.com/users")
//!     .query(&[("role", "admin")])
//!     .bearer_auth("key")
//!     .send()
//!     .await?
//!     .error_for_status()?
//!     .json()?;
//! # Ok(()) }
//! ```
//!
//! Nothing can be reached until the operator grants it. A redirect is an answer like others, unless
//! the grant lets it be followed. The broker repeats what may safely be repeated; see
//! [`RequestBuilder::attempts`].
//!
//! A secret field of the configuration is a placeholder here. Put it where the secret belongs, in a
//! header (also by [`RequestBuilder::basic_auth`]), the query or the body, and the broker fills it in;
//! in a host or path it is refused. What has to be computed from the secret itself needs the
//! operator's `--reveal`.

mod client;
mod error;
mod request;
mod response;
mod send;
mod url;

pub use client::Client;
pub use error::Error;
pub use request::{Options, Request, RequestBuilder};
pub use response::Response;
pub use url::{encode, url};

pub(crate) use response::Answer;

/// A `GET` request.
pub fn get(url: impl Into<String>) -> RequestBuilder {
    request("GET", url)
}

/// A `POST` request.
pub fn post(url: impl Into<String>) -> RequestBuilder {
    request("POST", url)
}

/// A `PUT` request.
pub fn put(url: impl Into<String>) -> RequestBuilder {
    request("PUT", url)
}

/// A `PATCH` request.
pub fn patch(url: impl Into<String>) -> RequestBuilder {
    request("PATCH", url)
}

/// A `DELETE` request.
pub fn delete(url: impl Into<String>) -> RequestBuilder {
    request("DELETE", url)
}

/// A `HEAD` request.
pub fn head(url: impl Into<String>) -> RequestBuilder {
    request("HEAD", url)
}

/// A request of any method.
pub fn request(method: impl Into<String>, url: impl Into<String>) -> RequestBuilder {
    RequestBuilder::new(method.into(), url.into())
}
