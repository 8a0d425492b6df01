//! A connector with an OAuth grant.

use aloma_connector::{OAuth, Result, Setup, connector, http};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

const AUTHORIZE: &str = "https://auth.example.com/authorize?client_id={{clientId}}\
    &redirect_uri={{redirectURI}}&scope={{scope}}&code_challenge={{codeChallenge}}";

/// The controller.
#[derive(Default)]
pub struct Granted;

/// Where to ask.
#[derive(Deserialize, JsonSchema)]
pub struct Where {
    url: String,
}

/// Uses a grant that it never sees.
#[connector]
impl Granted {
    #[setup]
    fn setup() -> Setup {
        let grant = OAuth::new(AUTHORIZE, "https://auth.example.com/token")
            .scope("read write")
            .use_code_challenge();
        Setup::new().oauth(grant)
    }

    /// tells who the grant is of
    #[action(read_only)]
    pub async fn me(&self, place: Where) -> Result<Value> {
        let answer = http::get(place.url).credential("oauth").send().await?;
        Ok(answer.error_for_status()?.json()?)
    }
}
