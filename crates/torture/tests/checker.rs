//! The checker itself: a good history passes, and each thing that is changed in it is noticed by the
//! check that is there for it.

use draftwire_torture::{Check, DeviceHistory, Final, Record, UserHistory, check};

fn event(seq: u64, kind: &str, payload: &str, number: u64) -> String {
    format!(
        r#"{{"type":"{kind}","seq":{seq},"timestamp":"2026-01-01T00:00:00.000Z","payload":{{{payload},"origin":{{"clientId":"a","mutationId":{number}}}}}}}"#
    )
}

fn document(id: &str, version: u64, data: &str) -> String {
    format!(r#"{{"id":"{id}","version":{version},"data":{data},"createdAt":"t","updatedAt":"t"}}"#)
}

fn welcome(seq: u64, last: u64) -> Record {
    Record::Received(format!(
        r#"{{"type":"WELCOME","payload":{{"epoch":"e","seq":{seq},"lastMutationId":{last},"recovery":"delta","limits":{{"inFlight":8}}}}}}"#
    ))
}

fn sent(number: u64, kind: &str, payload: &str) -> Record {
    Record::Sent(format!(r#"{{"type":"{kind}","mutationId":{number},"payload":{{{payload}}}}}"#))
}

fn ack(number: u64, seq: u64) -> Record {
    Record::Received(format!(
        r#"{{"type":"ACK","payload":{{"mutationId":{number},"seq":{seq},"id":"x"}}}}"#
    ))
}

fn rejected(number: u64, code: &str) -> Record {
    Record::Received(format!(
        r#"{{"type":"REJECTED","payload":{{"mutationId":{number},"code":"{code}"}}}}"#
    ))
}

fn snapshot(seq: u64, drafts: &str) -> Record {
    Record::Received(format!(
        r#"{{"type":"SNAPSHOT","seq":{seq},"payload":{{"drafts":[{drafts}],"pending":[],"more":false}}}}"#
    ))
}

/// Device `a` creates, changes and deletes; `b` sees it, and is given a snapshot in the middle.
fn good() -> UserHistory {
    let one = document("x", 1, r#"{"n":1}"#);
    let two = document("x", 2, r#"{"n":2}"#);
    let log = vec![
        event(1, "DRAFT_CREATED", &format!(r#""document":{one}"#), 1),
        event(2, "DRAFT_UPDATED", &format!(r#""document":{two}"#), 2),
        event(3, "DRAFT_DELETED", r#""id":"x""#, 4),
    ];
    let got = |seq: usize| Record::Received(log[seq - 1].clone());
    let a = vec![
        Record::Opened,
        welcome(0, 0),
        snapshot(0, ""),
        sent(1, "DRAFT_CREATE", r#""id":"x","data":{"n":1}"#),
        sent(2, "DRAFT_UPDATE", r#""id":"x","patch":{"n":2}"#),
        sent(3, "DRAFT_CREATE", r#""id":"x","data":{}"#),
        got(1),
        ack(1, 1),
        got(2),
        ack(2, 2),
        rejected(3, "ALREADY_EXISTS"),
        sent(4, "DRAFT_DELETE", r#""id":"x""#),
        got(3),
        ack(4, 3),
        Record::Ended,
    ];
    let b = vec![Record::Opened, welcome(2, 0), snapshot(2, &two), got(3), Record::Ended];
    let told = Final { who: "HTTP".into(), seq: 3, drafts: Vec::new(), pending: Vec::new() };
    UserHistory {
        user: "ann".into(),
        devices: vec![
            DeviceHistory { client_id: "a".into(), records: a },
            DeviceHistory { client_id: "b".into(), records: b },
        ],
        log,
        finals: vec![told],
    }
}

/// The checks that say something.
fn said(history: &UserHistory) -> Vec<Check> {
    let mut checks: Vec<Check> = check(history).iter().map(|broken| broken.check).collect();
    checks.sort_unstable();
    checks.dedup();
    checks
}

#[test]
fn a_good_history_keeps_every_promise() {
    assert_eq!(check(&good()), []);
}

type Change = fn(&mut UserHistory);

#[test]
fn what_is_wrong_is_noticed() {
    let table: &[(&str, Check, Change)] = &[
        ("an event is missing", Check::Order, |h| drop(h.devices[0].records.remove(8))),
        ("an event comes twice", Check::Order, |h| {
            let again = h.devices[1].records[3].clone();
            h.devices[1].records.insert(4, again);
        }),
        ("an event is another", Check::SameEvents, |h| {
            let other = h.log[2].replace("DRAFT_DELETED", "PENDING_DELETED");
            h.devices[1].records[3] = Record::Received(other);
        }),
        ("an event was shown and is gone", Check::SameEvents, |h| drop(h.log.pop())),
        ("a snapshot is another", Check::Snapshot, |h| h.devices[1].records[2] = snapshot(2, "")),
        ("an answer comes before its event", Check::AckAfterEvent, |h| {
            h.devices[0].records.swap(6, 7);
        }),
        ("an acknowledged command is gone", Check::Acknowledged, |h| drop(h.log.pop())),
        ("it is acknowledged with another seq", Check::Acknowledged, |h| {
            h.devices[0].records[9] = ack(2, 1);
        }),
        ("it is acknowledged like a SKIP", Check::Acknowledged, |h| {
            h.log.pop();
            let text = r#"{"type":"ACK","payload":{"mutationId":4,"seq":2}}"#;
            h.devices[0].records[13] = Record::Received(text.into());
        }),
        ("a command is applied twice", Check::Once, |h| {
            let again = h.log[2].replace(r#""seq":3"#, r#""seq":4"#);
            h.log.push(again);
        }),
        ("a rejected command is applied", Check::Rejected, |h| {
            h.devices[0].records[13] = rejected(4, "NOT_FOUND");
        }),
        ("a command is rejected for nothing", Check::Refused, |h| {
            h.devices[0].records[5] = sent(3, "DRAFT_CREATE", r#""id":"y","data":{}"#);
        }),
        ("a command is called invalid and is not", Check::Refused, |h| {
            h.devices[0].records[10] = rejected(3, "INVALID");
        }),
        ("a command is refused for a quota", Check::Refused, |h| {
            h.devices[0].records[10] = rejected(3, "QUOTA");
        }),
        ("a snapshot is of another moment", Check::Snapshot, |h| {
            h.devices[1].records[1] = welcome(3, 0);
        }),
        ("an answer changes", Check::SameAnswer, |h| {
            let text = r#"{"type":"REJECTED","payload":{"mutationId":2,"code":"INVALID","duplicate":true}}"#;
            h.devices[0].records.insert(14, Record::Received(text.into()));
        }),
        ("answers come out of order", Check::SameAnswer, |h| h.devices[0].records.swap(9, 10)),
        ("a command is never answered", Check::Answered, |h| drop(h.devices[0].records.remove(13))),
        ("an event is not what was asked for", Check::Effect, |h| {
            h.devices[0].records[4] = sent(2, "DRAFT_UPDATE", r#""id":"x","patch":{"n":3}"#);
        }),
        ("an event leads nowhere", Check::Effect, |h| {
            h.log[2] = h.log[2].replace(r#""id":"x""#, r#""id":"z""#);
        }),
        ("a number is not known that is in the log", Check::LastMutation, |h| {
            h.devices[0].records.splice(14..15, [Record::Ended, Record::Opened, welcome(3, 3)]);
        }),
        ("a number is forgotten", Check::History, |h| {
            h.devices[0].records.splice(14..15, [Record::Ended, Record::Opened, welcome(3, 0)]);
        }),
        ("the history has another name", Check::History, |h| {
            let again = r#"{"type":"WELCOME","payload":{"epoch":"f","seq":3,"lastMutationId":0}}"#;
            let again = [Record::Opened, Record::Received(again.into())];
            h.devices[1].records.extend(again);
        }),
        ("the end is another", Check::Final, |h| {
            h.finals[0].drafts.push(document("x", 2, "{}"));
        }),
        ("the end is elsewhere", Check::Final, |h| h.finals[0].seq = 2),
        ("a frame comes before WELCOME", Check::Wire, |h| drop(h.devices[1].records.remove(1))),
        ("a frame is no JSON", Check::Wire, |h| {
            h.devices[1].records.push(Record::Received("{".into()));
        }),
        ("the log is torn", Check::Wire, |h| h.log[1] = "{".into()),
    ];
    for (what, expected, change) in table {
        let mut history = good();
        change(&mut history);
        let said = said(&history);
        assert!(said.contains(expected), "{what}: {expected:?} expected, {said:?} said");
    }
}
