//! The documents: the server's state below, the user's own unanswered changes as layers above.
//!
//! Owns what a reader sees. The layers are not stored: after a change below, those over the
//! documents concerned are laid anew from the commands (rebase), when they are next looked at: a
//! long queue of changes to one document would otherwise be merged once more with every answer.
//! It never decides whether a command is right; a layer that makes no sense over the present state
//! shows nothing.

use std::collections::{BTreeMap, HashSet};

use draftwire_protocol::command::Change;
use draftwire_protocol::json::{Value, merge_patch};
use draftwire_protocol::{Collection, Command, Document, Timestamp};

use super::outgoing::names_in;

/// A document as the user sees it: with his own changes, answered or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalDocument {
    /// Its id in its collection.
    pub id: String,
    /// A JSON object as text; numbers have the digits that were written.
    pub data: String,
    /// The version of the server's document below; `None` while the server has none.
    pub version: Option<u64>,
    /// When it was created; `None` while the server has none.
    pub created_at: Option<Timestamp>,
    /// When the server's document was last changed.
    pub updated_at: Option<Timestamp>,
    /// True while it shows a change that the server has not answered.
    pub unsaved: bool,
}

impl LocalDocument {
    fn new(id: &str, data: String) -> Self {
        let id = id.to_owned();
        Self { id, data, version: None, created_at: None, updated_at: None, unsaved: true }
    }
}

impl From<&Document> for LocalDocument {
    fn from(document: &Document) -> Self {
        Self {
            id: document.id.clone(),
            data: document.data.clone(),
            version: Some(document.version),
            created_at: Some(document.created_at),
            updated_at: Some(document.updated_at),
            unsaved: false,
        }
    }
}

/// Both collections.
#[derive(Debug, Default)]
pub(super) struct Documents {
    server: [BTreeMap<String, Document>; 2],
    /// What differs from `server` for the user; `None` where he no longer sees a document.
    layers: [BTreeMap<String, Option<LocalDocument>>; 2],
    /// The documents whose layers have to be laid anew before they are looked at.
    stale: [HashSet<String>; 2],
}

fn place(collection: Collection) -> usize {
    match collection {
        Collection::Drafts => 0,
        Collection::Pending => 1,
    }
}

impl Documents {
    /// A document; its layers must not be stale.
    pub(super) fn get(&self, collection: Collection, id: &str) -> Option<LocalDocument> {
        match self.layers[place(collection)].get(id) {
            Some(layer) => layer.clone(),
            None => self.server[place(collection)].get(id).map(LocalDocument::from),
        }
    }

    /// All of a collection, by id; no layers may be stale.
    pub(super) fn list(&self, collection: Collection) -> Vec<LocalDocument> {
        let (server, layers) = (&self.server[place(collection)], &self.layers[place(collection)]);
        let below = server.iter().filter(|(id, _)| !layers.contains_key(*id));
        let mut all: Vec<LocalDocument> = below.map(|(_, document)| document.into()).collect();
        all.extend(layers.values().flatten().cloned());
        all.sort_unstable_by(|left, right| left.id.cmp(&right.id));
        all
    }

    /// The server's own documents.
    pub(super) fn server(&self) -> impl Iterator<Item = (Collection, &Document)> {
        Collection::ALL.into_iter().flat_map(|collection| {
            self.server[place(collection)].values().map(move |document| (collection, document))
        })
    }

    /// The server has this document now.
    pub(super) fn put(&mut self, collection: Collection, document: Document) {
        self.stale[place(collection)].insert(document.id.clone());
        self.server[place(collection)].insert(document.id.clone(), document);
    }

    /// The server has no such document any more.
    pub(super) fn remove(&mut self, collection: Collection, id: &str) {
        self.stale[place(collection)].insert(id.to_owned());
        self.server[place(collection)].remove(id);
    }

    /// Puts another state in the place of the server's.
    pub(super) fn replace<'a>(
        &mut self,
        documents: Vec<(Collection, Document)>,
        unanswered: impl Iterator<Item = &'a Command>,
    ) {
        *self = Self::default();
        for (collection, document) in documents {
            self.put(collection, document);
        }
        unanswered.for_each(|command| self.outdate(command));
    }

    /// The layers over the documents of this command have to be laid anew.
    pub(super) fn outdate(&mut self, command: &Command) {
        for (collection, id) in names_in(command) {
            self.stale[place(collection)].insert(id.to_owned());
        }
    }

    fn is_stale(&self, command: &Command) -> bool {
        names_in(command).any(|(collection, id)| self.stale[place(collection)].contains(id))
    }

    /// Lays what is stale anew, out of the commands that are not answered.
    pub(super) fn refresh<'a>(&mut self, unanswered: impl Iterator<Item = &'a Command> + Clone) {
        if self.stale.iter().all(HashSet::is_empty) {
            return;
        }
        // A conversion ties two documents together, and so on through further ones.
        let mut known = 0;
        while known < self.stale.iter().map(HashSet::len).sum() {
            known = self.stale.iter().map(HashSet::len).sum();
            for command in unanswered.clone() {
                if self.is_stale(command) {
                    self.outdate(command);
                }
            }
        }
        for (layers, stale) in self.layers.iter_mut().zip(&self.stale) {
            stale.iter().for_each(|id| drop(layers.remove(id)));
        }
        for command in unanswered.filter(|command| self.is_stale(command)).collect::<Vec<_>>() {
            self.lay(command);
        }
        self.stale = Default::default();
    }

    /// One more command is not answered.
    pub(super) fn add(&mut self, command: &Command) {
        if self.is_stale(command) {
            self.outdate(command);
        } else {
            self.lay(command);
        }
    }

    /// Lays one more layer on top.
    fn lay(&mut self, command: &Command) {
        match command {
            Command::Create { collection, id: Some(id), data } => {
                if self.get(*collection, id).is_none() {
                    self.show(*collection, LocalDocument::new(id, data.clone()));
                }
            }
            Command::Update { collection, id, change, .. } => {
                if let Some(mut document) = self.get(*collection, id) {
                    document.data = match change {
                        Change::Patch(patch) => merged(&document.data, patch),
                        Change::Replace(data) => data.clone(),
                    };
                    document.unsaved = true;
                    self.show(*collection, document);
                }
            }
            Command::Delete { collection, id, .. } => self.hide(*collection, id),
            Command::Convert { id, pending_id: Some(pending_id), patch, .. } => {
                self.convert(id, pending_id, patch.as_deref());
            }
            Command::Create { .. }
            | Command::Convert { .. }
            | Command::Skip
            | Command::Refused { .. } => {}
        }
    }

    fn convert(&mut self, id: &str, pending_id: &str, patch: Option<&str>) {
        let Some(draft) = self.get(Collection::Drafts, id) else { return };
        if self.get(Collection::Pending, pending_id).is_some() {
            return;
        }
        let data = match patch {
            Some(patch) => merged(&draft.data, patch),
            None => draft.data,
        };
        self.hide(Collection::Drafts, id);
        self.show(Collection::Pending, LocalDocument::new(pending_id, data));
    }

    fn show(&mut self, collection: Collection, document: LocalDocument) {
        self.layers[place(collection)].insert(document.id.clone(), Some(document));
    }

    fn hide(&mut self, collection: Collection, id: &str) {
        if self.get(collection, id).is_some() {
            self.layers[place(collection)].insert(id.to_owned(), None);
        }
    }
}

fn merged(data: &str, patch: &str) -> String {
    merge_patch(Value::from_checked(data), Value::from_checked(patch))
}
