//! `run` or `workspace` without a token: the embedded workspace, seen through its JSON API.

use std::ffi::OsString;

use reqwest::Method;
use serde_json::Value;

use crate::process::{Invocation, Process, within};

/// A running program with its embedded workspace.
pub struct Local {
    /// The program.
    pub process: Process,
    /// The page's address, as the program printed it.
    pub page: String,
    base: String,
    token: String,
    http: reqwest::Client,
}

impl Local {
    /// Runs the program with these arguments, at a free port, and waits for the page's address.
    pub async fn start<A: Into<OsString>>(args: impl IntoIterator<Item = A>) -> Self {
        let mut args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        args.extend(["--listen", "127.0.0.1:0"].map(Into::into));
        let process = Process::start(&Invocation { args, ..Default::default() });
        let line = process.line_with("/?token=").await;
        let page = line.split_whitespace().find(|word| word.contains("/?token="));
        let page = page.expect("the line has the address as a word").to_owned();
        let (base, token) = page.split_once("/?token=").expect("it was found by that");
        let (base, token) = (base.to_owned(), token.to_owned());
        Self { process, base, token, page, http: client() }
    }

    /// `GET`, which must go well.
    pub async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.request(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// `PUT`: the status and the answer.
    pub async fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        self.request(Method::PUT, path, Some(body)).await
    }

    /// `POST`: the status and the answer.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.request(Method::POST, path, Some(body)).await
    }

    /// The status of a request with this token, or with none.
    pub async fn status_with(&self, token: Option<&str>, path: &str) -> u16 {
        let mut request = self.http.get(format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.expect("the workspace answers").status().as_u16()
    }

    /// The text of a page.
    pub async fn text(&self, url: &str) -> String {
        let answer = self.http.get(url).send().await.expect("the workspace answers");
        answer.text().await.expect("a text")
    }

    /// Waits until something can be seen at a path, looking again after each event.
    pub async fn until(&self, path: &str, seen: impl Fn(&Value) -> bool) -> Value {
        let look = async {
            let mut events = self.events().await;
            loop {
                let answer = self.get(path).await;
                if seen(&answer) {
                    return answer;
                }
                events.chunk().await.expect("the events go on");
            }
        };
        within(&format!("something to see at {path}"), self.process.log(), look).await
    }

    /// Waits until a connector is connected and well.
    pub async fn connected(&self, id: &str) -> Value {
        let path = format!("/api/connectors/{id}");
        self.until("/api/connectors", |all| {
            let all = all["connectors"].as_array().into_iter().flatten();
            all.into_iter().any(|one| one["id"] == id && one["connected"] == true)
        })
        .await;
        self.get(&path).await
    }

    async fn events(&self) -> reqwest::Response {
        let request = self.http.get(format!("{}/api/events", self.base)).bearer_auth(&self.token);
        request.send().await.expect("the workspace answers")
    }

    async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        request = request.bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = within(path, self.process.log(), request.send()).await;
        let answer = answer.unwrap_or_else(|error| panic!("{path}: {error}"));
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }
}

/// A client that reuses no connection: one that the program closes at its end would be an error.
fn client() -> reqwest::Client {
    // An error means that another test of this process has installed it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client")
}
