//! The tables, and how a file of an older version becomes one of this version.
//!
//! `user_version` of the file is the format's version; `docs/storage.md` describes the tables for
//! people who open the file with other tools.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use draftwire_vfs::checksums;
use rusqlite::{Connection, OptionalExtension, params};

use super::error::{Failure, Result};

/// "drft": tells our files from other SQLite files.
const APPLICATION_ID: i64 = 0x6472_6674;
/// The format this version writes.
pub(super) const FORMAT: i64 = 3;

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

/// Refuses the file of another program or format by its first bytes
/// (<https://sqlite.org/fileformat2.html#the_database_header>): its pages have no checksums, so it
/// could only be called damaged.
pub(super) fn refuse_others(path: &Path) -> Result<()> {
    let mut head = [0; 100];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut head, 0));
    if read.is_err() || !head.starts_with(b"SQLite format 3\0") {
        // There is none yet, or SQLite will say what is wrong.
        return Ok(());
    }
    let number =
        |at: usize| i64::from(u32::from_be_bytes([0, 1, 2, 3].map(|byte| head[at + byte])));
    let (reserved_bytes, format, application) = (head[20], number(60), number(68));
    match (application, format) {
        (APPLICATION_ID, 0 | FORMAT) => Ok(()),
        (APPLICATION_ID, other) => Err(other_format(other)),
        _ if reserved_bytes == checksums::RESERVED_BYTES => Ok(()),
        _ => Err(other_program()),
    }
}

fn other_program() -> Failure {
    Failure::Refused(
        "draftwire.db is a database of another program: use another data folder".into(),
    )
}

fn other_format(format: i64) -> Failure {
    Failure::Refused(format!(
        "the data is of format {format}, this version reads format {FORMAT}: use the draftwire \
         version that wrote it, or another data folder"
    ))
}

/// Makes the tables where there are none, refuses what this version can't read, and returns the
/// epoch that new users of this store get.
pub(super) fn prepare(connection: &mut Connection) -> Result<String> {
    let format: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match format {
        0 if is_empty(connection)? => create(connection)?,
        FORMAT => {}
        0 => return Err(other_program()),
        other => return Err(other_format(other)),
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
