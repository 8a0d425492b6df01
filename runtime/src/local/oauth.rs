//! The workspace's part of the OAuth 2 authorization-code flow: it sends the person to sign in,
//! takes the code, and has the connector make it a grant.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::calls::error_of;
use super::configure;
use super::hub::Hub;
use super::limits::{OAUTH_FLOW, OAUTH_FLOWS, OAUTH_STEP};
use super::pending::Unanswered;
use super::reply::Refusal;
use super::seats::Seat;
use crate::ids::fresh_id;
use crate::workspace::packet::raw;

/// Where the person comes back to.
pub const CALLBACK: &str = "/oauth/callback";

/// Flows that have begun, by their `state`.
#[derive(Default)]
pub struct Flows(Mutex<HashMap<String, Flow>>);

struct Flow {
    connector: Arc<str>,
    redirect: String,
    /// Only where the connector wants PKCE.
    verifier: Option<SecretString>,
    begun: Instant,
}

/// What comes back with the person.
#[derive(Deserialize)]
pub struct Callback {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start {
    url: String,
    #[serde(default)]
    use_code_challenge: bool,
}

/// Begins a flow and gives the address to sign in at. `host` is how the caller reaches us.
pub async fn start(hub: &Hub, seat: &Seat, host: &str) -> Result<Url, Refusal> {
    if !seat.connected() {
        return Err(Refusal::not_connected(&seat.connector));
    }
    let start: Start = step(hub, seat, "connector.start-oauth", json!({})).await.map_err(failed)?;
    let flow = Flow {
        connector: seat.connector.clone(),
        redirect: format!("http://{host}{CALLBACK}"),
        verifier: start.use_code_challenge.then(verifier),
        begun: Instant::now(),
    };
    let state = fresh_id();
    let url = fill(&start.url, &flow, &state)
        .ok_or_else(|| failed("the connector's authorization URL is not an http(s) URL".into()))?;
    hub.flows.begin(state, flow);
    Ok(url)
}

/// Ends a flow. The text is for the person.
pub async fn finish(hub: &Hub, callback: Callback) -> Result<(), String> {
    let state = callback.state.unwrap_or_default();
    let flow = hub.flows.end(&state).ok_or("This sign-in is not known here, or it took too long. Start it again from the workspace's page.")?;
    let code = match (callback.code, callback.error) {
        (Some(code), None) => code,
        (_, error) => {
            let error = error.unwrap_or_else(|| "no code came back".into());
            let more =
                callback.error_description.map(|more| format!(": {more}")).unwrap_or_default();
            return Err(format!("The sign-in was refused: {error}{more}"));
        }
    };
    grant(hub, &flow, code).await
}

async fn grant(hub: &Hub, flow: &Flow, code: String) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Finished {
        value: String,
    }
    let seat = hub.seats.get(&flow.connector).ok_or("The connector is gone.")?;
    let mut arguments = json!({"code": code, "redirectURI": flow.redirect});
    if let Some(verifier) = &flow.verifier {
        arguments["codeVerifier"] = verifier.expose_secret().into();
    }
    let Finished { value } = step(hub, &seat, "connector.finish-oauth", arguments).await?;
    configure::keep_grant(hub, &seat, value).await.map_err(|error| {
        tracing::error!("local workspace: {error:#}");
        "The workspace could not store the grant; see its log.".to_owned()
    })?
}

async fn step<T: serde::de::DeserializeOwned>(
    hub: &Hub,
    seat: &Seat,
    method: &str,
    arguments: serde_json::Value,
) -> Result<T, String> {
    let answer =
        hub.ask(seat, method, raw(&arguments), OAUTH_STEP).await.map_err(|why| match why {
            Unanswered::Late => "the connector did not answer in time",
            Unanswered::Full => "too many questions wait for the connector",
        })?;
    if let Some(error) = error_of(&answer) {
        return Err(error);
    }
    // What serde says of a misfit may quote the answer, and the answer may be a grant.
    serde_json::from_str(answer.get())
        .map_err(|_| format!("the connector's answer to {method} has not the form it should have"))
}

fn failed(text: String) -> Refusal {
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, text)
}

impl Flows {
    fn begin(&self, state: String, flow: Flow) {
        let mut flows = self.0.lock();
        flows.retain(|_, other| other.begun.elapsed() < OAUTH_FLOW);
        if flows.len() >= OAUTH_FLOWS {
            let oldest =
                flows.iter().min_by_key(|(_, other)| other.begun).map(|(state, _)| state.clone());
            oldest.and_then(|oldest| flows.remove(&oldest));
        }
        flows.insert(state, flow);
    }

    /// Each flow ends once.
    fn end(&self, state: &str) -> Option<Flow> {
        self.0.lock().remove(state).filter(|flow| flow.begun.elapsed() < OAUTH_FLOW)
    }
}

/// Fills in what is the workspace's to fill in, and adds the `state` that ties the callback to us.
fn fill(template: &str, flow: &Flow, state: &str) -> Option<Url> {
    let challenge = flow.verifier.as_ref().map(challenge).unwrap_or_default();
    let text = replace(template, "{{redirectURI}}", &encoded(&flow.redirect));
    let mut url = Url::parse(&replace(&text, "{{codeChallenge}}", &challenge)).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let has_method = url.query_pairs().any(|(name, _)| name == "code_challenge_method");
    if flow.verifier.is_some() && !has_method {
        url.query_pairs_mut().append_pair("code_challenge_method", "S256");
    }
    url.query_pairs_mut().append_pair("state", state);
    Some(url)
}

/// Two ids: 64 characters, where RFC 7636 wants 43 to 128.
fn verifier() -> SecretString {
    (fresh_id() + &fresh_id()).into()
}

fn challenge(verifier: &SecretString) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.expose_secret().as_bytes()))
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The SDK fills its placeholders in whatever their case, and so must we.
fn replace(text: &str, placeholder: &str, value: &str) -> String {
    let (lower, wanted) = (text.to_ascii_lowercase(), placeholder.to_ascii_lowercase());
    let (mut out, mut rest) = (String::with_capacity(text.len()), 0);
    while let Some(found) = lower[rest..].find(&wanted) {
        out.push_str(&text[rest..rest + found]);
        out.push_str(value);
        rest += found + wanted.len();
    }
    out.push_str(&text[rest..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(verifier: Option<&str>) -> Flow {
        Flow {
            connector: "c".into(),
            redirect: "http://127.0.0.1:1/oauth/callback".into(),
            verifier: verifier.map(Into::into),
            begun: Instant::now(),
        }
    }

    #[test]
    fn the_authorization_url_is_filled_in() {
        // The verifier and its challenge are those of RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let redirect = "http%3A%2F%2F127.0.0.1%3A1%2Foauth%2Fcallback";
        for (template, verifier, filled) in [
            ("https://a/?r={{redirectURI}}", None, format!("https://a/?r={redirect}&state=s")),
            ("https://a/?r={{REDIRECTuri}}&x=ä", None, format!("https://a/?r={redirect}&x=%C3%A4&state=s")),
            (
                "https://a/?c={{codechallenge}}",
                Some(verifier),
                "https://a/?c=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&state=s".into(),
            ),
        ] {
            let url = fill(template, &flow(verifier), "s").expect(template);
            assert_eq!(url.as_str(), filled);
        }
        for template in ["javascript:alert(1)", "file:///etc", "not a url"] {
            assert!(fill(template, &flow(None), "s").is_none(), "{template}");
        }
    }
}
