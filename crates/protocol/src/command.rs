//! A client's frame, decoded.
//!
//! Owns the table *Client → server* of the protocol: which types there are, what their payloads
//! must hold, and which of three things a bad frame is: not readable at all ([`FrameError`]), a
//! command that is refused but uses up its number ([`Command::Refused`]), or a command.
//! It never looks at documents; whether a command can be applied is the store's business.

use std::borrow::Cow;
use std::fmt;

use crate::code::{ErrorCode, RejectionCode};
use crate::json::{Digest, Value, digest};
use crate::kind::{Collection, names};
use crate::limits::{FRAME_LEVELS_MAX, INTEGER_MAX};
use crate::names::{DOCUMENT_ID_RULE, is_document_id};

/// What a client asks to be done to a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make a document; the server makes an id where there is none.
    Create {
        /// Where.
        collection: Collection,
        /// Its id.
        id: Option<String>,
        /// A JSON object.
        data: String,
    },
    /// Change a document.
    Update {
        /// Where.
        collection: Collection,
        /// Which.
        id: String,
        /// How.
        change: Change,
        /// Only if.
        condition: Option<Condition>,
    },
    /// Remove a document.
    Delete {
        /// Where.
        collection: Collection,
        /// Which.
        id: String,
        /// Only if.
        condition: Option<Condition>,
    },
    /// Turn a draft into a pending order, in one event.
    Convert {
        /// The draft.
        id: String,
        /// The pending order's id; the server makes one where there is none.
        pending_id: Option<String>,
        /// A last merge patch.
        patch: Option<String>,
        /// Only if.
        condition: Option<Condition>,
    },
    /// Do nothing.
    Skip,
    /// A command that can't be carried out whatever the documents are: answered `INVALID`.
    Refused {
        /// What is wrong and how to mend it.
        message: String,
    },
}

/// How a document changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// By JSON Merge Patch (RFC 7396), an object.
    Patch(String),
    /// By new data in the old one's place, an object.
    Replace(String),
}

/// Compare-and-set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `ifVersion`.
    Version(u64),
    /// `If-Match: "epoch.version"`.
    EntityTag {
        /// The epoch in which the version counts.
        epoch: String,
        /// The version.
        version: u64,
    },
}

/// The number a device gave a command, and the digest that tells it from another command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// Counts the device's commands from 1, without gaps.
    pub mutation_id: u64,
    /// Of type and payload, by value.
    pub digest: Digest,
}

/// A token on its way to the verifier. Does not show itself in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token(…)")
    }
}

/// What a client's frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame {
    /// A command for the store.
    Command {
        /// Its number, where it has one.
        number: Option<Numbered>,
        /// The command.
        command: Command,
    },
    /// `AUTH`; `None` where the payload holds no token.
    Auth {
        /// A number it may carry all the same: it is then used up like a `SKIP`'s.
        number: Option<Numbered>,
        /// The fresh token.
        token: Option<Token>,
    },
    /// `PING`.
    Ping {
        /// A number it may carry all the same: it is then used up like a `SKIP`'s.
        number: Option<Numbered>,
    },
}

/// A frame that can't be read as a command: answer `ERROR`, keep the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameError {
    /// The code to answer.
    pub code: ErrorCode,
    /// What is wrong and how to mend it; holds nothing of the frame.
    pub message: String,
}

impl ClientFrame {
    /// Reads the text of one frame.
    pub fn decode(text: &str) -> Result<Self, FrameError> {
        let frame = Value::parse(text, FRAME_LEVELS_MAX)
            .map_err(|error| bad_frame(format!("{error}: the frame was not looked at further")))?;
        Self::from_value(frame)
    }

    /// Reads a frame that is part of a text already checked.
    pub fn from_value(frame: Value<'_>) -> Result<Self, FrameError> {
        let members = frame
            .members()
            .ok_or_else(|| bad_frame("a frame is a JSON object: {type, payload}".into()))?;
        let field = |name: &str| members.iter().find(|(member, _)| member == name).map(|m| m.1);
        let number = field("mutationId").filter(|value| !value.is_null());
        let name = field("type");
        let payload = field("payload").filter(|value| !value.is_null());
        let payload = payload.unwrap_or(Value::from_checked("{}"));
        let number = number.map(|value| numbered(value, name, payload)).transpose()?;
        match name.and_then(Value::as_str) {
            Some(name) => Self::of_type(&name, payload, number),
            None => unknown(number, "type must be a string that names a command".into()),
        }
    }

