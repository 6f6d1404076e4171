//! Guards the store as a whole: random commands of two users with three devices each, in batches,
//! with reopening at random points, against a model of a page.
//!
//! The model is written from the protocol, not from the store: it keeps JSON values, merges them
//! by the RFC's own pseudo code and forgets nothing. Answers, events, documents and deltas of the
//! store must be the model's; events replayed from the beginning must give the same documents.

use std::collections::BTreeMap;

use draftwire_protocol::{Collection, Position};
use draftwire_store::{Plan, SqliteStore, Store, StoreLimits};
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use crate::support::{Desk, Reply, START_MILLIS, open, parse, submission, time};

const USERS: [&str; 2] = ["ada", "bob"];
const DEVICES: [&str; 3] = ["phone", "tablet", "laptop"];
const KEPT: u64 = 3;
const DOCUMENTS_MAX: usize = 4;

#[derive(Debug, Clone)]
struct Sent {
    name: &'static str,
    payload: Json,
}

#[derive(Debug, Clone)]
enum Number {
    None,
    Next,
    Ahead(u64),
    Again { back: u64, altered: bool },
}

#[derive(Debug, Clone)]
struct Step {
    user: usize,
    device: usize,
    number: Number,
    sent: Sent,
}

#[derive(Default)]
struct Device {
    sent: Vec<(Sent, Json)>,
}

type Key = (usize, String);

#[derive(Default)]
struct User {
    seq: u64,
    documents: BTreeMap<Key, Json>,
    devices: [Device; 3],
    events: Vec<Json>,
}

fn merge(target: Json, patch: &Json) -> Json {
    let Json::Object(changes) = patch else { return patch.clone() };
    let mut members = if let Json::Object(members) = target { members } else { Map::new() };
    for (name, change) in changes {
        match (change, members.remove(name)) {
            (Json::Null, _) => {}
            (change, old) => {
                members.insert(name.clone(), merge(old.unwrap_or(Json::Null), change));
            }
        }
    }
    Json::Object(members)
}

fn rejected(code: &str, document: Option<&Json>) -> Json {
    let mut answer = json!({"code": code});
    if let Some(document) = document {
        answer["document"] = document.clone();
    }
    answer
}

impl User {
    /// Applies a command that is due; its answer without `mutationId`.
    fn apply(&mut self, sent: &Sent, origin: &Json, now: &str) -> Json {
        let Sent { name, payload } = sent;
        let Some((prefix, verb)) = name.split_once('_') else {
            return json!({"seq": self.seq});
        };
        let collection = usize::from(prefix == "PENDING");
        let id = payload["id"].as_str().unwrap_or_default().to_owned();
        let key = (collection, id.clone());
        let old = self.documents.get(&key).cloned();
        let version = self.seq + 1;
        let new = |id: &str, version: u64, data: Json, created: &Json| json!({"id": id, "version": version, "data": data, "createdAt": created, "updatedAt": now});
        if verb == "CREATE" {
            if old.is_some() {
                return rejected("ALREADY_EXISTS", old.as_ref());
            }
            if self.documents.len() >= DOCUMENTS_MAX {
                return rejected("QUOTA", None);
            }
            let document = new(&id, version, payload["data"].clone(), &json!(now));
            self.documents.insert(key, document.clone());
            return self.tell(
                &format!("{prefix}_CREATED"),
                json!({"document": document}),
                origin,
                now,
            );
        }
        let Some(old) = old else { return rejected("NOT_FOUND", None) };
        if payload.get("ifVersion").is_some_and(|version| *version != old["version"]) {
            return rejected("VERSION_CONFLICT", Some(&old));
        }
        let data = match (payload.get("patch"), payload.get("data")) {
            (Some(patch), _) => merge(old["data"].clone(), patch),
            (None, Some(data)) => data.clone(),
            (None, None) => old["data"].clone(),
        };
        match verb {
            "UPDATE" => {
                let version = old["version"].as_u64().unwrap_or_default() + 1;
                let document = new(&id, version, data, &old["createdAt"]);
                self.documents.insert(key, document.clone());
                self.tell(&format!("{prefix}_UPDATED"), json!({"document": document}), origin, now)
            }
            "DELETE" => {
                self.documents.remove(&key);
                self.tell(&format!("{prefix}_DELETED"), json!({"id": id}), origin, now)
            }
            _ => {
                let pending = payload["pendingId"].as_str().unwrap_or_default().to_owned();
                if let Some(there) = self.documents.get(&(1, pending.clone())) {
                    return rejected("ALREADY_EXISTS", Some(there));
                }
                let document = new(&pending, version, data, &json!(now));
                self.documents.remove(&key);
                self.documents.insert((1, pending), document.clone());
                let told = json!({"draftId": id, "document": document});
                self.tell("DRAFT_CONVERTED", told, origin, now)
            }
        }
    }

