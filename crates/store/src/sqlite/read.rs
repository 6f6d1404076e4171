//! Everything that only reads: recovery, pages of the log, documents, revocations.
//!
//! A [`Reader`] lives inside one read transaction, so all it says is true at one moment.

use draftwire_protocol::reply::{Head, SnapshotReason};
use draftwire_protocol::{Collection, Position, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::answers::Device;
use super::documents::{collection_number, document_from_row};
use super::error::{Failure, Result};
use super::user::User;
use crate::contract::{Ask, CommittedEvent, Found, Listing, Page, Recovered, Revocation};
use crate::recovery::{Log, Plan, plan};

/// About what a document's JSON holds besides its `data`.
const DOCUMENT_FRAME_BYTES: u64 = 160;

/// Reads at one moment.
pub(super) struct Reader<'a> {
    connection: &'a Connection,
    store_epoch: &'a str,
}

impl Reader<'_> {
    /// Opens a read transaction, runs `work` in it, and ends it.
    pub(super) fn run<T>(
        connection: &mut Connection,
        store_epoch: &str,
        work: impl FnOnce(&Reader<'_>) -> Result<T>,
    ) -> Result<T> {
        let transaction = connection.transaction()?;
        let result = work(&Reader { connection: &transaction, store_epoch })?;
        transaction.finish()?;
        Ok(result)
    }

    fn user(&self, name: &str) -> Result<Option<User>> {
        User::find(self.connection, name)
    }

    /// The head of a user; of one never heard of, the beginning of the store's own epoch.
    fn head_of(&self, user: Option<&User>) -> Head {
        user.map_or_else(
            || Head { epoch: self.store_epoch.to_owned(), seq: 0, at: None },
            User::head,
        )
    }

    pub(super) fn recovery_bytes(&self, user: &str) -> Result<u64> {
        Ok(self.user(user)?.map_or(0, |user| recovery_bytes(&user)))
    }

    pub(super) fn head_and_mutation(
        &self,
        user: &str,
        client_id: Option<&str>,
    ) -> Result<(Head, u64)> {
        let user = self.user(user)?;
        Ok((self.head_of(user.as_ref()), self.last_mutation(user.as_ref(), client_id)?))
    }

    fn last_mutation(&self, user: Option<&User>, client_id: Option<&str>) -> Result<u64> {
        let (Some(user), Some(client_id)) = (user, client_id) else { return Ok(0) };
        let device = Device::find(self.connection, user.id, client_id)?;
        Ok(device.map_or(0, |device| device.last))
    }

    pub(super) fn recover(&self, ask: &Ask<'_>) -> Result<Recovered> {
        self.recover_user(self.user(ask.user)?, ask)
    }

    /// The same, unless it would take more than `bytes_max`.
    pub(super) fn recover_within(
        &self,
        ask: &Ask<'_>,
        bytes_max: u64,
    ) -> Result<Option<Recovered>> {
        let user = self.user(ask.user)?;
        let bytes = user.as_ref().filter(|_| !ask.live).map_or(0, recovery_bytes);
        (bytes <= bytes_max).then(|| self.recover_user(user, ask)).transpose()
    }

    fn recover_user(&self, user: Option<User>, ask: &Ask<'_>) -> Result<Recovered> {
        let head = self.head_of(user.as_ref());
        let plan = match ask.position {
            _ if ask.live => Plan::Live,
            None => Plan::Snapshot(ask.reason.unwrap_or(SnapshotReason::Initial)),
            Some(position) if *position.epoch != *head.epoch => {
                Plan::Snapshot(ask.reason.unwrap_or(SnapshotReason::Epoch))
            }
            Some(position) => self.plan(user.as_ref(), position)?,
        };
        let mut recovered = Recovered {
            head,
            last_mutation_id: self.last_mutation(user.as_ref(), ask.client_id)?,
            plan,
            events: Vec::new(),
            drafts: Vec::new(),
            pending: Vec::new(),
        };
        let Some(user) = user else { return Ok(recovered) };
        match (plan, ask.position) {
            (Plan::Delta, Some(position)) => {
                recovered.events = self.events(&user, position.seq, usize::MAX)?;
            }
            (Plan::Snapshot(_), _) => {
                recovered.drafts = self.documents(&user, Collection::Drafts)?;
                recovered.pending = self.documents(&user, Collection::Pending)?;
            }
            _ => {}
        }
        Ok(recovered)
    }

    fn plan(&self, user: Option<&User>, position: &Position) -> Result<Plan> {
        let Some(user) = user else {
            let empty = Log { head: 0, floor: 0, at: None, delta_bytes: 0, snapshot_bytes: 0 };
            return Ok(plan(position.seq, position.at, empty));
        };
        let log = Log {
            head: user.seq,
            floor: user.floor,
            at: self.time_of(user, position.seq)?,
            delta_bytes: self.delta_bytes(user, position.seq)?,
            snapshot_bytes: snapshot_bytes(user),
        };
        Ok(plan(position.seq, position.at, log))
    }

    /// When the event `seq` happened, where that is still known.
    fn time_of(&self, user: &User, seq: u64) -> Result<Option<Timestamp>> {
        let millis = match seq {
            0 => None,
            seq if seq == user.seq => Some(user.at),
            seq if seq == user.floor => Some(user.floor_at),
            seq => {
                let mut statement = self
                    .connection
                    .prepare_cached("SELECT at FROM events WHERE user = ? AND seq = ?")?;
                statement.query_row(params![user.id, seq], |row| row.get(0)).optional()?
            }
        };
        Ok(millis.map(Timestamp::from_millis))
    }

    fn delta_bytes(&self, user: &User, seq: u64) -> Result<u64> {
        let mut statement = self.connection.prepare_cached(
            "SELECT coalesce(sum(octet_length(frame)), 0) FROM events WHERE user = ? AND seq > ?",
        )?;
        Ok(statement.query_row(params![user.id, seq], |row| row.get(0))?)
    }

    /// The events after `seq`, whole and without a gap, or an error: a device would count on it.
    fn events(&self, user: &User, seq: u64, bytes_max: usize) -> Result<Vec<CommittedEvent>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT seq, frame FROM events WHERE user = ? AND seq > ? ORDER BY seq",
        )?;
        let mut rows = statement.query(params![user.id, seq])?;
        let mut events = Vec::new();
        let (mut bytes, mut last) = (0, seq);
        while let Some(row) = rows.next()? {
            let frame = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
            bytes += frame.len();
            let follows = row.get::<_, u64>(0)? == last + 1 && last < user.seq;
            if !follows {
                return Err(damaged_after(last));
            }
            last += 1;
            events.push(CommittedEvent { seq: last, frame: frame.to_owned() });
            if bytes >= bytes_max {
                return Ok(events);
            }
        }
        if last < user.seq { Err(damaged_after(last)) } else { Ok(events) }
    }

    pub(super) fn events_after(&self, user: &str, seq: u64, bytes_max: usize) -> Result<Page> {
        match self.user(user)? {
            None => Ok(Page::Events(Vec::new())),
            Some(user) if seq < user.floor => Ok(Page::Trimmed),
            Some(user) => Ok(Page::Events(self.events(&user, seq, bytes_max)?)),
        }
    }

    fn documents(&self, user: &User, collection: Collection) -> Result<Vec<String>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT name, version, data, created_at, updated_at FROM documents
             WHERE user = ? AND collection = ? ORDER BY id",
        )?;
        let rows = statement
            .query_map(params![user.id, collection_number(collection)], document_from_row)?;
        let mut documents = Vec::new();
        for row in rows {
            documents.push(row?.to_json());
        }
        Ok(documents)
    }

    pub(super) fn list(&self, user: &str, collection: Collection) -> Result<Listing> {
        let user = self.user(user)?;
        let items = match &user {
            Some(user) => self.documents(user, collection)?,
            None => Vec::new(),
        };
        Ok(Listing { head: self.head_of(user.as_ref()), items })
    }

    pub(super) fn get(
        &self,
        user: &str,
        collection: Collection,
        id: &str,
    ) -> Result<Option<Found>> {
        let Some(user) = self.user(user)? else { return Ok(None) };
        let mut statement = self.connection.prepare_cached(
            "SELECT name, version, data, created_at, updated_at FROM documents
             WHERE user = ? AND collection = ? AND name = ?",
        )?;
        let key = params![user.id, collection_number(collection), id];
        let document = statement.query_row(key, document_from_row).optional()?;
        Ok(document.map(|document| Found {
            epoch: user.epoch.to_string(),
            version: document.version,
            document: document.to_json(),
        }))
    }

    pub(super) fn revocations(&self) -> Result<Vec<(String, Revocation)>> {
        let mut statement =
            self.connection.prepare("SELECT user, jti, issued_before FROM revocations")?;
        let rows = statement.query_map([], |row| {
            let jti: String = row.get(1)?;
            let revocation = match row.get::<_, Option<f64>>(2)? {
                Some(moment) => Revocation::IssuedBefore(moment),
                None => Revocation::Token(jti),
            };
            Ok((row.get(0)?, revocation))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

fn damaged_after(seq: u64) -> Failure {
    Failure::Refused(format!(
        "the log of a user is damaged after event {seq}: restore a backup of the data folder"
    ))
}

/// What a recovery reads at most.
fn recovery_bytes(user: &User) -> u64 {
    snapshot_bytes(user).max(user.log_bytes)
}

fn snapshot_bytes(user: &User) -> u64 {
    user.usage.bytes.saturating_add(user.usage.documents.saturating_mul(DOCUMENT_FRAME_BYTES))
}
