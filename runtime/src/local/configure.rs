//! Takes values for a connector's configuration, seals them, keeps them, and sends them on.

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::feed::Happening;
use super::form::Form;
use super::hub::Hub;
use super::limits::SEALED_BYTES;
use super::reply::Refusal;
use super::seats::Seat;
use super::store::connectors::{self, Registered};
use super::store::values::{self, Stored};
use crate::manifest::OAUTH_RESULT;
use crate::workspace::keys::PublicKey;
use crate::workspace::sealing;

/// Sets those values, all or none; `null` removes one.
pub async fn set(hub: &Hub, seat: &Seat, values: Map<String, Value>) -> Result<(), Refusal> {
    let id = seat.connector.to_string();
    let registered = hub.store.with(move |store| connectors::get(store, &id)).await?;
    let registered = registered.ok_or_else(|| Refusal::unknown_connector(&seat.connector))?;
    let form = Form::from_text(&registered.schema);
    form.check(&values)
        .map_err(|misfit| Refusal { field: Some(misfit.field), ..Refusal::bad(misfit.reason) })?;
    let stored = values
        .into_iter()
        .map(|(key, value)| Ok((stored(&form, &registered, &key, value)?, key)))
        .collect::<Result<Vec<_>, Refusal>>()?;
    keep(hub, seat, stored).await?;
    Ok(())
}

/// Keeps what the connector itself sealed: the outcome of its OAuth flow. The inner error is for
/// whoever sent the value.
pub async fn keep_grant(hub: &Hub, seat: &Seat, jwe: String) -> anyhow::Result<Result<(), String>> {
    if !is_jwe(&jwe) {
        return Ok(Err("`value` is not a sealed value (a compact JWE)".into()));
    }
    keep(hub, seat, vec![(Some(Stored::Sealed(jwe)), OAUTH_RESULT.into())]).await?;
    Ok(Ok(()))
}

async fn keep(hub: &Hub, seat: &Seat, new: Vec<(Option<Stored>, String)>) -> anyhow::Result<()> {
    let id = seat.connector.to_string();
    let write = move |store: &rusqlite::Connection| {
        new.iter().try_for_each(|(value, key)| values::set(store, &id, key, value.as_ref()))
    };
    hub.store.with(write).await?;
    // A socket that opens right now has either asked the store already, and hears of it again, or
    // will ask it later.
    seat.outbox.configure();
    hub.feed.tell(&seat.connector, Happening::Configured);
    Ok(())
}

fn stored(
    form: &Form,
    registered: &Registered,
    key: &str,
    value: Value,
) -> Result<Option<Stored>, Refusal> {
    if value.is_null() {
        return Ok(None);
    }
    if form.field(key).is_some_and(|field| field.is_plain()) {
        return Ok(Some(Stored::Plain(value)));
    }
    let unsealable = |text: String| Refusal {
        field: Some(key.into()),
        ..Refusal::new(StatusCode::CONFLICT, text)
    };
    let public_key = registered.public_key.as_deref().ok_or_else(|| {
        unsealable(format!(
            "`{key}` must be sealed, and the connector registered without a public key that can be used; \
             start it with PRIVATE_KEY and PUBLIC_KEY"
        ))
    })?;
    let sealed = PublicKey::from_env(public_key)
        .map_err(|error| error.to_string())
        .and_then(|public_key| {
            sealing::seal(&value, &registered.id, &public_key).map_err(|error| error.to_string())
        })
        .map_err(|error| unsealable(format!("`{key}` cannot be sealed: {error}")))?;
    Ok(Some(Stored::Sealed(sealed)))
}

/// Five parts of base64url. What looks otherwise might be a secret in plain text.
fn is_jwe(text: &str) -> bool {
    let is_base64url = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.len() <= SEALED_BYTES
        && text.starts_with("eyJ")
        && text.split('.').count() == 5
        && text.split('.').all(is_base64url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_compact_jwe_is_taken_for_sealed() {
        for (text, sealed) in [
            ("eyJhbGciOiJ9.a.b.c.d-_", true),
            ("eyJhbGciOiJ9.a.b.c", false),
            ("eyJhbGciOiJ9.a.b.c.d e", false),
            ("{\"access_token\":\"x\"}", false),
            ("a.b.c.d.e", false),
            ("", false),
        ] {
            assert_eq!(is_jwe(text), sealed, "{text}");
        }
    }
}
