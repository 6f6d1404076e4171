//! The records of the journal: every change of a replica that has to survive, and its JSON.
//!
//! A replica is changed by applying a record and in no other way, so what is read back is what
//! was there. Owns the format of the journal's texts; never storage.

use draftwire_protocol::json::{ObjectWriter, Value, object};
use draftwire_protocol::limits::FRAME_LEVELS_MAX;
use draftwire_protocol::reply::Rejection;
use draftwire_protocol::{ClientFrame, Collection, Command, Document, Position};

use super::fields::{Fields, Malformed};
use super::incoming::rejection;
use super::outgoing;

/// Levels of arrays and objects around what a record holds.
const LEVELS_AROUND: usize = 8;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// Who this is: the device, its user (once known), the last number that was answered, the
    /// next number and the next key.
    Device { client_id: String, user_id: Option<String>, answered: u64, next: u64, key: u64 },
    /// How far the documents have come.
    Head(Position),
    /// A document of the server's.
    Put(Collection, Document),
    /// A document that the server no longer has.
    Gone(Collection, String),
    /// A command waits for its answer.
    Queued { key: u64, mutation_id: u64, command: Command },
    /// The documents hold a command's effect already.
    Confirmed(u64),
    /// A command was answered.
    Settled(u64),
    /// A command was given up; a `SKIP` uses up its number.
    Skipped(u64),
    /// A command was refused for good.
    Rejected { key: u64, command: Command, rejection: Rejection },
    /// A refused command was taken off the list.
    Forgotten(u64),
    /// All unanswered commands are numbered anew.
    Renumbered { client_id: String, first: u64 },
}

impl Record {
    /// True for what must be on disk before anything that follows from it is sent.
    pub(super) fn is_urgent(&self) -> bool {
        !matches!(
            self,
            Self::Head(_) | Self::Put(..) | Self::Gone(..) | Self::Confirmed(_) | Self::Settled(_)
        )
    }

    /// Its JSON.
    pub(super) fn to_json(&self) -> String {
        object(|out| {
            out.string("record", self.name());
            self.write(out);
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Device { .. } => "device",
            Self::Head(_) => "head",
            Self::Put(..) => "put",
            Self::Gone(..) => "gone",
            Self::Queued { .. } => "queued",
            Self::Confirmed(_) => "confirmed",
            Self::Settled(_) => "settled",
            Self::Skipped(_) => "skipped",
            Self::Rejected { .. } => "rejected",
            Self::Forgotten(_) => "forgotten",
            Self::Renumbered { .. } => "renumbered",
        }
    }

    fn write(&self, out: &mut ObjectWriter<'_>) {
        match self {
            Self::Device { client_id, user_id, answered, next, key } => {
                out.string("clientId", client_id).optional_string("userId", user_id.as_deref());
                out.integer("answered", *answered).integer("next", *next).integer("key", *key);
            }
            Self::Head(position) => {
                out.string("epoch", &position.epoch).integer("seq", position.seq);
                if let Some(at) = position.at {
                    out.display("at", at);
                }
            }
            Self::Put(collection, document) => {
                out.string("collection", collection.name());
                document.push_json(out.member("document"));
            }
            Self::Gone(collection, id) => {
                out.string("collection", collection.name()).string("id", id);
            }
            Self::Queued { key, mutation_id, command } => {
                out.integer("key", *key).raw("frame", &outgoing::frame(command, *mutation_id));
            }
            Self::Confirmed(number) | Self::Settled(number) | Self::Skipped(number) => {
                out.integer("mutationId", *number);
            }
            Self::Rejected { key, command, rejection } => {
                // The number is used up; 1 only makes the frame readable.
                out.integer("key", *key).raw("frame", &outgoing::frame(command, 1));
                out.object("why", |why| write_rejection(rejection, why));
            }
            Self::Forgotten(key) => {
                out.integer("key", *key);
            }
            Self::Renumbered { client_id, first } => {
                out.string("clientId", client_id).integer("first", *first);
            }
        }
    }

    fn read(value: Value<'_>) -> Result<Self, Malformed> {
        let fields = Fields::of(value, "record")?;
        let collection =
            || Collection::from_name(&fields.string("collection")?).ok_or(Malformed("collection"));
        let number = || fields.integer("mutationId");
        Ok(match &*fields.string("record")? {
            "device" => Self::Device {
                client_id: fields.string("clientId")?,
                user_id: fields.optional_string("userId")?,
                answered: fields.integer("answered")?,
                next: fields.integer("next")?,
                key: fields.integer("key")?,
            },
            "head" => Self::Head(Position {
                epoch: fields.string("epoch")?.into(),
                seq: fields.integer("seq")?,
                at: fields.optional("at").map(|_| fields.time("at")).transpose()?,
            }),
            "put" => Self::Put(collection()?, fields.document("document")?),
            "gone" => Self::Gone(collection()?, fields.string("id")?),
            "queued" => {
                let (mutation_id, command) = command(fields.value("frame")?)?;
                Self::Queued { key: fields.integer("key")?, mutation_id, command }
            }
            "confirmed" => Self::Confirmed(number()?),
            "settled" => Self::Settled(number()?),
            "skipped" => Self::Skipped(number()?),
            "rejected" => Self::Rejected {
                key: fields.integer("key")?,
                command: command(fields.value("frame")?)?.1,
                rejection: rejection(&fields.object("why")?)?,
            },
            "forgotten" => Self::Forgotten(fields.integer("key")?),
            "renumbered" => Self::Renumbered {
                client_id: fields.string("clientId")?,
                first: fields.integer("first")?,
            },
            _ => return Err(Malformed("record")),
        })
    }
}

fn write_rejection(rejection: &Rejection, out: &mut ObjectWriter<'_>) {
    out.string("code", rejection.code.name()).string("message", &rejection.message);
    if let Some(document) = &rejection.document {
        out.raw("document", document);
    }
}

fn command(frame: Value<'_>) -> Result<(u64, Command), Malformed> {
    match ClientFrame::from_value(frame) {
        Ok(ClientFrame::Command { number: Some(number), command }) => {
            Ok((number.mutation_id, command))
        }
        _ => Err(Malformed("frame")),
    }
}

/// The text of a batch: an array of records.
pub(super) fn batch(records: &[String]) -> String {
    format!("[{}]", records.join(","))
}

/// Reads a batch.
pub(super) fn read_batch(text: &str) -> Result<Vec<Record>, Malformed> {
    let value = Value::parse(text, FRAME_LEVELS_MAX + LEVELS_AROUND);
    let value = value.map_err(|_| Malformed("batch"))?;
    value.elements().ok_or(Malformed("batch"))?.into_iter().map(Record::read).collect()
}

#[cfg(test)]
mod tests {
    use draftwire_protocol::command::{Change, Condition};
    use draftwire_protocol::{Collection, Command, Document, Position, RejectionCode, Timestamp};

