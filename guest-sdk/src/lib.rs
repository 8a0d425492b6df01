//! Write ALOMA connectors in Rust.
//!
//! A controller is a struct; its public `async` methods are the actions. The
//! [`#[connector]`](macro@connector) attribute makes the action table, the documentation and the
//! JSON Schemas, and exports the component. The same source builds with
//! `cargo build --release --target wasm32-wasip2` and with `cargo component build --release`, and
//! its tests run natively by plain `cargo test`, with a [fake host](testing).
//!
//! ```
//! use aloma_connector::{Field, Result, Setup, bail, config, connector, http, info};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Default)]
//! struct Weather;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Place {
//!     /// The name of a city.
//!     city: String,
//! }
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Now {
//!     /// In degrees Celsius.
//!     temperature: f64,
//! }
//!
//! /// The weather of the example API.
//! #[connector]
//! impl Weather {
//!     #[setup]
//!     fn setup() -> Setup {
//!         Setup::new()
//!             .field(Field::line("API_KEY").name("API key"))
//!             .asks("https://weather.example.com", "to read the weather")
//!     }
//!
//!     /// Tells the weather of a city.
//!     #[action(read_only)]
//!     pub async fn now(&self, place: Place) -> Result<Now> {
//!         info!("asking for {}", place.city);
//!         let answer = http::get(http::url("https://weather.example.com", ["now", &place.city])?)
//!             .bearer_auth(config::require("API_KEY")?)
//!             .send()
//!             .await?;
//!         if answer.status() == 404 {
//!             bail!("city-not-found" => "no city `{}`", place.city);
//!         }
//!         Ok(answer.error_for_status()?.json()?)
//!     }
//! }
//!
//! // In a test:
//! use aloma_connector::testing::{Host, Reply};
//! use serde_json::json;
//!
//! let host = Host::new().config("API_KEY", "k").http(|request| {
//!     assert_eq!(request.header("Authorization"), Some("Bearer k"));
//!     match request.url.ends_with("/now/Bonn") {
//!         true => Reply::json(200, json!({"temperature": 21.5})),
//!         false => Reply::status(404),
//!     }
//! });
//! assert_eq!(host.call::<Weather>("now", json!({"city": "Bonn"})), Ok(json!({"temperature": 21.5})));
//!
//! let error = host.call::<Weather>("now", json!({"city": "?"})).unwrap_err();
//! assert_eq!((error.code(), error.message()), ("city-not-found", "no city `?`"));
//! ```
//!
//! # Waiting
//!
//! A controller runs on one thread and is called one at a time, so a `Cell` or `RefCell` is all that
//! its state needs. An action may have several requests and timers under way: [`join_all`], [`time`],
//! and whatever the `futures` crate makes of futures. It cannot wait for anything else: a future that
//! only another thread could wake panics instead of hanging.
//!
//! # Failing
//!
//! [`Error`] is a code to branch on and a sentence. Any standard error becomes one by `?`. A panic is
//! logged for the operator and ends the instance; the caller is told of a crash and no more.

mod actions;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod bindings;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod component;
pub mod config;
mod context;
mod controller;
mod credential;
mod error;
mod executor;
mod host;
pub mod http;
mod join;
mod limits;
pub mod logging;
pub mod manifest;
#[cfg(target_family = "wasm")]
mod panics;
mod setup;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod time;
pub mod workspace;

pub use context::Context;
pub use controller::Controller;
#[doc(hidden)]
pub use controller::private as __private;
pub use error::{Error, Result};
pub use join::{JoinAll, join_all};
pub use manifest::{ClientCredentials, Credential, EndpointMode, Field, OAuth};
pub use setup::Setup;

/// Makes a connector of an `impl` block. One per component; it also exports the component.
///
/// # Actions
///
/// Every `pub` method with `&self` is an action: `async fn name(&self, arguments: Arguments, context:
/// Context) -> Result<T>`, with or without arguments and [`Context`], `async` or not. `Arguments`
/// derives `serde::Deserialize` and `schemars::JsonSchema`, `T` derives `serde::Serialize` and
/// `schemars::JsonSchema`. Doc comments become the documentation, of methods and of fields.
///
/// `create_user` is called `createUser`, unless `#[action(name = "crm.contacts.create")]` says
/// otherwise. `#[action(read_only, destructive, idempotent)]` tells what it promises. `#[action]` also
/// makes an action of a private method, and `#[skip]` keeps a public one from being one.
///
/// # The connector
///
/// The doc comment of the block describes the connector. `#[setup] fn setup() -> Setup` says the
/// rest: see [`Setup`]. The controller is made by its `new()` where the block has one, else by
/// `Default`.
///
/// # Hooks
///
/// At most one method each, public or not:
///
/// | attribute | method | when |
/// | --- | --- | --- |
/// | `#[start]` | `async fn(&self) -> Result<()>` | before the first call |
/// | `#[stop]` | `async fn(&self, shutdown: bool) -> Result<()>` | before the controller goes |
/// | `#[health_check]` | `async fn(&self) -> Result<()>` | every 30 seconds |
/// | `#[config_check]` | `async fn(&self, fields: T) -> Result<()>` | with the health check |
/// | `#[autocomplete]` | like an action | to suggest values for a field |
/// | `#[endpoint]` | like an action | when something was sent to the endpoint |
/// | `#[fallback]` | `async fn(&self, name: &str, arguments: T, context: Context) -> Result<U>` | for a name that is no action |
pub use aloma_connector_macros::connector;
