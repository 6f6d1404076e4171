//! What one device saw, in its own order: positions, answers, recoveries.
//!
//! Gathers what only all devices together can judge: snapshots, commands, rejections.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::{Check, Judge, Log, Refusal};
use crate::history::{DeviceHistory, Record};
use crate::model::Documents;

/// The answer to a command, as far as it must never change.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Applied {
        seq: u64,
        has_event: bool,
    },
    Rejected {
        code: String,
    },
    /// Dealt with so long ago that nobody knows how.
    Unknown,
}

/// Goes through one device's history.
pub(super) struct Walk<'a, 'j, 'u> {
    judge: &'j mut Judge<'u>,
    device: &'a DeviceHistory,
    log: &'a Log<'a>,
    epoch: Option<String>,
    position: u64,
    /// `WELCOME` has come on this connection.
    welcomed: bool,
    /// What it says the head is.
    welcome_seq: u64,
    part: Option<Documents>,
    pub(super) snapshots: Vec<(u64, Documents)>,
    pub(super) sent: BTreeMap<u64, Value>,
    answers: BTreeMap<u64, Answer>,
}

impl<'a, 'j, 'u> Walk<'a, 'j, 'u> {
    pub(super) fn new(
        judge: &'j mut Judge<'u>,
        device: &'a DeviceHistory,
        log: &'a Log<'a>,
    ) -> Self {
        Self {
            judge,
            device,
            log,
            epoch: None,
            position: 0,
            welcomed: false,
            welcome_seq: 0,
            part: None,
            snapshots: Vec::new(),
            sent: BTreeMap::new(),
            answers: BTreeMap::new(),
        }
    }

    fn note(&mut self, check: Check, detail: impl fmt::Display) {
        self.judge.note(check, format!("{}: {detail}", self.device.client_id));
    }

    pub(super) fn run(&mut self) {
        for record in &self.device.records {
            match record {
                Record::Opened => (self.welcomed, self.part) = (false, None),
                Record::Ended => {}
                Record::Sent(text) => self.sent(text),
                Record::Received(text) => match serde_json::from_str(text) {
                    Ok(frame) => self.received(&frame, text),
                    Err(why) => self.note(Check::Wire, format!("{why}: {text}")),
                },
            }
        }
        let open: BTreeSet<_> =
            self.sent.keys().filter(|number| !self.answers.contains_key(number)).collect();
        if !open.is_empty() {
            self.note(Check::Answered, format!("never answered: {open:?}"));
        }
    }

