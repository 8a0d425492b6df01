//! From the guest's `describe` to a manifest that can be trusted to be one.

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::bindings::exports::aloma::connector::actions as wit;
use super::{declared, limits};
use crate::manifest::{
    Action, Ask, Credential, CredentialKind, EndpointMode, Field, FieldKind, Hints, Manifest,
    OAUTH_RESULT, OAuth,
};

/// Turns what a guest says of itself into a manifest.
///
/// # Errors
/// A sentence that names the item at fault: too much, a bad name, a name twice, a schema that is no
/// JSON.
pub(super) fn manifest(said: wit::Manifest) -> anyhow::Result<Manifest> {
    let origins = said.credentials.iter().map(|credential| 1 + credential.origins.len());
    let grant = said.oauth.as_ref().map_or(0, grant_items);
    let parts = [said.fields.len(), said.asks.len(), said.actions.len(), grant];
    let items = parts.into_iter().chain(origins).sum::<usize>();
    ensure!(items <= limits::MANIFEST_ITEMS, "{items} items, more than {}", limits::MANIFEST_ITEMS);
    let bytes = size(&said);
    ensure!(bytes <= limits::MANIFEST_BYTES, "{bytes} bytes, more than {}", limits::MANIFEST_BYTES);
    for (what, text) in [("name", &said.name), ("version", &said.version)] {
        check_label(what, text)?;
    }
    if let Some(id) = &said.id {
        check_label("id", id)?;
    }
    let fields: Vec<_> = said.fields.into_iter().map(field).collect::<Result<_, _>>()?;
    no_twins("field", fields.iter().map(|field| &field.key))?;
    let credentials: Vec<_> =
        said.credentials.into_iter().map(credential).collect::<Result<_, _>>()?;
    no_twins("credential", credentials.iter().map(|credential| &credential.name))?;
    credentials.iter().try_for_each(|credential| declared::check(credential, &fields))?;
    let actions: Vec<_> = said.actions.into_iter().map(action).collect::<Result<_, _>>()?;
    no_twins("action", actions.iter().map(|action| &action.name))?;
    Ok(Manifest {
        id: said.id,
        name: said.name,
        version: said.version,
        summary: said.summary,
        description: said.description,
        icon: said.icon,
        fields,
        oauth: said.oauth.map(oauth),
        endpoint: said.endpoint.map(endpoint),
        asks: said.asks.into_iter().map(ask).collect::<Result<_, _>>()?,
        credentials,
        actions,
    })
}

fn size(said: &wit::Manifest) -> usize {
    let texts = |texts: &[&Option<String>]| -> usize {
        texts.iter().filter_map(|text| text.as_ref()).map(String::len).sum()
    };
    let fields = said.fields.iter().map(|field| {
        field.key.len() + field.name.len() + texts(&[&field.description, &field.placeholder])
    });
    let actions = said.actions.iter().map(|action| {
        let required = action.name.len() + action.description.len();
        required + action.arguments_schema.len() + texts(&[&action.result_schema])
    });
    let asks = said.asks.iter().map(|ask| ask.origin.len() + texts(&[&ask.reason]));
    let credentials = said.credentials.iter().map(|credential| {
        let origins: usize = credential.origins.iter().map(String::len).sum();
        credential.name.len() + origins + texts(&[&credential.reason]) + kind_size(&credential.kind)
    });
    let own = texts(&[&said.id, &said.summary, &said.description])
        + said.name.len()
        + said.version.len()
        + said.icon.as_ref().map_or(0, Vec::len);
    let grant = said.oauth.as_ref().map_or(0, grant_size);
    own + grant + fields.chain(actions).chain(asks).chain(credentials).sum::<usize>()
}

/// The words of its scope and what goes along with a token request.
fn grant_items(oauth: &wit::Oauth) -> usize {
    let scope = oauth.scope.as_deref().unwrap_or_default();
    scope.split_whitespace().count() + oauth.additional_token_args.len()
}

fn grant_size(oauth: &wit::Oauth) -> usize {
    let own = [&oauth.client_id, &oauth.client_secret, &oauth.scope];
    let optional = own.into_iter().chain([&oauth.configurable_client_scope]).flatten();
    let args = oauth.additional_token_args.iter().map(|(name, value)| name.len() + value.len());
    let urls = oauth.authorization_url.len() + oauth.token_url.len();
    urls + optional.map(String::len).chain(args).sum::<usize>()
}