    fn of_type(
        name: &str,
        payload: Value<'_>,
        number: Option<Numbered>,
    ) -> Result<Self, FrameError> {
        let counts = number.is_some() && !payload.is_object();
        if counts && matches!(name, names::AUTH | names::PING) {
            return unknown(number, "payload must be an object".into());
        }
        let read: fn(&Fields<'_>, Collection) -> Result<Command, String> = match name {
            names::AUTH => {
                let token = payload.get("token").and_then(Value::as_str);
                let token = token.map(|token| Token(token.into_owned()));
                return Ok(Self::Auth { number, token });
            }
            names::PING => return Ok(Self::Ping { number }),
            names::SKIP => |_, _| Ok(Command::Skip),
            names::DRAFT_CREATE | names::PENDING_CREATE => create,
            names::DRAFT_UPDATE | names::PENDING_UPDATE => update,
            names::DRAFT_DELETE | names::PENDING_DELETE => delete,
            names::DRAFT_CONVERT => |fields, _| convert(fields),
            _ => return unknown(number, "type names no command of this protocol".into()),
        };
        let collection = match name {
            names::PENDING_CREATE | names::PENDING_UPDATE | names::PENDING_DELETE => {
                Collection::Pending
            }
            _ => Collection::Drafts,
        };
        let command = Fields::of(payload).and_then(|fields| read(&fields, collection));
        let command = command.unwrap_or_else(|message| Command::Refused { message });
        Ok(Self::Command { number, command })
    }
}

fn bad_frame(message: String) -> FrameError {
    FrameError { code: ErrorCode::BadFrame, message }
}

/// With a number the frame is answered like a command; without one it is none.
fn unknown(number: Option<Numbered>, message: String) -> Result<ClientFrame, FrameError> {
    match number {
        Some(_) => Ok(ClientFrame::Command { number, command: Command::Refused { message } }),
        None => Err(bad_frame(message)),
    }
}

fn numbered(
    number: Value<'_>,
    name: Option<Value<'_>>,
    payload: Value<'_>,
) -> Result<Numbered, FrameError> {
    let mutation_id = number.as_integer().filter(|number| *number > 0).ok_or_else(|| {
        bad_frame(format!("mutationId must be an integer from 1 to {INTEGER_MAX}"))
    })?;
    let name = match name {
        Some(name) => name.as_str().unwrap_or(Cow::Owned(name.compact())),
        None => Cow::Borrowed(""),
    };
    Ok(Numbered { mutation_id, digest: digest(&name, payload) })
}

/// The members of a payload. A member that is `null` counts as absent.
struct Fields<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Fields<'a> {
    fn of(payload: Value<'a>) -> Result<Self, String> {
        payload.members().map(Self).ok_or_else(|| "payload must be an object".into())
    }

    fn get(&self, name: &str) -> Option<Value<'a>> {
        let found = self.0.iter().find(|(member, _)| member == name);
        found.map(|(_, value)| *value).filter(|value| !value.is_null())
    }

    fn id(&self, name: &str) -> Result<Option<String>, String> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let id = value.as_str().filter(|id| is_document_id(id));
        id.map(|id| Some(id.into_owned()))
            .ok_or_else(|| format!("payload.{name} must be a string of {DOCUMENT_ID_RULE}"))
    }

    fn required_id(&self) -> Result<String, String> {
        self.id("id")?.ok_or_else(|| "payload.id is missing".into())
    }

    fn object(&self, name: &str) -> Result<Option<String>, String> {
        match self.get(name) {
            None => Ok(None),
            Some(value) if value.is_object() => Ok(Some(value.compact())),
            Some(_) => Err(format!("payload.{name} must be an object")),
        }
    }

    fn condition(&self) -> Result<Option<Condition>, String> {
        let Some(value) = self.get("ifVersion") else { return Ok(None) };
        value
            .as_integer()
            .map(|version| Some(Condition::Version(version)))
            .ok_or_else(|| "payload.ifVersion must be a document's version, an integer".into())
    }
}

fn create(fields: &Fields<'_>, collection: Collection) -> Result<Command, String> {
    let id = fields.id("id")?;
    let data = fields.object("data")?.ok_or("payload.data is missing")?;
    Ok(Command::Create { collection, id, data })
}

fn update(fields: &Fields<'_>, collection: Collection) -> Result<Command, String> {
    let id = fields.required_id()?;
    let change = match (fields.object("patch")?, fields.object("data")?) {
        (Some(patch), None) => Change::Patch(patch),
        (None, Some(data)) => Change::Replace(data),
        _ => return Err("payload must hold exactly one of patch and data".into()),
    };
    Ok(Command::Update { collection, id, change, condition: fields.condition()? })
}

fn delete(fields: &Fields<'_>, collection: Collection) -> Result<Command, String> {
    Ok(Command::Delete { collection, id: fields.required_id()?, condition: fields.condition()? })
}

fn convert(fields: &Fields<'_>) -> Result<Command, String> {
    Ok(Command::Convert {
        id: fields.required_id()?,
        pending_id: fields.id("pendingId")?,
        patch: fields.object("patch")?,
        condition: fields.condition()?,
    })
}

impl Command {
    /// The code that [`Command::Refused`] is answered with.
    pub const REFUSED: RejectionCode = RejectionCode::Invalid;

    /// Bytes of documents and patches it carries: what it weighs in a queue.
    pub fn weight_bytes(&self) -> usize {
        match self {
            Self::Create { data, .. } => data.len(),
            Self::Update { change: Change::Patch(text) | Change::Replace(text), .. } => text.len(),
            Self::Convert { patch, .. } => patch.as_ref().map_or(0, String::len),
            Self::Delete { .. } | Self::Skip | Self::Refused { .. } => 0,
        }
    }
}
