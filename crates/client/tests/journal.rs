//! What is stored: it stays small, and it brings everything back.

use std::time::Duration;

use draftwire_client::QueueLimits;
use draftwire_client::replica::Replica;
use draftwire_protocol::command::Change;
use draftwire_protocol::{Collection, Command};

fn restore(batches: &[String]) -> Replica {
    let fresh_id = Box::new(|| "device".to_owned());
    Replica::restore(batches, None, Some("ann".into()), QueueLimits::default(), fresh_id).unwrap()
}

/// Stores what is to be stored; whether it took the place of all before.
fn store(replica: &mut Replica, disk: &mut Vec<String>) -> bool {
    let mut was_whole = false;
    while let Some(batch) = replica.take_batch() {
        if batch.whole {
            disk.clear();
        }
        was_whole |= batch.whole;
        disk.push(batch.text);
        replica.stored(batch.number);
    }
    was_whole
}

#[test]
fn a_long_life_is_written_anew_now_and_then_and_nothing_is_forgotten() {
    let (mut replica, mut disk) = (restore(&[]), Vec::new());
    store(&mut replica, &mut disk);
    let welcome = r#"{"type":"WELCOME","payload":{"userId":"ann","epoch":"e","seq":0,
        "at":"2026-01-01T00:00:00.000Z","lastMutationId":0,"recovery":"snapshot",
        "heartbeatMs":25000,"limits":{"frameBytes":90000,"documentBytes":40000,"inFlight":64}}}"#;
    let snapshot = r#"{"type":"SNAPSHOT","seq":0,"timestamp":"2026-01-01T00:00:00.000Z","payload":
        {"reason":"initial","drafts":[],"pending":[],"more":false}}"#;
    for frame in [welcome, snapshot] {
        replica.frame(frame, Duration::ZERO).unwrap();
    }
    let (mut rewritten, mut largest) = (0, 0);
    for seq in 1..=600 {
        let frame = format!(
            r#"{{"type":"DRAFT_UPDATED","seq":{seq},"timestamp":"2026-01-01T00:00:00.000Z",
            "payload":{{"document":{{"id":"d","version":{seq},"data":{{"a":"{}"}},
            "createdAt":"2026-01-01T00:00:00.000Z","updatedAt":"2026-01-01T00:00:00.000Z"}},
            "origin":{{"service":"backend"}}}}}}"#,
            "x".repeat(10_000)
        );
        replica.frame(&frame, Duration::ZERO).unwrap();
        if seq == 300 {
            let change = Change::Patch(r#"{"b":1.50}"#.into());
            let (collection, id) = (Collection::Drafts, "d".to_owned());
            let command = Command::Update { collection, id, change, condition: None };
            replica.write(command).unwrap();
        }
        rewritten += usize::from(store(&mut replica, &mut disk));
        largest = largest.max(disk.iter().map(String::len).sum());
    }
    assert!((2..=20).contains(&rewritten), "{rewritten} times");
    assert!(largest < 1_300_000, "{largest} bytes");

    let mut again = restore(&disk);
    assert_eq!(again.position(), replica.position());
    assert_eq!((again.unanswered(), again.user_id()), (1, Some("ann")));
    assert_eq!(again.list(Collection::Drafts), replica.list(Collection::Drafts));
    let draft = again.get(Collection::Drafts, "d").unwrap();
    assert!(draft.data.ends_with(r#""b":1.50}"#) && draft.unsaved);
}

#[test]
fn a_journal_of_another_version_is_refused() {
    for text in ["", "{}", "[{}]", r#"[{"record":"new-kind"}]"#, r#"[{"record":"queued"}]"#] {
        let fresh_id = Box::new(|| "device".to_owned());
        let limits = QueueLimits::default();
        let restored = Replica::restore(&[text.to_owned()], None, None, limits, fresh_id);
        assert!(restored.is_err(), "{text}");
    }
}
