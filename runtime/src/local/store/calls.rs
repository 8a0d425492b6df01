//! Calls that ended: that they happened, not what was said.

use rusqlite::{Connection, params};

use crate::local::limits::{CALLS_STORED, LISTED};

/// One call that ended.
#[derive(Clone, Debug)]
pub struct Ended {
    pub id: String,
    pub connector: String,
    pub action: String,
    /// When it began, in milliseconds since 1970.
    pub at: i64,
    pub ok: bool,
    pub took_ms: f64,
}

/// Adds a call and forgets the oldest beyond the limit.
pub fn add(store: &Connection, call: &Ended) -> rusqlite::Result<()> {
    store
        .prepare_cached(
            "INSERT INTO calls (id, connector, action, at, ok, took_ms) VALUES (?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![call.id, call.connector, call.action, call.at, call.ok, call.took_ms])?;
    let oldest = store.last_insert_rowid() - CALLS_STORED;
    store.prepare_cached("DELETE FROM calls WHERE number <= ?")?.execute([oldest])?;
    Ok(())
}

/// The latest calls of a connector, newest first.
pub fn latest(store: &Connection, connector: &str) -> rusqlite::Result<Vec<Ended>> {
    let mut query = store
        .prepare_cached("SELECT * FROM calls WHERE connector = ? ORDER BY number DESC LIMIT ?")?;
    let rows = query.query_map(params![connector, LISTED], |row| {
        Ok(Ended {
            id: row.get("id")?,
            connector: row.get("connector")?,
            action: row.get("action")?,
            at: row.get("at")?,
            ok: row.get("ok")?,
            took_ms: row.get("took_ms")?,
        })
    })?;
    rows.collect()
}
