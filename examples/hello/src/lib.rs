//! The smallest connector: one action that needs nothing.

use aloma_connector::{Result, connector};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The controller.
#[derive(Default)]
pub struct Hello;

/// Whom to greet.
#[derive(Deserialize, JsonSchema)]
pub struct Whom {
    /// Who is greeted. Default: the world.
    name: Option<String>,
}

/// A greeting.
#[derive(Serialize, JsonSchema)]
pub struct Greeting {
    /// Who was greeted.
    hi: String,
}

/// Says hello.
#[connector]
impl Hello {
    /// say hello
    #[action(read_only, idempotent)]
    pub async fn hello(&self, whom: Whom) -> Result<Greeting> {
        let hi = whom.name.unwrap_or_else(|| "world".into());
        Ok(Greeting { hi })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aloma_connector::testing::Host;
    use serde_json::json;

    #[test]
    fn it_greets_the_world() {
        assert_eq!(Host::new().call::<Hello>("hello", json!({})), Ok(json!({"hi": "world"})));
    }

    #[test]
    fn it_greets_somebody() {
        let answer = Host::new().call::<Hello>("hello", json!({"name": "Ada"}));
        assert_eq!(answer, Ok(json!({"hi": "Ada"})));
    }

    #[test]
    fn it_says_which_argument_is_wrong() {
        let error = Host::new().call::<Hello>("hello", json!({"name": 7})).expect_err("no text");
        assert_eq!(error.code(), "invalid-arguments");
        assert!(error.message().starts_with("argument `name`:"), "{error}");
    }
}
