//! Promise 3, *Nothing missed, nothing twice*: what a device at any position is sent, and what
//! happens where its position proves that history was lost.

use std::sync::Arc;

use draftwire_protocol::code::RejectionCode as Code;
use draftwire_protocol::reply::SnapshotReason as Reason;
use draftwire_protocol::{Position, Timestamp};
use draftwire_store::recovery::{Log, SMALL_DELTA_BYTES, plan};
use draftwire_store::{Ask, Author, Plan, Store, Submission};
use serde_json::json;

use crate::support::{Desk, Reply, parse, submission, time};

fn at(millis: i64) -> Option<Timestamp> {
    Some(time(millis))
}

pub fn the_plan_follows_from_the_position(_: &dyn Store) {
    let log = Log { head: 9, floor: 4, at: at(50), delta_bytes: 100, snapshot_bytes: 10 };
    let large = Log { delta_bytes: SMALL_DELTA_BYTES + 1, ..log };
    let small = Log { delta_bytes: SMALL_DELTA_BYTES, ..log };
    let even = Log { snapshot_bytes: large.delta_bytes, ..large };
    let whole = Log { floor: 0, ..log };
    let forgotten = Log { at: None, ..log };
    let behind = Plan::Snapshot(Reason::Behind);
    let table = [
        (9, None, log, Plan::Delta),
        (9, at(50), log, Plan::Delta),
        (4, at(50), log, Plan::Delta),
        (3, None, log, behind),
        (0, None, log, behind),
        (0, None, whole, Plan::Delta),
        (5, None, large, behind),
        (5, None, small, Plan::Delta),
        (5, None, even, Plan::Delta),
        (10, None, log, Plan::Lost(Reason::Ahead)),
        (10, at(50), large, Plan::Lost(Reason::Ahead)),
        (u64::MAX, None, log, Plan::Lost(Reason::Ahead)),
        (9, at(51), log, Plan::Lost(Reason::Forked)),
        (5, at(49), large, Plan::Lost(Reason::Forked)),
        (3, at(49), forgotten, behind),
        (5, at(49), forgotten, Plan::Delta),
        (0, at(49), whole, Plan::Delta),
        (0, at(49), log, behind),
    ];
    for (seq, theirs, log, expected) in table {
        assert_eq!(plan(seq, theirs, log), expected, "{seq} {theirs:?} {log:?}");
    }
}

pub fn a_device_without_a_position_gets_everything(store: &dyn Store) {
    let desk = Desk::new(store, "initial");
    let empty = desk.recover(None, None);
    assert_eq!(empty.plan, Plan::Snapshot(Reason::Initial));
    assert_eq!((empty.head, empty.drafts.len(), empty.last_mutation_id), (desk.head(), 0, 0));
    desk.create("b");
    desk.create("a");
    desk.send("PENDING_CREATE", &json!({"id": "p", "data": {}}));
    desk.numbered("phone", 1, "SKIP", &json!({}));
    let all = desk.recover(None, None);
    let read = |texts: &[String]| texts.iter().map(|text| parse(text)).collect::<Vec<_>>();
    assert_eq!([read(&all.drafts), read(&all.pending)], desk.state());
    assert_eq!((all.head, all.last_mutation_id, all.events.len()), (desk.head(), 1, 0));
    assert!(store.recovery_bytes("initial").expect("bytes") > 0);
}

pub fn a_device_behind_gets_each_event_once(store: &dyn Store) {
    let desk = Desk::new(store, "delta");
    for id in ["a", "b", "c", "d"] {
        desk.create(id);
    }
    let epoch = desk.head().epoch;
    for seq in 0..=4 {
        let theirs = if seq == 0 { None } else { desk.time_of(seq) };
        for at in [None, theirs] {
            let position = Position { epoch: epoch.as_str().into(), seq, at };
            let delta = desk.recover(Some(&position), None);
            assert_eq!(delta.plan, Plan::Delta, "{position:?}");
            let events: Vec<_> =
                delta.events.iter().map(|event| (event.seq, event.frame.to_string())).collect();
            assert_eq!(Some(events), desk.log(seq));
            assert!(delta.drafts.is_empty() && delta.pending.is_empty());
            assert_eq!(delta.head, desk.head());
        }
    }
    let with_seq_0 = desk.plan(&epoch, 0, at(1));
    assert_eq!(with_seq_0, Plan::Delta, "`at` is ignored with seq 0");
}

