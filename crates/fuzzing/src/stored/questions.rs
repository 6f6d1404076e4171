//! A store with a little of everything, and everything that can be asked of it.

use std::path::PathBuf;
use std::sync::Arc;

use draftwire_protocol::json::{Value, digest};
use draftwire_protocol::{ClientFrame, Collection, Command, Numbered, Position, Timestamp};
use draftwire_store::sqlite::SqliteOptions;
use draftwire_store::{
    Ask, Author, CommittedEvent, IdempotencyKey, Page, Plan, Revocation, SqliteStore, Store,
    StoreError, StoreLimits, Submission,
};

const START_MILLIS: i64 = 1_795_000_000_000;

/// Somebody who has a data folder open, and opens it anew as the server does.
pub(super) struct Asker {
    folder: PathBuf,
    store: Option<SqliteStore>,
    /// Read the whole file before it is used.
    check: bool,
}

impl Asker {
    /// Opens the folder when something is first asked.
    pub(super) fn new(folder: impl Into<PathBuf>, check: bool) -> Self {
        Self { folder: folder.into(), store: None, check }
    }

    /// Opens the folder. What can't be opened says so, and why.
    pub(super) fn open(&mut self) -> Result<&SqliteStore, StoreError> {
        if self.store.is_none() {
            let limits = StoreLimits { log_events_max: 8, ..StoreLimits::default() };
            let options =
                SqliteOptions { check: self.check, ..SqliteOptions::new(&self.folder, limits) };
            self.store = Some(SqliteStore::open(&options)?);
        }
        self.store.as_ref().ok_or(StoreError::Unavailable("it was closed".into()))
    }

    /// Asks everything that a server asks.
    pub(super) fn ask_everything(&mut self) {
        self.ask(|store| store.recovery_bytes("ann").map(drop));
        self.ask(|store| store.head("ann", Some("phone")).map(drop));
        for seq in [0, 1, 3, 5, u64::MAX >> 11] {
            self.ask(|store| events_after(store, seq));
            self.ask(|store| {
                let epoch: Arc<str> = store.head("ann", None)?.0.epoch.into();
                let at = Some(Timestamp::from_millis(START_MILLIS + 1000 * seq.min(5) as i64));
                let position = Position { epoch, seq, at };
                recover(store, Some(&position))
            });
        }
        self.ask(|store| recover(store, None));
        for collection in Collection::ALL {
            self.ask(|store| store.list("ann", collection).map(drop));
            self.ask(|store| store.get("ann", collection, "d1").map(drop));
        }
        self.ask(|store| store.revocations().map(drop));
        let now = Timestamp::from_millis(START_MILLIS + 60_000);
        for submission in asked_again().into_iter().chain(asked_anew()) {
            self.ask(|store| {
                let applied = store.apply(std::slice::from_ref(&submission), now)?;
                assert_eq!(applied.len(), 1, "one answer a command");
                Ok(())
            });
        }
        self.ask(|store| store.renew_epoch("ann", "none").map(drop));
        self.ask(|store| store.revoke("ann", &Revocation::IssuedBefore(2.0)));
        let later = Timestamp::from_millis(START_MILLIS + 400 * 24 * 3_600_000);
        self.ask(|store| store.maintain(later).map(drop));
    }

    /// Asks; after a failure that says so the store is opened anew, as the server does.
    fn ask(&mut self, question: impl FnOnce(&SqliteStore) -> Result<(), StoreError>) {
        if let Err(StoreError::Poisoned(_)) = self.open().and_then(question) {
            self.store = None;
        }
    }
}

fn recover(store: &SqliteStore, position: Option<&Position>) -> Result<(), StoreError> {
    let ask = Ask { user: "ann", client_id: Some("phone"), position, live: false, reason: None };
    let recovered = store.recover(&ask)?;
    if let (Plan::Delta, Some(position)) = (recovered.plan, position) {
        let last = no_gap_after(position.seq, &recovered.events);
        assert_eq!(last, recovered.head.seq, "a delta leads to the head");
    }
    Ok(())
}

fn events_after(store: &SqliteStore, seq: u64) -> Result<(), StoreError> {
    if let Page::Events(events) = store.events_after("ann", seq, 100)? {
        no_gap_after(seq, &events);
    }
    Ok(())
}

/// The last of these events, which follow each other.
fn no_gap_after(seq: u64, events: &[CommittedEvent]) -> u64 {
    events.iter().fold(seq, |last, event| {
        assert_eq!(event.seq, last + 1, "events without a gap");
        event.seq
    })
}

/// Fills an empty store.
pub(super) fn fill(store: &SqliteStore) {
    for (at, submission) in (0..).zip(asked_again()) {
        let now = Timestamp::from_millis(START_MILLIS + 1000 * at);
        let applied = store.apply(&[submission], now);
        applied.unwrap_or_else(|error| panic!("{error}"));
    }
    for revocation in [Revocation::IssuedBefore(1.5), Revocation::Token("t1".into())] {
        store.revoke("ann", &revocation).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// What fills the store, and is sent once more when its rows have been overwritten.
fn asked_again() -> Vec<Submission> {
    let commands = [
        ("DRAFT_CREATE", r#"{"id":"d1","data":{"a":1,"b":[true,null]}}"#),
        ("PENDING_CREATE", r#"{"id":"p1","data":{"n":1e3}}"#),
        ("DRAFT_UPDATE", r#"{"id":"d1","patch":{"a":null,"c":{"d":"e"}}}"#),
        ("DRAFT_CREATE", r#"{"id":"d1","data":{}}"#),
        ("DRAFT_CREATE", r#"{"id":"d2","data":{}}"#),
        ("DRAFT_CONVERT", r#"{"id":"d2","pendingId":"p2"}"#),
    ];
    let numbered = (1..).zip(commands).map(|(number, (kind, payload))| {
        let digest = digest(kind, Value::from_checked(payload));
        let number = Some(Numbered { mutation_id: number, digest });
        Submission { number, ..submission(kind, payload) }
    });
    numbered.chain([keyed("DRAFT_CREATE", r#"{"id":"d3","data":{"k":1}}"#)]).collect()
}

fn asked_anew() -> Vec<Submission> {
    vec![
        submission("DRAFT_UPDATE", r#"{"id":"d1","patch":{"c":{"f":1}}}"#),
        submission("PENDING_UPDATE", r#"{"id":"p1","data":{"x":1},"ifVersion":2}"#),
        submission("DRAFT_CREATE", r#"{"data":{"new":true}}"#),
        submission("DRAFT_CONVERT", r#"{"id":"d1","patch":{"g":2}}"#),
        submission("PENDING_DELETE", r#"{"id":"p2"}"#),
    ]
}

fn submission(kind: &str, payload: &str) -> Submission {
    let text = format!(r#"{{"type":"{kind}","payload":{payload}}}"#);
    let command = match ClientFrame::decode(&text) {
        Ok(ClientFrame::Command { command, .. }) => command,
        _ => Command::Skip,
    };
    Submission {
        user: "ann".into(),
        author: Author::Device(Some("phone".into())),
        number: None,
        idempotency: None,
        wants_document: true,
        command,
    }
}

fn keyed(kind: &str, payload: &str) -> Submission {
    let key = IdempotencyKey { key: "k1".into(), digest: [7; 16] };
    Submission { idempotency: Some(key), ..submission(kind, payload) }
}
