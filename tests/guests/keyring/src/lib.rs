//! A connector that declares credentials of every kind, and uses whichever it is told.

use aloma_connector::{
    ClientCredentials, Credential, Field, Result, Setup, config, connector, http,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The controller.
#[derive(Default)]
pub struct Keyring;

/// A request, and what to add to it.
#[derive(Deserialize, JsonSchema)]
pub struct Sending {
    url: String,
    credential: Option<String>,
}

/// An answer.
#[derive(Serialize, JsonSchema)]
pub struct Answered {
    status: u16,
    body: String,
}

/// A configuration field.
#[derive(Deserialize, JsonSchema)]
pub struct Key {
    key: String,
}

/// Never holds a secret.
#[connector]
impl Keyring {
    #[setup]
    fn setup() -> Setup {
        let secret = |key: &str| Field::line(key).optional();
        let client = ClientCredentials::new("{{BASE_URL}}/token", "CLIENT_ID", "CLIENT_SECRET");
        let base = |credential: Credential| credential.origin("{{BASE_URL}}");
        let users_api = Credential::bearer("API_KEY").origin("https://api.example.com");
        Setup::new()
            .field(secret("API_KEY").name("API key"))
            .field(secret("PASSWORD"))
            .field(secret("CLIENT_SECRET"))
            .field(Field::line("USER").plain().optional())
            .field(Field::line("CLIENT_ID").plain().optional())
            .field(Field::line("BASE_URL").plain().optional())
            .asks("{{BASE_URL}}", "to have something to ask for")
            .credential("users-api", base(users_api).reason("to show who we are"))
            .credential("login", base(Credential::basic("USER", "PASSWORD")))
            .credential("key-header", base(Credential::header("X-API-Key", "API_KEY")))
            .credential("key-query", base(Credential::query("key", "API_KEY")))
            .credential("client", base(Credential::client(client.scope("read").in_body())))
    }

    /// sends a request
    pub async fn send(&self, sending: Sending) -> Result<Answered> {
        let request = http::get(sending.url);
        let request = match sending.credential {
            Some(name) => request.credential(name),
            None => request,
        };
        let answer = request.send().await?;
        Ok(Answered { status: answer.status(), body: answer.text().into_owned() })
    }

    /// reads a configuration field and tells it backwards, so that nobody recognises a secret
    #[action(read_only)]
    pub async fn read_config_backwards(&self, key: Key) -> Result<Value> {
        let value = config::get(&key.key).map(|text| text.chars().rev().collect::<String>());
        Ok(json!({ "value": value }))
    }
}
