//! *Retrying* in `docs/protocol.md`, rule by rule: a replica and what a server says to it.

use std::time::Duration;

use draftwire_client::QueueLimits;
use draftwire_client::replica::{Accepted, Notice, Replica, Settled};
use draftwire_protocol::{Collection, Command, RejectionCode};

const SECOND: Duration = Duration::from_secs(1);
const NOW: Duration = Duration::ZERO;

fn replica() -> Replica {
    let mut count = 0;
    let fresh_id = Box::new(move || {
        count += 1;
        format!("device-{count}")
    });
    Replica::restore(&[], None, None, QueueLimits::default(), fresh_id).unwrap()
}

/// A replica with so many commands, welcomed by a server that has dealt with so many.
fn welcomed(commands: usize, last: u64) -> Replica {
    let mut replica = replica();
    for number in 1..=commands {
        create(&mut replica, number);
    }
    welcome(&mut replica, last);
    replica
}

fn create(replica: &mut Replica, number: usize) -> u64 {
    let (id, data) = (Some(format!("d{number}")), "{}".to_owned());
    replica.write(Command::Create { collection: Collection::Drafts, id, data }).unwrap()
}

fn welcome(replica: &mut Replica, last: u64) -> Notice {
    let recovery = if replica.position().is_some() { "delta" } else { "snapshot" };
    let notice = say(
        replica,
        "WELCOME",
        &format!(
            r#""userId":"ann","epoch":"e","seq":0,"at":"2026-01-01T00:00:00.000Z",
            "lastMutationId":{last},"recovery":"{recovery}","heartbeatMs":25000,
            "limits":{{"frameBytes":2000,"documentBytes":1000,"inFlight":4}}"#
        ),
    );
    if recovery == "snapshot" {
        let text = r#"{"type":"SNAPSHOT","seq":0,"timestamp":"2026-01-01T00:00:00.000Z","payload":
            {"reason":"initial","drafts":[],"pending":[],"more":false}}"#;
        replica.frame(text, NOW).unwrap();
    }
    notice
}