pub fn positions_of_another_history_are_recognised(store: &dyn Store) {
    let desk = Desk::new(store, "histories");
    desk.create("a");
    desk.create("b");
    let epoch = desk.head().epoch;
    let wrong = at(desk.now().as_millis() + 1);
    let table = [
        ("another", 1, None, Plan::Snapshot(Reason::Epoch)),
        ("another", 0, None, Plan::Snapshot(Reason::Epoch)),
        ("another", 99, wrong, Plan::Snapshot(Reason::Epoch)),
        (epoch.as_str(), 3, None, Plan::Lost(Reason::Ahead)),
        (epoch.as_str(), 2, wrong, Plan::Lost(Reason::Forked)),
        (epoch.as_str(), 1, wrong, Plan::Lost(Reason::Forked)),
        (epoch.as_str(), 2, Some(desk.now()), Plan::Delta),
    ];
    for (epoch, seq, at, expected) in table {
        assert_eq!(desk.plan(epoch, seq, at), expected, "{epoch} {seq} {at:?}");
    }
    let nobody = Desk::new(store, "histories of nobody");
    let epoch = nobody.head().epoch;
    assert_eq!(nobody.plan(&epoch, 0, None), Plan::Delta);
    assert_eq!(nobody.plan(&epoch, 1, None), Plan::Lost(Reason::Ahead));
    assert_eq!(nobody.plan("another", 0, None), Plan::Snapshot(Reason::Epoch));
}

pub fn live_sends_nothing(store: &dyn Store) {
    let desk = Desk::new(store, "live");
    desk.create("a");
    let ahead = Position { epoch: Arc::from(desk.head().epoch), seq: 7, at: None };
    for position in [None, Some(&ahead)] {
        let ask = Ask { user: "live", client_id: None, position, live: true, reason: None };
        let live = store.recover(&ask).expect("recovered");
        assert_eq!((live.plan, live.head), (Plan::Live, desk.head()));
        assert_eq!((live.events.len(), live.drafts.len(), live.last_mutation_id), (0, 0, 0));
    }
}

/// An update whose event is large though the document is not.
fn loud(user: &'static str, name: &str, times: usize) -> Submission {
    let author = Author::Service(name.repeat(times).into());
    Submission {
        author,
        ..submission(user, None, "DRAFT_UPDATE", &json!({"id": "a", "patch": {}}))
    }
}

pub fn a_snapshot_is_sent_where_it_is_smaller(store: &dyn Store) {
    let desk = Desk::new(store, "smaller");
    desk.create("a");
    desk.submit(loud("smaller", "s", 3_000));
    let epoch = desk.head().epoch;
    assert_eq!(desk.plan(&epoch, 0, None), Plan::Delta, "small deltas are sent all the same");
    desk.submit(loud("smaller", "s", 3_000));
    let behind = Position { epoch: epoch.as_str().into(), seq: 1, at: desk.time_of(1) };
    let snapshot = desk.recover(Some(&behind), None);
    assert_eq!(snapshot.plan, Plan::Snapshot(Reason::Behind));
    assert_eq!((snapshot.drafts.len(), snapshot.events.len()), (1, 0));
    assert_eq!(desk.plan(&epoch, 2, None), Plan::Delta, "one event is small again");
    let head = desk.head().seq;
    for _ in 0..2 {
        desk.submit(loud("smaller", "é", 1_000));
    }
    assert_eq!(desk.plan(&epoch, head, None), Plan::Snapshot(Reason::Behind), "4,000 bytes of é");
    assert!(store.recovery_bytes("smaller").expect("bytes") >= 6_000, "the whole log at most");
}

