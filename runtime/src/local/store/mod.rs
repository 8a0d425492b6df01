//! What survives a restart: one SQLite file, reached only through the files of this folder.
//!
//! A value of a sealed field is here only as the JWE that its connector can open. Arguments,
//! results and error texts of calls are not here at all, because people put secrets there.

pub mod blobs;
pub mod calls;
pub mod connectors;
pub mod tasks;
pub mod values;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow, bail};
use parking_lot::Mutex;
use rusqlite::Connection;

use super::token::private_file;

const FILE: &str = "workspace.sqlite";
/// Raise it with a migration.
const VERSION: i64 = 1;
const TABLES: &str = include_str!("tables.sql");
/// The process before may not have ended yet.
const BUSY: Duration = Duration::from_secs(5);

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Mutex<Connection>>);

impl Store {
    /// Opens the store in that folder and makes it where there is none.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let open = || -> anyhow::Result<Connection> {
            // SQLite gives its journal the mode of the file itself, so it is made first.
            private_file(&path)?;
            let connection = Connection::open(&path)?;
            prepare(&connection)?;
            Ok(connection)
        };
        let connection = open().map_err(|error| match error.downcast_ref() {
            Some(error) if is_in_use(error) => anyhow!(
                "another workspace uses {}; end it, or name another folder with --data",
                folder.display()
            ),
            _ => error.context(format!("cannot open {}", path.display())),
        })?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Does work with the store on a thread that may block. All of it happens or nothing.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let connection = self.0.clone();
        let all = move || -> rusqlite::Result<T> {
            let mut connection = connection.lock();
            let transaction = connection.transaction()?;
            let outcome = work(&transaction)?;
            transaction.commit()?;
            Ok(outcome)
        };
        let outcome = tokio::task::spawn_blocking(all).await.context("the store's thread ended")?;
        outcome.context("the store")
    }
}

fn is_in_use(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked))
}

fn prepare(connection: &Connection) -> anyhow::Result<()> {
    connection.busy_timeout(BUSY)?;
    // What one workspace changes no other would learn of.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    // A value that is removed is overwritten, not only forgotten.
    connection.pragma_update(None, "secure_delete", "ON")?;
    // A confined process has no folder for temporary files.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    match connection.pragma_query_value(None, "user_version", |row| row.get(0))? {
        0 => connection.execute_batch(TABLES)?,
        VERSION => {}
        newer => bail!("made by a newer version of this program (schema {newer}, here {VERSION})"),
    }
    Ok(())
}

/// Milliseconds since 1970, the store's way to tell time.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
