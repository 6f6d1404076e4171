//! Events: what has happened, and the frame that tells it.

use crate::document::Document;
use crate::json::ObjectWriter;
use crate::kind::{Collection, names};
use crate::time::Timestamp;

/// Who caused an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A device of the user; both may be absent for a command over HTTP.
    Device {
        /// The device.
        client_id: Option<String>,
        /// The number of its command.
        mutation_id: Option<u64>,
    },
    /// A backend, on behalf of the user.
    Service(String),
}

/// What has happened to a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was created.
    Created(Collection, Document),
    /// It was changed.
    Updated(Collection, Document),
    /// It is gone.
    Deleted(Collection, String),
    /// A draft became this pending order.
    Converted {
        /// The draft that is gone.
        draft_id: String,
        /// The pending order that has come.
        document: Document,
    },
}

impl Event {
    /// The frame's type.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created(Collection::Drafts, _) => names::DRAFT_CREATED,
            Self::Created(Collection::Pending, _) => names::PENDING_CREATED,
            Self::Updated(Collection::Drafts, _) => names::DRAFT_UPDATED,
            Self::Updated(Collection::Pending, _) => names::PENDING_UPDATED,
            Self::Deleted(Collection::Drafts, _) => names::DRAFT_DELETED,
            Self::Deleted(Collection::Pending, _) => names::PENDING_DELETED,
            Self::Converted { .. } => names::DRAFT_CONVERTED,
        }
    }

    /// The document as it is after the event; `None` after a delete.
    pub fn document(&self) -> Option<&Document> {
        match self {
            Self::Created(_, document) | Self::Updated(_, document) => Some(document),
            Self::Converted { document, .. } => Some(document),
            Self::Deleted(..) => None,
        }
    }

    /// The whole frame's text.
    pub fn to_frame(&self, seq: u64, at: Timestamp, origin: &Origin) -> String {
        let size = self.document().map_or(0, |document| document.data.len());
        let mut out = String::with_capacity(size + 384);
        let mut frame = ObjectWriter::new(&mut out);
        frame.string("type", self.name()).integer("seq", seq).display("timestamp", at);
        frame.object("payload", |payload| {
            match self {
                Self::Deleted(_, id) => {
                    payload.string("id", id);
                }
                Self::Converted { draft_id, .. } => {
                    payload.string("draftId", draft_id);
                }
                Self::Created(..) | Self::Updated(..) => {}
            }
            if let Some(document) = self.document() {
                document.push_json(payload.member("document"));
            }
            payload.object("origin", |object| origin.write(object));
        });
        frame.end();
        out
    }
}

impl Origin {
    fn write(&self, object: &mut ObjectWriter<'_>) {
        match self {
            Self::Service(name) => object.string("service", name),
            Self::Device { client_id, mutation_id } => object
                .optional_string("clientId", client_id.as_deref())
                .optional_integer("mutationId", *mutation_id),
        };
    }
}