    fn tell(&mut self, name: &str, mut payload: Json, origin: &Json, now: &str) -> Json {
        self.seq += 1;
        let document = payload.get("document").unwrap_or(&payload);
        let mut answer = json!({"seq": self.seq, "id": document["id"]});
        if let Some(version) = document.get("version") {
            answer["version"] = version.clone();
        }
        payload["origin"] = origin.clone();
        self.events
            .push(json!({"type": name, "seq": self.seq, "timestamp": now, "payload": payload}));
        answer
    }

    /// What the store must answer to a command under `number`.
    fn answer(&mut self, device: usize, number: Option<u64>, sent: &Sent, now: &str) -> Json {
        let client = DEVICES[device];
        let Some(number) = number else {
            let mut answer = self.apply(sent, &json!({"clientId": client}), now);
            answer["mutationId"] = Json::Null;
            return answer;
        };
        let last = self.devices[device].sent.len() as u64;
        let mut answer = if number == last + 1 {
            let origin = json!({"clientId": client, "mutationId": number});
            let answer = self.apply(sent, &origin, now);
            self.devices[device].sent.push((sent.clone(), answer.clone()));
            answer
        } else if number > last {
            json!({"code": "OUT_OF_ORDER", "expected": last + 1})
        } else if number + KEPT <= last {
            json!({"duplicate": true, "outcome": "unknown"})
        } else {
            let (before, answer) = &self.devices[device].sent[number as usize - 1];
            let mut answer = answer.clone();
            answer["duplicate"] = json!(true);
            let same = before.name == sent.name && before.payload == sent.payload;
            if same { answer } else { json!({"code": "MUTATION_REUSED"}) }
        };
        answer["mutationId"] = json!(number);
        answer
    }

