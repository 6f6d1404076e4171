//! Drafts and pending orders, as an application reads and writes them.

use std::ops::Deref;

use draftwire_protocol::command::{Change, Condition};
use draftwire_protocol::{Collection, Command};
use uuid::Uuid;

use super::shared::Shared;
use super::ticket::Ticket;
use crate::replica::{LocalDocument, WriteError};

/// One of the user's two collections.
///
/// Reads see the user's own changes at once. Writes return at once; the [`Ticket`] completes with
/// the server's answer. Documents and patches are JSON objects as text, at most 62 levels deep and
/// without repeated members.
#[derive(Clone, Copy)]
pub struct Documents<'c> {
    pub(super) shared: &'c Shared,
    pub(super) collection: Collection,
    pub(super) if_version: Option<u64>,
}

impl Documents<'_> {
    /// A document; `None` where there is none.
    pub fn get(&self, id: &str) -> Option<LocalDocument> {
        self.shared.with(|replica| replica.get(self.collection, id))
    }

    /// All documents, by id.
    pub fn list(&self) -> Vec<LocalDocument> {
        self.shared.with(|replica| replica.list(self.collection))
    }

    /// The same collection, where writes are applied only if the document is at this version then:
    /// otherwise they are rejected with `VERSION_CONFLICT` and the server's document. Creating
    /// takes no notice of it.
    pub fn if_version(self, version: u64) -> Self {
        Self { if_version: Some(version), ..self }
    }

    /// Makes a document. Without an id it gets a UUIDv7: see [`Ticket::id`].
    ///
    /// # Errors
    ///
    /// Where id or data are malformed, too much is queued, or the client is closed.
    pub fn create(&self, id: Option<&str>, data: &str) -> Result<Ticket, WriteError> {
        let id = id.map_or_else(fresh_id, str::to_owned);
        let collection = self.collection;
        self.write(&id, Command::Create { collection, id: Some(id.clone()), data: data.into() })
    }

    /// Changes a document by JSON Merge Patch (RFC 7396).
    ///
    /// # Errors
    ///
    /// As for [`Documents::create`].
    pub fn update(&self, id: &str, patch: &str) -> Result<Ticket, WriteError> {
        self.change(id, Change::Patch(patch.into()))
    }

    /// Puts other data in the place of a document's.
    ///
    /// # Errors
    ///
    /// As for [`Documents::create`].
    pub fn replace(&self, id: &str, data: &str) -> Result<Ticket, WriteError> {
        self.change(id, Change::Replace(data.into()))
    }

    /// Removes a document. One that is gone already counts as removed.
    ///
    /// # Errors
    ///
    /// As for [`Documents::create`].
    pub fn delete(&self, id: &str) -> Result<Ticket, WriteError> {
        let (collection, condition) = (self.collection, self.condition());
        self.write(id, Command::Delete { collection, id: id.into(), condition })
    }

    fn change(&self, id: &str, change: Change) -> Result<Ticket, WriteError> {
        let (collection, condition) = (self.collection, self.condition());
        self.write(id, Command::Update { collection, id: id.into(), change, condition })
    }

    fn condition(&self) -> Option<Condition> {
        self.if_version.map(Condition::Version)
    }

    fn write(&self, id: &str, command: Command) -> Result<Ticket, WriteError> {
        self.shared.write(id, |replica| replica.write(command))
    }
}

/// The drafts: a collection that can be turned into pending orders.
#[derive(Clone, Copy)]
pub struct Drafts<'c>(pub(super) Documents<'c>);

impl<'c> Deref for Drafts<'c> {
    type Target = Documents<'c>;

    fn deref(&self) -> &Documents<'c> {
        &self.0
    }
}

impl Drafts<'_> {
    /// As [`Documents::if_version`].
    pub fn if_version(self, version: u64) -> Self {
        Self(self.0.if_version(version))
    }

    /// Turns a draft into a pending order, after a last patch, in one step: no device ever has
    /// both or neither. Without an id the pending order gets a UUIDv7: see [`Ticket::id`].
    ///
    /// # Errors
    ///
    /// As for [`Documents::create`].
    pub fn convert(
        &self,
        id: &str,
        pending_id: Option<&str>,
        patch: Option<&str>,
    ) -> Result<Ticket, WriteError> {
        let pending_id = pending_id.map_or_else(fresh_id, str::to_owned);
        let command = Command::Convert {
            id: id.into(),
            pending_id: Some(pending_id.clone()),
            patch: patch.map(str::to_owned),
            condition: self.0.condition(),
        };
        self.0.write(&pending_id, command)
    }
}

pub(super) fn fresh_id() -> String {
    Uuid::now_v7().to_string()
}
