//! What SQLite does with the rows of draftwire's commands, without a server around it.
//!
//! Owns the tables' shape as `crates/store` has it, the same pragmas, and per command the same
//! rows: the document changed, its event appended, the answer kept and the oldest forgotten; per
//! batch the rows of users and devices. It parses nothing and sends nothing.

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

/// How long throughput is measured.
const TIME: Duration = Duration::from_secs(3);
/// About a document and an event of the benchmark's edits.
const DATA: &str = r#"{"customer":"17850","note":"","lines":{"0":{"article":"85123A","description":"WHITE HANGING HEART T-LIGHT HOLDER","quantity":17,"price":2.55},"1":{"article":"85123A","description":"WHITE HANGING HEART T-LIGHT HOLDER","quantity":17,"price":2.55},"2":{"article":"85123A","description":"WHITE HANGING HEART T-LIGHT HOLDER","quantity":17,"price":2.55}}}"#;
const AROUND: &str = r#"{"type":"DRAFT_UPDATED","payload":{"document":{"id":"order","version":123,"data":,"createdAt":"2026-01-01T00:00:00.000Z","updatedAt":"2026-01-01T00:00:00.000Z"},"origin":{"clientId":"device-1","mutationId":123}},"seq":123,"timestamp":"2026-01-01T00:00:00.000Z"}"#;
/// Events that are kept of a user, answers of a device: as the server's defaults.
const EVENTS_KEPT: u64 = 1_000;
const ANSWERS_KEPT: u64 = 64;

/// The tables, open.
pub struct Alone {
    connection: Connection,
    frame: String,
    users: u32,
    devices: u32,
    written: u64,
    _folder: tempfile::TempDir,
}

/// Commands a second in batches of this size.
pub fn throughput(users: u32, devices: u32, batch: usize) -> Result<f64, String> {
    let mut alone = Alone::open(users, devices)?;
    let (begun, mut commands) = (Instant::now(), 0);
    while begun.elapsed() < TIME {
        alone.commit(batch.max(1))?;
        commands += batch.max(1);
    }
    Ok(commands as f64 / begun.elapsed().as_secs_f64())
}

impl Alone {
    /// Makes them, with one document of each user.
    pub fn open(users: u32, devices: u32) -> Result<Self, String> {
        Self::make(users, devices).map_err(|error| error.to_string())
    }

    fn make(users: u32, devices: u32) -> rusqlite::Result<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let connection = Connection::open(folder.path().join("alone.db"))?;
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "wal_autocheckpoint", 8_000)?;
        connection.pragma_update(None, "cache_size", -16 * 1024)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, epoch TEXT NOT NULL,
                seq INTEGER NOT NULL, at INTEGER NOT NULL, floor INTEGER NOT NULL,
                log_bytes INTEGER NOT NULL);
             CREATE TABLE documents (id INTEGER PRIMARY KEY, user INTEGER NOT NULL,
                collection INTEGER NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
                created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, data TEXT NOT NULL);
             CREATE UNIQUE INDEX documents_by_name ON documents (user, collection, name);
             CREATE TABLE events (id INTEGER PRIMARY KEY, user INTEGER NOT NULL,
                seq INTEGER NOT NULL, at INTEGER NOT NULL, frame TEXT NOT NULL);
             CREATE UNIQUE INDEX events_by_seq ON events (user, seq);
             CREATE TABLE devices (id INTEGER PRIMARY KEY, user INTEGER NOT NULL,
                client_id TEXT NOT NULL, last_mutation INTEGER NOT NULL);
             CREATE TABLE answers (device INTEGER NOT NULL, mutation_id INTEGER NOT NULL,
                digest BLOB NOT NULL, seq INTEGER, version INTEGER, name TEXT, code TEXT,
                payload TEXT,
                PRIMARY KEY (device, mutation_id)) WITHOUT ROWID;",
        )?;
        for user in 0..users {
            connection.execute(
                "INSERT INTO users VALUES (?, ?, 'epoch', 0, 0, 0, 0)",
                params![user, format!("user-{user}")],
            )?;
            connection.execute(
                "INSERT INTO documents VALUES (NULL, ?, 0, 'order', 1, 0, 0, ?)",
                params![user, DATA],
            )?;
        }
        for device in 0..users * devices {
            connection.execute(
                "INSERT INTO devices VALUES (?, ?, ?, 0)",
                params![device, device % users, format!("device-{}", device / users)],
            )?;
        }
        let frame = AROUND.replace("\"data\":,", &format!("\"data\":{DATA},"));
        Ok(Self { connection, frame, users, devices, written: 0, _folder: folder })
    }

    /// One commit: commands of different users in turn.
    pub fn commit(&mut self, batch: usize) -> Result<(), String> {
        self.write(batch).map_err(|error| error.to_string())
    }

    fn write(&mut self, batch: usize) -> rusqlite::Result<()> {
        let Self { connection, frame, users, devices, .. } = self;
        let (users, devices) = (u64::from(*users), u64::from(*devices));
        let transaction = connection.transaction()?;
        {
            let mut document = transaction.prepare_cached(
                "UPDATE documents SET version = ?, updated_at = ?, data = ?
                 WHERE user = ? AND collection = 0 AND name = 'order'",
            )?;
            let mut event = transaction
                .prepare_cached("INSERT INTO events (user, seq, at, frame) VALUES (?, ?, 0, ?)")?;
            let mut trim =
                transaction.prepare_cached("DELETE FROM events WHERE user = ? AND seq = ?")?;
            let mut answer = transaction.prepare_cached(
                "INSERT INTO answers VALUES (?, ?, ?, ?, ?, 'order', NULL, NULL)",
            )?;
            let mut forget = transaction
                .prepare_cached("DELETE FROM answers WHERE device = ? AND mutation_id <= ?")?;
            let mut user_row = transaction
                .prepare_cached("UPDATE users SET seq = ?, log_bytes = ? WHERE id = ?")?;
            let mut device_row =
                transaction.prepare_cached("UPDATE devices SET last_mutation = ? WHERE id = ?")?;
            for _ in 0..batch {
                let n = self.written;
                self.written += 1;
                let (user, seq) = (n % users, n / users + 1);
                let (device, mutation) = (n % (users * devices), n / (users * devices) + 1);
                document.execute(params![seq, seq, DATA, user])?;
                event.execute(params![user, seq, &*frame])?;
                if seq > EVENTS_KEPT {
                    trim.execute(params![user, seq - EVENTS_KEPT])?;
                }
                answer.execute(params![device, mutation, [0_u8; 16], seq, seq])?;
                forget.execute(params![device, mutation.saturating_sub(ANSWERS_KEPT)])?;
            }
            for n in self.written - (batch as u64).min(users)..self.written {
                user_row.execute(params![n / users + 1, 0, n % users])?;
            }
            for n in self.written - (batch as u64).min(users * devices)..self.written {
                device_row.execute(params![n / (users * devices) + 1, n % (users * devices)])?;
            }
        }
        transaction.commit()
    }
}
