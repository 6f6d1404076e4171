//! A user's desk in front of a store: sends commands as a client would write them, moves a clock
//! by one second per command, and hands back answers, events and documents as JSON.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use draftwire_protocol::json::{Value, digest};
use draftwire_protocol::reply::{Head, SnapshotReason};
use draftwire_protocol::{
    ClientFrame, Collection, Command, Numbered, Position, RejectionCode, Timestamp,
};
use draftwire_store::sqlite::SqliteOptions;
use draftwire_store::{
    Applied, Ask, Author, Page, Plan, Recovered, SqliteStore, Store, StoreError, StoreLimits,
    Submission,
};
use serde_json::{Value as Json, json};

pub const DAY_MILLIS: i64 = 24 * 3600 * 1000;
/// The time of a desk's first command.
pub const START_MILLIS: i64 = 1_795_336_200_000;

pub fn open(folder: &Path, limits: &StoreLimits) -> Result<SqliteStore, StoreError> {
    let options = SqliteOptions::new(folder, limits.clone());
    SqliteStore::open(&options)
}

pub fn open_checked(folder: &Path) -> Result<SqliteStore, StoreError> {
    let options =
        SqliteOptions { check: true, ..SqliteOptions::new(folder, StoreLimits::default()) };
    SqliteStore::open(&options)
}

pub fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub fn parse(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub fn command(name: &str, payload: &Json) -> Command {
    match ClientFrame::decode(&json!({"type": name, "payload": payload}).to_string()) {
        Ok(ClientFrame::Command { command, .. }) => command,
        other => panic!("{name} {payload}: {other:?}"),
    }
}

/// A command of a device, numbered or not; without a device nobody in particular.
pub fn submission(
    user: &str,
    device: Option<(&str, Option<u64>)>,
    name: &str,
    payload: &Json,
) -> Submission {
    let text = payload.to_string();
    let digest = digest(name, Value::from_checked(&text));
    let number = device.and_then(|(_, number)| number);
    Submission {
        user: user.into(),
        author: Author::Device(device.map(|(client, _)| client.into())),
        number: number.map(|mutation_id| Numbered { mutation_id, digest }),
        idempotency: None,
        wants_document: false,
        command: command(name, payload),
    }
}

/// What came back for one command.
#[derive(Debug)]
pub struct Reply {
    pub name: &'static str,
    pub code: Option<RejectionCode>,
    pub payload: Json,
    pub event: Option<Json>,
    pub applied: Applied,
}

impl Reply {
    pub fn of(applied: Applied) -> Self {
        Self {
            name: applied.answer.name,
            code: applied.answer.code,
            payload: parse(&applied.answer.payload),
            event: applied.event.as_ref().map(|event| parse(&event.frame)),
            applied,
        }
    }

    #[track_caller]
    pub fn acked(&self, payload: &Json) {
        assert_eq!((self.name, self.code, &self.payload), ("ACK", None, payload));
    }

    /// Checks the whole refusal but its message, which must not be empty; nothing has happened.
    #[track_caller]
    pub fn rejected(&self, code: RejectionCode, more: &Json) {
        let mut found = self.payload.clone();
        let message = found.as_object_mut().and_then(|payload| payload.remove("message"));
        assert!(message.is_some_and(|text| text.as_str().is_some_and(|text| !text.is_empty())));
        let mut expected = json!({"mutationId": null, "code": code.name()});
        for (name, value) in more.as_object().into_iter().flatten() {
            expected[name] = value.clone();
        }
        assert_eq!((self.name, self.code, found), ("REJECTED", Some(code), expected));
        assert_eq!(self.event, None, "a refusal is no event");
    }
}

pub struct Desk<'s> {
    pub store: &'s dyn Store,
    pub user: &'static str,
    clock: Cell<i64>,
}

impl<'s> Desk<'s> {
    pub fn new(store: &'s dyn Store, user: &'static str) -> Self {
        Self { store, user, clock: Cell::new(START_MILLIS - 1_000) }
    }

    /// The time of the latest command.
    pub fn now(&self) -> Timestamp {
        time(self.clock.get())
    }

    pub fn wait(&self, millis: i64) {
        self.clock.set(self.clock.get() + millis);
    }

    pub fn submit(&self, submission: Submission) -> Reply {
        self.wait(1_000);
        let mut applied = self.store.apply(&[submission], self.now()).expect("applied");
        assert_eq!(applied.len(), 1);
        Reply::of(applied.remove(0))
    }

    pub fn send(&self, name: &str, payload: &Json) -> Reply {
        self.submit(submission(self.user, None, name, payload))
    }

    pub fn numbered(&self, client: &str, number: u64, name: &str, payload: &Json) -> Reply {
        self.submit(submission(self.user, Some((client, Some(number))), name, payload))
    }

    pub fn create(&self, id: &str) -> Reply {
        self.send("DRAFT_CREATE", &json!({"id": id, "data": {}}))
    }

    pub fn list(&self, collection: Collection) -> Vec<Json> {
        let listing = self.store.list(self.user, collection).expect("listed");
        listing.items.iter().map(|text| parse(text)).collect()
    }

    pub fn state(&self) -> [Vec<Json>; 2] {
        Collection::ALL.map(|collection| self.list(collection))
    }

    pub fn draft(&self, id: &str) -> Option<Json> {
        let found = self.store.get(self.user, Collection::Drafts, id).expect("read");
        found.map(|found| parse(&found.document))
    }

    pub fn head(&self) -> Head {
        self.store.head(self.user, None).expect("head").0
    }

    pub fn last_mutation(&self, client: &str) -> u64 {
        self.store.head(self.user, Some(client)).expect("head").1
    }

    /// The log after `seq`; `None` where it no longer reaches back.
    pub fn log(&self, seq: u64) -> Option<Vec<(u64, String)>> {
        match self.store.events_after(self.user, seq, usize::MAX).expect("read") {
            Page::Trimmed => None,
            Page::Events(events) => {
                Some(events.iter().map(|event| (event.seq, event.frame.to_string())).collect())
            }
        }
    }

    /// When the event `seq` happened, by its frame.
    pub fn time_of(&self, seq: u64) -> Option<Timestamp> {
        let log = self.log(seq - 1)?;
        let frame = parse(&log.first()?.1);
        Timestamp::parse(frame["timestamp"].as_str()?)
    }

    pub fn recover(
        &self,
        position: Option<&Position>,
        reason: Option<SnapshotReason>,
    ) -> Recovered {
        let ask = Ask { user: self.user, client_id: Some("phone"), position, live: false, reason };
        self.store.recover(&ask).expect("recovered")
    }

    pub fn plan(&self, epoch: &str, seq: u64, at: Option<Timestamp>) -> Plan {
        let position = Position { epoch: Arc::from(epoch), seq, at };
        self.recover(Some(&position), None).plan
    }
}
