//! Promises about the log: bounded in events, bytes and age; trimmed from its oldest end without
//! a gap; and read in pages.

use draftwire_protocol::Collection;
use draftwire_store::{Author, Page, Store, Submission};
use serde_json::json;

use crate::support::{DAY_MILLIS, Desk, submission};

/// The seqs the log holds, found from its floor: the smallest position that it still answers.
fn kept(desk: &Desk<'_>) -> Vec<u64> {
    let floor = (0..=desk.head().seq).find(|seq| desk.log(*seq).is_some());
    let log = floor.and_then(|floor| desk.log(floor)).expect("the head is always answered");
    let seqs: Vec<u64> = log.iter().map(|(seq, _)| *seq).collect();
    let expected: Vec<u64> = (floor.unwrap_or_default() + 1..=desk.head().seq).collect();
    assert_eq!(seqs, expected, "no gap after the floor");
    seqs
}

fn touch(desk: &Desk<'_>) {
    assert_eq!(desk.send("DRAFT_UPDATE", &json!({"id": "a", "patch": {}})).code, None);
}

pub fn as_many_events_are_kept_as_allowed(store: &dyn Store) {
    let desk = Desk::new(store, "count bound");
    desk.create("a");
    for count in 2..=16 {
        touch(&desk);
        assert_eq!(kept(&desk).len(), count, "whole so far");
    }
    for first in 2..=5 {
        touch(&desk);
        assert_eq!(kept(&desk), (first..first + 16).collect::<Vec<u64>>());
    }
    assert_eq!(desk.list(Collection::Drafts).len(), 1, "documents are not concerned");
}

pub fn as_many_bytes_are_kept_as_allowed(store: &dyn Store) {
    let desk = Desk::new(store, "bytes bound");
    desk.create("a");
    let sizes = [6_000, 6_000, 6_000, 6_000, 100, 15_000, 25_000, 100];
    for bytes in sizes {
        let author = Author::Service("é".repeat(bytes / 2).into());
        let update =
            submission("bytes bound", None, "DRAFT_UPDATE", &json!({"id": "a", "patch": {}}));
        let head =
            desk.submit(Submission { author, ..update }).applied.event.map(|event| event.seq);
        assert_eq!(head, Some(desk.head().seq));
        let held = kept(&desk);
        let log = desk.log(desk.head().seq - held.len() as u64).unwrap_or_default();
        let held_bytes: usize = log.iter().map(|(_, frame)| frame.len()).sum();
        assert!(held_bytes <= 20_000, "{held_bytes} bytes");
        let before = held_bytes + log_bytes_before(&held, &desk, &sizes);
        assert!(held.first() == Some(&1) || before > 20_000, "nothing is thrown away too early");
    }
    assert_eq!(kept(&desk), [9], "what never fits is not kept at all");
}

/// About the bytes of the event just below the log: its author's name makes nearly all of it.
fn log_bytes_before(held: &[u64], desk: &Desk<'_>, sizes: &[usize]) -> usize {
    let first = held.first().copied().unwrap_or(desk.head().seq + 1);
    let below = first.checked_sub(3).and_then(|index| sizes.get(index as usize));
    below.map_or(400, |bytes| bytes + 400)
}

pub fn the_bound_in_bytes_may_be_reached_but_not_passed(store: &dyn Store) {
    let desk = Desk::new(store, "exact bytes");
    desk.create("a");
    let update = |name_bytes: usize| {
        let author = Author::Service("s".repeat(name_bytes).into());
        let patch = json!({"id": "a", "patch": {}});
        let update = submission("exact bytes", None, "DRAFT_UPDATE", &patch);
        desk.submit(Submission { author, ..update });
        let log = desk.log(desk.head().seq - kept(&desk).len() as u64).unwrap_or_default();
        log.iter().map(|(_, frame)| frame.len()).sum::<usize>()
    };
    let held = update(1);
    let event = held - desk.log(0).map_or(0, |log| log[0].1.len());
    assert_eq!(update(1 + 20_000 - held - event), 20_000, "20,000 bytes are allowed");
    assert_eq!(kept(&desk), [1, 2, 3]);
    assert!(update(1) <= 20_000, "and not one more");
    assert_eq!(desk.log(0), None);
}

