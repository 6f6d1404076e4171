//! Commands on their way out: checked when they are written, put into frames when they are sent.
//!
//! Owns what a command must be before it is queued, and the text of its frame. It never decides
//! when a frame leaves.

use draftwire_protocol::command::{Change, Condition};
use draftwire_protocol::json::{ObjectWriter, Value, object};
use draftwire_protocol::kind::names;
use draftwire_protocol::limits::DATA_LEVELS_MAX;
use draftwire_protocol::names::{DOCUMENT_ID_RULE, is_document_id};
use draftwire_protocol::{Collection, Command};

use super::WriteError;

/// Checks ids and JSON, and takes insignificant white space out of the latter.
pub(super) fn checked(command: Command) -> Result<Command, WriteError> {
    for (_, id) in names_in(&command) {
        if !is_document_id(id) {
            return Err(WriteError::Invalid(format!("a document's id is {DOCUMENT_ID_RULE}")));
        }
    }
    Ok(match command {
        Command::Create { collection, id: Some(id), data } => {
            Command::Create { collection, id: Some(id), data: object_text("data", &data)? }
        }
        Command::Update { collection, id, change, condition } => {
            let change = match change {
                Change::Patch(patch) => Change::Patch(object_text("the patch", &patch)?),
                Change::Replace(data) => Change::Replace(object_text("data", &data)?),
            };
            Command::Update { collection, id, change, condition }
        }
        Command::Convert { id, pending_id: Some(pending_id), patch, condition } => {
            let patch = patch.map(|patch| object_text("the patch", &patch)).transpose()?;
            Command::Convert { id, pending_id: Some(pending_id), patch, condition }
        }
        Command::Delete { .. } => command,
        Command::Create { .. } | Command::Convert { .. } => {
            return Err(WriteError::Invalid("a new document needs an id".into()));
        }
        Command::Skip | Command::Refused { .. } => {
            return Err(WriteError::Invalid("this command changes no document".into()));
        }
    })
}

fn object_text(what: &str, text: &str) -> Result<String, WriteError> {
    let value = Value::parse(text, DATA_LEVELS_MAX)
        .map_err(|error| WriteError::Invalid(format!("{what}: {error}")))?;
    if value.is_object() {
        Ok(value.compact())
    } else {
        Err(WriteError::Invalid(format!("{what} must be a JSON object")))
    }
}

/// The documents that a command may change: one, or two for a conversion.
pub(super) fn names_in(command: &Command) -> impl Iterator<Item = (Collection, &str)> {
    let (first, second) = match command {
        Command::Create { collection, id, .. } => (id.as_deref().map(|id| (*collection, id)), None),
        Command::Update { collection, id, .. } | Command::Delete { collection, id, .. } => {
            (Some((*collection, &**id)), None)
        }
        Command::Convert { id, pending_id, .. } => (
            Some((Collection::Drafts, &**id)),
            pending_id.as_deref().map(|id| (Collection::Pending, id)),
        ),
        Command::Skip | Command::Refused { .. } => (None, None),
    };
    first.into_iter().chain(second)
}

/// The text of a command's frame.
pub(super) fn frame(command: &Command, mutation_id: u64) -> String {
    object(|frame| {
        frame.string("type", name(command)).object("payload", |payload| write(command, payload));
        frame.integer("mutationId", mutation_id);
    })
}

fn name(command: &Command) -> &'static str {
    use Collection::{Drafts, Pending};
    match command {
        Command::Create { collection: Drafts, .. } => names::DRAFT_CREATE,
        Command::Create { collection: Pending, .. } => names::PENDING_CREATE,
        Command::Update { collection: Drafts, .. } => names::DRAFT_UPDATE,
        Command::Update { collection: Pending, .. } => names::PENDING_UPDATE,
        Command::Delete { collection: Drafts, .. } => names::DRAFT_DELETE,
        Command::Delete { collection: Pending, .. } => names::PENDING_DELETE,
        Command::Convert { .. } => names::DRAFT_CONVERT,
        // A refused command is never queued; to skip it would be right.
        Command::Skip | Command::Refused { .. } => names::SKIP,
    }
}

fn write(command: &Command, payload: &mut ObjectWriter<'_>) {
    let condition = match command {
        Command::Create { id, data, .. } => {
            payload.optional_string("id", id.as_deref()).raw("data", data);
            &None
        }
        Command::Update { id, change, condition, .. } => {
            payload.string("id", id);
            match change {
                Change::Patch(patch) => payload.raw("patch", patch),
                Change::Replace(data) => payload.raw("data", data),
            };
            condition
        }
        Command::Delete { id, condition, .. } => {
            payload.string("id", id);
            condition
        }
        Command::Convert { id, pending_id, patch, condition } => {
            payload.string("id", id).optional_string("pendingId", pending_id.as_deref());
            if let Some(patch) = patch {
                payload.raw("patch", patch);
            }
            condition
        }
        Command::Skip | Command::Refused { .. } => &None,
    };
    if let Some(Condition::Version(version)) = condition {
        payload.integer("ifVersion", *version);
    }
}
