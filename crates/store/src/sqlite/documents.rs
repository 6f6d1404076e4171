//! Documents in a batch: looking one up, doing what an event says, and writing what has become of
//! them once at the end.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use draftwire_protocol::{Collection, Document, Event, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{Failure, Result};
use crate::rules;

/// A collection as the tables number it.
pub(super) fn collection_number(collection: Collection) -> i64 {
    match collection {
        Collection::Drafts => 0,
        Collection::Pending => 1,
    }
}

/// Bytes of documents that a batch keeps in memory before it writes them.
const CACHED_BYTES_MAX: usize = 16 * 1024 * 1024;

type Key = (i64, i64, String);

/// The documents that a batch has looked up or changed, of all users. Each is read once and written
/// once, however many commands change it.
#[derive(Default)]
pub(super) struct Documents {
    cached: HashMap<Key, Cached>,
    /// Rows of documents that are deleted.
    doomed: Vec<i64>,
    /// Documents made so far: their rows are written in that order, which lists keep.
    made: u64,
    bytes: usize,
}

/// What a batch knows of one document.
struct Cached {
    /// Where it stands in the table, if it does.
    row: Option<i64>,
    document: Option<Document>,
    changed: bool,
    made: u64,
}

impl Documents {
    /// The documents of one user.
    pub(super) fn of<'a>(&'a mut self, connection: &'a Connection, user: i64) -> UserDocuments<'a> {
        UserDocuments { connection, user, documents: self }
    }

    /// True where it is time to write, even in the middle of a batch.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > CACHED_BYTES_MAX
    }

    /// Writes what has changed, and forgets everything.
    pub(super) fn save(&mut self, connection: &Connection) -> Result<()> {
        let Self { cached, doomed, .. } = std::mem::take(self);
        let mut delete = connection.prepare_cached("DELETE FROM documents WHERE id = ?")?;
        for row in doomed {
            delete.execute(params![row])?;
        }
        let mut made = Vec::new();
        let mut update = connection.prepare_cached(
            "UPDATE documents SET version = ?, updated_at = ?, data = ? WHERE id = ?",
        )?;
        for (key, cached) in cached {
            let Some(document) = cached.document.filter(|_| cached.changed) else { continue };
            let Some(row) = cached.row else {
                made.push((cached.made, key, document));
                continue;
            };
            let updated_at = document.updated_at.as_millis();
            update.execute(params![document.version, updated_at, document.data, row])?;
        }
        made.sort_unstable_by_key(|(made, ..)| *made);
        let mut insert = connection.prepare_cached(
            "INSERT INTO documents (user, collection, name, version, created_at, updated_at, data)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?;
        for (_, (user, collection, name), document) in made {
            insert.execute(params![
                user,
                collection,
                name,
                document.version,
                document.created_at.as_millis(),
                document.updated_at.as_millis(),
                document.data,
            ])?;
        }
        Ok(())
    }
}

/// The documents of one user in a batch.
pub(super) struct UserDocuments<'a> {
    connection: &'a Connection,
    user: i64,
    documents: &'a mut Documents,
}

impl rules::Documents for UserDocuments<'_> {
    type Error = Failure;

    fn get(&mut self, collection: Collection, id: &str) -> Result<Option<Document>> {
        Ok(self.find(collection, id)?.document.clone())
    }
}

impl UserDocuments<'_> {
    fn find(&mut self, collection: Collection, id: &str) -> Result<&mut Cached> {
        let key = (self.user, collection_number(collection), id.to_owned());
        match self.documents.cached.entry(key) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => {
                let mut statement = self.connection.prepare_cached(
                    "SELECT name, version, data, created_at, updated_at, id FROM documents
                     WHERE user = ? AND collection = ? AND name = ?",
                )?;
                let (user, collection, name) = unknown.key();
                let found = statement.query_row(params![user, collection, name], |row| {
                    Ok((document_from_row(row)?, row.get(5)?))
                });
                let (document, row) = found.optional()?.unzip();
                self.documents.bytes += document.as_ref().map_or(0, |found| found.data.len());
                Ok(unknown.insert(Cached { row, document, changed: false, made: 0 }))
            }
        }
    }

    /// Does to the documents what the event says.
    pub(super) fn write(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Created(collection, document) => self.make(*collection, document),
            Event::Updated(collection, document) => self.update(*collection, document),
            Event::Deleted(collection, id) => self.delete(*collection, id),
            Event::Converted { draft_id, document } => {
                self.delete(Collection::Drafts, draft_id)?;
                self.make(Collection::Pending, document)
            }
        }
    }

    fn make(&mut self, collection: Collection, document: &Document) -> Result<()> {
        self.documents.made += 1;
        let made = self.documents.made;
        self.update(collection, document)?;
        self.find(collection, &document.id)?.made = made;
        Ok(())
    }

    fn update(&mut self, collection: Collection, document: &Document) -> Result<()> {
        let cached = self.find(collection, &document.id)?;
        cached.document = Some(document.clone());
        cached.changed = true;
        self.documents.bytes += document.data.len();
        Ok(())
    }

    fn delete(&mut self, collection: Collection, id: &str) -> Result<()> {
        let cached = self.find(collection, id)?;
        cached.document = None;
        let row = cached.row.take();
        self.documents.doomed.extend(row);
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
