//! Tasks that connectors made.

use rusqlite::{Connection, params};
use serde::Serialize;
use serde_json::Value;

use super::now;
use crate::local::limits::{LISTED, TASKS};

/// One task.
#[derive(Clone, Debug, Serialize)]
pub struct Task {
    pub id: String,
    /// The connector that made it.
    pub connector: String,
    pub name: String,
    pub data: Value,
    /// In milliseconds since 1970.
    pub created: i64,
    pub updated: i64,
}

/// Adds a task. False where there are too many.
pub fn add(
    store: &Connection,
    id: &str,
    connector: &str,
    name: &str,
    data: &str,
) -> rusqlite::Result<bool> {
    let count: i64 = store.query_row("SELECT count(*) FROM tasks", [], |row| row.get(0))?;
    if count >= TASKS {
        return Ok(false);
    }
    let row = params![id, connector, name, data, now(), now()];
    store.execute("INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?)", row)?;
    Ok(true)
}

/// Replaces a task's data. False where there is no such task.
pub fn update(store: &Connection, id: &str, data: &str) -> rusqlite::Result<bool> {
    let change = "UPDATE tasks SET data = ?, updated = ? WHERE id = ?";
    Ok(store.execute(change, params![data, now(), id])? > 0)
}

/// The latest tasks, newest first.
pub fn latest(store: &Connection) -> rusqlite::Result<Vec<Task>> {
    let mut query =
        store.prepare_cached("SELECT * FROM tasks ORDER BY updated DESC, rowid DESC LIMIT ?")?;
    let rows = query.query_map([LISTED], |row| {
        let data: String = row.get("data")?;
        Ok(Task {
            id: row.get("id")?,
            connector: row.get("connector")?,
            name: row.get("name")?,
            data: serde_json::from_str(&data).unwrap_or(Value::String(data)),
            created: row.get("created")?,
            updated: row.get("updated")?,
        })
    })?;
    rows.collect()
}