    /// The rejections that the state of the documents must justify.
    pub(super) fn refusals(&self) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        let mut from = 0;
        for (number, answer) in &self.answers {
            match answer {
                Answer::Applied { seq, .. } => from = *seq,
                Answer::Rejected { code }
                    if matches!(&**code, "NOT_FOUND" | "ALREADY_EXISTS" | "VERSION_CONFLICT") =>
                {
                    let later = self.answers.range(number + 1..);
                    let next = later.filter_map(|(_, answer)| match answer {
                        Answer::Applied { seq, has_event: true } => Some(*seq - 1),
                        _ => None,
                    });
                    let to = next.min().unwrap_or_else(|| self.log.head());
                    let client = self.device.client_id.clone();
                    refusals.push(Refusal { client, number: *number, from, to });
                }
                Answer::Rejected { .. } | Answer::Unknown => {}
            }
        }
        refusals
    }

    fn sent(&mut self, text: &str) {
        let command: Value = serde_json::from_str(text).unwrap_or_default();
        if let Some(number) = command["mutationId"].as_u64() {
            self.sent.entry(number).or_insert(command);
        }
    }

    fn received(&mut self, frame: &Value, text: &str) {
        let kind = frame["type"].as_str().unwrap_or_default();
        if !self.welcomed && kind != "WELCOME" {
            self.note(Check::Wire, format!("before WELCOME came {text}"));
        }
        match kind {
            "WELCOME" => self.welcome(&frame["payload"]),
            "SNAPSHOT" => self.snapshot(frame),
            "ACK" | "REJECTED" => self.answer(frame, kind),
            "AUTHENTICATED" | "TOKEN_EXPIRING" | "RECONNECT" | "PONG" => {}
            "ERROR" => self.note(Check::Wire, text),
            _ if frame.get("seq").is_some() => self.event(frame, text),
            // An application's own.
            _ => {}
        }
    }

    fn welcome(&mut self, payload: &Value) {
        if std::mem::replace(&mut self.welcomed, true) {
            self.note(Check::Wire, "a second WELCOME");
        }
        let epoch = payload["epoch"].as_str().unwrap_or_default().to_owned();
        match &self.epoch {
            Some(known) if *known != epoch => {
                self.note(Check::History, format!("the epoch was {known}, now {epoch}"));
            }
            _ => self.epoch = Some(epoch),
        }
        let seq = payload["seq"].as_u64().unwrap_or_default();
        self.welcome_seq = seq;
        if seq < self.position {
            let told = format!("WELCOME says {seq}, it was at {}", self.position);
            self.note(Check::History, told);
        }
        let last = payload["lastMutationId"].as_u64().unwrap_or_default();
        let (sent, log) = (self.sent.keys().last().copied().unwrap_or(0), self.log);
        if last > sent {
            self.note(Check::LastMutation, format!("{last} of {sent} sent"));
        }
        if let Some((answered, _)) = self.answers.last_key_value()
            && last < *answered
        {
            let told = format!("{answered} was answered, but the last is {last}");
            self.note(Check::History, told);
        }
        for number in 1..=sent {
            let place = log.places.get(&(self.device.client_id.clone(), number)).copied();
            if place.is_some_and(|place| (place <= seq) != (number <= last)) {
                let told = format!("{number} is event {place:?}, WELCOME says {last} at {seq}");
                self.note(Check::LastMutation, told);
            }
        }
    }

    fn snapshot(&mut self, frame: &Value) {
        let (payload, seq) = (&frame["payload"], frame["seq"].as_u64().unwrap_or_default());
        let (drafts, pending) = (payload["drafts"].as_array(), payload["pending"].as_array());
        if seq != self.welcome_seq {
            let told = format!("a snapshot of {seq}, WELCOME says {}", self.welcome_seq);
            self.note(Check::Snapshot, told);
        }
        let mut documents = self.part.take().unwrap_or_default();
        let added = documents
            .add("drafts", drafts.into_iter().flatten())
            .and_then(|()| documents.add("pending", pending.into_iter().flatten()));
        if let Err(why) = added {
            self.note(Check::Snapshot, why);
        }
        if payload["more"] == true {
            self.part = Some(documents);
        } else {
            self.position = seq;
            self.snapshots.push((seq, documents));
        }
    }

    fn event(&mut self, frame: &Value, text: &str) {
        let seq = frame["seq"].as_u64().unwrap_or_default();
        if seq != self.position + 1 || self.part.is_some() {
            self.note(Check::Order, format!("after {} came {text}", self.position));
        }
        match self.log.text(seq) {
            Some(logged) if logged == text => {}
            Some(logged) => {
                self.note(Check::SameEvents, format!("saw {text}, the log has {logged}"));
            }
            None if seq <= self.log.floor => {}
            None => self.note(Check::SameEvents, format!("saw {text}, which the log has not")),
        }
        self.position = seq;
    }

    fn answer(&mut self, frame: &Value, kind: &str) {
        let payload = &frame["payload"];
        let Some(number) = payload["mutationId"].as_u64() else { return };
        let code = payload["code"].as_str().unwrap_or_default();
        if matches!(code, "UNAVAILABLE" | "RATE_LIMITED" | "OUT_OF_ORDER") {
            return;
        }
        if !self.sent.contains_key(&number) || code == "MUTATION_REUSED" {
            return self.note(Check::SameAnswer, format!("nobody asked: {frame}"));
        }
        let place = self.log.places.get(&(self.device.client_id.clone(), number)).copied();
        let answer = match (kind, payload["outcome"].as_str()) {
            ("REJECTED", _) => Answer::Rejected { code: code.to_owned() },
            (_, Some(_)) => Answer::Unknown,
            _ => {
                let seq = payload["seq"].as_u64().unwrap_or_default();
                Answer::Applied { seq, has_event: self.leads_to_event(number) }
            }
        };
        match &answer {
            Answer::Rejected { .. } if place.is_some() => {
                self.note(Check::Rejected, format!("{frame}, but it is event {place:?}"));
            }
            Answer::Rejected { code } if !self.is_founded(code, number) => {
                self.note(Check::Refused, format!("{frame}, with nothing against it"));
            }
            Answer::Applied { seq, has_event: true } => {
                // An event that was trimmed can't be looked up; there is none with number 0.
                let is_trimmed = (1..=self.log.floor).contains(seq) && place.is_none();
                if place != Some(*seq) && !is_trimmed {
                    self.note(Check::Acknowledged, format!("{frame}, in the log: {place:?}"));
                }
                if *seq > self.position {
                    self.note(Check::AckAfterEvent, format!("at {}: {frame}", self.position));
                }
            }
            _ => {}
        }
        self.compare(number, answer, frame);
    }

    /// True where the command alone is a reason for that code, or the documents have to be asked.
    fn is_founded(&self, code: &str, number: u64) -> bool {
        let Some(command) = self.sent.get(&number) else { return false };
        let payload = &command["payload"];
        match code {
            "NOT_FOUND" | "ALREADY_EXISTS" | "VERSION_CONFLICT" => true,
            // What the clients here send on purpose, and nothing else: an id with spaces, and a
            // document that says that it is too large.
            "INVALID" => payload["id"].as_str().is_some_and(|id| id.contains(' ')),
            "TOO_LARGE" => payload["data"].get("too").is_some(),
            _ => false,
        }
    }

    /// Every command does that was applied, but one that only uses up its number.
    fn leads_to_event(&self, number: u64) -> bool {
        self.sent.get(&number).is_some_and(|command| command["type"] != "SKIP")
    }

    fn compare(&mut self, number: u64, answer: Answer, frame: &Value) {
        let first = match self.answers.get(&number) {
            None => {
                if answer == Answer::Unknown {
                    // A device resends what it has no answer to, and so many answers are kept.
                    self.note(Check::SameAnswer, format!("forgotten already: {frame}"));
                }
                let due = self.answers.last_key_value().map_or(1, |(last, _)| last + 1);
                if number != due {
                    self.note(Check::SameAnswer, format!("the answer to {due} was due: {frame}"));
                }
                self.answers.insert(number, answer);
                return;
            }
            Some(first) => first,
        };
        let same = *first == answer || answer == Answer::Unknown || *first == Answer::Unknown;
        let what = (!same).then(|| format!("{first:?} before, now {frame}"));
        if let Some(what) = what {
            self.note(Check::SameAnswer, what);
        }
        if frame["payload"]["duplicate"] != true {
            self.note(Check::SameAnswer, format!("answered anew, not as a duplicate: {frame}"));
        }
    }
}
