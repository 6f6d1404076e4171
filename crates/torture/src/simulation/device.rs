//! A device of the simulation: a client as `docs/protocol.md` describes it, step by step.
//!
//! Owns its connection, its position, its unanswered commands and its history. It does what the
//! text says a client does (*Retrying*, *Connecting*), no more; it never judges what it sees.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use draftwire_protocol::{Position, Timestamp};
use draftwire_websocket::{Decoder, Item, Opcode, Role, encode};
use fastrand::Rng;
use serde_json::Value;

use crate::history::{DeviceHistory, Record};
use crate::model::{Key, collection};

/// Largest message that a device takes.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes that a device reads in one go at most.
const READ_BYTES_MAX: usize = 8 * 1024;

/// An open connection, as the device sees it.
struct Line {
    stream: UnixStream,
    decoder: Decoder,
    /// Bytes that are on their way to the server.
    out: VecDeque<u8>,
    /// `WELCOME` has come, with so many commands that may be unanswered.
    welcomed: Option<usize>,
    /// Unanswered commands that were sent on this connection.
    sent: usize,
}

/// A connection that the device has given up, and the server has not.
pub struct Stray {
    stream: UnixStream,
    out: VecDeque<u8>,
}

/// One device.
pub struct Device {
    /// Its user.
    pub user: Arc<str>,
    /// Its `clientId`.
    pub name: Arc<str>,
    /// What happened to it.
    pub history: DeviceHistory,
    /// Where it stands.
    pub position: Option<Position>,
    line: Option<Line>,
    /// Commands that are not answered, in order.
    unanswered: VecDeque<(u64, String)>,
    issued: u64,
    /// Steps before it connects again.
    pause: u32,
    /// Turns in which it reads nothing.
    asleep: u32,
    /// Versions of what it believes to be there.
    known: BTreeMap<Key, u64>,
    /// A snapshot whose last part has not come.
    part: Option<BTreeMap<Key, u64>>,
    /// What it has seen, for the trace.
    pub seen: u64,
    /// How it was brought up to the head, and how often: delta, snapshot.
    pub recoveries: (u64, u64),
}

impl Device {
    /// A device that has never connected.
    pub fn new(user: &Arc<str>, name: String) -> Self {
        Self {
            user: Arc::clone(user),
            history: DeviceHistory::new(name.clone()),
            name: name.into(),
            position: None,
            line: None,
            unanswered: VecDeque::new(),
            issued: 0,
            pause: 0,
            asleep: 0,
            known: BTreeMap::new(),
            part: None,
            seen: 0,
            recoveries: (0, 0),
        }
    }

    /// True where it should open a connection now.
    pub fn wants_to_connect(&mut self) -> bool {
        if self.line.is_some() {
            return false;
        }
        self.pause = self.pause.saturating_sub(1);
        self.pause == 0
    }

    /// It has been let in.
    pub fn connected(&mut self, stream: UnixStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        self.note(Record::Opened);
        let decoder = Decoder::new(Role::Client, MESSAGE_BYTES_MAX);
        self.part = None;
        self.line = Some(Line { stream, decoder, out: VecDeque::new(), welcomed: None, sent: 0 });
        Ok(())
    }

    /// The connection is lost, and it comes back after so many steps. What is given back is still
    /// open towards the server.
    pub fn lose(&mut self, pause: u32) -> Option<Stray> {
        let line = self.line.take()?;
        self.note(Record::Ended);
        self.pause = pause;
        Some(Stray { stream: line.stream, out: line.out })
    }

    /// It reads nothing for so many turns, and then goes on.
    pub fn sleep(&mut self, turns: u32) {
        self.asleep = turns;
    }

