//! Files that connectors stored.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::Value;

use super::now;
use crate::local::limits::{ALL_BLOBS_BYTES, BLOBS, LISTED};

/// What is known of a blob beside its content, as it also goes over the wire.
#[derive(Clone, Debug, Serialize)]
pub struct Blob {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// In bytes, as counted here.
    pub size: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mimetype: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Value>,
    #[serde(rename = "taskId", skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
}

const COLUMNS: &str = "id, name, size, mimetype, meta, task";

/// Adds a blob of that connector. False where there are too many, or too many bytes.
pub fn add(
    store: &Connection,
    connector: &str,
    blob: &Blob,
    content: &[u8],
) -> rusqlite::Result<bool> {
    let (count, bytes): (i64, i64) =
        store.query_row("SELECT count(*), coalesce(sum(size), 0) FROM blobs", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    if count >= BLOBS || bytes + blob.size > ALL_BLOBS_BYTES {
        return Ok(false);
    }
    let meta = blob.meta.as_ref().map(Value::to_string);
    store.execute(
        "INSERT INTO blobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            blob.id,
            connector,
            blob.name,
            blob.mimetype,
            meta,
            blob.task,
            blob.size,
            now(),
            content
        ],
    )?;
    Ok(true)
}

pub fn get(store: &Connection, id: &str) -> rusqlite::Result<Option<Blob>> {
    let query = format!("SELECT {COLUMNS} FROM blobs WHERE id = ?");
    store.query_row(&query, [id], read).optional()
}

pub fn content(store: &Connection, id: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    let query = "SELECT content FROM blobs WHERE id = ?";
    store.query_row(query, [id], |row| row.get(0)).optional()
}

/// The latest blobs, newest first.
pub fn latest(store: &Connection) -> rusqlite::Result<Vec<Blob>> {
    let query = format!("SELECT {COLUMNS} FROM blobs ORDER BY created DESC, rowid DESC LIMIT ?");
    store.prepare_cached(&query)?.query_map([LISTED], read)?.collect()
}

fn read(row: &Row) -> rusqlite::Result<Blob> {
    let meta: Option<String> = row.get("meta")?;
    Ok(Blob {
        id: row.get("id")?,
        name: row.get("name")?,
        size: row.get("size")?,
        mimetype: row.get("mimetype")?,
        meta: meta.and_then(|text| serde_json::from_str(&text).ok()),
        task: row.get("task")?,
    })
}
