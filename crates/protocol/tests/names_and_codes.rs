//! Guards the small tables: alphabets of names, frame types, rejection and close codes.
//!
//! All of them are on the wire or in URLs; a change here is a change of the protocol.

use std::collections::HashSet;

use draftwire_protocol::kind::{DOCUMENT_EVENTS, PROGRESS_EVENTS, is_protocol_type, names};
use draftwire_protocol::names::{
    is_client_id, is_document_id, is_epoch, is_event_type, is_user_id,
};
use draftwire_protocol::{CloseCode, Collection, RejectionCode};

#[test]
fn names_keep_to_their_alphabets() {
    let long = |count: usize| "x".repeat(count);
    // name, document id, client id, event type, user, epoch
    let table: Vec<(String, [bool; 5])> = vec![
        ("abcXYZ019".into(), [true; 5]),
        ("a_b-c.d".into(), [true; 5]),
        ("a:b".into(), [true, false, true, true, true]),
        (".".into(), [false, true, true, true, true]),
        ("..".into(), [false, true, true, true, true]),
        ("...".into(), [true; 5]),
        (String::new(), [false; 5]),
        ("a b".into(), [false, false, false, true, true]),
        ("a/b".into(), [false, false, false, true, true]),
        ("é".into(), [false, false, false, true, true]),
        ("a\n".into(), [false, false, false, false, true]),
        ("a\u{0}".into(), [false, false, false, false, true]),
        ("\u{85}".into(), [false, false, false, false, true]),
        (long(64), [true; 5]),
        (long(65), [true, false, false, true, false]),
        (long(128), [true, false, false, true, false]),
        (long(129), [false; 5]),
        ("é".repeat(64), [false, false, false, true, true]),
        ("é".repeat(65), [false; 5]),
    ];
    for (name, expected) in table {
        let found = [
            is_document_id(&name),
            is_client_id(&name),
            is_event_type(&name),
            is_user_id(&name),
            is_epoch(&name),
        ];
        assert_eq!(found, expected, "{name:?}: document, client, event, user, epoch");
    }
}

#[test]
fn the_protocol_keeps_its_own_types() {
    for name in names::ALL.iter().chain(&DOCUMENT_EVENTS).chain(&PROGRESS_EVENTS) {
        assert!(is_protocol_type(name), "{name}");
        assert!(is_event_type(name), "{name}");
    }
    assert_eq!(names::ALL.len(), 29);
    assert_eq!(names::ALL.iter().collect::<HashSet<_>>().len(), names::ALL.len());
    for free in ["PRICE_CHANGED", "draft_created", "WELCOME2", ""] {
        assert!(!is_protocol_type(free), "{free}");
    }
    for collection in Collection::ALL {
        assert_eq!(Collection::from_name(collection.name()), Some(collection));
    }
    assert_eq!(Collection::from_name("Drafts"), None);
}

#[test]
fn rejection_codes_say_whether_they_are_final_and_their_status() {
    use RejectionCode as C;
    let table = [
        (C::NotFound, "NOT_FOUND", true, 404),
        (C::AlreadyExists, "ALREADY_EXISTS", true, 409),
        (C::VersionConflict, "VERSION_CONFLICT", true, 412),
        (C::Invalid, "INVALID", true, 400),
        (C::TooLarge, "TOO_LARGE", true, 413),
        (C::Quota, "QUOTA", true, 409),
        (C::Forbidden, "FORBIDDEN", true, 403),
        (C::OutOfOrder, "OUT_OF_ORDER", false, 409),
        (C::MutationReused, "MUTATION_REUSED", false, 422),
        (C::RateLimited, "RATE_LIMITED", false, 429),
        (C::Unavailable, "UNAVAILABLE", false, 503),
    ];
    assert_eq!(table.map(|row| row.0), C::ALL);
    for (code, name, is_final, status) in table {
        assert_eq!((code.name(), code.is_final(), code.http_status()), (name, is_final, status));
        assert_eq!(C::from_name(name), Some(code));
    }
    assert_eq!(C::from_name("not_found"), None);
}

#[test]
fn close_codes_have_their_numbers() {
    use CloseCode as C;
    let table = [
        (C::Normal, 1000),
        (C::GoingAway, 1001),
        (C::ProtocolError, 1002),
        (C::Unsupported, 1003),
        (C::BadUtf8, 1007),
        (C::Policy, 1008),
        (C::TooBig, 1009),
        (C::Internal, 1011),
        (C::Restart, 1012),
        (C::TryAgainLater, 1013),
        (C::HeartbeatTimeout, 4000),
        (C::SlowConsumer, 4001),
        (C::RateLimit, 4002),
        (C::Replaced, 4003),
        (C::TokenExpired, 4500),
        (C::TokenRevoked, 4501),
        (C::Disconnected, 4502),
    ];
    assert_eq!(table.map(|row| row.0), C::ALL);
    for (code, number) in table {
        assert_eq!(code.code(), number);
        assert_eq!(C::from_code(number), Some(code));
        assert!(code.reason().len() <= 123, "a close frame holds 123 bytes of reason");
    }
    for other in [0, 999, 1004, 1005, 1006, 1010, 1015, 3000, 4004, 4499] {
        assert_eq!(C::from_code(other), None, "{other} is never sent");
    }
}
