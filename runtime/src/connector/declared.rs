//! The credentials that a connector declares, in the words of the broker.

use std::path::Path;

use anyhow::{anyhow, ensure};
use serde::Deserialize as _;
use toml::{Table, Value};

use crate::broker::{CredentialSettings, Prepared};
use crate::manifest::{Credential, CredentialKind, Field};

/// The grant that a connector declares elsewhere.
const OAUTH: &str = "oauth";

/// Makes a declared credential ready for requests.
///
/// # Errors
/// A sentence on what is wrong with its name, its origins, or its parts.
pub fn declared_credential(credential: &Credential) -> anyhow::Result<Prepared> {
    let Credential { name, kind, origins, .. } = credential;
    let wrong = |text: &str| anyhow!("credential {name:?}: {text}");
    ensure!(name != OAUTH, wrong("the name is taken by the OAuth grant; give it another"));
    ensure!(
        !origins.is_empty(),
        wrong("it names no origin; say where it may go, such as https://api.example.com")
    );
    let keys = keys(kind);
    let lines: Vec<_> = keys.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    let origins = ("origins", origins.clone().into());
    let table: Table =
        keys.into_iter().chain([origins]).map(|(key, value)| (key.to_owned(), value)).collect();
    let settings =
        CredentialSettings::deserialize(table).map_err(|error| wrong(error.message()))?;
    let prepared = settings.resolve(name, Path::new(""), &|_| None);
    let prepared = prepared.map_err(|error| wrong(&error.text))?;
    Ok(prepared.declared(lines.join(" ")))
}

/// Checks a credential, and that the fields that it takes its parts from are there.
///
/// # Errors
/// A sentence that names the credential, and the field.
pub(super) fn check(credential: &Credential, fields: &[Field]) -> anyhow::Result<()> {
    let prepared = declared_credential(credential)?;
    let name = &credential.name;
    for key in prepared.fields().into_iter().chain(prepared.url_fields()) {
        let described = || fields.iter().map(|field| field.key.as_str()).collect::<Vec<_>>();
        let field = fields.iter().find(|field| field.key == key).ok_or_else(|| {
            let there_are = match described().as_slice() {
                [] => "there are none".to_owned(),
                keys => format!("there are: {}", keys.join(", ")),
            };
            anyhow!(
                "credential {name:?} needs the field {key}, which is not described; {there_are}"
            )
        })?;
        ensure!(
            !(field.plain && prepared.secret_fields().contains(key)),
            "credential {name:?} takes a secret from the field {key}, which is plain; make it a \
             secret"
        );
        ensure!(
            field.plain || !prepared.url_fields().contains(key),
            "credential {name:?} takes a URL from the field {key}, which is a secret; make it plain"
        );
    }
    Ok(())
}

