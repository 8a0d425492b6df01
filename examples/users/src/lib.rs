//! The five actions of the platform's tutorial: users of a web API.

mod api;
mod types;

use aloma_connector::{Field, Result, Setup, connector};

use crate::types::{
    CreateUser, CreatedUser, Greeting, ListUsers, UpdateUser, User, UserId, UserList,
};

/// The controller.
#[derive(Default)]
pub struct Users;

/// Creates, reads, changes and lists users
///
/// The users live in a web API of which this connector needs the key.
#[connector]
impl Users {
    #[setup]
    fn setup() -> Setup {
        Setup::new()
            .field(Field::line("API_KEY").name("API key").description("The key of the users API."))
            .field(
                Field::line("BASE_URL")
                    .name("Base URL")
                    .placeholder(api::DEFAULT_BASE_URL)
                    .description("Where the users API is.")
                    .plain()
                    .optional(),
            )
            .asks(api::DEFAULT_BASE_URL, "to reach the users API where no base URL is set")
            .asks("{{BASE_URL}}", "to reach the users API")
    }

    /// Creates a user
    pub async fn create_user(&self, user: CreateUser) -> Result<CreatedUser> {
        let answer = api::client()?.post(api::users()).json(&user).send().await?;
        let created: User = answer.error_for_status()?.json()?;
        Ok(CreatedUser {
            id: created.id,
            email: created.email,
            created: created.created_at,
            status: "active".into(),
        })
    }

    /// Gives one user
    #[action(read_only)]
    pub async fn get_user(&self, user: UserId) -> Result<User> {
        let answer = api::client()?.get(api::user(&user.user_id)?).send().await?;
        api::one_user(&user.user_id, answer)
    }

    /// Changes what is given of a user and leaves the rest
    #[action(idempotent)]
    pub async fn update_user(&self, change: UpdateUser) -> Result<User> {
        let url = api::user(&change.user_id)?;
        let answer = api::client()?.patch(url).json(&change.fields).send().await?;
        api::one_user(&change.user_id, answer)
    }

    /// Lists users, all of them or those that a filter leaves
    #[action(read_only)]
    pub async fn list_users(&self, filter: ListUsers) -> Result<UserList> {
        let answer = api::client()?.get(api::users()).query(&filter).send().await?;
        Ok(answer.error_for_status()?.json()?)
    }

    /// say hello
    #[action(read_only, idempotent)]
    pub async fn hello(&self) -> Result<Greeting> {
        Ok(Greeting { hi: "world".into() })
    }
}

#[cfg(test)]
mod tests;
