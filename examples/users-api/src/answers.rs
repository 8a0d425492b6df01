//! What the API says when it does not do what it was asked.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request was not served.
pub enum Refusal {
    /// No key, or a wrong one.
    Unauthorized,
    /// No user of that id.
    NoUser(String),
    /// No such path.
    NoPath(String),
    /// The request cannot be understood.
    Invalid(StatusCode, String),
    /// There is no room for another user.
    Full,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Refusal::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "send `Authorization: Bearer KEY` with the key that this API was started with"
                    .into(),
            ),
            Refusal::NoUser(id) => (StatusCode::NOT_FOUND, format!("no user `{id}`")),
            Refusal::NoPath(path) => (
                StatusCode::NOT_FOUND,
                format!("nothing at `{path}`; this API has `/users` and `/users/ID`"),
            ),
            Refusal::Invalid(status, message) => (status, message),
            Refusal::Full => {
                (StatusCode::INSUFFICIENT_STORAGE, "there is no room for another user".into())
            }
        };
        (status, Json(json!({ "error": message }))).into_response()
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Refusal::Invalid(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Refusal::Invalid(rejection.status(), rejection.body_text())
    }
}
