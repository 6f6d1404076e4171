//! Promises about documents: what each command does, answers and tells; versions; refusals that
//! change nothing.

use draftwire_protocol::code::RejectionCode as Code;
use draftwire_protocol::command::{Change, Condition};
use draftwire_protocol::{Collection, Command};
use draftwire_store::{Author, Store, Submission};
use serde_json::{Value as Json, json};

use crate::support::{Desk, parse, submission};

fn of(id: &str, data: &str) -> Json {
    json!({"id": id, "data": parse(data)})
}

pub fn every_command_answers_tells_and_is_kept(store: &dyn Store) {
    let desk = Desk::new(store, "lifecycle");
    let started = desk.now().as_millis();
    let moment =
        |n: i64| draftwire_protocol::Timestamp::from_millis(started + n * 1_000).to_string();
    let document = |id: &str, version: u64, data: Json, created: i64, updated: i64| {
        json!({"id": id, "version": version, "data": data,
            "createdAt": moment(created), "updatedAt": moment(updated)})
    };
    let table = [
        (
            "DRAFT_CREATE",
            json!({"id": "a", "data": {"n": 1}}),
            "DRAFT_CREATED",
            document("a", 1, json!({"n": 1}), 1, 1),
        ),
        (
            "DRAFT_UPDATE",
            json!({"id": "a", "patch": {"m": 2}}),
            "DRAFT_UPDATED",
            document("a", 2, json!({"n": 1, "m": 2}), 1, 2),
        ),
        (
            "DRAFT_UPDATE",
            json!({"id": "a", "patch": {}}),
            "DRAFT_UPDATED",
            document("a", 3, json!({"n": 1, "m": 2}), 1, 3),
        ),
        (
            "DRAFT_UPDATE",
            json!({"id": "a", "data": {"k": []}}),
            "DRAFT_UPDATED",
            document("a", 4, json!({"k": []}), 1, 4),
        ),
        (
            "PENDING_CREATE",
            json!({"id": "a", "data": {}}),
            "PENDING_CREATED",
            document("a", 5, json!({}), 5, 5),
        ),
        (
            "DRAFT_CONVERT",
            json!({"id": "a", "pendingId": "p", "patch": {"x": 1}}),
            "DRAFT_CONVERTED",
            document("p", 6, json!({"k": [], "x": 1}), 6, 6),
        ),
        (
            "PENDING_UPDATE",
            json!({"id": "p", "patch": {"k": null}}),
            "PENDING_UPDATED",
            document("p", 7, json!({"x": 1}), 6, 7),
        ),
        ("PENDING_DELETE", json!({"id": "a"}), "PENDING_DELETED", Json::Null),
        (
            "DRAFT_CREATE",
            json!({"id": "a", "data": {"again": true}}),
            "DRAFT_CREATED",
            document("a", 9, json!({"again": true}), 9, 9),
        ),
        ("DRAFT_DELETE", json!({"id": "a"}), "DRAFT_DELETED", Json::Null),
    ];
    for (seq, (name, payload, event, document)) in (1_u64..).zip(table) {
        let reply = desk.send(name, &payload);
        let mut ack = json!({"mutationId": null, "seq": seq, "id": payload["id"]});
        let mut told = json!({"origin": {}});
        if document.is_null() {
            told["id"] = payload["id"].clone();
        } else {
            ack["id"] = document["id"].clone();
            ack["version"] = document["version"].clone();
            told["document"] = document;
        }
        if name == "DRAFT_CONVERT" {
            told["draftId"] = payload["id"].clone();
        }
        reply.acked(&ack);
        let expected =
            json!({"type": event, "seq": seq, "timestamp": moment(seq as i64), "payload": told});
        assert_eq!(reply.event, Some(expected));

        // The log, the head and the documents say the same, byte for byte.
        let committed = reply.applied.event.expect("an event");
        assert_eq!(desk.log(seq - 1), Some(vec![(seq, committed.frame.to_string())]));
        assert_eq!((desk.head().seq, desk.head().at), (seq, Some(desk.now())));
        let kept = desk.state().concat();
        let told = &parse(&committed.frame)["payload"]["document"];
        assert!(told.is_null() || kept.contains(told), "{told} in {kept:?}");
    }
    let last = document("p", 7, json!({"x": 1}), 6, 7);
    assert_eq!(desk.state(), [vec![], vec![last]]);
    let whole = desk.log(0).expect("the whole log");
    assert!(whole.iter().map(|(seq, _)| *seq).eq(1..=10), "one by one");
    for (seq, frame) in whole {
        assert_eq!(parse(&frame)["seq"], seq);
    }
}

