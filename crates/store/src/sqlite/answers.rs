//! What was answered: `mutationId`s of devices, and `Idempotency-Key`s.
//!
//! Owns the rules of *Retrying*: which number is due, which answer is given again, when a number
//! or key was used for something else.

use std::sync::Arc;

use draftwire_protocol::code::RejectionCode;
use draftwire_protocol::json::Digest;
use draftwire_protocol::kind::names;
use draftwire_protocol::reply::{Outcome, Rejection, mark_duplicate};
use draftwire_protocol::{Numbered, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::error::Result;
use super::user::User;
use crate::contract::{Answer, IdempotencyKey};
use crate::limits::StoreLimits;

/// A device that has numbered commands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Device {
    id: i64,
    pub(super) last: u64,
}

/// What a number means for its command.
pub(super) enum Due {
    /// It is the next: apply the command.
    Next,
    /// It was dealt with, or is not its turn: this is the answer.
    Answered(Answer),
}

impl Device {
    pub(super) fn find(
        connection: &Connection,
        user: i64,
        client_id: &str,
    ) -> Result<Option<Self>> {
        let mut statement = connection.prepare_cached(
            "SELECT id, last_mutation FROM devices WHERE user = ? AND client_id = ?",
        )?;
        let row = statement.query_row(params![user, client_id], |row| {
            Ok(Self { id: row.get(0)?, last: row.get(1)? })
        });
        Ok(row.optional()?)
    }

    pub(super) fn make(connection: &Connection, user: &mut User, client_id: &str) -> Result<Self> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO devices (user, client_id, last_mutation) VALUES (?, ?, 0)",
        )?;
        let id = statement.insert(params![user.id, client_id])?;
        user.devices += 1;
        Ok(Self { id, last: 0 })
    }

    /// Writes its last number, and forgets the answers that are too old to be asked for.
    pub(super) fn save(&self, connection: &Connection, limits: &StoreLimits) -> Result<()> {
        let mut statement =
            connection.prepare_cached("UPDATE devices SET last_mutation = ? WHERE id = ?")?;
        statement.execute(params![self.last, self.id])?;
        let mut forget = connection
            .prepare_cached("DELETE FROM answers WHERE device = ? AND mutation_id <= ?")?;
        forget.execute(params![self.id, oldest_forgotten(self.last, limits)])?;
        Ok(())
    }

    /// Keeps the answer.
    pub(super) fn keep(
        &mut self,
        connection: &Connection,
        number: Numbered,
        outcome: &Outcome,
        answer: &Answer,
    ) -> Result<()> {
        let mut insert =
            connection.prepare_cached("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
        let key = (self.id, number.mutation_id, number.digest);
        // What was applied is kept in a few integers: a device's latest answers then lie on one
        // page, and a commit writes whole pages.
        match outcome {
            Outcome::Applied { seq, id, version } => {
                let null: Option<&str> = None;
                insert.execute(params![key.0, key.1, key.2, seq, version, id, null, null])?;
            }
            Outcome::Rejected(_) | Outcome::Unknown => {
                let (null, code) = (None::<u64>, answer.code.map(RejectionCode::name));
                let text = &answer.payload;
                insert.execute(params![key.0, key.1, key.2, null, null, null, code, text])?;
            }
        }
        self.last = number.mutation_id;
        Ok(())
    }

    fn kept(
        &self,
        connection: &Connection,
        number: Numbered,
        epoch: &Arc<str>,
    ) -> Result<Option<(Digest, Answer)>> {
        let mut statement = connection.prepare_cached(
            "SELECT digest, seq, version, name, code, payload FROM answers
             WHERE device = ? AND mutation_id = ?",
        )?;
        let row = statement.query_row(params![self.id, number.mutation_id], |row| {
            let digest: Digest = row.get(0)?;
            if let Some(seq) = row.get(1)? {
                let outcome = Outcome::Applied { seq, version: row.get(2)?, id: row.get(3)? };
                return Ok((digest, self::answer(&outcome, number, epoch)));
            }
            let code: Option<String> = row.get(4)?;
            let answer = answered(code.as_deref(), row.get(5)?, Arc::clone(epoch), None);
            Ok((digest, answer))
        });
        Ok(row.optional()?)
    }
}

