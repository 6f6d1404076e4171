//! What a command does to a user's documents.
//!
//! Pure: it looks documents up through [`Documents`], decides, and says what has to be written.
//! Every store uses it, so that they can't differ. It owns the order of the checks: existence,
//! condition, size, target, quota.

use draftwire_protocol::code::RejectionCode;
use draftwire_protocol::command::{Change, Condition};
use draftwire_protocol::json::{Value, merge_patch};
use draftwire_protocol::reply::Rejection;
use draftwire_protocol::{Collection, Command, Document, Event, Timestamp};

use crate::limits::StoreLimits;

/// Looks up the current documents of the user whose command is decided.
pub trait Documents {
    /// What a lookup can fail with.
    type Error;
    /// The current document of that id.
    fn get(&mut self, collection: Collection, id: &str) -> Result<Option<Document>, Self::Error>;
}

/// How much a user keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Documents in both collections.
    pub documents: u64,
    /// Bytes of their `data`.
    pub bytes: u64,
}

/// Everything a decision depends on besides the documents.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The time of the event, if there is one.
    pub now: Timestamp,
    /// The `seq` of the event, if there is one.
    pub seq: u64,
    /// The user's epoch.
    pub epoch: &'a str,
    /// What the user keeps before the command.
    pub usage: Usage,
    /// The quotas.
    pub limits: &'a StoreLimits,
}

/// What a command comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// This event; the user then keeps so much.
    Change(Event, Usage),
    /// Nothing, and that is right.
    Nothing,
    /// A refusal.
    Reject(Rejection),
}

/// Refusals travel as errors inside this module, next to a lookup's own.
enum Stop<E> {
    Reject(Rejection),
    Lookup(E),
}

impl<E> From<Rejection> for Stop<E> {
    fn from(rejection: Rejection) -> Self {
        Self::Reject(rejection)
    }
}

/// Decides one command.
pub fn decide<D: Documents>(
    command: &Command,
    context: &Context<'_>,
    documents: &mut D,
) -> Result<Decision, D::Error> {
    let mut rules = Rules { context, documents };
    let change = match command {
        Command::Skip => return Ok(Decision::Nothing),
        Command::Refused { message } => {
            let rejection = Rejection::new(RejectionCode::Invalid, message.clone());
            return Ok(Decision::Reject(rejection));
        }
        Command::Create { collection, id, data } => rules.create(*collection, id.as_deref(), data),
        Command::Update { collection, id, change, condition } => {
            rules.update(*collection, id, change, condition.as_ref())
        }
        Command::Delete { collection, id, condition } => {
            rules.delete(*collection, id, condition.as_ref())
        }
        Command::Convert { id, pending_id, patch, condition } => {
            rules.convert(id, pending_id.as_deref(), patch.as_deref(), condition.as_ref())
        }
    };
    match change {
        Ok((event, usage)) => Ok(Decision::Change(event, usage)),
        Err(Stop::Reject(rejection)) => Ok(Decision::Reject(rejection)),
        Err(Stop::Lookup(error)) => Err(error),
    }
}

struct Rules<'a, 'd, D> {
    context: &'a Context<'a>,
    documents: &'d mut D,
}

type Changed<E> = Result<(Event, Usage), Stop<E>>;

impl<D: Documents> Rules<'_, '_, D> {
    fn create(
        &mut self,
        collection: Collection,
        id: Option<&str>,
        data: &str,
    ) -> Changed<D::Error> {
        self.check_size(data)?;
        let id = id.map_or_else(new_id, str::to_owned);
        self.check_absent(collection, &id)?;
        let usage = self.usage_after(0, data.len(), 1)?;
        Ok((Event::Created(collection, self.fresh(id, data.to_owned())), usage))
    }

    fn update(
        &mut self,
        collection: Collection,
        id: &str,
        change: &Change,
        condition: Option<&Condition>,
    ) -> Changed<D::Error> {
        let old = self.existing(collection, id, condition)?;
        let data = match change {
            Change::Patch(patch) => merged(&old.data, patch),
            Change::Replace(data) => data.clone(),
        };
        self.check_size(&data)?;
        let usage = self.usage_after(old.data.len(), data.len(), 0)?;
        let version = old.version + 1;
        let document = Document { version, data, updated_at: self.context.now, ..old };
        Ok((Event::Updated(collection, document), usage))
    }

