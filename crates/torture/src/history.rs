//! What was seen of one user: every frame of every device in its order, the log, the final states.
//!
//! Frames are kept as the text that was on the wire. It judges nothing.

use std::io::{self, Write};

/// One thing that happened to a device, in the order in which the device knew it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A connection was opened (its `WELCOME` is the next frame that is received).
    Opened,
    /// This command was about to be sent: written down before the first byte left.
    Sent(String),
    /// This text frame has arrived.
    Received(String),
    /// The connection has ended, however.
    Ended,
}

/// Everything that happened to one device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceHistory {
    /// Its `clientId`.
    pub client_id: String,
    /// In its own order.
    pub records: Vec<Record>,
}

/// What somebody was told when the dust had settled: a fresh device, a device, plain HTTP, the
/// store.
#[derive(Debug, Clone)]
pub struct Final {
    /// Who says so: for the message.
    pub who: String,
    /// The head it was told with.
    pub seq: u64,
    /// Documents of `drafts` as JSON texts.
    pub drafts: Vec<String>,
    /// Documents of `pending` as JSON texts.
    pub pending: Vec<String>,
}

/// Everything that was seen of one user.
#[derive(Debug, Clone, Default)]
pub struct UserHistory {
    /// The user.
    pub user: String,
    /// His devices.
    pub devices: Vec<DeviceHistory>,
    /// The event log as the server's store holds it at the end (or as it was gathered while it was
    /// trimmed): frames in order without a gap, the first of any `seq`.
    pub log: Vec<String>,
    /// What was told at the end.
    pub finals: Vec<Final>,
}

impl Record {
    /// Appends the record as one line: a mark, then the frame's text.
    ///
    /// # Errors
    ///
    /// Those of the writer; the record then counts as not written.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let line = match self {
            Self::Opened => "+\n".to_owned(),
            Self::Ended => "-\n".to_owned(),
            Self::Sent(text) => format!(">{text}\n"),
            Self::Received(text) => format!("<{text}\n"),
        };
        // In one call, so that a writer that is killed leaves a whole line or a line without end.
        out.write_all(line.as_bytes())
    }

    fn parse(line: &str) -> Option<Self> {
        let (mark, text) = (line.get(..1)?, line.get(1..)?);
        match mark {
            "+" => Some(Self::Opened),
            "-" => Some(Self::Ended),
            ">" => Some(Self::Sent(text.to_owned())),
            "<" => Some(Self::Received(text.to_owned())),
            _ => None,
        }
    }
}

impl DeviceHistory {
    /// A device of that name, to which nothing has happened.
    pub fn new(client_id: impl Into<String>) -> Self {
        Self { client_id: client_id.into(), records: Vec::new() }
    }

    /// Reads a journal back. A last line without its end was being written when the writer was
    /// killed, and does not count.
    ///
    /// # Errors
    ///
    /// The number of the first line that is no record.
    pub fn read(client_id: impl Into<String>, journal: &str) -> Result<Self, usize> {
        let mut history = Self::new(client_id);
        let whole = journal.rfind('\n').map_or("", |end| &journal[..=end]);
        for (number, line) in whole.lines().enumerate() {
            history.records.push(Record::parse(line).ok_or(number + 1)?);
        }
        Ok(history)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_read_as_it_was_written_without_its_torn_end() {
        let records = [
            Record::Opened,
            Record::Sent(r#"{"type":"PING"}"#.into()),
            Record::Received(r#"{"type":"PONG","payload":{"ü":"\n"}}"#.into()),
            Record::Ended,
        ];
        let mut journal = Vec::new();
        for record in &records {
            record.write(&mut journal).unwrap();
        }
        let mut text = String::from_utf8(journal).unwrap();
        text.push_str(r#"<{"type":"AC"#);
        assert_eq!(DeviceHistory::read("a", &text).unwrap().records, records);
        assert_eq!(DeviceHistory::read("a", "+\n?x\n"), Err(2));
    }
}