fn kind_size(kind: &wit::CredentialKind) -> usize {
    match kind {
        wit::CredentialKind::Bearer(token) => token.len(),
        wit::CredentialKind::Basic(basic) => basic.username.len() + basic.password.len(),
        wit::CredentialKind::Header(named) | wit::CredentialKind::Query(named) => {
            named.name.len() + named.value.len()
        }
        wit::CredentialKind::ClientCredentials(client) => {
            let more = [&client.scope, &client.audience].into_iter().flatten().map(String::len);
            let parts = [&client.token_url, &client.client_id, &client.client_secret];
            parts.into_iter().map(String::len).chain(more).sum()
        }
    }
}

/// Ids, names and versions go into HTTP headers and file names.
fn check_label(what: &str, text: &str) -> anyhow::Result<()> {
    const LONGEST: usize = 128;
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-+@".contains(c);
    let sound = !text.is_empty() && text.len() <= LONGEST && text.chars().all(fits);
    ensure!(
        sound,
        "{what} {text:?} must be 1 to {LONGEST} of the characters A-Z a-z 0-9 . _ - + @"
    );
    Ok(())
}

fn check_name(what: &str, name: &str) -> anyhow::Result<()> {
    const LONGEST: usize = 256;
    let fits = |c: char| c.is_alphanumeric() || "._-$".contains(c);
    let sound = !name.is_empty() && name.len() <= LONGEST && name.chars().all(fits);
    ensure!(sound, "{what} {name:?} must be 1 to {LONGEST} letters, digits and . _ - $");
    Ok(())
}

fn no_twins<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> anyhow::Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        ensure!(seen.insert(name), "{what} {name:?} is described twice");
    }
    Ok(())
}

fn field(said: wit::Field) -> anyhow::Result<Field> {
    check_name("field", &said.key)?;
    if said.key == OAUTH_RESULT {
        bail!("field {OAUTH_RESULT:?} belongs to the OAuth flow; declare `oauth` instead");
    }
    let kind = match said.kind {
        wit::FieldKind::Line => FieldKind::Line,
        wit::FieldKind::Multiline => FieldKind::Multiline,
        wit::FieldKind::Number => FieldKind::Number,
        wit::FieldKind::Boolean => FieldKind::Boolean,
    };
    Ok(Field {
        key: said.key,
        name: said.name,
        kind,
        description: said.description,
        placeholder: said.placeholder,
        height: said.height,
        optional: said.optional,
        plain: said.plain,
    })
}

fn oauth(said: wit::Oauth) -> OAuth {
    OAuth {
        authorization_url: said.authorization_url,
        token_url: said.token_url,
        client_id: said.client_id,
        client_secret: said.client_secret,
        scope: said.scope,
        use_auth_header: said.use_auth_header,
        use_code_challenge: said.use_code_challenge,
        configurable_client: said.configurable_client,
        configurable_client_optional: said.configurable_client_optional,
        configurable_client_scope: said.configurable_client_scope,
        connection_optional: said.connection_optional,
        additional_token_args: said.additional_token_args,
    }
}

fn ask(said: wit::Ask) -> anyhow::Result<Ask> {
    check_origin(&said.origin)?;
    Ok(Ask { origin: said.origin, reason: said.reason })
}

/// Operators copy an origin into a flag, so it must not hide anything.
fn check_origin(origin: &str) -> anyhow::Result<()> {
    let visible = origin.chars().all(|c| c.is_alphanumeric() || ":/.-*[]{}_".contains(c));
    ensure!(
        !origin.is_empty() && visible,
        "it asks to reach {origin:?}; write an origin such as https://api.example.com"
    );
    Ok(())
}

fn credential(said: wit::Credential) -> anyhow::Result<Credential> {
    said.origins.iter().try_for_each(|origin| check_origin(origin))?;
    let kind = match said.kind {
        wit::CredentialKind::Bearer(token) => CredentialKind::Bearer { token },
        wit::CredentialKind::Basic(wit::BasicCredential { username, password }) => {
            CredentialKind::Basic { username, password }
        }
        wit::CredentialKind::Header(wit::NamedCredential { name, value }) => {
            CredentialKind::Header { name, value }
        }
        wit::CredentialKind::Query(wit::NamedCredential { name, value }) => {
            CredentialKind::Query { name, value }
        }
        wit::CredentialKind::ClientCredentials(client) => CredentialKind::ClientCredentials {
            token_url: client.token_url,
            client_id: client.client_id,
            client_secret: client.client_secret,
            scope: client.scope,
            audience: client.audience,
            in_body: client.auth == wit::ClientAuth::Body,
        },
    };
    Ok(Credential { name: said.name, kind, origins: said.origins, reason: said.reason })
}