/// What an operator would write for it, but for the origins.
fn keys(kind: &CredentialKind) -> Vec<(&'static str, Value)> {
    let field = |key: &str| Value::from(Table::from_iter([("field".to_owned(), key.into())]));
    let text = |text: &str| Value::from(text);
    match kind {
        CredentialKind::Bearer { token } => vec![("type", text("bearer")), ("token", field(token))],
        CredentialKind::Basic { username, password } => vec![
            ("type", text("basic")),
            ("username", field(username)),
            ("password", field(password)),
        ],
        CredentialKind::Header { name, value } => {
            vec![("type", text("header")), ("name", text(name)), ("value", field(value))]
        }
        CredentialKind::Query { name, value } => {
            vec![("type", text("query")), ("name", text(name)), ("value", field(value))]
        }
        CredentialKind::ClientCredentials {
            token_url,
            client_id,
            client_secret,
            scope,
            audience,
            in_body,
        } => {
            let mut keys = vec![
                ("type", text("client-credentials")),
                ("token-url", text(token_url)),
                ("client-id", field(client_id)),
                ("client-secret", field(client_secret)),
            ];
            keys.extend(scope.as_deref().map(|scope| ("scope", text(scope))));
            keys.extend(audience.as_deref().map(|audience| ("audience", text(audience))));
            keys.extend(in_body.then(|| ("auth", text("body"))));
            keys
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(key: &str, plain: bool) -> Field {
        serde_json::from_value(
            json!({"key": key, "name": key, "type": "line", "optional": false, "plain": plain}),
        )
        .expect("a field")
    }

    fn credential(name: &str, kind: serde_json::Value, origin: &str) -> Credential {
        let origins: Vec<_> = origin.split_whitespace().collect();
        let described = json!({"name": name, "kind": kind, "origins": origins});
        serde_json::from_value(described).expect("a credential")
    }

    #[test]
    fn what_is_wrong_with_a_declared_credential_is_explained() {
        let bearer = |token: &str| json!({"type": "bearer", "token": token});
        let client = |url: &str| {
            json!({"type": "client-credentials", "tokenUrl": url, "clientId": "USER",
                   "clientSecret": "KEY", "inBody": true})
        };
        let basic = |user: &str| json!({"type": "basic", "username": user, "password": "KEY"});
        let named = |kind: &str, name: &str| json!({"type": kind, "name": name, "value": "KEY"});
        let api = "https://api.example.com";
        for (name, kind, origins, says) in [
            ("api", bearer("KEY"), "https://*.example.com {{URL}}", ""),
            ("api", basic("USER"), api, ""),
            ("api", basic("KEY"), api, ""),
            ("api", named("header", "X-Key"), api, ""),
            ("api", named("query", "key"), api, ""),
            ("api", client("https://id.example/token"), api, ""),
            ("api", client("{{URL}}/token"), api, ""),
            ("oauth", bearer("KEY"), api, "credential \"oauth\": the name is taken"),
            ("a/b", bearer("KEY"), api, "credential \"a/b\": a credential's name has 1 to"),
            ("api", bearer("KEY"), "", "credential \"api\": it names no origin"),
            ("api", bearer("KEY"), "api.example.com", "write it like https://api.example.com"),
            ("api", bearer("KEY"), "https://api.example.com/v1", "more than scheme, host and port"),
            ("api", bearer("KEY"), "{{URL}}/v1", "is no origin"),
            (
                "api",
                bearer("KYE"),
                api,
                "needs the field KYE, which is not described; there are: KEY, USER, URL",
            ),
            ("api", bearer("USER"), api, "takes a secret from the field USER, which is plain"),
            ("api", bearer("KEY"), "{{KEY}}", "takes a URL from the field KEY, which is a secret"),
            ("api", bearer("KEY"), "{{NONE}}", "needs the field NONE, which is not described"),
            ("api", named("header", "Host"), api, "the header host carries no credential"),
            ("api", named("header", "a b"), api, "\"a b\" is no header name"),
            ("api", named("query", ""), api, "name is empty"),
            ("api", client("{{KEY}}/token"), api, "takes a URL from the field KEY"),
            ("api", client("id.example"), api, "credential \"api\": token-url is no URL"),
        ] {
            let fields = [field("KEY", false), field("USER", true), field("URL", true)];
            let told = match check(&credential(name, kind.clone(), origins), &fields) {
                Ok(()) => String::new(),
                Err(error) => format!("{error:#}"),
            };
            assert!(told.contains(says) && told.is_empty() == says.is_empty(), "{kind}: {told}");
        }
    }

    #[test]
    fn an_operator_would_write_it_like_this() {
        let kind = json!({"type": "client-credentials", "tokenUrl": "https://id.example/token",
            "clientId": "ID", "clientSecret": "KEY", "scope": "a \"b\"", "inBody": true});
        let prepared = declared_credential(&credential("api", kind, "https://a.example"));
        let shown = format!("{:?}", prepared.expect("a credential"));
        let lines = r#"type = "client-credentials" token-url = "https://id.example/token" client-id = { field = "ID" } client-secret = { field = "KEY" } scope = 'a "b"' auth = "body""#;
        assert!(shown.contains(&format!("{lines:?}")), "{shown}");
    }
}
