//! Promise 4, *Retry is safe, for ever*: the rules of `mutationId` cell by cell, and of the
//! `Idempotency-Key`.

use draftwire_protocol::code::RejectionCode as Code;
use draftwire_store::{Applied, IdempotencyKey, Store, Submission};
use serde_json::{Value as Json, json};

use crate::support::{DAY_MILLIS, Desk, submission};

fn update(n: u64) -> Json {
    json!({"id": "a", "patch": {"n": n}})
}

pub fn the_next_is_applied_and_one_ahead_is_not(store: &dyn Store) {
    let desk = Desk::new(store, "order");
    let ahead = |number, expected| {
        let reply = desk.numbered("phone", number, "DRAFT_CREATE", &json!({"id": "a", "data": {}}));
        reply.rejected(Code::OutOfOrder, &json!({"mutationId": number, "expected": expected}));
    };
    ahead(2, 1);
    ahead((1 << 53) - 1, 1);
    assert_eq!((desk.head().seq, desk.last_mutation("phone")), (0, 0));
    let create = json!({"id": "a", "data": {}});
    let first = desk.numbered("phone", 1, "DRAFT_CREATE", &create);
    first.acked(&json!({"mutationId": 1, "seq": 1, "id": "a", "version": 1}));
    ahead(3, 2);
    ahead(4, 2);
    assert_eq!(desk.last_mutation("phone"), 1, "out of order uses up nothing");
    let second = desk.numbered("phone", 2, "DRAFT_UPDATE", &update(1));
    second.acked(&json!({"mutationId": 2, "seq": 2, "id": "a", "version": 2}));
    assert_eq!(desk.last_mutation("phone"), 2);
}

pub fn a_duplicate_gets_the_first_answer_and_changes_nothing(store: &dyn Store) {
    let desk = Desk::new(store, "duplicates");
    let commands = [
        ("DRAFT_CREATE", json!({"id": "a", "data": {}})),
        ("DRAFT_UPDATE", json!({"id": "a", "patch": {"n": 1}, "ifVersion": 9})),
        ("DRAFT_DELETE", json!({"id": "a"})),
    ];
    let mut first = Vec::new();
    for (number, (name, payload)) in (1..).zip(&commands) {
        first.push(desk.numbered("phone", number, name, payload));
    }
    assert_eq!(first[1].code, Some(Code::VersionConflict));
    desk.create("a");
    let (state, head) = (desk.state(), desk.head());
    for round in 0..2 {
        for (number, (name, payload)) in (1..).zip(&commands) {
            let again = desk.numbered("phone", number, name, payload);
            let before = &first[number as usize - 1];
            let mut expected = before.payload.clone();
            expected["duplicate"] = json!(true);
            assert_eq!(
                (again.name, again.code, &again.payload),
                (before.name, before.code, &expected)
            );
            assert_eq!(again.event, None, "told once only, round {round}");
        }
    }
    assert_eq!((desk.state(), desk.head()), (state, head));
    assert_eq!(desk.last_mutation("phone"), 3);
}

pub fn another_content_under_a_number_is_never_taken_for_the_old_one(store: &dyn Store) {
    let desk = Desk::new(store, "reused");
    desk.numbered("phone", 1, "DRAFT_CREATE", &json!({"id": "a", "data": {"n": [1, 2]}}));
    desk.numbered("phone", 2, "DRAFT_UPDATE", &update(2));
    let others = [
        ("DRAFT_CREATE", json!({"id": "a", "data": {"n": [2, 1]}})),
        ("DRAFT_CREATE", json!({"id": "b", "data": {"n": [1, 2]}})),
        ("PENDING_CREATE", json!({"id": "a", "data": {"n": [1, 2]}})),
        ("SKIP", json!({"id": "a", "data": {"n": [1, 2]}})),
        ("DRAFT_CREATE", json!({"id": "a", "data": {"n": [1, 2]}, "more": 1})),
    ];
    for (name, payload) in others {
        let reply = desk.numbered("phone", 1, name, &payload);
        reply.rejected(Code::MutationReused, &json!({"mutationId": 1}));
    }
    assert_eq!((desk.head().seq, desk.last_mutation("phone")), (2, 2), "it uses up nothing");
    let again =
        desk.numbered("phone", 1, "DRAFT_CREATE", &json!({"data": {"n": [1.0, 2]}, "id": "a"}));
    assert_eq!(again.payload["duplicate"], true, "another spelling is the same content");
    assert_eq!(desk.numbered("phone", 3, "DRAFT_UPDATE", &update(3)).code, None);
}

