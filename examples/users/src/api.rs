//! The users API: where it is, its key, and its answers that mean something to a caller.

use aloma_connector::http::{self, Client, Response};
use aloma_connector::{Result, bail, config};

use crate::types::User;

/// Where the users API is when nobody says otherwise.
pub const DEFAULT_BASE_URL: &str = "https://api.example.com";

const NOT_FOUND: u16 = 404;

/// What all requests to the API have in common.
pub fn client() -> Result<Client> {
    Ok(Client::new().bearer_auth(config::require("API_KEY")?))
}

/// The URL of all users.
pub fn users() -> String {
    format!("{}/users", base_url().trim_end_matches('/'))
}

/// The URL of one user. The id is encoded, so that it cannot lead anywhere else.
pub fn user(id: &str) -> Result<String> {
    Ok(http::url(&base_url(), ["users", id])?)
}

/// The user in an answer.
pub fn one_user(id: &str, answer: Response) -> Result<User> {
    if answer.status() == NOT_FOUND {
        bail!("user-not-found" => "user not found: {id}");
    }
    Ok(answer.error_for_status()?.json()?)
}

fn base_url() -> String {
    config::get("BASE_URL").unwrap_or_else(|| DEFAULT_BASE_URL.into())
}
