//! What the actions take and answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A user to create. The API takes it in the same spelling.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateUser {
    /// Where the user gets mail.
    pub email: String,
    /// The given name.
    pub first_name: String,
    /// The family name.
    pub last_name: String,
    /// What the user may do, such as `user` or `admin`.
    #[serde(default = "default_role")]
    pub role: String,
}

fn default_role() -> String {
    "user".into()
}

/// A user that was created.
#[derive(Serialize, JsonSchema)]
pub struct CreatedUser {
    /// By which the other actions know the user.
    pub id: String,
    /// Where the user gets mail.
    pub email: String,
    /// When the user was created, as the API tells it.
    pub created: Option<String>,
    /// Always `active`.
    pub status: String,
}

/// Which user.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserId {
    /// The user's id.
    pub user_id: String,
}

/// Which user, and what to change.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateUser {
    /// The user's id.
    pub user_id: String,
    /// What to change.
    #[serde(flatten)]
    pub fields: UserFields,
}

/// What may be changed of a user. The API takes it in snake_case; what is not given is not sent.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(serialize = "snake_case", deserialize = "camelCase"))]
pub struct UserFields {
    /// The given name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// The family name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// What the user may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Such as `active`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// Which users. Each that is given must fit.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct ListUsers {
    /// Only users of this role.
    pub role: Option<String>,
    /// Only users of this status.
    pub status: Option<String>,
    /// At most this many.
    pub limit: Option<u32>,
    /// Without the first this many.
    pub offset: Option<u32>,
}

/// A user as the API tells it, with all that the API adds.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct User {
    /// The user's id.
    pub id: String,
    /// Where the user gets mail.
    pub email: String,
    /// When the user was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A list as the API tells it: usually an array of users.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum UserList {
    /// Only the users.
    Users(Vec<User>),
    /// The users and what the API says of them, such as how many there are.
    Page(Map<String, Value>),
}

/// A greeting.
#[derive(Serialize, JsonSchema)]
pub struct Greeting {
    /// Who was greeted.
    pub hi: String,
}