pub fn events_over_age_go_and_younger_ones_stay(store: &dyn Store) {
    let (one, two) = (Desk::new(store, "age one"), Desk::new(store, "age two"));
    for desk in [&one, &two] {
        desk.create("a");
    }
    for desk in [&one, &two] {
        touch(desk);
    }
    one.wait(3 * DAY_MILLIS);
    touch(&one);
    let second = one.time_of(2).expect("in the log").as_millis();
    let third = one.now();
    let upkeep = |millis: i64| {
        while store.maintain(draftwire_protocol::Timestamp::from_millis(millis)).expect("done") {}
    };
    upkeep(second + 7 * DAY_MILLIS - 1_000);
    assert_eq!(
        (kept(&one), kept(&two)),
        (vec![1, 2, 3], vec![1, 2]),
        "seven days are not over age"
    );
    upkeep(second + 7 * DAY_MILLIS);
    assert_eq!((kept(&one), kept(&two)), (vec![2, 3], vec![2]));
    upkeep(second + 7 * DAY_MILLIS + 1);
    assert_eq!((kept(&one), kept(&two)), (vec![3], vec![]));
    upkeep(third.as_millis() + 30 * DAY_MILLIS);
    assert_eq!(kept(&one), Vec::<u64>::new());

    let epoch = one.head().epoch;
    assert_eq!(one.head().at, Some(third), "the head keeps its time");
    assert_eq!(one.plan(&epoch, 3, Some(third)), draftwire_store::Plan::Delta);
    assert_eq!(one.log(2), None);
    touch(&one);
    assert_eq!(kept(&one), [4], "and the log goes on");
    assert_eq!(one.state()[0].len(), 1);
}

pub fn upkeep_takes_the_log_in_short_steps(store: &dyn Store) {
    let users = ["step 1", "step 2", "step 3", "step 4"];
    let now = Desk::new(store, users[0]).now();
    let old = draftwire_protocol::Timestamp::from_millis(now.as_millis() - 30 * DAY_MILLIS);
    // 16 events each for 40 users: more than fit into one step.
    let names: Vec<String> = (0..40).map(|n| format!("step {n}")).collect();
    for name in &names {
        let mut batch =
            vec![submission(name, None, "DRAFT_CREATE", &json!({"id": "a", "data": {}}))];
        let update = submission(name, None, "DRAFT_UPDATE", &json!({"id": "a", "patch": {}}));
        batch.resize(16, update);
        store.apply(&batch, old).expect("applied");
    }
    let mut steps = 1;
    while store.maintain(now).expect("maintained") {
        steps += 1;
    }
    assert!((2..20).contains(&steps), "{steps} steps");
    for user in users {
        assert_eq!(kept(&Desk::new(store, user)), Vec::<u64>::new(), "{user}");
    }
    assert!(!store.maintain(now).expect("maintained"), "nothing is left");
}

pub fn pages_hold_about_as_much_as_asked(store: &dyn Store) {
    let desk = Desk::new(store, "pages");
    desk.create("a");
    for _ in 0..9 {
        touch(&desk);
    }
    let page = |seq, bytes_max| match store.events_after("pages", seq, bytes_max).expect("read") {
        Page::Events(events) => events.iter().map(|event| event.seq).collect::<Vec<u64>>(),
        Page::Trimmed => panic!("nothing was trimmed"),
    };
    assert_eq!(page(0, 1), [1], "at least one, or nobody would get on");
    let bytes = desk.log(0).map_or(0, |log| log.iter().take(3).map(|event| event.1.len()).sum());
    assert_eq!(page(0, bytes), [1, 2, 3]);
    assert_eq!(page(0, bytes + 1), [1, 2, 3, 4]);
    assert_eq!(page(7, usize::MAX), [8, 9, 10]);
    assert_eq!(page(10, usize::MAX), [0; 0], "empty at the head");
    let mut read = Vec::new();
    while let Some(last) =
        Some(page(read.last().copied().unwrap_or(0), 700)).filter(|page| !page.is_empty())
    {
        read.extend(last);
    }
    assert!(read.iter().copied().eq(1..=10), "page by page each event comes once: {read:?}");
}
