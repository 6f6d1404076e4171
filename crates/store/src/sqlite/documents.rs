//! The documents of one user: looking one up, and doing what an event says.

use draftwire_protocol::{Collection, Document, Event, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{Failure, Result};
use crate::rules::Documents;

/// A collection as the tables number it.
pub(super) fn collection_number(collection: Collection) -> i64 {
    match collection {
        Collection::Drafts => 0,
        Collection::Pending => 1,
    }
}

/// The documents of one user.
pub(super) struct DocumentTable<'a> {
    pub(super) connection: &'a Connection,
    pub(super) user: i64,
}

impl Documents for DocumentTable<'_> {
    type Error = Failure;

    fn get(&mut self, collection: Collection, id: &str) -> Result<Option<Document>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT name, version, data, created_at, updated_at FROM documents
             WHERE user = ? AND collection = ? AND name = ?",
        )?;
        let key = params![self.user, collection_number(collection), id];
        Ok(statement.query_row(key, document_from_row).optional()?)
    }
}

impl DocumentTable<'_> {
    /// Does to the documents what the event says.
    pub(super) fn write(&self, event: &Event) -> Result<()> {
        match event {
            Event::Created(collection, document) => self.insert(*collection, document),
            Event::Updated(collection, document) => self.update(*collection, document),
            Event::Deleted(collection, id) => self.delete(*collection, id),
            Event::Converted { draft_id, document } => {
                self.delete(Collection::Drafts, draft_id)?;
                self.insert(Collection::Pending, document)
            }
        }
    }

    fn insert(&self, collection: Collection, document: &Document) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO documents (user, collection, name, version, created_at, updated_at, data)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?;
        statement.execute(params![
            self.user,
            collection_number(collection),
            document.id,
            document.version,
            document.created_at.as_millis(),
            document.updated_at.as_millis(),
            document.data,
        ])?;
        Ok(())
    }

    fn update(&self, collection: Collection, document: &Document) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "UPDATE documents SET version = ?, updated_at = ?, data = ?
             WHERE user = ? AND collection = ? AND name = ?",
        )?;
        statement.execute(params![
            document.version,
            document.updated_at.as_millis(),
            document.data,
            self.user,
            collection_number(collection),
            document.id,
        ])?;
        Ok(())
    }

    fn delete(&self, collection: Collection, id: &str) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "DELETE FROM documents WHERE user = ? AND collection = ? AND name = ?",
        )?;
        statement.execute(params![self.user, collection_number(collection), id])?;
        Ok(())
    }
}

/// Reads `name, version, data, created_at, updated_at`.
pub(super) fn document_from_row(row: &Row<'_>) -> rusqlite::Result<Document> {
    Ok(Document {
        id: row.get(0)?,
        version: row.get(1)?,
        data: row.get(2)?,
        created_at: Timestamp::from_millis(row.get(3)?),
        updated_at: Timestamp::from_millis(row.get(4)?),
    })
}
