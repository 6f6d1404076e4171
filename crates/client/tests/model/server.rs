//! A model of the server for one user: commands are decided by the real store's rules; numbers,
//! answers, log and recovery are written down here as `docs/protocol.md` describes them.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;

use draftwire_client::LocalDocument;
use draftwire_protocol::json::Digest;
use draftwire_protocol::kind::names;
use draftwire_protocol::reply::{
    Head, Outcome, Recovery, Rejection, SnapshotPart, SnapshotReason, Welcome, frame,
    mark_duplicate,
};
use draftwire_protocol::{
    ClientFrame, Collection, Command, Document, Event, Limits, Origin, RejectionCode, Timestamp,
};
use draftwire_store::StoreLimits;
use draftwire_store::rules::{Context, Decision, Documents, Usage, decide};

use crate::device::{Device, Wire};

type Key = (&'static str, String);

#[derive(Clone, Default)]
struct State(BTreeMap<Key, Document>);

impl Documents for State {
    type Error = Infallible;

    fn get(&mut self, collection: Collection, id: &str) -> Result<Option<Document>, Infallible> {
        Ok(self.0.get(&(collection.name(), id.to_owned())).cloned())
    }
}

/// What is remembered of a device: its last number, and so many answers.
#[derive(Clone, Default)]
struct Remembered {
    last: u64,
    answers: VecDeque<(u64, Digest, &'static str, String)>,
}

#[derive(Clone)]
pub struct Server {
    window: usize,
    epoch: u32,
    seq: u64,
    state: State,
    /// Frames of events; the first is that of event `seq - log.len() + 1`.
    log: VecDeque<String>,
    devices: BTreeMap<String, Remembered>,
    /// How often each command was applied, by the tag it carries.
    pub applied: BTreeMap<usize, usize>,
    /// So many commands are answered `UNAVAILABLE`.
    pub busy: usize,
}

impl Server {
    pub fn new(window: usize) -> Self {
        Self {
            window,
            epoch: 1,
            seq: 0,
            state: State::default(),
            log: VecDeque::new(),
            devices: BTreeMap::new(),
            applied: BTreeMap::new(),
            busy: 0,
        }
    }

    pub fn in_a_new_epoch(mut self) -> Self {
        self.epoch += 100;
        self.log.clear();
        self
    }

    pub fn trim(&mut self) {
        self.log.clear();
    }

    pub fn documents(&self) -> Vec<(&'static str, LocalDocument)> {
        let all = self.state.0.iter();
        all.map(|((collection, _), document)| (*collection, document.into())).collect()
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + self.seq as i64)
    }

    pub fn connect(&self, devices: &mut [Device], index: usize) {
        let device = &mut devices[index];
        device.cut();
        // Before its name is used it is stored.
        device.save();
        let client_id = device.replica.client_id().to_owned();
        let epoch = self.epoch.to_string();
        let head = Head { epoch: epoch.clone(), seq: self.seq, at: Some(self.now()) };
        let position = device.replica.position().filter(|position| *position.epoch == *epoch);
        let missed = position.map(|position| self.seq.checked_sub(position.seq).expect("the past"));
        let delta = missed.filter(|missed| *missed <= self.log.len() as u64);
        let welcome = Welcome {
            connection_id: "x",
            user_id: "ann",
            client_id: &client_id,
            head: Some(&head),
            last_mutation_id: self.devices.get(&client_id).map_or(0, |device| device.last),
            recovery: if delta.is_some() { Recovery::Delta } else { Recovery::Snapshot },
            heartbeat_ms: 25_000,
            expires_at: self.now(),
            limits: Limits { in_flight: self.window, ..Limits::default() },
        };
        let mut wire = Wire { client_id: client_id.clone(), ..Wire::default() };
        wire.down.push_back(welcome.to_frame(self.now()));
        match delta {
            Some(missed) => {
                let from = self.log.len() - missed as usize;
                wire.down.extend(self.log.iter().skip(from).cloned());
            }
            None => self.snapshot(&head, &mut wire),
        }
        device.wire = Some(wire);
    }

    /// In two parts, one for each collection.
    fn snapshot(&self, head: &Head, wire: &mut Wire) {
        let texts = |name| {
            let of = self.state.0.iter().filter(move |((collection, _), _)| *collection == name);
            of.map(|(_, document)| document.to_json()).collect::<Vec<_>>()
        };
        let (drafts, pending) = (texts("drafts"), texts("pending"));
        let reason = SnapshotReason::Behind;
        let drafts = drafts.iter().map(String::as_str).collect();
        let pending = pending.iter().map(String::as_str).collect();
        for part in [
            SnapshotPart { reason, drafts, pending: Vec::new(), more: true },
            SnapshotPart { reason, drafts: Vec::new(), pending, more: false },
        ] {
            wire.down.push_back(part.to_frame(head, self.now()));
        }
    }

    pub fn serve(&mut self, devices: &mut [Device], index: usize, count: usize) {
        for _ in 0..count {
            let Some(wire) = &mut devices[index].wire else { return };
            let Some(text) = wire.up.pop_front() else { return };
            let client_id = wire.client_id.clone();
            let answer = self.command(devices, &client_id, &text);
            if let Some(wire) = &mut devices[index].wire {
                wire.down.push_back(answer);
            }
        }
    }

    fn command(&mut self, devices: &mut [Device], client_id: &str, text: &str) -> String {
        let Ok(ClientFrame::Command { number: Some(number), command }) = ClientFrame::decode(text)
        else {
            panic!("a client sent {text}");
        };
        let mutation_id = number.mutation_id;
        let remembered = self.devices.entry(client_id.to_owned()).or_default();
        let reject = |code, expected, retry_after_ms| {
            let rejection =
                Rejection { expected, retry_after_ms, ..Rejection::new(code, "not now") };
            let payload = Outcome::Rejected(rejection).payload(Some(mutation_id));
            frame(names::REJECTED, Timestamp::from_millis(0), &payload)
        };
        if mutation_id <= remembered.last {
            let kept = remembered.answers.iter().find(|answer| answer.0 == mutation_id);
            // A power cut may have taken the record that it was answered, long ago.
            let Some((_, digest, name, payload)) = kept else {
                let payload = Outcome::Unknown.payload(Some(mutation_id));
                return frame(names::ACK, Timestamp::from_millis(0), &payload);
            };
            assert_eq!(*digest, number.digest, "a number was used for two commands");
            return frame(name, Timestamp::from_millis(0), &mark_duplicate(payload));
        }
        if mutation_id > remembered.last + 1 {
            return reject(RejectionCode::OutOfOrder, Some(remembered.last + 1), None);
        }
        if self.busy > 0 {
            self.busy -= 1;
            return reject(RejectionCode::Unavailable, None, Some(50));
        }
        let origin = Origin::Device {
            client_id: Some(client_id.to_owned()),
            mutation_id: Some(mutation_id),
        };
        let outcome = self.apply(devices, &command, &origin);
        let (name, payload) = (outcome.frame_name(), outcome.payload(Some(mutation_id)));
        let remembered = self.devices.entry(client_id.to_owned()).or_default();
        remembered.last = mutation_id;
        remembered.answers.push_back((mutation_id, number.digest, name, payload.clone()));
        if remembered.answers.len() > self.window {
            remembered.answers.pop_front();
        }
        frame(name, Timestamp::from_millis(0), &payload)
    }

    pub fn service(&mut self, devices: &mut [Device], command: &Command) {
        let before = self.applied.clone();
        self.apply(devices, command, &Origin::Service("backend".into()));
        self.applied = before;
    }

    fn apply(&mut self, devices: &mut [Device], command: &Command, origin: &Origin) -> Outcome {
        let limits = StoreLimits::default();
        let context = Context {
            now: Timestamp::from_millis(self.now().as_millis() + 1),
            seq: self.seq + 1,
            epoch: "",
            usage: Usage::default(),
            limits: &limits,
        };
        let Ok(decision) = decide(command, &context, &mut self.state);
        match decision {
            Decision::Nothing => Outcome::Applied { seq: self.seq, id: None, version: None },
            Decision::Reject(rejection) => Outcome::Rejected(rejection),
            Decision::Change(event, _) => {
                self.seq += 1;
                let text = event.to_frame(self.seq, context.now, origin);
                self.log.push_back(text.clone());
                for wire in devices.iter_mut().filter_map(|device| device.wire.as_mut()) {
                    wire.down.push_back(text.clone());
                }
                let version = event.document().map(|document| document.version);
                let id = event.document().map(|document| document.id.clone());
                self.store(event);
                if let Some(tag) = tag_of(command) {
                    *self.applied.entry(tag).or_default() += 1;
                }
                Outcome::Applied { seq: self.seq, id, version }
            }
        }
    }

    fn store(&mut self, event: Event) {
        let state = &mut self.state.0;
        match event {
            Event::Created(collection, document) | Event::Updated(collection, document) => {
                state.insert((collection.name(), document.id.clone()), document);
            }
            Event::Deleted(collection, id) => drop(state.remove(&(collection.name(), id))),
            Event::Converted { draft_id, document } => {
                state.remove(&("drafts", draft_id));
                state.insert(("pending", document.id.clone()), document);
            }
        }
    }
}

/// The tag in a command's data or patch.
pub fn tag_of(command: &Command) -> Option<usize> {
    use draftwire_protocol::command::Change;
    let text = match command {
        Command::Create { data, .. } => data,
        Command::Update { change: Change::Patch(text) | Change::Replace(text), .. } => text,
        Command::Convert { patch: Some(patch), .. } => patch,
        _ => return None,
    };
    let digits = text.trim_start_matches("{\"t").split('"').next()?;
    digits.parse().ok()
}
