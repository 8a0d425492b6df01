//! Connectors that have registered.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{now, values};
use crate::local::form::Form;

/// A connector as it registered.
#[derive(Clone, Debug)]
pub struct Registered {
    pub id: String,
    pub name: String,
    pub version: String,
    /// As the connector sent it; none where it sent none that can be used.
    pub public_key: Option<String>,
    /// JSON text.
    pub schema: String,
    pub introspect: String,
    /// A PNG in base64.
    pub icon: Option<String>,
    /// When it was last heard of, in milliseconds since 1970.
    pub seen: i64,
}

/// Saves a registration. Values that the connector cannot read any more are dropped.
pub fn save(store: &Connection, new: &Registered) -> rusqlite::Result<()> {
    let before = get(store, &new.id)?;
    store.execute(
        "INSERT OR REPLACE INTO connectors VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            new.id,
            new.name,
            new.version,
            new.public_key,
            new.schema,
            new.introspect,
            new.icon,
            new.seen
        ],
    )?;
    if before.is_some_and(|before| before.public_key != new.public_key) {
        values::lose_sealed(store, &new.id)?;
    }
    values::fit(store, &new.id, &Form::from_text(&new.schema))
}

/// Takes over what the connector says of itself once it runs.
pub fn describe(store: &Connection, id: &str, schema: &str, text: &str) -> rusqlite::Result<()> {
    store.execute(
        "UPDATE connectors SET schema = ?, introspect = ?, seen = ? WHERE id = ?",
        params![schema, text, now(), id],
    )?;
    values::fit(store, id, &Form::from_text(schema))
}

/// Forgets a connector, its configuration and its calls. What it made, tasks and blobs, stays.
pub fn forget(store: &Connection, id: &str) -> rusqlite::Result<()> {
    for table in ["configuration WHERE connector", "calls WHERE connector", "connectors WHERE id"] {
        store.execute(&format!("DELETE FROM {table} = ?"), [id])?;
    }
    Ok(())
}

pub fn seen(store: &Connection, id: &str) -> rusqlite::Result<()> {
    store.execute("UPDATE connectors SET seen = ? WHERE id = ?", params![now(), id])?;
    Ok(())
}

pub fn get(store: &Connection, id: &str) -> rusqlite::Result<Option<Registered>> {
    store.query_row("SELECT * FROM connectors WHERE id = ?", [id], read).optional()
}

pub fn all(store: &Connection) -> rusqlite::Result<Vec<Registered>> {
    store
        .prepare_cached("SELECT * FROM connectors ORDER BY name, id")?
        .query_map([], read)?
        .collect()
}

fn read(row: &Row) -> rusqlite::Result<Registered> {
    Ok(Registered {
        id: row.get("id")?,
        name: row.get("name")?,
        version: row.get("version")?,
        public_key: row.get("public_key")?,
        schema: row.get("schema")?,
        introspect: row.get("introspect")?,
        icon: row.get("icon")?,
        seen: row.get("seen")?,
    })
}