pub fn answers_older_than_kept_are_unknown(store: &dyn Store) {
    let desk = Desk::new(store, "old answers");
    desk.create("a");
    for number in 1..=5 {
        assert_eq!(desk.numbered("phone", number, "DRAFT_UPDATE", &update(number)).code, None);
    }
    // Three are kept: 3, 4 and 5. Of older ones not even the content is known.
    for number in [1, 2] {
        for payload in [update(number), update(77)] {
            let reply = desk.numbered("phone", number, "DRAFT_UPDATE", &payload);
            reply.acked(&json!({"mutationId": number, "duplicate": true, "outcome": "unknown"}));
            assert_eq!(reply.event, None);
        }
    }
    for number in 3..=5 {
        let reply = desk.numbered("phone", number, "DRAFT_UPDATE", &update(number));
        let seq = number + 1;
        reply.acked(&json!({"mutationId": number, "seq": seq, "id": "a", "version": seq, "duplicate": true}));
    }
    assert_eq!((desk.head().seq, desk.last_mutation("phone")), (6, 5));
}

pub fn final_refusals_use_up_their_number(store: &dyn Store) {
    let desk = Desk::new(store, "finals");
    desk.create("a");
    let long = "x".repeat(100);
    let finals = [
        ("DRAFT_CREATE", json!({"id": "a", "data": {}}), Code::AlreadyExists),
        ("DRAFT_UPDATE", json!({"id": "z", "patch": {}}), Code::NotFound),
        ("DRAFT_UPDATE", json!({"id": "a", "patch": {}, "ifVersion": 7}), Code::VersionConflict),
        ("DRAFT_UPDATE", json!({"id": "a", "patch": {"x": long}}), Code::TooLarge),
        ("DRAFT_CREATE", json!({"id": "a b", "data": {}}), Code::Invalid),
    ];
    for (number, (name, payload, code)) in (1..).zip(finals) {
        let reply = desk.numbered("phone", number, name, &payload);
        assert_eq!((reply.code, reply.payload["mutationId"].as_u64()), (Some(code), Some(number)));
        assert_eq!(desk.last_mutation("phone"), number, "{code:?}");
    }
    for id in ["b", "c", "d", "e"] {
        desk.create(id);
    }
    let quota = desk.numbered("phone", 6, "DRAFT_CREATE", &json!({"id": "f", "data": {}}));
    assert_eq!((quota.code, desk.last_mutation("phone")), (Some(Code::Quota), 6));
    desk.send("DRAFT_DELETE", &json!({"id": "b"}));
    let again = desk.numbered("phone", 6, "DRAFT_CREATE", &json!({"id": "f", "data": {}}));
    assert_eq!(again.code, Some(Code::Quota), "the answer stays, though there is room now");
    assert_eq!(again.payload["duplicate"], true);
}

pub fn a_skip_uses_up_its_number_and_does_nothing(store: &dyn Store) {
    let desk = Desk::new(store, "skips");
    let first = desk.numbered("phone", 1, "SKIP", &json!({}));
    first.acked(&json!({"mutationId": 1, "seq": 0}));
    desk.create("a");
    let second = desk.numbered("phone", 2, "SKIP", &json!({}));
    second.acked(&json!({"mutationId": 2, "seq": 1}));
    assert_eq!((first.event, second.event), (None, None));
    assert_eq!((desk.head().seq, desk.last_mutation("phone")), (1, 2));
    let again = desk.numbered("phone", 1, "SKIP", &json!({}));
    again.acked(&json!({"mutationId": 1, "seq": 0, "duplicate": true}));
    desk.send("SKIP", &json!({})).acked(&json!({"mutationId": null, "seq": 1}));
}

pub fn devices_and_users_count_apart(store: &dyn Store) {
    let (one, two) = (Desk::new(store, "count one"), Desk::new(store, "count two"));
    for (desk, client) in [(&one, "phone"), (&one, "tablet"), (&two, "phone")] {
        let reply = desk.numbered(client, 1, "DRAFT_CREATE", &json!({"id": client, "data": {}}));
        assert_eq!((reply.code, reply.payload.get("duplicate")), (None, None), "{client}");
    }
    one.numbered("phone", 2, "SKIP", &json!({}));
    let last =
        [one.last_mutation("phone"), one.last_mutation("tablet"), two.last_mutation("phone")];
    assert_eq!(last, [2, 1, 1]);
    assert_eq!(one.last_mutation("never heard of"), 0);
    assert_eq!(one.store.head("nobody", Some("phone")).expect("head").1, 0);
}

