//! The promises of the protocol as checks over what was seen of one user.
//!
//! Every check has a name, under which `docs/reliability.md` lists the faults that it caught. What
//! one device saw is judged in `device`, what all of them saw together here; with `model` that is
//! all, so that it can be read in one go and believed. It only reads histories, and never asks a
//! server.

mod device;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde_json::Value;

use crate::history::UserHistory;
use crate::model::{Documents, says};
use device::Walk;

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// `seq` goes up by exactly one on every device; after a reconnect it goes on where it stood.
    Order,
    /// Every device saw the event of a `seq` as the log has it, byte by byte: nothing shown was
    /// lost, all saw the same order.
    SameEvents,
    /// A snapshot is the state that the log leads to at its `seq`.
    Snapshot,
    /// An `ACK` comes after its event.
    AckAfterEvent,
    /// What was acknowledged is in the log, once, at the `seq` it was acknowledged with.
    Acknowledged,
    /// What was rejected is not in the log.
    Rejected,
    /// What was rejected had the state of the documents against it, or was at fault itself.
    Refused,
    /// No command is in the log twice.
    Once,
    /// Answers to the same command tell the same, and come in order.
    SameAnswer,
    /// At the end every command was answered.
    Answered,
    /// An event is what its command should have done to the documents.
    Effect,
    /// `WELCOME.lastMutationId` is what had been dealt with at `WELCOME.seq`.
    LastMutation,
    /// The history goes on: no new epoch, no head before what was seen, no number forgotten.
    History,
    /// At the end everybody is told the same documents, those that the log leads to.
    Final,
    /// A frame that the protocol does not know, or not here.
    Wire,
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub check: Check,
    /// Whose, and what was seen.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}: {}", self.check, self.detail)
    }
}

/// Judges everything that was seen of one user; empty where every promise was kept.
pub fn check(history: &UserHistory) -> Vec<Violation> {
    let mut judge = Judge { user: &history.user, violations: Vec::new() };
    let log = judge.read_log(&history.log);
    let mut snapshots: BTreeMap<u64, Vec<(String, Documents)>> = BTreeMap::new();
    let mut commands: HashMap<(String, u64), Value> = HashMap::new();
    let mut refusals = Vec::new();
    for device in &history.devices {
        let mut walk = Walk::new(&mut judge, device, &log);
        walk.run();
        refusals.extend(walk.refusals());
        let (who, taken, sent) = (device.client_id.clone(), walk.snapshots, walk.sent);
        for (seq, documents) in taken {
            snapshots.entry(seq).or_default().push((who.clone(), documents));
        }
        commands.extend(sent.into_iter().map(|(number, text)| ((who.clone(), number), text)));
    }
    let finals: Vec<_> = history.finals.iter().filter_map(|end| judge.read_final(end)).collect();
    let told = Told { snapshots, commands, finals };
    judge.replay(&log, &told, refusals);
    judge.violations
}

/// The log, read.
struct Log<'a> {
    /// The `seq` before the first event.
    floor: u64,
    texts: &'a [String],
    events: Vec<Value>,
    /// Where each device's command is.
    places: HashMap<(String, u64), u64>,
}

impl Log<'_> {
    fn head(&self) -> u64 {
        self.floor + self.texts.len() as u64
    }

    fn text(&self, seq: u64) -> Option<&str> {
        let index = usize::try_from(seq.checked_sub(self.floor + 1)?).ok()?;
        self.texts.get(index).map(String::as_str)
    }
}

/// What devices were told and what they asked for.
struct Told<'a> {
    snapshots: BTreeMap<u64, Vec<(String, Documents)>>,
    commands: HashMap<(String, u64), Value>,
    finals: Vec<(&'a str, u64, Documents)>,
}

/// A command that was rejected over the state of the documents, which was one of those from
/// `from` to `to`: behind the last of the device's commands that was applied, before its next.
struct Refusal {
    client: String,
    number: u64,
    from: u64,
    to: u64,
}

struct Judge<'a> {
    user: &'a str,
    violations: Vec<Violation>,
}

impl<'a> Judge<'a> {
    fn note(&mut self, check: Check, detail: impl fmt::Display) {
        // The first few tell the story; a broken run breaks the same thing a thousand times.
        if self.violations.len() < 20 {
            let detail = format!("{}: {detail}", self.user);
            self.violations.push(Violation { check, detail });
        }
    }