fn endpoint(said: wit::EndpointMode) -> EndpointMode {
    match said {
        wit::EndpointMode::Enabled => EndpointMode::Enabled,
        wit::EndpointMode::Required => EndpointMode::Required,
    }
}

fn action(said: wit::Action) -> anyhow::Result<Action> {
    check_name("action", &said.name)?;
    let schema = |what: &str, text: &str| -> anyhow::Result<Value> {
        let schema: Value = serde_json::from_str(text)
            .with_context(|| format!("the {what} schema of action `{}` is no JSON", said.name))?;
        ensure!(
            schema.is_object() || schema.is_boolean(),
            "the {what} schema of action `{}` is no JSON Schema",
            said.name
        );
        Ok(schema)
    };
    let arguments = match said.arguments_schema.as_str() {
        "" => json!({"type": "object"}),
        text => schema("arguments", text)?,
    };
    let result = said.result_schema.as_deref().map(|text| schema("result", text)).transpose()?;
    let hints = Hints {
        read_only: said.hints.contains(wit::Hints::READ_ONLY),
        destructive: said.hints.contains(wit::Hints::DESTRUCTIVE),
        idempotent: said.hints.contains(wit::Hints::IDEMPOTENT),
    };
    Ok(Action { name: said.name, description: said.description, arguments, result, hints })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(oauth: wit::Oauth) -> wit::Manifest {
        wit::Manifest {
            id: None,
            name: "test".into(),
            version: "1".into(),
            summary: None,
            description: None,
            icon: None,
            fields: Vec::new(),
            oauth: Some(oauth),
            endpoint: None,
            asks: Vec::new(),
            credentials: Vec::new(),
            actions: Vec::new(),
        }
    }

    fn grant() -> wit::Oauth {
        wit::Oauth {
            authorization_url: String::new(),
            token_url: String::new(),
            client_id: None,
            client_secret: None,
            scope: None,
            use_auth_header: false,
            use_code_challenge: false,
            configurable_client: false,
            configurable_client_optional: false,
            configurable_client_scope: None,
            connection_optional: false,
            additional_token_args: Vec::new(),
        }
    }

    #[test]
    fn the_texts_of_a_grant_count_as_all_others_do() {
        let text = || "x".repeat(limits::MANIFEST_BYTES);
        for grant in [
            wit::Oauth { authorization_url: text(), ..grant() },
            wit::Oauth { token_url: text(), ..grant() },
            wit::Oauth { client_id: Some(text()), ..grant() },
            wit::Oauth { client_secret: Some(text()), ..grant() },
            wit::Oauth { scope: Some(text()), ..grant() },
            wit::Oauth { configurable_client_scope: Some(text()), ..grant() },
            wit::Oauth { additional_token_args: vec![(text(), String::new())], ..grant() },
            wit::Oauth { additional_token_args: vec![(String::new(), text())], ..grant() },
        ] {
            let error = manifest(said(grant)).expect_err("too long").to_string();
            assert!(error.contains("bytes, more than 8388608"), "{error}");
        }
    }

    #[test]
    fn the_words_of_a_scope_and_the_arguments_of_a_token_request_are_items() {
        let args = |count| vec![("name".to_owned(), "value".to_owned()); count];
        let (most, half) = (limits::MANIFEST_ITEMS, limits::MANIFEST_ITEMS / 2);
        let words = |count| Some("word ".repeat(count));
        for (scope, additional_token_args, fits) in [
            (words(most), args(0), true),
            (words(most + 1), args(0), false),
            (None, args(most), true),
            (None, args(most + 1), false),
            (words(half), args(most - half), true),
            (words(half), args(most - half + 1), false),
        ] {
            let said = said(wit::Oauth { scope, additional_token_args, ..grant() });
            assert_eq!(manifest(said).is_ok(), fits);
        }
    }
}