    /// The number and content a step stands for, given what the device has sent so far.
    fn number(&self, step: &Step) -> (Option<u64>, Sent) {
        let before = &self.devices[step.device].sent;
        let last = before.len() as u64;
        match step.number {
            Number::None => (None, step.sent.clone()),
            Number::Next => (Some(last + 1), step.sent.clone()),
            Number::Ahead(by) => (Some(last + 1 + by), step.sent.clone()),
            Number::Again { back, .. } if back >= last => (Some(last + 1), step.sent.clone()),
            Number::Again { back, altered } => {
                let mut sent = before[(last - back) as usize - 1].0.clone();
                if altered {
                    sent.payload["altered"] = json!(true);
                }
                (Some(last - back), sent)
            }
        }
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let id = || prop::sample::select(&["a", "b", "c"][..]);
    let data = || {
        let member = (prop::sample::select(&["x", "y", "z"][..]), 0_i64..3);
        let small = prop_oneof![
            prop::collection::btree_map(member.0, member.1.prop_map(Json::from), 0..3),
            prop::collection::btree_map(Just("deep"), Just(json!({"k": [1, {}], "l": null})), 1..2),
        ];
        small.prop_map(|members| json!(members))
    };
    let patch = || {
        let change = prop_oneof![
            Just(Json::Null),
            (0_i64..3).prop_map(Json::from),
            Just(json!({"k": null, "new": {"m": 1}})),
        ];
        prop::collection::btree_map(prop::sample::select(&["x", "y", "deep"][..]), change, 0..3)
            .prop_map(|members| json!(members))
    };
    let version = || prop_oneof![3 => Just(None), 1 => (0_u64..12).prop_map(Some)];
    let conditional = |mut payload: Json, version: Option<u64>| {
        if let Some(version) = version {
            payload["ifVersion"] = json!(version);
        }
        payload
    };
    let both = |names: &'static [&'static str]| prop::sample::select(names);
    prop_oneof![
        3 => (both(&["DRAFT_CREATE", "PENDING_CREATE"]), id(), data())
            .prop_map(|(name, id, data)| Sent { name, payload: json!({"id": id, "data": data}) }),
        4 => (both(&["DRAFT_UPDATE", "PENDING_UPDATE"]), id(), patch(), version()).prop_map(
            move |(name, id, patch, version)| {
                Sent { name, payload: conditional(json!({"id": id, "patch": patch}), version) }
            }
        ),
        1 => (both(&["DRAFT_UPDATE", "PENDING_UPDATE"]), id(), data()).prop_map(
            |(name, id, data)| Sent { name, payload: json!({"id": id, "data": data}) }
        ),
        2 => (both(&["DRAFT_DELETE", "PENDING_DELETE"]), id(), version()).prop_map(
            move |(name, id, version)| Sent { name, payload: conditional(json!({"id": id}), version) }
        ),
        2 => (id(), id(), patch(), version()).prop_map(move |(id, pending, patch, version)| {
            let payload = json!({"id": id, "pendingId": pending, "patch": patch});
            Sent { name: "DRAFT_CONVERT", payload: conditional(payload, version) }
        }),
        1 => Just(Sent { name: "SKIP", payload: json!({}) }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let number = prop_oneof![
        1 => Just(Number::None),
        6 => Just(Number::Next),
        1 => (1_u64..4).prop_map(Number::Ahead),
        3 => (0_u64..6, prop::bool::weighted(0.3))
            .prop_map(|(back, altered)| Number::Again { back, altered }),
    ];
    (0_usize..2, 0_usize..3, number, sent()).prop_map(|(user, device, number, sent)| Step {
        user,
        device,
        number,
        sent,
    })
}

fn limits() -> StoreLimits {
    StoreLimits {
        device_answers_kept: KEPT as usize,
        user_documents_max: DOCUMENTS_MAX as u64,
        ..StoreLimits::default()
    }
}

fn without_message(mut payload: Json) -> Json {
    if let Some(payload) = payload.as_object_mut() {
        payload.remove("message");
    }
    payload
}

/// The documents that the events alone lead to.
fn replayed(events: &[Json]) -> BTreeMap<Key, Json> {
    let mut documents = BTreeMap::new();
    for event in events {
        let (prefix, what) =
            event["type"].as_str().unwrap_or_default().split_once('_').unwrap_or_default();
        let collection = usize::from(prefix == "PENDING" || what == "CONVERTED");
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let payload = &event["payload"];
        documents.remove(&(collection, text(&payload["id"])));
        if what == "CONVERTED" {
            documents.remove(&(0, text(&payload["draftId"])));
        }
        if let Some(document) = payload.get("document") {
            documents.insert((collection, text(&document["id"])), document.clone());
        }
    }
    documents
}

fn check(store: &SqliteStore, name: &'static str, user: &User) -> Result<(), TestCaseError> {
    let desk = Desk::new(store, name);
    let mut kept = BTreeMap::new();
    for (number, collection) in Collection::ALL.into_iter().enumerate() {
        for document in desk.list(collection) {
            let id = document["id"].as_str().unwrap_or_default().to_owned();
            let one = store.get(name, collection, &id).expect("read").expect("listed");
            prop_assert_eq!(parse(&one.document), document.clone());
            kept.insert((number, id), document);
        }
    }
    prop_assert_eq!(&kept, &user.documents);
    let log: Vec<Json> =
        desk.log(0).expect("whole").iter().map(|(_, frame)| parse(frame)).collect();
    prop_assert_eq!(&log, &user.events);
    prop_assert!((1..=user.seq).eq(log.iter().filter_map(|event| event["seq"].as_u64())));
    prop_assert_eq!(replayed(&log), kept);
    prop_assert_eq!(desk.head().seq, user.seq);
    for (client, device) in DEVICES.into_iter().zip(&user.devices) {
        prop_assert_eq!(desk.last_mutation(client), device.sent.len() as u64);
    }
    let half = user.seq / 2;
    let position = Position { epoch: desk.head().epoch.into(), seq: half, at: None };
    let recovered = desk.recover(Some(&position), None);
    if recovered.plan == Plan::Delta {
        let delta: Vec<Json> = recovered.events.iter().map(|event| parse(&event.frame)).collect();
        prop_assert_eq!(&delta[..], &log[half as usize..]);
    } else {
        prop_assert!(
            log[half as usize..].iter().map(|event| event.to_string().len()).sum::<usize>() > 4_000
        );
        prop_assert_eq!(recovered.drafts.len() + recovered.pending.len(), user.documents.len());
    }
    Ok(())
}

fn run(batches: &[(Vec<Step>, bool)]) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path(), &limits()).expect("open");
    let mut users = [User::default(), User::default()];
    for (turn, (steps, reopen)) in batches.iter().enumerate() {
        let now = time(START_MILLIS + turn as i64 * 1_000);
        let (mut batch, mut expected) = (Vec::new(), Vec::new());
        for step in steps {
            let user = &mut users[step.user];
            let (number, sent) = user.number(step);
            let (device, told) = (Some((DEVICES[step.device], number)), user.events.len());
            batch.push(submission(USERS[step.user], device, sent.name, &sent.payload));
            let answer = user.answer(step.device, number, &sent, &now.to_string());
            expected.push((answer, user.events[told..].first().cloned()));
        }
        let applied = store.apply(&batch, now).expect("applied");
        prop_assert_eq!(applied.len(), expected.len());
        for (applied, (answer, event)) in applied.into_iter().zip(expected) {
            let reply = Reply::of(applied);
            let name = if answer.get("code").is_some() { "REJECTED" } else { "ACK" };
            prop_assert_eq!(reply.name, name);
            prop_assert_eq!(without_message(reply.payload), answer);
            prop_assert_eq!(reply.event, event);
        }
        if *reopen {
            drop(store);
            store = open(folder.path(), &limits()).expect("open");
            for (name, user) in USERS.into_iter().zip(&users) {
                check(&store, name, user)?;
            }
        }
    }
    for (name, user) in USERS.into_iter().zip(&users) {
        check(&store, name, user)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn the_store_does_what_the_model_does(
        batches in prop::collection::vec(
            (prop::collection::vec(step(), 1..6), prop::bool::weighted(0.15)),
            1..24,
        )
    ) {
        run(&batches)?;
    }
}