    use super::{Record, batch, read_batch};
    use draftwire_protocol::reply::Rejection;

    #[test]
    fn every_record_is_read_back_as_it_was_written() {
        let at = Timestamp::from_millis(1_700_000_000_123);
        let document = Document {
            id: "d1".into(),
            version: 3,
            data: r#"{"price":1.50,"__proto__":{"x":1e2}}"#.into(),
            created_at: at,
            updated_at: at,
        };
        let update = Command::Update {
            collection: Collection::Pending,
            id: "p".into(),
            change: Change::Patch(r#"{"a":null}"#.into()),
            condition: Some(Condition::Version(7)),
        };
        let convert = Command::Convert {
            id: "d1".into(),
            pending_id: Some("p1".into()),
            patch: None,
            condition: None,
        };
        let records = [
            Record::Device {
                client_id: "c".into(),
                user_id: Some("ann \"x\"".into()),
                answered: 1,
                next: 4,
                key: 9,
            },
            Record::Head(Position { epoch: "e".into(), seq: 0, at: None }),
            Record::Head(Position { epoch: "e".into(), seq: 5, at: Some(at) }),
            Record::Put(Collection::Drafts, document.clone()),
            Record::Gone(Collection::Pending, "p".into()),
            Record::Queued { key: 2, mutation_id: 3, command: update },
            Record::Queued { key: 3, mutation_id: 4, command: Command::Skip },
            Record::Confirmed(3),
            Record::Settled(3),
            Record::Skipped(4),
            Record::Rejected {
                key: 4,
                command: convert,
                rejection: Rejection::new(RejectionCode::NotFound, "no\nsuch")
                    .with_document(document.to_json()),
            },
            Record::Forgotten(4),
            Record::Renumbered { client_id: "d".into(), first: 1 },
        ];
        let texts: Vec<String> = records.iter().map(Record::to_json).collect();
        assert_eq!(read_batch(&batch(&texts)).unwrap(), records);
    }
}