pub fn ids_are_made_where_there_are_none(store: &dyn Store) {
    let desk = Desk::new(store, "ids");
    let mut seen = Vec::new();
    for (name, payload) in [
        ("DRAFT_CREATE", json!({"data": {}})),
        ("DRAFT_CREATE", json!({"data": {}})),
        ("PENDING_CREATE", json!({"data": {}})),
    ] {
        let reply = desk.send(name, &payload);
        let id = reply.payload["id"].as_str().expect("an id").to_owned();
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "7", "a UUIDv7: {id}");
        assert_eq!(reply.event.expect("an event")["payload"]["document"]["id"], id.as_str());
        seen.push(id);
    }
    let convert = desk.send("DRAFT_CONVERT", &json!({"id": seen[0]}));
    seen.push(convert.payload["id"].as_str().expect("an id").to_owned());
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 4, "each id is new: {seen:?}");
}

pub fn a_version_never_comes_back(store: &dyn Store) {
    let desk = Desk::new(store, "versions");
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(desk.create("a").payload["version"].as_u64());
        assert_eq!(seen.last().copied().flatten(), Some(desk.head().seq), "starts as the seq");
        for _ in 0..2 {
            let update = desk.send("DRAFT_UPDATE", &json!({"id": "a", "patch": {}}));
            seen.push(update.payload["version"].as_u64());
        }
        desk.send("DRAFT_DELETE", &json!({"id": "a"}));
    }
    let expected = [1, 2, 3, 5, 6, 7, 9, 10, 11].map(Some);
    assert_eq!(seen, expected);
}

pub fn lists_are_oldest_first_and_tell_their_moment(store: &dyn Store) {
    let desk = Desk::new(store, "lists");
    for id in ["c", "a", "b"] {
        desk.create(id);
    }
    desk.send("DRAFT_UPDATE", &json!({"id": "c", "patch": {"x": 1}}));
    desk.send("DRAFT_DELETE", &json!({"id": "a"}));
    desk.create("a");
    let listing = store.list("lists", Collection::Drafts).expect("listed");
    let ids: Vec<Json> = listing.items.iter().map(|text| parse(text)["id"].clone()).collect();
    assert_eq!(ids, ["c", "b", "a"]);
    assert_eq!(listing.head, desk.head());
    assert_eq!(listing.head.seq, 6);
    let found = store.get("lists", Collection::Drafts, "c").expect("read").expect("found");
    assert_eq!((found.version, found.epoch), (2, listing.head.epoch));
    assert_eq!(Some(found.document.as_str()), listing.items.first().map(String::as_str));
    assert_eq!(store.get("lists", Collection::Pending, "c").expect("read"), None);
}

pub fn users_do_not_see_each_other(store: &dyn Store) {
    let (one, two) = (Desk::new(store, "user one"), Desk::new(store, "user two"));
    one.create("a");
    one.create("b");
    two.send("DRAFT_UPDATE", &json!({"id": "a", "patch": {}})).rejected(Code::NotFound, &json!({}));
    two.create("a").acked(&json!({"mutationId": null, "seq": 1, "id": "a", "version": 1}));
    assert_eq!((one.head().seq, two.head().seq), (2, 1));
    assert_eq!((one.state()[0].len(), two.state()[0].len()), (2, 1));
    let nobody = Desk::new(store, "user three");
    assert_eq!((nobody.head().seq, nobody.head().at), (0, None));
    assert!(nobody.state().concat().is_empty());
    assert_eq!(nobody.log(0), Some(vec![]));
}

pub fn events_name_their_author(store: &dyn Store) {
    let desk = Desk::new(store, "authors");
    let service = Author::Service("billing \"1\"".into());
    let table = [
        (Some(("phone", Some(1))), None, json!({"clientId": "phone", "mutationId": 1})),
        (Some(("phone", None)), None, json!({"clientId": "phone"})),
        (None, None, json!({})),
        (None, Some(service), json!({"service": "billing \"1\""})),
    ];
    for (device, service, origin) in table {
        let mut create = submission("authors", device, "DRAFT_CREATE", &json!({"data": {}}));
        create.author = service.unwrap_or(create.author);
        let event = desk.submit(create).event.expect("an event");
        assert_eq!(event["payload"]["origin"], origin);
    }
}

