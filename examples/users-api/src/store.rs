//! The users, in memory.

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// How many users are kept. This is an example, and memory is not.
const MOST_USERS: usize = 1_000;
/// How large a user may become by changes, in bytes of JSON: as large as one that is sent at once.
pub const MOST_USER_BYTES: usize = 64 * 1024;

/// What a user is: an object that holds what it was given, and what the store adds.
pub type User = Map<String, Value>;

/// Why a user was not stored.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no such user.
    Missing,
    /// The store or the user is as large as it may be.
    Full,
}

/// Which users a list holds.
#[derive(Default, Deserialize)]
pub struct Filter {
    role: Option<String>,
    status: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    offset: usize,
}

/// All users, in the order of their creation.
#[derive(Default)]
pub struct Store {
    users: Vec<User>,
}

impl Store {
    /// Adds a user and gives it as it was stored.
    pub fn create(&mut self, given: User) -> Result<User, Fault> {
        if self.users.len() >= MOST_USERS {
            return Err(Fault::Full);
        }
        let mut user = Map::new();
        user.insert("id".into(), json!((self.users.len() + 1).to_string()));
        user.insert("created_at".into(), now().into());
        change(&mut user, given);
        user.entry("role").or_insert("user".into());
        user.entry("status").or_insert("active".into());
        check_size(&user)?;
        self.users.push(user.clone());
        Ok(user)
    }

    /// The user of that id.
    pub fn get(&self, id: &str) -> Option<User> {
        self.users.iter().find(|user| user["id"] == id).cloned()
    }

    /// Changes what is given and leaves the rest. The id and the time of creation stay.
    pub fn update(&mut self, id: &str, given: User) -> Result<User, Fault> {
        let stored = self.users.iter_mut().find(|user| user["id"] == id).ok_or(Fault::Missing)?;
        let mut changed = stored.clone();
        change(&mut changed, given);
        check_size(&changed)?;
        stored.clone_from(&changed);
        Ok(changed)
    }

    /// The users that the filter leaves.
    pub fn list(&self, filter: &Filter) -> Vec<User> {
        let fits = |user: &&User| {
            is(user, "role", filter.role.as_deref()) && is(user, "status", filter.status.as_deref())
        };
        let fitting = self.users.iter().filter(fits).skip(filter.offset);
        fitting.take(filter.limit.unwrap_or(MOST_USERS)).cloned().collect()
    }
}

/// Names of both spellings are one field: a user is created with `firstName` and changed with
/// `first_name`.
fn change(user: &mut User, given: User) {
    for (name, value) in given {
        let name = snake_case(&name);
        if !matches!(&*name, "id" | "created_at") {
            user.insert(name, value);
        }
    }
}

fn check_size(user: &User) -> Result<(), Fault> {
    let size = serde_json::to_vec(user).map_or(usize::MAX, |text| text.len());
    if size > MOST_USER_BYTES { Err(Fault::Full) } else { Ok(()) }
}

fn is(user: &User, field: &str, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| user.get(field).is_some_and(|value| value == wanted))
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn now() -> String {
    httpdate::fmt_http_date(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(value: Value) -> User {
        serde_json::from_value(value).expect("an object")
    }

    fn store() -> Store {
        let mut store = Store::default();
        for role in ["user", "admin", "admin"] {
            store.create(user(json!({"role": role}))).expect("there is room");
        }
        store
    }

    #[test]
    fn a_user_gets_an_id_and_a_time() {
        let given = user(json!({"id": "mine", "email": "a@example.com", "firstName": "Ada"}));
        let created = Store::default().create(given).expect("there is room");
        assert_eq!(created["id"], "1");
        assert_eq!(created["first_name"], "Ada");
        assert_eq!((&created["role"], &created["status"]), (&json!("user"), &json!("active")));
        assert!(created["created_at"].is_string());
    }

    #[test]
    fn a_change_leaves_the_rest() {
        let mut store = store();
        let change = user(json!({"status": "inactive", "id": "9"}));
        let changed = store.update("2", change).expect("a user");
        assert_eq!(changed["role"], "admin");
        assert_eq!((&changed["id"], &changed["status"]), (&json!("2"), &json!("inactive")));
        assert_eq!(store.get("2"), Some(changed));
        assert_eq!(store.update("9", Map::new()), Err(Fault::Missing));
    }

    #[test]
    fn a_list_is_filtered() {
        let cases = [
            (json!({}), vec!["1", "2", "3"]),
            (json!({"role": "admin"}), vec!["2", "3"]),
            (json!({"role": "admin", "limit": 1}), vec!["2"]),
            (json!({"offset": 2, "status": "active"}), vec!["3"]),
            (json!({"status": "gone"}), vec![]),
        ];
        for (filter, ids) in cases {
            let filter = serde_json::from_value(filter).expect("a filter");
            let listed = store().list(&filter);
            let listed: Vec<&str> = listed.iter().filter_map(|user| user["id"].as_str()).collect();
            assert_eq!(listed, ids);
        }
    }

    #[test]
    fn the_store_is_bounded() {
        let mut store = Store { users: vec![Map::new(); MOST_USERS] };
        assert_eq!(store.create(Map::new()), Err(Fault::Full));
    }

    #[test]
    fn a_user_does_not_grow_for_ever() {
        let mut store = store();
        let large = "x".repeat(MOST_USER_BYTES / 2);
        store.update("1", user(json!({"a": large}))).expect("it fits");
        assert_eq!(store.update("1", user(json!({"b": large}))), Err(Fault::Full));
        assert_eq!(store.get("1").expect("a user").get("b"), None);
    }
}
