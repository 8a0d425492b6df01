//! Answers of the API that are refusals.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A refusal, as the caller reads it.
#[derive(Debug, Serialize)]
pub struct Refusal {
    #[serde(skip)]
    pub status: StatusCode,
    /// The call that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// What is wrong, and what to do.
    pub error: String,
    /// The field of the configuration that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// How long the failed call took.
    #[serde(rename = "tookMs", skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<f64>,
}

impl Refusal {
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, call: None, error: error.into(), field: None, took_ms: None }
    }

    pub fn bad(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    pub fn unknown_connector(id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("no connector `{id}` has registered here"))
    }

    pub fn not_connected(id: &str) -> Self {
        let text = format!("connector `{id}` is not connected; start it and try again");
        Self::new(StatusCode::CONFLICT, text)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}

/// Our own mistakes: everything to the log, little to the caller.
impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!("local workspace: {error:#}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the workspace's store failed; see its log")
    }
}
