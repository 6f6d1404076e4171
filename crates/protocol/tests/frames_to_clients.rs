//! Guards the table *Server → client*: every frame is JSON with exactly the members the protocol
//! names, whatever strings are put into it.
//!
//! Clients in other languages are written from that table, so a member more, less or of another
//! type breaks them.

use draftwire_protocol::json::Value;
use draftwire_protocol::kind::{DOCUMENT_EVENTS, names};
use draftwire_protocol::reply::{
    self, Head, Outcome, Recovery, Rejection, SnapshotPart, SnapshotReason, Welcome, mark_duplicate,
};
use draftwire_protocol::{
    Collection, Document, ErrorCode, Event, Limits, Origin, RejectionCode, Timestamp,
};
use serde_json::{Value as Json, json};

const AWKWARD: &str = "a\"b\\c\n\u{0}é🎉\u{2028}";
const AT: &str = "2026-11-22T08:30:00.000Z";
const NOW: &str = "2026-11-22T08:30:01.250Z";

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|| panic!("{text}"))
}

fn read(text: &str) -> Json {
    assert!(Value::parse(text, 64).is_ok(), "passes our own scanner: {text}");
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn document(data: &str) -> Document {
    Document {
        id: "d-1".into(),
        version: 9,
        data: data.into(),
        created_at: time(AT),
        updated_at: time(NOW),
    }
}

fn document_json() -> Json {
    json!({"id": "d-1", "version": 9, "data": {"n": 1}, "createdAt": AT, "updatedAt": NOW})
}

#[test]
fn welcome_tells_all_a_client_must_know() {
    let head = Head { epoch: AWKWARD.into(), seq: 17, at: Some(time(AT)) };
    let limits = Limits { frame_bytes: 3, document_bytes: 2, in_flight: 1 };
    let mut welcome = Welcome {
        connection_id: "c-1",
        user_id: AWKWARD,
        client_id: "phone",
        head: Some(&head),
        last_mutation_id: 4,
        recovery: Recovery::Delta,
        heartbeat_ms: 25_000,
        expires_at: time("2026-11-22T08:31:00.000Z"),
        limits,
    };
    let mut expected = json!({"type": "WELCOME", "timestamp": NOW, "payload": {
        "connectionId": "c-1", "userId": AWKWARD, "clientId": "phone",
        "epoch": AWKWARD, "seq": 17, "at": AT, "lastMutationId": 4, "recovery": "delta",
        "heartbeatMs": 25_000, "expiresAt": "2026-11-22T08:31:00.000Z", "expiresInMs": 58_750,
        "limits": {"frameBytes": 3, "documentBytes": 2, "inFlight": 1},
    }});
    assert_eq!(read(&welcome.to_frame(time(NOW))), expected);

    for (recovery, name) in [(Recovery::Snapshot, "snapshot"), (Recovery::Live, "live")] {
        welcome.recovery = recovery;
        expected["payload"]["recovery"] = json!(name);
        assert_eq!(read(&welcome.to_frame(time(NOW))), expected);
    }
    welcome.expires_at = time(AT);
    expected["payload"]["expiresAt"] = json!(AT);
    expected["payload"]["expiresInMs"] = json!(0);
    assert_eq!(read(&welcome.to_frame(time(NOW))), expected, "never less than no time left");

    let fresh_head = Head { epoch: "e".into(), seq: 0, at: None };
    welcome.head = Some(&fresh_head);
    let fresh = read(&welcome.to_frame(time(NOW)));
    assert_eq!((&fresh["payload"]["seq"], &fresh["payload"]["at"]), (&json!(0), &json!(NOW)));

    welcome.head = None;
    let relay = read(&welcome.to_frame(time(NOW)));
    for member in ["epoch", "seq", "at"] {
        assert_eq!(relay["payload"].get(member), None, "no positions in a relay: {member}");
    }
}

#[test]
fn snapshots_carry_whole_documents() {
    let head = Head { epoch: "e".into(), seq: 5, at: Some(time(AT)) };
    let text = document(r#"{"n":1}"#).to_json();
    let reasons = [
        (SnapshotReason::Initial, "initial", false),
        (SnapshotReason::Behind, "behind", false),
        (SnapshotReason::Epoch, "epoch", false),
        (SnapshotReason::Ahead, "ahead", true),
        (SnapshotReason::Forked, "forked", true),
    ];
    for (reason, name, loss) in reasons {
        assert_eq!(reason.proves_loss(), loss, "{name}");
        let part =
            SnapshotPart { reason, drafts: vec![&text, &text], pending: vec![&text], more: loss };
        let one = document_json();
        let expected = json!({"type": "SNAPSHOT", "seq": 5, "timestamp": AT, "payload": {
            "reason": name, "drafts": [one, one], "pending": [one], "more": loss,
        }});
        assert_eq!(read(&part.to_frame(&head, time(NOW))), expected);
    }
    let empty = Head { epoch: "e".into(), seq: 0, at: None };
    let part = SnapshotPart {
        reason: SnapshotReason::Initial,
        drafts: vec![],
        pending: vec![],
        more: false,
    };
    let expected = json!({"type": "SNAPSHOT", "seq": 0, "timestamp": NOW, "payload": {
        "reason": "initial", "drafts": [], "pending": [], "more": false,
    }});
    assert_eq!(read(&part.to_frame(&empty, time(NOW))), expected);
}

#[test]
fn each_event_tells_what_happened_and_who_did_it() {
    let doc = || document(r#"{"n":1}"#);
    let events = [
        (Event::Created(Collection::Drafts, doc()), json!({"document": document_json()})),
        (Event::Updated(Collection::Drafts, doc()), json!({"document": document_json()})),
        (Event::Deleted(Collection::Drafts, "x".into()), json!({"id": "x"})),
        (
            Event::Converted { draft_id: "x".into(), document: doc() },
            json!({"draftId": "x", "document": document_json()}),
        ),
        (Event::Created(Collection::Pending, doc()), json!({"document": document_json()})),
        (Event::Updated(Collection::Pending, doc()), json!({"document": document_json()})),
        (Event::Deleted(Collection::Pending, "x".into()), json!({"id": "x"})),
    ];
    let device = |client_id: Option<&str>, mutation_id| Origin::Device {
        client_id: client_id.map(str::to_owned),
        mutation_id,
    };
    let origins = [
        (device(Some("phone"), Some(3)), json!({"clientId": "phone", "mutationId": 3})),
        (device(Some("phone"), None), json!({"clientId": "phone"})),
        (device(None, None), json!({})),
        (Origin::Service(AWKWARD.into()), json!({"service": AWKWARD})),
    ];
    for ((event, payload), name) in events.iter().zip(DOCUMENT_EVENTS) {
        for (origin, origin_json) in &origins {
            let mut payload = payload.clone();
            payload["origin"] = origin_json.clone();
            let expected = json!({"type": name, "seq": 12, "timestamp": AT, "payload": payload});
            assert_eq!(read(&event.to_frame(12, time(AT), origin)), expected);
        }
        assert_eq!(event.name(), name);
        assert_eq!(event.document().is_some(), payload.get("document").is_some());
    }
}

#[test]
fn documents_keep_the_bytes_of_their_data() {
    let data = r#"{"z":1.0,"a":1E400,"n":12345678901234567890,"k":"\u0061"}"#;
    assert!(document(data).to_json().contains(&format!("\"data\":{data}")));
    let origin = Origin::Service("s".into());
    let frame = Event::Created(Collection::Drafts, document(data)).to_frame(1, time(AT), &origin);
    assert!(frame.contains(&format!("\"data\":{data}")), "{frame}");
}

#[test]
fn answers_hold_what_their_command_needs() {
    let applied =
        |id: Option<&str>, version| Outcome::Applied { seq: 8, id: id.map(str::to_owned), version };
    let mut rejection = Rejection::new(RejectionCode::VersionConflict, AWKWARD)
        .with_document(document(r#"{"n":1}"#).to_json());
    rejection.expected = Some(3);
    rejection.retry_after_ms = Some(1_500);
    let table = [
        (
            applied(Some("a"), Some(8)),
            json!({"mutationId": 5, "seq": 8, "id": "a", "version": 8}),
            "ACK",
        ),
        (applied(Some("a"), None), json!({"mutationId": 5, "seq": 8, "id": "a"}), "ACK"),
        (applied(None, None), json!({"mutationId": 5, "seq": 8}), "ACK"),
        (
            Outcome::Unknown,
            json!({"mutationId": 5, "duplicate": true, "outcome": "unknown"}),
            "ACK",
        ),
        (
            Outcome::Rejected(Rejection::new(RejectionCode::NotFound, "no")),
            json!({"mutationId": 5, "code": "NOT_FOUND", "message": "no"}),
            "REJECTED",
        ),
        (
            Outcome::Rejected(rejection),
            json!({"mutationId": 5, "code": "VERSION_CONFLICT", "message": AWKWARD,
                "document": document_json(), "expected": 3, "retryAfterMs": 1_500}),
            "REJECTED",
        ),
    ];
    for (outcome, mut payload, name) in table {
        assert_eq!(outcome.frame_name(), name);
        assert_eq!(read(&outcome.payload(Some(5))), payload);
        let framed = reply::frame(name, time(NOW), &outcome.payload(Some(5)));
        let expected = json!({"type": name, "timestamp": NOW, "payload": payload});
        assert_eq!(read(&framed), expected);
        if outcome != Outcome::Unknown {
            payload["duplicate"] = json!(true);
            assert_eq!(read(&mark_duplicate(&outcome.payload(Some(5)))), payload);
            payload["mutationId"] = Json::Null;
            assert_eq!(read(&mark_duplicate(&outcome.payload(None))), payload);
        }
    }
}

#[test]
fn notices_are_short_and_whole() {
    let expiry = json!({"expiresAt": AT, "expiresInMs": 0});
    let table = [
        (reply::pong(time(NOW)), "PONG", json!({})),
        (
            reply::error(ErrorCode::BadFrame, AWKWARD, time(NOW)),
            "ERROR",
            json!({"code": "BAD_FRAME", "message": AWKWARD}),
        ),
        (
            reply::reconnect(2_000, AWKWARD, time(NOW)),
            "RECONNECT",
            json!({"afterMs": 2_000, "reason": AWKWARD}),
        ),
        (reply::token_notice(names::AUTHENTICATED, time(AT), time(NOW)), "AUTHENTICATED", expiry),
        (
            reply::token_notice(names::TOKEN_EXPIRING, time(NOW), time(AT)),
            "TOKEN_EXPIRING",
            json!({"expiresAt": NOW, "expiresInMs": 1_250}),
        ),
    ];
    for (text, name, payload) in table {
        let at = if name == "TOKEN_EXPIRING" { AT } else { NOW };
        assert_eq!(read(&text), json!({"type": name, "timestamp": at, "payload": payload}));
    }
}
