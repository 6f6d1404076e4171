//! The event log: appending, trimming to its bounds, ageing.
//!
//! A user's log holds the events `floor + 1 ..= seq` without a gap; trimming always takes the
//! oldest first.

use std::collections::HashMap;

use draftwire_protocol::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};

use super::error::Result;
use super::user::User;
use crate::limits::StoreLimits;

/// Rows that one call of [`maintain`] takes from a table at most, so that commands wait shortly.
const MAINTAIN_ROWS_MAX: usize = 512;

/// Appends the event that makes `user.seq` the head.
pub(super) fn append(
    connection: &Connection,
    user: &mut User,
    frame: &str,
    now: Timestamp,
) -> Result<()> {
    user.seq += 1;
    user.at = now.as_millis();
    user.log_bytes += frame.len() as u64;
    let mut statement = connection
        .prepare_cached("INSERT INTO events (user, seq, at, frame) VALUES (?, ?, ?, ?)")?;
    statement.execute(params![user.id, user.seq, user.at, frame])?;
    Ok(())
}

/// Trims what is over the bounds.
pub(super) fn trim(connection: &Connection, user: &mut User, limits: &StoreLimits) -> Result<()> {
    if user.seq - user.floor > limits.log_events_max {
        trim_through(connection, user, user.seq - limits.log_events_max)?;
    }
    while user.floor < user.seq && user.log_bytes > limits.log_bytes_max {
        trim_oldest(connection, user)?;
    }
    Ok(())
}

/// Trims the oldest event that there is; where there is none, the log is empty.
fn trim_oldest(connection: &Connection, user: &mut User) -> Result<()> {
    let mut oldest = connection
        .prepare_cached("SELECT min(seq) FROM events WHERE user = ? AND seq BETWEEN ? AND ?")?;
    let range = params![user.id, user.floor + 1, user.seq];
    if let Some(seq) = oldest.query_row(range, |row| row.get(0))? {
        return trim_through(connection, user, seq);
    }
    (user.floor, user.floor_at, user.log_bytes) = (user.seq, user.at, 0);
    Ok(())
}

/// Trims everything up to `last`, which makes it the floor. Costs what there is to trim, however
/// far `last` is away.
fn trim_through(connection: &Connection, user: &mut User, last: u64) -> Result<()> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM events WHERE user = ? AND seq BETWEEN ? AND ?
         RETURNING seq, at, octet_length(frame)",
    )?;
    let mut rows = delete.query(params![user.id, user.floor + 1, last])?;
    while let Some(row) = rows.next()? {
        if row.get::<_, u64>(0)? == last {
            user.floor_at = row.get(1)?;
        }
        user.log_bytes = user.log_bytes.saturating_sub(row.get(2)?);
    }
    user.floor = last;
    Ok(())
}

/// Forgets events and idempotency keys over age. True where more are left.
pub(super) fn maintain(
    connection: &mut Connection,
    limits: &StoreLimits,
    now: Timestamp,
) -> Result<bool> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let millis = |age: std::time::Duration| i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    let oldest = now.as_millis().saturating_sub(millis(limits.log_age_max));
    let more_events = age_events(&transaction, oldest)?;
    let oldest = now.as_millis().saturating_sub(millis(limits.idempotency_age));
    let more_keys = age_keys(&transaction, oldest)?;
    transaction.commit()?;
    Ok(more_events || more_keys)
}

/// Events lie in the table in the order of their commits, so the oldest are its first rows.
fn age_events(connection: &Connection, oldest: i64) -> Result<bool> {
    let mut select = connection.prepare_cached(
        "SELECT users.name, events.at FROM events CROSS JOIN users ON users.id = events.user
         ORDER BY events.id LIMIT ?",
    )?;
    let rows = select
        .query_map(params![MAINTAIN_ROWS_MAX], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut users: HashMap<String, User> = HashMap::new();
    let mut aged = 0;
    for (name, at) in rows {
        if at >= oldest {
            break;
        }
        if !users.contains_key(&name) {
            let Some(user) = User::find(connection, &name)? else { break };
            users.insert(name.clone(), user);
        }
        if let Some(user) = users.get_mut(&name) {
            trim_oldest(connection, user)?;
        }
        aged += 1;
    }
    for user in users.values() {
        user.save(connection)?;
    }
    Ok(aged == MAINTAIN_ROWS_MAX)
}

fn age_keys(connection: &Connection, oldest: i64) -> Result<bool> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM idempotency WHERE (user, key) IN
            (SELECT user, key FROM idempotency WHERE at < ? ORDER BY at LIMIT ?) RETURNING user",
    )?;
    let users = delete
        .query_map(params![oldest, MAINTAIN_ROWS_MAX], |row| row.get::<_, i64>(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut update =
        connection.prepare_cached("UPDATE users SET keys = max(keys - 1, 0) WHERE id = ?")?;
    for user in &users {
        update.execute(params![user])?;
    }
    Ok(users.len() == MAINTAIN_ROWS_MAX)
}
