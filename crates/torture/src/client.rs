//! A client as `docs/protocol.md` describes it, without its connection: what it sends next, what it
//! makes of what arrives, what it writes down.
//!
//! The simulation and the rig drive the same client over different wires. It does what the text says
//! a client does (*Retrying*, *Connecting*), no more; it never judges what it sees.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use draftwire_protocol::{Position, Timestamp};
use fastrand::Rng;
use serde_json::Value;

use crate::history::{DeviceHistory, Record};
use crate::model::{Key, collection};

/// One device's side of the protocol.
pub struct Client {
    /// Its `clientId`.
    pub name: Arc<str>,
    /// What happened to it.
    pub history: DeviceHistory,
    /// Where it stands.
    pub position: Option<Position>,
    /// How many commands may be unanswered on this connection, once `WELCOME` has come.
    welcomed: Option<usize>,
    /// Unanswered commands that were sent on this connection.
    sent: usize,
    ids: usize,
    too_large: usize,
    /// Commands that are not answered, in order.
    unanswered: VecDeque<(u64, String)>,
    issued: u64,
    /// Versions of what it believes to be there.
    known: BTreeMap<Key, u64>,
    /// A snapshot whose last part has not come.
    part: Option<BTreeMap<Key, u64>>,
    /// Frames it has received.
    pub seen: u64,
    /// How it was brought up to the head, and how often: delta, snapshot.
    pub recoveries: (u64, u64),
}

impl Client {
    /// One that has never connected, and works on so many ids. A document of `too_large` bytes is
    /// more than the server takes.
    pub fn new(name: String, ids: usize, too_large: usize) -> Self {
        Self {
            history: DeviceHistory::new(name.clone()),
            name: name.into(),
            position: None,
            welcomed: None,
            sent: 0,
            ids,
            too_large,
            unanswered: VecDeque::new(),
            issued: 0,
            known: BTreeMap::new(),
            part: None,
            seen: 0,
            recoveries: (0, 0),
        }
    }

    /// Writes down what happens.
    pub fn note(&mut self, record: Record) {
        self.history.records.push(record);
    }

    /// A connection was opened.
    pub fn opened(&mut self) {
        self.note(Record::Opened);
        (self.welcomed, self.sent, self.part) = (None, 0, None);
    }

    /// The connection has ended.
    pub fn ended(&mut self) {
        self.note(Record::Ended);
        self.welcomed = None;
    }

    /// True where it was greeted on this connection.
    pub fn is_welcome(&self) -> bool {
        self.welcomed.is_some()
    }

    /// The version of each document that it believes to be there.
    pub fn versions(&self) -> &BTreeMap<Key, u64> {
        &self.known
    }

    /// Commands that were not answered.
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Commands that were issued so far.
    pub fn issued(&self) -> u64 {
        self.issued
    }

    /// The next command that may be sent: in order, as many as may be unanswered. It is written down
    /// as sent.
    pub fn next_due(&mut self) -> Option<String> {
        let in_flight = self.welcomed?;
        if self.sent >= in_flight.min(self.unanswered.len()) {
            return None;
        }
        let text = self.unanswered[self.sent].1.clone();
        self.sent += 1;
        self.note(Record::Sent(text.clone()));
        Some(text)
    }

    /// A new command is on its way, as soon as there is a connection.
    pub fn issue(&mut self, rng: &mut Rng) {
        self.issued += 1;
        let text = self.command(rng);
        self.unanswered.push_back((self.issued, text));
    }