/// Decides whether a numbered command is due. `device` is `None` for one never heard of.
pub(super) fn due(
    connection: &Connection,
    device: Option<&Device>,
    number: Numbered,
    epoch: &Arc<str>,
    limits: &StoreLimits,
) -> Result<Due> {
    let last = device.map_or(0, |device| device.last);
    if number.mutation_id == last + 1 {
        return Ok(Due::Next);
    }
    if number.mutation_id > last {
        let mut rejection = Rejection::new(
            RejectionCode::OutOfOrder,
            format!("mutationId {} is due; send the commands in order, without gaps", last + 1),
        );
        rejection.expected = Some(last + 1);
        return Ok(Due::Answered(answer(&Outcome::Rejected(rejection), number, epoch)));
    }
    // Those that a batch will forget at its end count as forgotten already.
    let device = device.filter(|_| number.mutation_id > oldest_forgotten(last, limits));
    let kept = device.map(|device| device.kept(connection, number, epoch)).transpose()?;
    let answer = match kept.flatten() {
        None => answer(&Outcome::Unknown, number, epoch),
        Some((digest, kept)) if digest == number.digest => {
            Answer { payload: mark_duplicate(&kept.payload), ..kept }
        }
        Some(_) => {
            let rejection = Rejection::new(
                RejectionCode::MutationReused,
                "this mutationId stood on another command; take a new clientId and number from 1",
            );
            answer(&Outcome::Rejected(rejection), number, epoch)
        }
    };
    Ok(Due::Answered(answer))
}

/// Answers up to this number are not kept any more.
fn oldest_forgotten(last: u64, limits: &StoreLimits) -> u64 {
    last.saturating_sub(limits.device_answers_kept as u64)
}

fn answer(outcome: &Outcome, number: Numbered, epoch: &Arc<str>) -> Answer {
    Answer::of(outcome, Some(number.mutation_id), Arc::clone(epoch), None)
}

impl Answer {
    /// The answer that tells `outcome`.
    pub fn of(
        outcome: &Outcome,
        mutation_id: Option<u64>,
        epoch: Arc<str>,
        document: Option<String>,
    ) -> Self {
        let code = match outcome {
            Outcome::Rejected(rejection) => Some(rejection.code),
            Outcome::Applied { .. } | Outcome::Unknown => None,
        };
        let payload = outcome.payload(mutation_id);
        Self { name: outcome.frame_name(), payload, code, epoch, document }
    }
}

fn answered(
    code: Option<&str>,
    payload: String,
    epoch: Arc<str>,
    document: Option<String>,
) -> Answer {
    let code = code.and_then(RejectionCode::from_name);
    let name = if code.is_some() { names::REJECTED } else { names::ACK };
    Answer { name, payload, code, epoch, document }
}

/// The answer that was given under this key, or a refusal where it stood on something else.
pub(super) fn answer_under_key(
    connection: &Connection,
    user: &User,
    key: &IdempotencyKey,
    oldest: i64,
) -> Result<Option<Answer>> {
    let mut statement = connection.prepare_cached(
        "SELECT digest, code, payload, epoch, document FROM idempotency
         WHERE user = ? AND key = ? AND at >= ?",
    )?;
    let row = statement.query_row(params![user.id, key.key, oldest], |row| {
        let digest: Digest = row.get(0)?;
        let code: Option<String> = row.get(1)?;
        let epoch: String = row.get(3)?;
        Ok((digest, answered(code.as_deref(), row.get(2)?, epoch.into(), row.get(4)?)))
    });
    Ok(row.optional()?.map(|(digest, kept)| {
        if digest == key.digest {
            return kept;
        }
        let rejection = Rejection::new(
            RejectionCode::MutationReused,
            "this Idempotency-Key stood on another request; take a new one",
        );
        Answer::of(&Outcome::Rejected(rejection), None, Arc::clone(&user.epoch), None)
    }))
}

/// Remembers the answer under the key, in the place of one that is over age.
pub(super) fn keep_under_key(
    connection: &Connection,
    user: &mut User,
    key: &IdempotencyKey,
    answer: &Answer,
    now: Timestamp,
) -> Result<()> {
    let mut forget =
        connection.prepare_cached("DELETE FROM idempotency WHERE user = ? AND key = ?")?;
    let forgotten = forget.execute(params![user.id, key.key])? as u64;
    let mut statement =
        connection.prepare_cached("INSERT INTO idempotency VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
    statement.execute(params![
        user.id,
        key.key,
        now.as_millis(),
        key.digest,
        answer.code.map(RejectionCode::name),
        answer.payload,
        &*answer.epoch,
        answer.document,
    ])?;
    user.keys = (user.keys + 1).saturating_sub(forgotten);
    Ok(())
}