    fn read_log<'l>(&mut self, texts: &'l [String]) -> Log<'l> {
        let mut log = Log { floor: 0, texts, events: Vec::new(), places: HashMap::new() };
        for text in texts {
            let event: Value = serde_json::from_str(text).unwrap_or_default();
            let Some(seq) = event["seq"].as_u64() else {
                self.note(Check::Wire, format!("the log holds {text}"));
                log.events.push(event);
                continue;
            };
            if log.events.is_empty() {
                log.floor = seq.saturating_sub(1);
            }
            let due = log.floor + log.events.len() as u64 + 1;
            if seq != due {
                self.note(Check::Order, format!("the log has {seq} where {due} is due"));
            }
            let origin = &event["payload"]["origin"];
            let author = (origin["clientId"].as_str(), origin["mutationId"].as_u64());
            if let (Some(client), Some(number)) = author
                && let Some(earlier) = log.places.insert((client.to_owned(), number), seq)
            {
                let both = format!("command {number} of {client} is event {earlier} and {seq}");
                self.note(Check::Once, both);
            }
            log.events.push(event);
        }
        log
    }

    fn read_final(&mut self, end: &'a crate::Final) -> Option<(&'a str, u64, Documents)> {
        let parse = |texts: &[String]| -> Vec<Value> {
            texts.iter().map(|text| serde_json::from_str(text).unwrap_or_default()).collect()
        };
        match Documents::of(&parse(&end.drafts), &parse(&end.pending)) {
            Ok(documents) => Some((&end.who, end.seq, documents)),
            Err(why) => {
                self.note(Check::Final, format!("{}: {why}", end.who));
                None
            }
        }
    }

    /// Goes through the log once and compares what everybody was told with what it leads to.
    fn replay(&mut self, log: &Log<'_>, told: &Told<'_>, mut refusals: Vec<Refusal>) {
        // Where the log was trimmed the first snapshot behind its floor is what it goes on from.
        let mut state = (log.floor == 0).then(Documents::default);
        // What may have been refused over a state that is not known any more can't be judged.
        refusals.retain(|refusal| refusal.from >= log.floor);
        for seq in log.floor..=log.head() {
            if seq > log.floor {
                let event = &log.events[(seq - log.floor - 1) as usize];
                if let Some(documents) = &mut state {
                    self.check_effect(documents, event, &told.commands, seq);
                    if let Err(why) = documents.apply(event) {
                        self.note(Check::Effect, format!("event {seq}: {why}"));
                    }
                }
            }
            for (who, snapshot) in told.snapshots.get(&seq).into_iter().flatten() {
                match &state {
                    None => state = Some(snapshot.clone()),
                    Some(documents) if documents == snapshot => {}
                    Some(documents) => {
                        let both = format!("{who} at {seq}: {snapshot:?}, it is {documents:?}");
                        self.note(Check::Snapshot, both);
                    }
                }
            }
            let documents = state.as_ref();
            refusals.retain(|refusal| !refusal.is_justified(documents, &told.commands, seq));
        }
        for Refusal { client, number, from, to } in refusals {
            let what =
                format!("command {number} of {client}, with nothing against it in {from}–{to}");
            self.note(Check::Refused, what);
        }
        for (seq, told) in told.snapshots.range(log.head() + 1..) {
            self.note(Check::History, format!("{} was at {seq}, past the head", told[0].0));
        }
        for (who, seq, told) in &told.finals {
            if *seq != log.head() {
                self.note(Check::Final, format!("{who} is at {seq}, the head is {}", log.head()));
            } else if state.as_ref().is_some_and(|documents| documents != told) {
                self.note(Check::Final, format!("{who}: {told:?}, but it is {state:?}"));
            }
        }
    }

    fn check_effect(
        &mut self,
        before: &Documents,
        event: &Value,
        commands: &HashMap<(String, u64), Value>,
        seq: u64,
    ) {
        let origin = &event["payload"]["origin"];
        let (Some(client), Some(number)) =
            (origin["clientId"].as_str(), origin["mutationId"].as_u64())
        else {
            return;
        };
        let Some(command) = commands.get(&(client.to_owned(), number)) else {
            return self.note(Check::Effect, format!("nobody sent what is event {seq}: {event}"));
        };
        match before.expected(command, seq) {
            Some(expected) if says(event, &expected) => {}
            expected => {
                let what = format!("event {seq} is {event}, expected {expected:?} of {command}");
                self.note(Check::Effect, what);
            }
        }
    }
}

impl Refusal {
    /// True where the documents after event `seq` stand against the command, or can't be known.
    fn is_justified(
        &self,
        documents: Option<&Documents>,
        commands: &HashMap<(String, u64), Value>,
        seq: u64,
    ) -> bool {
        if !(self.from..=self.to).contains(&seq) {
            return false;
        }
        // Before the first snapshot behind a trimmed log nothing can be said against it.
        let Some(documents) = documents else { return true };
        let key = (self.client.clone(), self.number);
        commands.get(&key).is_none_or(|command| documents.expected(command, seq + 1).is_none())
    }
}