    fn command(&self, rng: &mut Rng) -> String {
        let number = self.issued;
        let choice = rng.u8(..100);
        let kind = if rng.u8(..4) == 0 { "PENDING" } else { "DRAFT" };
        let collection = collection(&format!("{kind}_"));
        // Mostly what makes sense: a new id for a new document, a known one for a change.
        let id = self.id(rng, collection, choice < 30);
        let field = ["x", "y", "z"][rng.usize(..3)];
        let condition = match self.known.get(&(collection, id.clone())) {
            Some(version) if rng.u8(..4) == 0 => format!(r#","ifVersion":{version}"#),
            _ => String::new(),
        };
        // Now and then a large one, so that recoveries, pages and outboxes reach their bounds.
        let filler =
            if rng.u8(..8) == 0 { "#".repeat(rng.usize(..self.filler())) } else { String::new() };
        let data = format!(r#"{{"{field}":{number},"by":"{}{filler}"}}"#, self.name);
        let (kind, payload) = match choice {
            0..30 => (format!("{kind}_CREATE"), format!(r#"{{"id":"{id}","data":{data}}}"#)),
            30..58 => {
                let patch = match rng.u8(..3) {
                    0 => format!(r#"{{"{field}":null}}"#),
                    1 => format!(r#"{{"{field}":{{"{field}":{number}}}}}"#),
                    _ => data,
                };
                let payload = format!(r#"{{"id":"{id}","patch":{patch}{condition}}}"#);
                (format!("{kind}_UPDATE"), payload)
            }
            58..66 => {
                let payload = format!(r#"{{"id":"{id}","data":{data}{condition}}}"#);
                (format!("{kind}_UPDATE"), payload)
            }
            66..78 => (format!("{kind}_DELETE"), format!(r#"{{"id":"{id}"{condition}}}"#)),
            78..94 => {
                let (id, pending) = (self.id(rng, "drafts", false), self.id(rng, "pending", true));
                let payload = format!(r#"{{"id":"{id}","pendingId":"{pending}"}}"#);
                ("DRAFT_CONVERT".to_owned(), payload)
            }
            94..97 => ("SKIP".to_owned(), "{}".to_owned()),
            97..99 => (format!("{kind}_UPDATE"), r#"{"id":"not an id","patch":{}}"#.to_owned()),
            _ => {
                let data = "#".repeat(self.too_large);
                let payload = format!(r#"{{"id":"{id}","data":{{"too":"{data}"}}}}"#);
                (format!("{kind}_CREATE"), payload)
            }
        };
        format!(r#"{{"type":"{kind}","payload":{payload},"mutationId":{number}}}"#)
    }

    /// Bytes that make a document large, and not too large.
    fn filler(&self) -> usize {
        (self.too_large / 2).min(8 * 1024)
    }

    /// An id for a new document, or one that is believed to be there; now and then just any.
    fn id(&self, rng: &mut Rng, collection: &'static str, new: bool) -> String {
        let any = format!("{}", rng.usize(..self.ids));
        let fits: Vec<String> = (0..self.ids)
            .map(|id| id.to_string())
            .filter(|id| self.known.contains_key(&(collection, id.clone())) != new)
            .collect();
        if fits.is_empty() || rng.u8(..4) == 0 {
            any
        } else {
            fits[rng.usize(..fits.len())].clone()
        }
    }

    /// A frame has arrived. False where the client has to connect anew.
    pub fn receive(&mut self, text: String) -> bool {
        let frame: Value = serde_json::from_str(&text).unwrap_or_default();
        self.seen += 1;
        self.note(Record::Received(text));
        match frame["type"].as_str().unwrap_or_default() {
            "WELCOME" => self.welcome(&frame["payload"]),
            "SNAPSHOT" => self.snapshot(&frame),
            "ACK" | "REJECTED" => return self.answer(&frame["payload"]),
            _ if frame.get("seq").is_some() => self.event(&frame),
            _ => {}
        }
        true
    }

    fn welcome(&mut self, payload: &Value) {
        match payload["recovery"].as_str() {
            Some("delta") => self.recoveries.0 += 1,
            _ => self.recoveries.1 += 1,
        }
        self.welcomed = payload["limits"]["inFlight"].as_u64().map(|count| count as usize);
        let epoch: Arc<str> = payload["epoch"].as_str().unwrap_or_default().into();
        let position = Position { epoch: Arc::clone(&epoch), seq: 0, at: None };
        self.position.get_or_insert(position).epoch = epoch;
    }

    fn stand_at(&mut self, frame: &Value) {
        if let (Some(position), Some(seq)) = (&mut self.position, frame["seq"].as_u64()) {
            position.seq = seq;
            position.at = frame["timestamp"].as_str().and_then(Timestamp::parse);
        }
    }

    fn snapshot(&mut self, frame: &Value) {
        let part = self.part.get_or_insert_default();
        for (collection, member) in [("drafts", "drafts"), ("pending", "pending")] {
            for document in frame["payload"][member].as_array().into_iter().flatten() {
                let id = document["id"].as_str().unwrap_or_default().to_owned();
                part.insert((collection, id), document["version"].as_u64().unwrap_or(0));
            }
        }
        if frame["payload"]["more"] == false {
            self.known = self.part.take().unwrap_or_default();
            self.stand_at(frame);
        }
    }

    fn event(&mut self, frame: &Value) {
        let (kind, payload) = (frame["type"].as_str().unwrap_or_default(), &frame["payload"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if kind.ends_with("_DELETED") {
            self.known.remove(&(collection(kind), text(&payload["id"])));
        } else {
            let collection = if kind == "DRAFT_CONVERTED" {
                self.known.remove(&("drafts", text(&payload["draftId"])));
                "pending"
            } else {
                collection(kind)
            };
            let document = &payload["document"];
            let version = document["version"].as_u64().unwrap_or(0);
            self.known.insert((collection, text(&document["id"])), version);
        }
        self.stand_at(frame);
    }

    fn answer(&mut self, payload: &Value) -> bool {
        if payload["mutationId"].as_u64() != self.unanswered.front().map(|(number, _)| *number) {
            return true;
        }
        let code = payload["code"].as_str().unwrap_or_default();
        if matches!(code, "UNAVAILABLE" | "RATE_LIMITED" | "OUT_OF_ORDER") {
            // Everything is sent again, in order, on the next connection.
            return false;
        }
        self.unanswered.pop_front();
        self.sent = self.sent.saturating_sub(1);
        true
    }
}