    fn delete(
        &mut self,
        collection: Collection,
        id: &str,
        condition: Option<&Condition>,
    ) -> Changed<D::Error> {
        let old = self.existing(collection, id, condition)?;
        let mut usage = self.usage_after(old.data.len(), 0, 0)?;
        usage.documents = usage.documents.saturating_sub(1);
        Ok((Event::Deleted(collection, old.id), usage))
    }

    fn convert(
        &mut self,
        id: &str,
        pending_id: Option<&str>,
        patch: Option<&str>,
        condition: Option<&Condition>,
    ) -> Changed<D::Error> {
        let draft = self.existing(Collection::Drafts, id, condition)?;
        let data = match patch {
            Some(patch) => merged(&draft.data, patch),
            None => draft.data.clone(),
        };
        self.check_size(&data)?;
        let pending_id = pending_id.map_or_else(new_id, str::to_owned);
        self.check_absent(Collection::Pending, &pending_id)?;
        let usage = self.usage_after(draft.data.len(), data.len(), 0)?;
        let document = self.fresh(pending_id, data);
        Ok((Event::Converted { draft_id: draft.id, document }, usage))
    }

    fn fresh(&self, id: String, data: String) -> Document {
        let now = self.context.now;
        Document { id, version: self.context.seq, data, created_at: now, updated_at: now }
    }

    fn lookup(
        &mut self,
        collection: Collection,
        id: &str,
    ) -> Result<Option<Document>, Stop<D::Error>> {
        self.documents.get(collection, id).map_err(Stop::Lookup)
    }

    fn existing(
        &mut self,
        collection: Collection,
        id: &str,
        condition: Option<&Condition>,
    ) -> Result<Document, Stop<D::Error>> {
        let document = self.lookup(collection, id)?.ok_or_else(|| {
            let message = format!("there is no document with this id in {}", collection.name());
            Rejection::new(RejectionCode::NotFound, message)
        })?;
        let holds = match condition {
            None => true,
            Some(Condition::Version(version)) => *version == document.version,
            Some(Condition::EntityTag { epoch, version }) => {
                epoch == self.context.epoch && *version == document.version
            }
        };
        if holds {
            return Ok(document);
        }
        let message = format!("the document is at version {}", document.version);
        let rejection = Rejection::new(RejectionCode::VersionConflict, message);
        Err(rejection.with_document(document.to_json()).into())
    }

    fn check_absent(&mut self, collection: Collection, id: &str) -> Result<(), Stop<D::Error>> {
        let Some(document) = self.lookup(collection, id)? else { return Ok(()) };
        let message = format!("there is already a document with this id in {}", collection.name());
        let rejection = Rejection::new(RejectionCode::AlreadyExists, message);
        Err(rejection.with_document(document.to_json()).into())
    }

    fn check_size(&self, data: &str) -> Result<(), Rejection> {
        let max = self.context.limits.document_bytes_max;
        if data.len() <= max {
            return Ok(());
        }
        let message = format!(
            "the document would hold {} bytes of JSON; at most {max} are allowed",
            data.len()
        );
        Err(Rejection::new(RejectionCode::TooLarge, message))
    }

    fn usage_after(
        &self,
        bytes_before: usize,
        bytes_after: usize,
        documents_more: u64,
    ) -> Result<Usage, Rejection> {
        let limits = self.context.limits;
        let Usage { documents, bytes } = self.context.usage;
        let documents = documents + documents_more;
        let bytes = (bytes + bytes_after as u64).saturating_sub(bytes_before as u64);
        if documents_more > 0 && documents > limits.user_documents_max {
            let message = format!(
                "this user keeps {} documents already; delete some first",
                limits.user_documents_max
            );
            return Err(Rejection::new(RejectionCode::Quota, message));
        }
        if bytes_after > bytes_before && bytes > limits.user_bytes_max {
            let message = format!(
                "this user's documents would hold more than {} bytes together; delete some first",
                limits.user_bytes_max
            );
            return Err(Rejection::new(RejectionCode::Quota, message));
        }
        Ok(Usage { documents, bytes })
    }
}

fn merged(data: &str, patch: &str) -> String {
    merge_patch(Value::from_checked(data), Value::from_checked(patch))
}

fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
