//! A real authorization server, with an API behind it: the Node.js program in
//! `tests/authorization-server`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response};
use serde_json::Value;
use tokio::process::{Child, ChildStdin, Command};

use crate::guests::PROJECT;
use crate::log::{Log, Stream};
use crate::process::within;

/// The one redirect URI of the client `app`.
pub const REDIRECT: &str = "https://home.example.com/back";

/// A code verifier and its challenge: those of RFC 7636, appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// The challenge of [`VERIFIER`].
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A running authorization server. It is killed when this goes.
pub struct AuthorizationServer {
    issuer: String,
    api: String,
    http: Client,
    _child: Child,
    /// It ends with its standard input, also where a test is killed.
    _input: ChildStdin,
}

impl AuthorizationServer {
    /// Starts one. None where Node.js or its packages are missing, which is said.
    pub async fn start(args: &[&str]) -> Option<Self> {
        let folder = PathBuf::from(PROJECT).join("tests/authorization-server");
        if !has_node().await || !folder.join("node_modules/oidc-provider").exists() {
            eprintln!(
                "skipped: there is no authorization server; install Node.js 20.19 or later, and \
                 its packages with `npm ci --prefix tests/authorization-server`"
            );
            return None;
        }
        let mut child = Command::new("node")
            .arg(folder.join("server.mjs"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node was just there");
        let log = Log::default();
        log.read(Stream::Out, child.stdout.take().expect("standard output is piped"));
        log.read(Stream::Err, child.stderr.take().expect("standard error is piped"));
        let line = within("the authorization server", &log, log.line_with("issuer")).await;
        let origins: Value = serde_json::from_str(&line).expect("a line of JSON");
        let origin = |name: &str| origins[name].as_str().expect("an origin").to_owned();
        let input = child.stdin.take().expect("standard input is piped");
        let (issuer, api) = (origin("issuer"), origin("api"));
        Some(Self { issuer, api, http: client(), _child: child, _input: input })
    }

    /// The authorization server's origin.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where tokens are given out.
    pub fn token_url(&self) -> String {
        format!("{}/token", self.issuer)
    }

    /// The API's origin. Every path of it says who a token is of.
    pub fn api(&self) -> &str {
        &self.api
    }

    /// What was counted so far: `requests` and `refused` token requests by grant type, refresh
    /// tokens that were `reused`, and the answers of the `api` by status.
    pub async fn counts(&self) -> Value {
        let answer = self.send(Method::GET, "/test/counts", &[]).await;
        answer.json().await.expect("JSON")
    }

    /// How many token requests came with this grant type.
    pub async fn requests(&self, grant_type: &str) -> u64 {
        self.counts().await["requests"][grant_type].as_u64().unwrap_or(0)
    }

    /// Ends every access token that was given out.
    pub async fn end_access_tokens(&self) {
        self.send(Method::POST, "/test/end-access-tokens", &[]).await;
    }

    /// Ends every grant of the user, and every access token.
    pub async fn end_grants(&self) {
        self.send(Method::POST, "/test/end-grants", &[]).await;
    }

    /// The private key of the client `robot`, in PEM.
    pub async fn robot_key(&self) -> String {
        let answer = self.send(Method::GET, "/test/robot-key", &[]).await;
        answer.text().await.expect("a text")
    }

    /// What the browser of a user does who agrees: from an authorization URL to the code.
    pub async fn agree(&self, authorization_url: &str) -> String {
        let mut cookies = BTreeMap::new();
        let mut url = authorization_url.to_owned();
        while !url.starts_with(REDIRECT) {
            let jar: Vec<_> =
                cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let request = self.http.get(&url).header(COOKIE, jar.join("; "));
            let answer = request.send().await.expect("the authorization server answers");
            for cookie in answer.headers().get_all(SET_COOKIE) {
                let pair = cookie.to_str().expect("a text").split(';').next().unwrap_or_default();
                let (name, value) = pair.split_once('=').expect("a cookie has a value");
                cookies.insert(name.to_owned(), value.to_owned());
            }
            url = match answer.headers().get(LOCATION) {
                Some(location) => {
                    let location = location.to_str().expect("a URL");
                    answer.url().join(location).expect("a URL").into()
                }
                None => panic!("{url}: {}", answer.text().await.unwrap_or_default()),
            };
        }
        let (_, rest) = url.split_once("code=").unwrap_or_else(|| panic!("no code: {url}"));
        rest.split('&').next().unwrap_or_default().to_owned()
    }

    /// A refresh token of the client `app`, made elsewhere.
    pub async fn refresh_token(&self) -> String {
        let url = format!(
            "{}/auth?client_id=app&redirect_uri={REDIRECT}&response_type=code&scope=openid\
             &code_challenge={CHALLENGE}&code_challenge_method=S256",
            self.issuer
        );
        let code = self.agree(&url).await;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
            ("client_id", "app"),
            ("client_secret", "app-secret"),
        ];
        let tokens: Value =
            self.send(Method::POST, "/token", &form).await.json().await.expect("JSON");
        tokens["refresh_token"].as_str().unwrap_or_else(|| panic!("{tokens}")).to_owned()
    }

    async fn send(&self, method: Method, path: &str, form: &[(&str, &str)]) -> Response {
        let mut request = self.http.request(method, format!("{}{path}", self.issuer));
        if !form.is_empty() {
            let body: Vec<_> = form.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body.join("&"));
        }
        let answer = request.send().await.expect("the authorization server answers");
        answer.error_for_status().expect("it does what the test asks")
    }
}

/// Whether there is a Node.js that has what oidc-provider uses.
async fn has_node() -> bool {
    let mut asked = Command::new("node");
    asked.args(["-e", "process.exit(URL.parse ? 0 : 1)"]);
    asked.stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().await.is_ok_and(|status| status.success())
}

/// A client that follows no redirect, because the last one leads to nowhere.
fn client() -> Client {
    // An error means that another test of this process has installed it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::builder().redirect(Policy::none()).build().expect("a client")
}