pub fn refusals_say_why_and_change_nothing(store: &dyn Store) {
    let desk = Desk::new(store, "refusals");
    desk.send("DRAFT_CREATE", &of("a", r#"{"n":1}"#));
    desk.send("DRAFT_UPDATE", &json!({"id": "a", "patch": {}}));
    desk.send("PENDING_CREATE", &of("p", "{}"));
    let (state, head) = (desk.state(), desk.head());
    let draft = json!({"document": state[0][0]});
    let pending = json!({"document": state[1][0]});
    let (none, long) = (json!({}), "x".repeat(100));
    let table = [
        ("DRAFT_UPDATE", json!({"id": "p", "patch": {}}), Code::NotFound, &none),
        ("PENDING_UPDATE", json!({"id": "a", "data": {}}), Code::NotFound, &none),
        ("DRAFT_DELETE", json!({"id": "p"}), Code::NotFound, &none),
        ("PENDING_DELETE", json!({"id": "a", "ifVersion": 2}), Code::NotFound, &none),
        ("DRAFT_CONVERT", json!({"id": "p"}), Code::NotFound, &none),
        ("DRAFT_CONVERT", json!({"id": "x", "pendingId": "p"}), Code::NotFound, &none),
        ("DRAFT_CREATE", of("a", "{}"), Code::AlreadyExists, &draft),
        ("PENDING_CREATE", of("p", "{}"), Code::AlreadyExists, &pending),
        ("DRAFT_CONVERT", json!({"id": "a", "pendingId": "p"}), Code::AlreadyExists, &pending),
        (
            "DRAFT_UPDATE",
            json!({"id": "a", "patch": {}, "ifVersion": 1}),
            Code::VersionConflict,
            &draft,
        ),
        (
            "DRAFT_UPDATE",
            json!({"id": "a", "data": {}, "ifVersion": 3}),
            Code::VersionConflict,
            &draft,
        ),
        ("DRAFT_DELETE", json!({"id": "a", "ifVersion": 0}), Code::VersionConflict, &draft),
        ("PENDING_DELETE", json!({"id": "p", "ifVersion": 1}), Code::VersionConflict, &pending),
        (
            "DRAFT_CONVERT",
            json!({"id": "a", "pendingId": "q", "ifVersion": 1}),
            Code::VersionConflict,
            &draft,
        ),
        ("DRAFT_CREATE", json!({"id": "b", "data": {"x": long}}), Code::TooLarge, &none),
        ("DRAFT_UPDATE", json!({"id": "a", "data": {"x": long}}), Code::TooLarge, &none),
        ("DRAFT_UPDATE", json!({"id": "a", "patch": {"x": long}}), Code::TooLarge, &none),
        (
            "DRAFT_CONVERT",
            json!({"id": "a", "pendingId": "q", "patch": {"x": long}}),
            Code::TooLarge,
            &none,
        ),
        ("DRAFT_CREATE", json!({"id": "a/b", "data": {}}), Code::Invalid, &none),
        ("DRAFT_UPDATE", json!({"id": "a"}), Code::Invalid, &none),
    ];
    for (name, payload, code, more) in table {
        desk.send(name, &payload).rejected(code, more);
        assert_eq!(desk.state(), state, "{name} {payload}");
        assert_eq!(desk.head(), head, "{name} {payload}");
    }
    assert_eq!(desk.log(head.seq), Some(vec![]));
}

pub fn conditions_hold_only_at_their_version_and_epoch(store: &dyn Store) {
    let desk = Desk::new(store, "conditions");
    desk.create("a");
    desk.create("b");
    let epoch = desk.head().epoch;
    let tag = |epoch: &str, version| Condition::EntityTag { epoch: epoch.into(), version };
    let update = |condition| {
        let mut update = submission("conditions", None, "SKIP", &json!({}));
        update.command = Command::Update {
            collection: Collection::Drafts,
            id: "a".into(),
            change: Change::Patch("{}".into()),
            condition: Some(condition),
        };
        desk.submit(update).code
    };
    assert_eq!(
        update(tag("another", 1)),
        Some(Code::VersionConflict),
        "right version, wrong epoch"
    );
    assert_eq!(update(tag("", 1)), Some(Code::VersionConflict));
    assert_eq!(update(tag(&epoch, 2)), Some(Code::VersionConflict));
    assert_eq!(update(tag(&epoch, 1)), None);
    assert_eq!(update(tag(&epoch, 1)), Some(Code::VersionConflict), "it has moved on");
    assert_eq!(update(Condition::Version(2)), None);
    assert_eq!(update(Condition::Version(2)), Some(Code::VersionConflict));
    let convert = json!({"id": "b", "pendingId": "b", "ifVersion": 2});
    assert_eq!(desk.send("DRAFT_CONVERT", &convert).code, None);
    let delete = desk.send("DRAFT_DELETE", &json!({"id": "a", "ifVersion": 3}));
    delete.acked(&json!({"mutationId": null, "seq": 6, "id": "a"}));
}

pub fn the_document_comes_back_where_it_is_wanted(store: &dyn Store) {
    let desk = Desk::new(store, "wanted");
    let table = [
        ("DRAFT_CREATE", of("a", "{}"), true),
        ("DRAFT_UPDATE", json!({"id": "a", "patch": {"x": 1}}), true),
        ("DRAFT_CONVERT", json!({"id": "a", "pendingId": "b"}), true),
        ("PENDING_DELETE", json!({"id": "b"}), false),
        ("PENDING_DELETE", json!({"id": "b"}), false),
    ];
    for (name, payload, has_document) in table {
        let asked =
            Submission { wants_document: true, ..submission("wanted", None, name, &payload) };
        let reply = desk.submit(asked);
        let document = reply.applied.answer.document.as_deref().map(parse);
        assert_eq!(document.is_some(), has_document, "{name}");
        if let Some(document) = document {
            assert_eq!(document, reply.event.expect("an event")["payload"]["document"]);
        }
        assert_eq!(*reply.applied.answer.epoch, *desk.head().epoch);
    }
    assert_eq!(desk.create("c").applied.answer.document, None, "not asked for");
}