pub fn a_number_twice_in_one_batch_is_a_duplicate(store: &dyn Store) {
    let desk = Desk::new(store, "twice");
    let create = |number| {
        let payload = json!({"id": "a", "data": {}});
        submission("twice", Some(("phone", Some(number))), "DRAFT_CREATE", &payload)
    };
    let skip = submission("twice", Some(("phone", Some(2))), "SKIP", &json!({}));
    let batch = [create(1), create(1), create(3), skip, create(2), create(3)];
    let applied = store.apply(&batch, desk.now()).expect("applied");
    let codes: Vec<_> = applied.iter().map(|applied| applied.answer.code).collect();
    let (ahead, reused, exists) = (Code::OutOfOrder, Code::MutationReused, Code::AlreadyExists);
    assert_eq!(codes, [None, None, Some(ahead), None, Some(reused), Some(exists)]);
    assert!(applied[1].answer.payload.contains("\"duplicate\":true"));
    assert_eq!(applied.iter().flat_map(|applied| &applied.event).count(), 1);
    assert_eq!(desk.last_mutation("phone"), 3);
}

fn keyed(user: &str, key: &str, digest: u8, name: &str, payload: &Json) -> Submission {
    let key = IdempotencyKey { key: key.into(), digest: [digest; 16] };
    Submission {
        idempotency: Some(key),
        wants_document: true,
        ..submission(user, None, name, payload)
    }
}

fn same(left: &Applied, right: &Applied) {
    assert_eq!(left.answer, right.answer, "answer, code, epoch and document");
}

pub fn an_idempotency_key_gives_the_same_answer_for_a_day(store: &dyn Store) {
    let desk = Desk::new(store, "keys");
    let create = || keyed("keys", "k1", 1, "DRAFT_CREATE", &json!({"data": {"n": 1}}));
    let first = desk.submit(create());
    assert!(first.applied.answer.document.is_some() && first.event.is_some());
    let refused = || keyed("keys", "k2", 2, "DRAFT_DELETE", &json!({"id": "no"}));
    let first_refusal = desk.submit(refused());
    first_refusal.rejected(Code::NotFound, &json!({}));
    let id = first.payload["id"].clone();
    desk.send("DRAFT_UPDATE", &json!({"id": id, "patch": {"n": 2}}));

    let again = desk.submit(create());
    same(&again.applied, &first.applied);
    assert_eq!(again.event, None);
    same(&desk.submit(refused()).applied, &first_refusal.applied);
    let other = desk.submit(keyed("keys", "k1", 9, "DRAFT_CREATE", &json!({"data": {}})));
    other.rejected(Code::MutationReused, &json!({}));
    assert_eq!(Code::MutationReused.http_status(), 422);
    let theirs = Desk::new(store, "other keys");
    let theirs = theirs.submit(keyed("other keys", "k1", 9, "DRAFT_CREATE", &json!({"data": {}})));
    assert_eq!(theirs.code, None, "keys belong to their user");

    // `k1` was kept one second after the start; 24 hours later to the millisecond it still is.
    desk.wait(DAY_MILLIS - 6_000);
    same(&desk.submit(create()).applied, &first.applied);
    assert_eq!(desk.head().seq, 2);
    let fresh = desk.submit(create());
    assert_eq!((fresh.code, desk.head().seq), (None, 3), "a second later it is forgotten");
    assert_ne!(fresh.payload["id"], id);
    same(&desk.submit(create()).applied, &fresh.applied);
}

pub fn keys_are_counted_and_given_back(store: &dyn Store) {
    let desk = Desk::new(store, "many keys");
    let skip = |key: &str| desk.submit(keyed("many keys", key, 1, "SKIP", &json!({}))).code;
    // The same key, forgotten and used again day by day, is one key.
    for _ in 0..5 {
        assert_eq!(skip("daily"), None);
        desk.wait(DAY_MILLIS);
    }
    assert_eq!((skip("daily"), skip("k2"), skip("k3")), (None, None, None));
    assert_eq!(skip("k4"), Some(Code::Quota), "three are remembered at most");
    assert_eq!(skip("k2"), None, "known ones are still answered");
    assert_eq!(desk.create("a").code, None, "commands without a key go on");
    desk.wait(DAY_MILLIS + 60_000);
    while store.maintain(desk.now()).expect("maintained") {}
    assert_eq!((skip("k4"), skip("k5"), skip("k6")), (None, None, None), "forgotten by upkeep");
    assert_eq!(skip("k7"), Some(Code::Quota));
}
