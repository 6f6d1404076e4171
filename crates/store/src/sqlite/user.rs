//! The row of a user: head, log floor, usage. Read once and written once per batch.

use std::sync::Arc;

use draftwire_protocol::Timestamp;
use draftwire_protocol::limits::INTEGER_MAX;
use draftwire_protocol::reply::Head;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::Result;
use crate::rules::Usage;

/// What the store keeps about a user besides documents and events.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) id: i64,
    pub(super) epoch: Arc<str>,
    pub(super) seq: u64,
    pub(super) at: i64,
    /// The last event that was trimmed; 0 where the log is whole.
    pub(super) floor: u64,
    pub(super) floor_at: i64,
    pub(super) log_bytes: u64,
    pub(super) usage: Usage,
    pub(super) devices: u64,
    pub(super) keys: u64,
}

const COLUMNS: &str =
    "id, epoch, seq, at, floor, floor_at, log_bytes, documents, bytes, devices, keys";

/// Those of [`COLUMNS`] that count: `seq`, `floor`, and all behind `floor_at`.
const COUNTS: [usize; 7] = [2, 4, 6, 7, 8, 9, 10];

impl User {
    pub(super) fn find(connection: &Connection, name: &str) -> Result<Option<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM users WHERE name = ?");
        let mut statement = connection.prepare_cached(&sql)?;
        Ok(statement.query_row(params![name], Self::from_row).optional()?)
    }

    pub(super) fn find_or_make(connection: &Connection, name: &str, epoch: &str) -> Result<Self> {
        if let Some(user) = Self::find(connection, name)? {
            return Ok(user);
        }
        let mut statement = connection.prepare_cached(
            "INSERT INTO users (name, epoch, seq, at, floor, floor_at, log_bytes, documents,
                bytes, devices, keys) VALUES (?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
        )?;
        let id = statement.insert(params![name, epoch])?;
        Ok(Self {
            id,
            epoch: epoch.into(),
            seq: 0,
            at: 0,
            floor: 0,
            floor_at: 0,
            log_bytes: 0,
            usage: Usage::default(),
            devices: 0,
            keys: 0,
        })
    }

    /// Refuses numbers that no row of ours holds: nothing may be reckoned from them.
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        for column in COUNTS {
            let count = row.get(column)?;
            if !(0..=INTEGER_MAX as i64).contains(&count) {
                return Err(rusqlite::Error::IntegralValueOutOfRange(column, count));
            }
        }
        let (seq, floor): (u64, i64) = (row.get(2)?, row.get(4)?);
        if floor as u64 > seq {
            return Err(rusqlite::Error::IntegralValueOutOfRange(4, floor));
        }
        Ok(Self {
            id: row.get(0)?,
            epoch: row.get::<_, String>(1)?.into(),
            seq: row.get(2)?,
            at: row.get(3)?,
            floor: row.get(4)?,
            floor_at: row.get(5)?,
            log_bytes: row.get(6)?,
            usage: Usage { documents: row.get(7)?, bytes: row.get(8)? },
            devices: row.get(9)?,
            keys: row.get(10)?,
        })
    }

    pub(super) fn save(&self, connection: &Connection) -> Result<()> {
        let mut statement = connection.prepare_cached(
            "UPDATE users SET epoch = ?, seq = ?, at = ?, floor = ?, floor_at = ?, log_bytes = ?,
                documents = ?, bytes = ?, devices = ?, keys = ? WHERE id = ?",
        )?;
        statement.execute(params![
            &*self.epoch,
            self.seq,
            self.at,
            self.floor,
            self.floor_at,
            self.log_bytes,
            self.usage.documents,
            self.usage.bytes,
            self.devices,
            self.keys,
            self.id
        ])?;
        Ok(())
    }

    pub(super) fn head(&self) -> Head {
        let at = (self.seq > 0).then(|| Timestamp::from_millis(self.at));
        Head { epoch: self.epoch.to_string(), seq: self.seq, at }
    }
}

/// See [`crate::Store::renew_epoch`].
pub(super) fn renew_epoch(
    connection: &mut Connection,
    name: &str,
    lost: &str,
    store_epoch: &str,
) -> Result<()> {
    let transaction = connection.transaction()?;
    let mut user = User::find_or_make(&transaction, name, store_epoch)?;
    if *user.epoch == *lost {
        user.epoch = super::new_epoch().into();
        user.save(&transaction)?;
    }
    transaction.commit()?;
    Ok(())
}
