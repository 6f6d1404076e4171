//! The tables, and how a file of an older version becomes one of this version.
//!
//! `user_version` of the file is the format's version; `docs/storage.md` describes the tables for
//! people who open the file with other tools.

use rusqlite::{Connection, OptionalExtension, params};

use super::error::{Failure, Result};

/// "drft": tells our files from other SQLite files.
const APPLICATION_ID: i64 = 0x6472_6674;
/// The format this version writes.
pub(super) const FORMAT: i64 = 2;

const TABLES: &str = "
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL,          -- the last event
    at INTEGER NOT NULL,           -- its time, milliseconds since 1970
    floor INTEGER NOT NULL,        -- the last event trimmed from the log
    floor_at INTEGER NOT NULL,     -- its time
    log_bytes INTEGER NOT NULL,
    documents INTEGER NOT NULL,
    bytes INTEGER NOT NULL,        -- of data, all documents
    devices INTEGER NOT NULL,
    keys INTEGER NOT NULL          -- idempotency keys remembered
);
CREATE TABLE documents (
    id INTEGER PRIMARY KEY,
    user INTEGER NOT NULL,
    collection INTEGER NOT NULL,   -- 0 drafts, 1 pending
    name TEXT NOT NULL,            -- the document's id
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    data TEXT NOT NULL
);
CREATE UNIQUE INDEX documents_by_name ON documents (user, collection, name);
CREATE TABLE events (
    id INTEGER PRIMARY KEY,        -- grows with time, over all users
    user INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    frame TEXT NOT NULL            -- as it was sent
);
CREATE UNIQUE INDEX events_by_seq ON events (user, seq);
CREATE TABLE devices (
    id INTEGER PRIMARY KEY,
    user INTEGER NOT NULL,
    client_id TEXT NOT NULL,
    last_mutation INTEGER NOT NULL
);
CREATE UNIQUE INDEX devices_by_client ON devices (user, client_id);
CREATE TABLE answers (             -- to the latest commands of each device
    device INTEGER NOT NULL,
    mutation_id INTEGER NOT NULL,
    digest BLOB NOT NULL,
    seq INTEGER,                   -- of one that was applied; NULL where it was rejected
    version INTEGER,               -- the document's; NULL where there is none (any more)
    name TEXT,                     -- the document's id
    code TEXT,                     -- why it was rejected
    payload TEXT,                  -- what was answered then
    PRIMARY KEY (device, mutation_id)
) WITHOUT ROWID;
CREATE TABLE idempotency (
    user INTEGER NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    digest BLOB NOT NULL,
    code TEXT,
    payload TEXT NOT NULL,
    epoch TEXT NOT NULL,
    document TEXT,
    PRIMARY KEY (user, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_by_time ON idempotency (at);
CREATE TABLE revocations (
    user TEXT NOT NULL,
    jti TEXT NOT NULL,             -- empty: all tokens issued before the moment
    issued_before REAL,            -- seconds since 1970
    PRIMARY KEY (user, jti)
) WITHOUT ROWID;
";

/// Makes the tables where there are none, refuses what this version can't read, and returns the
/// epoch that new users of this store get.
pub(super) fn prepare(connection: &mut Connection) -> Result<String> {
    let format: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match format {
        0 if is_empty(connection)? => create(connection)?,
        FORMAT => {}
        0 => {
            return Err(Failure::Refused(
                "draftwire.db is a database of another program: use another data folder".into(),
            ));
        }
        other => {
            return Err(Failure::Refused(format!(
                "the data is of format {other}, this version reads format {FORMAT}: use the \
                 draftwire version that wrote it, or another data folder"
            )));
        }
    }
    let epoch =
        connection.query_row("SELECT value FROM meta WHERE name = 'epoch'", [], |row| row.get(0));
    epoch.optional()?.ok_or_else(|| Failure::Refused("the data names no epoch".into()))
}

fn is_empty(connection: &Connection) -> Result<bool> {
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(tables == 0)
}

fn create(connection: &mut Connection) -> Result<()> {
    let epoch = super::new_epoch();
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    transaction.execute("INSERT INTO meta VALUES ('epoch', ?)", params![epoch])?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()?;
    Ok(())
}