    /// True where it has a connection that has been greeted.
    pub fn is_welcome(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.welcomed.is_some())
    }

    /// True where nothing waits to be answered or sent.
    pub fn is_settled(&self) -> bool {
        self.unanswered.is_empty() && self.line.as_ref().is_some_and(|line| line.out.is_empty())
    }

    /// Commands that were issued so far.
    pub fn issued(&self) -> u64 {
        self.issued
    }

    fn note(&mut self, record: Record) {
        self.history.records.push(record);
    }

    /// A new command is on its way, as soon as there is a connection.
    pub fn issue(&mut self, rng: &mut Rng) {
        self.issued += 1;
        let text = self.command(rng);
        self.unanswered.push_back((self.issued, text));
    }

    fn command(&self, rng: &mut Rng) -> String {
        let number = self.issued;
        let id = ["a", "b", "c"][rng.usize(..3)];
        let field = ["x", "y", "z"][rng.usize(..3)];
        let kind = if rng.u8(..4) == 0 { "PENDING" } else { "DRAFT" };
        let key = (collection(&format!("{kind}_")), id.to_owned());
        let condition = match self.known.get(&key) {
            Some(version) if rng.u8(..4) == 0 => format!(r#","ifVersion":{version}"#),
            _ => String::new(),
        };
        // Now and then a large one, so that recoveries, pages and outboxes reach their bounds.
        let filler = if rng.u8(..8) == 0 { "#".repeat(rng.usize(..700)) } else { String::new() };
        let data = format!(r#"{{"{field}":{number},"by":"{}{filler}"}}"#, self.name);
        let (kind, payload) = match rng.u8(..100) {
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
                let pending = ["a", "b", "c", "d", "e"][rng.usize(..5)];
                let payload = format!(r#"{{"id":"{id}","pendingId":"{pending}"}}"#);
                ("DRAFT_CONVERT".to_owned(), payload)
            }
            94..97 => ("SKIP".to_owned(), "{}".to_owned()),
            97..99 => (format!("{kind}_UPDATE"), r#"{"id":"not an id","patch":{}}"#.to_owned()),
            _ => {
                let data = "#".repeat(1_100);
                let payload = format!(r#"{{"id":"{id}","data":{{"too":"{data}"}}}}"#);
                (format!("{kind}_CREATE"), payload)
            }
        };
        format!(r#"{{"type":"{kind}","payload":{payload},"mutationId":{number}}}"#)
    }

    /// Writes what may be written, cut anywhere; reads some of what has come. False where the
    /// connection has ended.
    pub fn exchange(&mut self, rng: &mut Rng) -> bool {
        self.send_due();
        let Some(line) = &mut self.line else { return true };
        let alive = flow(&mut line.stream, &mut line.out, rng).is_ok() && self.read(rng);
        if !alive && self.line.take().is_some() {
            self.note(Record::Ended);
            self.pause = self.pause.max(rng.u32(1..12));
        }
        alive
    }

    /// Sends commands in order, as many as may be unanswered.
    fn send_due(&mut self) {
        let Some(line) = &mut self.line else { return };
        let Some(in_flight) = line.welcomed else { return };
        while line.sent < in_flight.min(self.unanswered.len()) {
            let text = self.unanswered[line.sent].1.clone();
            line.out.extend(encode::masked_frame(
                true,
                Opcode::Text,
                text.as_bytes(),
                [7, 1, 9, 3],
            ));
            line.sent += 1;
            self.history.records.push(Record::Sent(text));
        }
    }

    fn read(&mut self, rng: &mut Rng) -> bool {
        if self.asleep > 0 {
            self.asleep -= 1;
            return true;
        }
        let mut buffer = [0; READ_BYTES_MAX];
        let wanted = if rng.bool() { READ_BYTES_MAX } else { rng.usize(1..400) };
        let Some(line) = &mut self.line else { return true };
        let count = match line.stream.read(&mut buffer[..wanted]) {
            Ok(0) => return false,
            Ok(count) => count,
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        };
        let mut at = 0;
        loop {
            let Some(line) = &mut self.line else { return false };
            let (taken, item) = match line.decoder.next(&mut buffer[at..count]) {
                Ok((taken, item)) => (taken, item),
                Err(error) => {
                    // The checker sees what is no frame of the protocol.
                    self.note(Record::Received(format!("not a frame: {error}")));
                    return false;
                }
            };
            at += taken;
            match item {
                None => return true,
                Some(Item::Ping(payload)) => {
                    let pong = encode::masked_frame(true, Opcode::Pong, payload, [1, 2, 3, 4]);
                    line.out.extend(pong);
                }
                Some(Item::Text(text)) => {
                    let text = text.to_owned();
                    self.text(text);
                }
                Some(Item::Close(_)) => {
                    // The answer need not arrive: the server waits for it for a while only.
                    let close = encode::masked_frame(true, Opcode::Close, &[], [0; 4]);
                    return line.stream.write(&close).is_err();
                }
                Some(Item::Binary(_) | Item::Pong(_)) => {}
            }
        }
    }

    fn text(&mut self, text: String) {
        let frame: Value = serde_json::from_str(&text).unwrap_or_default();
        self.seen += 1;
        self.note(Record::Received(text));
        match frame["type"].as_str().unwrap_or_default() {
            "WELCOME" => self.welcome(&frame["payload"]),
            "SNAPSHOT" => self.snapshot(&frame),
            "ACK" | "REJECTED" => self.answer(&frame["payload"]),
            _ if frame.get("seq").is_some() => self.event(&frame),
            _ => {}
        }
    }

    fn welcome(&mut self, payload: &Value) {
        match payload["recovery"].as_str() {
            Some("delta") => self.recoveries.0 += 1,
            _ => self.recoveries.1 += 1,
        }
        if let Some(line) = &mut self.line {
            line.welcomed = payload["limits"]["inFlight"].as_u64().map(|count| count as usize);
        }
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

    fn answer(&mut self, payload: &Value) {
        if payload["mutationId"].as_u64() != self.unanswered.front().map(|(number, _)| *number) {
            return;
        }
        let code = payload["code"].as_str().unwrap_or_default();
        if matches!(code, "UNAVAILABLE" | "RATE_LIMITED" | "OUT_OF_ORDER") {
            // Everything is sent again, in order, on the next connection.
            drop(self.lose(3));
            return;
        }
        self.unanswered.pop_front();
        if let Some(line) = &mut self.line {
            line.sent = line.sent.saturating_sub(1);
        }
    }
}

impl Stray {
    /// Goes on sending what was on its way. False where there is nothing more, or nobody listens.
    pub fn flow(&mut self, rng: &mut Rng) -> bool {
        flow(&mut self.stream, &mut self.out, rng).is_ok() && !self.out.is_empty()
    }
}

/// Writes some of what waits, cut anywhere.
fn flow(stream: &mut UnixStream, out: &mut VecDeque<u8>, rng: &mut Rng) -> io::Result<()> {
    let waiting = out.make_contiguous();
    if waiting.is_empty() {
        return Ok(());
    }
    let count = if rng.bool() { waiting.len() } else { rng.usize(1..=waiting.len()) };
    match stream.write(&waiting[..count]) {
        Ok(written) => {
            out.drain(..written);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}
