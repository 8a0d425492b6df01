//! Values of the configuration.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use serde_json::Value;

use crate::local::form::Form;

/// A value as the store holds it.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// Of a plain field.
    Plain(Value),
    /// A JWE.
    Sealed(String),
    /// There was one that the connector cannot read any more.
    Lost,
}

pub fn all(store: &Connection, connector: &str) -> rusqlite::Result<HashMap<String, Stored>> {
    let mut values = HashMap::new();
    let mut query = store
        .prepare_cached("SELECT field, state, value FROM configuration WHERE connector = ?")?;
    let mut rows = query.query([connector])?;
    while let Some(row) = rows.next()? {
        let text: Option<String> = row.get("value")?;
        values.insert(row.get("field")?, read(&row.get::<_, String>("state")?, text));
    }
    Ok(values)
}

fn read(state: &str, text: Option<String>) -> Stored {
    match (state, text) {
        ("sealed", Some(text)) => Stored::Sealed(text),
        ("plain", Some(text)) => serde_json::from_str(&text).map_or(Stored::Lost, Stored::Plain),
        _ => Stored::Lost,
    }
}

/// Sets a value; none removes it.
pub fn set(
    store: &Connection,
    connector: &str,
    field: &str,
    value: Option<&Stored>,
) -> rusqlite::Result<()> {
    let (state, text) = match value {
        None => {
            let remove = "DELETE FROM configuration WHERE connector = ? AND field = ?";
            return store.execute(remove, [connector, field]).map(drop);
        }
        Some(Stored::Plain(value)) => ("plain", Some(value.to_string())),
        Some(Stored::Sealed(text)) => ("sealed", Some(text.clone())),
        Some(Stored::Lost) => ("lost", None),
    };
    let row = params![connector, field, state, text];
    store.execute("INSERT OR REPLACE INTO configuration VALUES (?, ?, ?, ?)", row).map(drop)
}

/// Drops every sealed value, because the key that opens it is gone.
pub fn lose_sealed(store: &Connection, connector: &str) -> rusqlite::Result<()> {
    let lose = "UPDATE configuration SET state = 'lost', value = NULL WHERE connector = ? AND state = 'sealed'";
    store.execute(lose, [connector]).map(drop)
}

/// Drops values of fields that became sealed or plain: neither can stay as it is.
pub fn fit(store: &Connection, connector: &str, form: &Form) -> rusqlite::Result<()> {
    for (field, value) in all(store, connector)? {
        let Some(declared) = form.field(&field) else { continue };
        let fits = match value {
            Stored::Plain(_) => declared.is_plain(),
            Stored::Sealed(_) => !declared.is_plain(),
            Stored::Lost => true,
        };
        if !fits {
            set(store, connector, &field, Some(&Stored::Lost))?;
        }
    }
    Ok(())
}