fn say(replica: &mut Replica, name: &str, payload: &str) -> Notice {
    replica.frame(&format!(r#"{{"type":"{name}","payload":{{{payload}}}}}"#), NOW).unwrap()
}

fn ack(replica: &mut Replica, number: u64) -> Notice {
    say(replica, "ACK", &format!(r#""mutationId":{number},"seq":1,"id":"x","version":1"#))
}

fn reject(replica: &mut Replica, number: u64, code: &str, more: &str) -> Notice {
    let payload = format!(r#""mutationId":{number},"code":"{code}","message":"no"{more}"#);
    say(replica, "REJECTED", &payload)
}

/// The numbers of what is sent now, everything being stored.
fn sent_at(replica: &mut Replica, now: Duration) -> Vec<String> {
    let mut sent = Vec::new();
    loop {
        while let Some(batch) = replica.take_batch() {
            replica.stored(batch.number);
        }
        let Some(frame) = replica.next_frame(now) else { return sent };
        let number = frame.rsplit_once(r#""mutationId":"#).unwrap().1.trim_end_matches('}');
        let is_skip = frame.contains("SKIP");
        sent.push(format!("{}{number}", if is_skip { "skip " } else { "" }));
    }
}

fn sent(replica: &mut Replica) -> Vec<String> {
    sent_at(replica, NOW)
}

#[test]
fn nothing_is_sent_before_it_is_stored() {
    let mut replica = welcomed(2, 0);
    assert_eq!(replica.next_frame(NOW), None);
    let first = replica.take_batch().unwrap();
    create(&mut replica, 3);
    replica.stored(first.number);
    assert!(first.urgent);
    assert_eq!(replica.next_frame(NOW), None, "the third stands in the next batch");
    let second = replica.take_batch().unwrap();
    assert_eq!(replica.next_frame(NOW), None);
    replica.stored(second.number);
    assert_eq!(sent(&mut replica), ["1", "2", "3"]);
}

/// A refusal that only the memory knew was lost in a crash, when the server had forgotten its
/// answer meanwhile.
#[test]
fn nothing_is_sent_before_a_refusal_is_stored() {
    let mut replica = welcomed(5, 0);
    assert_eq!(sent(&mut replica), ["1", "2", "3", "4"]);
    reject(&mut replica, 1, "QUOTA", "");
    assert_eq!(replica.next_frame(NOW), None);
    assert_eq!(sent(&mut replica), ["5"]);
}

#[test]
fn no_more_than_the_window_is_unanswered() {
    let mut replica = welcomed(6, 0);
    assert_eq!(sent(&mut replica), ["1", "2", "3", "4"]);
    ack(&mut replica, 1);
    assert_eq!(sent(&mut replica), ["5"]);
}

#[test]
fn a_new_connection_brings_all_unanswered_again_also_those_that_were_dealt_with() {
    let mut replica = welcomed(3, 0);
    assert_eq!(sent(&mut replica), ["1", "2", "3"]);
    ack(&mut replica, 1);
    replica.disconnected(false);
    assert_eq!(sent(&mut replica), [""; 0]);
    welcome(&mut replica, 2);
    assert_eq!(sent(&mut replica), ["2", "3"]);
}

#[test]
fn a_rolled_back_history_numbers_anew_behind_its_last() {
    let mut replica = welcomed(4, 0);
    sent(&mut replica);
    for number in [1, 2, 3] {
        ack(&mut replica, number);
    }
    create(&mut replica, 5);
    replica.disconnected(false);
    welcome(&mut replica, 1);
    assert_eq!(sent(&mut replica), ["2", "3"]);
    assert_eq!(replica.client_id(), "device-1");
}

#[test]
fn more_than_was_ever_issued_means_another_device_has_this_name() {
    let mut replica = welcomed(2, 0);
    replica.disconnected(false);
    assert!(matches!(welcome(&mut replica, 3), Notice::Restart(_)));
    assert_eq!(replica.client_id(), "device-2");
    welcome(&mut replica, 0);
    assert_eq!(sent(&mut replica), ["1", "2"]);
}

#[test]
fn a_busy_server_gets_the_same_again_in_order_when_it_said() {
    let mut replica = welcomed(3, 0);
    sent(&mut replica);
    reject(&mut replica, 1, "UNAVAILABLE", r#","retryAfterMs":1000"#);
    assert_eq!(sent_at(&mut replica, 2 * SECOND), [""; 0], "two and three are not answered yet");
    for number in [2, 3] {
        reject(&mut replica, number, "OUT_OF_ORDER", r#","expected":1"#);
    }
    assert_eq!(sent(&mut replica), [""; 0]);
    assert_eq!(replica.wake_at(), Some(SECOND));
    assert_eq!(sent_at(&mut replica, SECOND), ["1", "2", "3"]);
    assert_eq!(replica.unanswered(), 3);
    assert!(replica.rejected().is_empty());
}

#[test]
fn a_server_that_expects_another_number_is_asked_anew() {
    let mut replica = welcomed(2, 0);
    sent(&mut replica);
    ack(&mut replica, 1);
    let notice = reject(&mut replica, 2, "OUT_OF_ORDER", r#","expected":1"#);
    assert!(matches!(notice, Notice::Restart(_)));
}

#[test]
fn a_reused_number_leads_to_a_new_name_when_all_else_is_answered() {
    let mut replica = welcomed(3, 0);
    sent(&mut replica);
    assert_eq!(reject(&mut replica, 1, "MUTATION_REUSED", ""), Notice::Nothing);
    assert_eq!(ack(&mut replica, 2), Notice::Nothing);
    assert_eq!(replica.client_id(), "device-1");
    assert!(matches!(reject(&mut replica, 3, "MUTATION_REUSED", ""), Notice::Restart(_)));
    assert_eq!(replica.client_id(), "device-2");
    replica.disconnected(false);
    welcome(&mut replica, 0);
    assert_eq!(sent(&mut replica), ["1", "2"], "the second was applied already");
}

#[test]
fn a_frame_that_is_too_big_for_something_on_the_way_is_found_one_by_one_and_skipped() {
    let mut replica = welcomed(4, 0);
    assert_eq!(sent(&mut replica), ["1", "2", "3", "4"]);
    replica.disconnected(true);
    assert!(replica.rejected().is_empty(), "it is not known which");
    welcome(&mut replica, 0);
    assert_eq!(sent(&mut replica), ["1"]);
    ack(&mut replica, 1);
    assert_eq!(sent(&mut replica), ["2"]);
    replica.disconnected(true);
    let rejected = replica.rejected();
    assert_eq!((rejected.len(), rejected[0].document_id()), (1, "d2"));
    assert_eq!(rejected[0].rejection.code, RejectionCode::TooLarge);
    welcome(&mut replica, 1);
    assert_eq!(sent(&mut replica), ["skip 2"]);
    ack(&mut replica, 2);
    assert_eq!(sent(&mut replica), ["3"]);
    ack(&mut replica, 3);
    assert_eq!(sent(&mut replica), ["4"]);
    assert_eq!(replica.take_news().settled.len(), 3, "each is settled once");
}

#[test]
fn a_frame_that_the_server_can_not_read_is_skipped() {
    let mut replica = welcomed(1, 0);
    sent(&mut replica);
    let notice = say(&mut replica, "ERROR", r#""code":"BAD_FRAME","message":"no""#);
    assert!(matches!(notice, Notice::Restart(_)));
    replica.disconnected(false);
    welcome(&mut replica, 0);
    assert_eq!(sent(&mut replica), ["skip 1"]);
    assert_eq!(replica.rejected().len(), 1);
}

#[test]
fn deleting_what_is_gone_counts_as_done_and_other_refusals_are_kept() {
    let mut replica = welcomed(0, 0);
    let (collection, id) = (Collection::Drafts, "gone".to_owned());
    let key = replica.write(Command::Delete { collection, id, condition: None }).unwrap();
    create(&mut replica, 1);
    sent(&mut replica);
    reject(&mut replica, 1, "NOT_FOUND", "");
    reject(&mut replica, 2, "QUOTA", r#","document":{"id":"d1"}"#);
    let settled = replica.take_news().settled;
    let done = Accepted { id: Some("gone".into()), ..Accepted::default() };
    assert_eq!(settled[0], (key, Settled::Accepted(done)));
    assert_eq!(replica.rejected()[0].rejection.document.as_deref(), Some(r#"{"id":"d1"}"#));
    assert!(replica.get(Collection::Drafts, "d1").is_none(), "its layer is gone");
}

#[test]
fn of_refused_changes_only_so_many_are_kept() {
    let limits = QueueLimits { rejected_max: 2, ..QueueLimits::default() };
    let fresh_id = Box::new(|| "device".to_owned());
    let mut replica = Replica::restore(&[], None, None, limits, fresh_id).unwrap();
    (1..=3).for_each(|number| {
        create(&mut replica, number);
    });
    welcome(&mut replica, 0);
    sent(&mut replica);
    (1..=3).for_each(|number| {
        reject(&mut replica, number, "QUOTA", "");
    });
    let ids: Vec<&str> = replica.rejected().iter().map(|change| change.document_id()).collect();
    assert_eq!(ids, ["d2", "d3"]);
}
