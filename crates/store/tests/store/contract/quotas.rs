//! Promises about limits: what counts, to the byte; that other users are not concerned; and that
//! there is always a way to make room.

use draftwire_protocol::code::RejectionCode as Code;
use draftwire_store::{Revocation, Store, StoreError};
use serde_json::{Value as Json, json};

use crate::support::{Desk, submission};

/// `{"x":"…"}` of exactly `bytes` bytes.
fn data(bytes: usize) -> Json {
    let data = json!({"x": "y".repeat(bytes - 8)});
    assert_eq!(data.to_string().len(), bytes);
    data
}

pub fn size_is_measured_on_the_result(store: &dyn Store) {
    let desk = Desk::new(store, "sizes");
    let too_large = |name: &str, payload: Json| {
        desk.send(name, &payload).rejected(Code::TooLarge, &json!({}));
    };
    let fits =
        |name: &str, payload: Json| assert_eq!(desk.send(name, &payload).code, None, "{payload}");
    too_large("DRAFT_CREATE", json!({"id": "a", "data": data(101)}));
    fits("DRAFT_CREATE", json!({"id": "a", "data": data(100)}));
    too_large("DRAFT_UPDATE", json!({"id": "a", "patch": {"z": 1}}));
    too_large("DRAFT_UPDATE", json!({"id": "a", "data": data(101)}));
    fits("DRAFT_UPDATE", json!({"id": "a", "patch": {"x": "y".repeat(92)}}));
    // A patch over the limit whose result is under it.
    let mut patch = json!({"x": "short"});
    for n in 0..30 {
        patch[format!("no such member {n}")] = Json::Null;
    }
    assert!(patch.to_string().len() > 100);
    fits("DRAFT_UPDATE", json!({"id": "a", "patch": patch}));
    too_large("DRAFT_CONVERT", json!({"id": "a", "pendingId": "p", "patch": data(101)}));
    fits("DRAFT_CONVERT", json!({"id": "a", "pendingId": "p", "patch": data(100)}));
}

pub fn documents_are_counted_over_both_collections(store: &dyn Store) {
    let desk = Desk::new(store, "many");
    for id in ["a", "b", "c"] {
        desk.create(id);
    }
    for id in ["p", "q"] {
        assert_eq!(desk.send("PENDING_CREATE", &json!({"id": id, "data": {}})).code, None);
    }
    for name in ["DRAFT_CREATE", "PENDING_CREATE"] {
        desk.send(name, &json!({"id": "x", "data": {}})).rejected(Code::Quota, &json!({}));
    }
    assert_eq!(Desk::new(store, "many others").create("x").code, None);
    for (name, payload) in [
        ("DRAFT_UPDATE", json!({"id": "a", "patch": {"n": 1}})),
        ("DRAFT_CONVERT", json!({"id": "a", "pendingId": "r"})),
        ("PENDING_DELETE", json!({"id": "p"})),
        ("DRAFT_CREATE", json!({"id": "x", "data": {}})),
    ] {
        assert_eq!(desk.send(name, &payload).code, None, "{name} at the limit");
    }
    assert_eq!(desk.create("y").code, Some(Code::Quota), "full again");
}

pub fn bytes_are_counted_and_given_back(store: &dyn Store) {
    let desk = Desk::new(store, "heavy");
    for id in ["a", "b", "c"] {
        assert_eq!(desk.send("DRAFT_CREATE", &json!({"id": id, "data": data(100)})).code, None);
    }
    desk.create("d").rejected(Code::Quota, &json!({}));
    let same = json!({"id": "a", "data": data(100)});
    assert_eq!(desk.send("DRAFT_UPDATE", &same).code, None, "no larger than before");
    let smaller = json!({"id": "a", "patch": {"x": "y".repeat(90)}});
    assert_eq!(desk.send("DRAFT_UPDATE", &smaller).code, None, "298 bytes");
    assert_eq!(desk.create("d").code, None, "300 bytes exactly");
    let larger = json!({"id": "d", "patch": {"x": ""}});
    desk.send("DRAFT_UPDATE", &larger).rejected(Code::Quota, &json!({}));
    let convert = json!({"id": "d", "pendingId": "d", "patch": {"x": ""}});
    desk.send("DRAFT_CONVERT", &convert).rejected(Code::Quota, &json!({}));
    assert_eq!(desk.send("DRAFT_CONVERT", &json!({"id": "c", "pendingId": "c"})).code, None);
    assert_eq!(desk.send("PENDING_DELETE", &json!({"id": "c"})).code, None, "200 bytes");
    let refill = json!({"id": "c", "data": data(100)});
    assert_eq!(desk.send("DRAFT_CREATE", &refill).code, None, "all of them were given back");
    assert_eq!(desk.create("e").code, Some(Code::Quota));
}

pub fn devices_are_counted(store: &dyn Store) {
    let desk = Desk::new(store, "devices");
    for client in ["a", "b", "c"] {
        assert_eq!(desk.numbered(client, 1, "SKIP", &json!({})).code, None);
    }
    let fourth = desk.numbered("d", 1, "DRAFT_CREATE", &json!({"id": "x", "data": {}}));
    fourth.rejected(Code::Quota, &json!({"mutationId": 1}));
    assert_eq!((desk.last_mutation("d"), desk.draft("x")), (0, None));
    assert_eq!(desk.numbered("c", 2, "SKIP", &json!({})).code, None, "known ones go on");
    assert_eq!(desk.create("x").code, None, "commands without a number need no device");
}

pub fn revocations_are_kept_and_counted(store: &dyn Store) {
    let token = |jti: &str| Revocation::Token(jti.into());
    let table = [
        ("rev one", Revocation::IssuedBefore(100.5)),
        ("rev one", Revocation::IssuedBefore(99.0)),
        ("rev two", token("t1")),
        ("rev two", token("t2")),
        ("rev two", token("t1")),
        ("rev two", Revocation::IssuedBefore(1.0)),
        ("rev two", Revocation::IssuedBefore(2.0)),
    ];
    for (user, revocation) in &table {
        store.revoke(user, revocation).expect("revoked");
    }
    let third = store.revoke("rev two", &token("t3"));
    assert!(matches!(&third, Err(StoreError::Quota(why)) if why.contains("issuedBefore")));
    let mut found = store.revocations().expect("read");
    found.retain(|(user, _)| user.starts_with("rev "));
    let expected = [
        ("rev one", Revocation::IssuedBefore(100.5)),
        ("rev two", Revocation::IssuedBefore(2.0)),
        ("rev two", token("t1")),
        ("rev two", token("t2")),
    ];
    assert_eq!(found.len(), expected.len(), "the later moment counts, each token once");
    for (user, revocation) in expected {
        assert!(found.contains(&(user.to_owned(), revocation.clone())), "{user} {revocation:?}");
    }
}

pub fn a_batch_counts_what_came_before_in_it(store: &dyn Store) {
    let creates: Vec<_> = (0..7)
        .map(|n| {
            submission("batched", None, "DRAFT_CREATE", &json!({"id": n.to_string(), "data": {}}))
        })
        .collect();
    let applied = store.apply(&creates, Desk::new(store, "batched").now()).expect("applied");
    let codes: Vec<_> = applied.iter().map(|applied| applied.answer.code).collect();
    let full = Some(Code::Quota);
    assert_eq!(codes, [None, None, None, None, None, full, full]);
    let seqs: Vec<u64> =
        applied.iter().flat_map(|applied| &applied.event).map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5]);
    assert_eq!(store.apply(&[], Desk::new(store, "batched").now()).expect("applied").len(), 0);
}