pub fn the_log_reaches_back_to_its_floor_exactly(store: &dyn Store) {
    let desk = Desk::new(store, "floor");
    desk.create("a");
    for _ in 0..19 {
        desk.send("DRAFT_UPDATE", &json!({"id": "a", "patch": {}}));
    }
    // Of 20 events 16 are kept: 5 to 20.
    let epoch = desk.head().epoch;
    let behind = Plan::Snapshot(Reason::Behind);
    assert_eq!(desk.log(4).map(|log| log.len()), Some(16));
    assert_eq!(desk.log(3), None);
    assert_eq!(desk.log(0), None);
    assert_eq!(desk.plan(&epoch, 4, None), Plan::Delta, "who has applied 4 misses 5 to 20");
    assert_eq!(desk.plan(&epoch, 3, None), behind);
    assert_eq!(desk.plan(&epoch, 0, None), behind);
    let fourth = desk.time_of(5).map(|time| time.as_millis() - 1_000).unwrap_or_default();
    assert_eq!(desk.plan(&epoch, 4, at(fourth)), Plan::Delta, "the floor's time is known");
    assert_eq!(desk.plan(&epoch, 4, at(fourth + 1)), Plan::Lost(Reason::Forked));
    assert_eq!(desk.plan(&epoch, 3, at(1)), behind, "of older events it is not");
}

pub fn a_new_epoch_begins_only_where_the_lost_one_is_current(store: &dyn Store) {
    let desk = Desk::new(store, "renewed");
    desk.numbered("phone", 1, "DRAFT_CREATE", &json!({"id": "a", "data": {}}));
    desk.numbered("phone", 2, "DRAFT_UPDATE", &json!({"id": "a", "patch": {"n": 1}}));
    let (old, state) = (desk.head(), desk.state());
    store.renew_epoch("renewed", "another").expect("renewed");
    assert_eq!(desk.head(), old, "that one was not current");

    store.renew_epoch("renewed", &old.epoch).expect("renewed");
    let new = desk.head();
    assert_ne!(new.epoch, old.epoch);
    assert!((1..=64).contains(&new.epoch.chars().count()));
    assert_eq!((new.seq, new.at), (old.seq, old.at));
    assert_eq!((desk.state(), desk.last_mutation("phone")), (state, 2));
    store.renew_epoch("renewed", &old.epoch).expect("renewed");
    assert_eq!(desk.head(), new, "asked twice, renewed once");

    let ahead = Position { epoch: old.epoch.as_str().into(), seq: 9, at: None };
    let told = desk.recover(Some(&ahead), Some(Reason::Ahead));
    assert_eq!(told.plan, Plan::Snapshot(Reason::Ahead), "the reason is told, not `epoch`");
    assert_eq!((told.head, told.drafts.len()), (new.clone(), 1));
    assert_eq!(desk.plan(&old.epoch, 2, None), Plan::Snapshot(Reason::Epoch));

    let update = json!({"id": "a", "patch": {"n": 1}});
    let again = desk.numbered("phone", 2, "DRAFT_UPDATE", &update);
    again.acked(&json!({"mutationId": 2, "seq": 2, "id": "a", "version": 2, "duplicate": true}));
    let next: Reply =
        desk.numbered("phone", 3, "DRAFT_DELETE", &json!({"id": "a", "ifVersion": 2}));
    assert_eq!((next.code, *next.applied.answer.epoch == *new.epoch), (None, true));
    assert_eq!(desk.head().seq, 3, "seq goes on");

    let neighbour = Desk::new(store, "renewed not");
    assert_eq!(neighbour.head().epoch, neighbour_epoch(store));
    assert_eq!(neighbour.create("a").code.map(Code::name), None);
}

/// The epoch that users have whose history was never lost.
fn neighbour_epoch(store: &dyn Store) -> String {
    store.head("somebody never heard of", None).expect("head").0.epoch
}

pub fn even_a_user_never_heard_of_can_be_renewed(store: &dyn Store) {
    let desk = Desk::new(store, "renewed early");
    let old = desk.head();
    store.renew_epoch("renewed early", &old.epoch).expect("renewed");
    let new = desk.head();
    assert_ne!(new.epoch, old.epoch);
    assert_eq!((new.seq, new.at), (0, None));
    assert_eq!(desk.plan(&old.epoch, 5, None), Plan::Snapshot(Reason::Epoch));
}
