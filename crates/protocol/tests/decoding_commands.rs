//! Guards the table *Client → server*: what each type must hold, what is `INVALID` (refused, but
//! uses up its number) and what is `ERROR` (not a command at all).
//!
//! A client that sends nonsense must be told in words it can act on, and never shown data: texts
//! end up in logs.

use draftwire_protocol::command::{Change, Condition, FrameError, Token};
use draftwire_protocol::json::{Value, digest};
use draftwire_protocol::{ClientFrame, Collection, Command, ErrorCode};

fn decode(text: &str) -> Result<ClientFrame, FrameError> {
    ClientFrame::decode(text)
}

fn frame(name: &str, payload: &str) -> String {
    format!(r#"{{"type":"{name}","payload":{payload},"mutationId":7}}"#)
}

/// The command of a frame that has number 7.
fn command(name: &str, payload: &str) -> Command {
    match decode(&frame(name, payload)) {
        Ok(ClientFrame::Command { number: Some(number), command }) => {
            assert_eq!(number.mutation_id, 7);
            let payload = Value::parse(payload, 64).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(number.digest, digest(name, payload));
            command
        }
        other => panic!("{name} {payload}: {other:?}"),
    }
}

fn refusal(name: &str, payload: &str) -> String {
    match command(name, payload) {
        Command::Refused { message } => message,
        other => panic!("{name} {payload}: {other:?}"),
    }
}

const BOTH: [(&str, Collection); 2] =
    [("DRAFT", Collection::Drafts), ("PENDING", Collection::Pending)];

#[test]
fn creates_are_read() {
    for (prefix, collection) in BOTH {
        let name = format!("{prefix}_CREATE");
        let table = [
            (r#"{"id":"a","data":{"n":1.0}}"#, Some("a"), r#"{"n":1.0}"#),
            (r#"{"data":{}}"#, None, "{}"),
            (r#"{"id":null,"data":{ "a" : [ 1 , 2 ] },"more":true}"#, None, r#"{"a":[1,2]}"#),
            (r#"{"id":"\u0061","data":{},"ifVersion":"ignored"}"#, Some("a"), "{}"),
        ];
        for (payload, id, data) in table {
            let expected =
                Command::Create { collection, id: id.map(str::to_owned), data: data.into() };
            assert_eq!(command(&name, payload), expected, "{payload}");
        }
    }
}

#[test]
fn updates_are_read() {
    let patch = |text: &str| Change::Patch(text.into());
    let replace = |text: &str| Change::Replace(text.into());
    for (prefix, collection) in BOTH {
        let name = format!("{prefix}_UPDATE");
        let table = [
            (r#"{"id":"a","patch":{"x":null}}"#, patch(r#"{"x":null}"#), None),
            (r#"{"id":"a","data":{ }}"#, replace("{}"), None),
            (r#"{"id":"a","data":{},"patch":null}"#, replace("{}"), None),
            (r#"{"id":"a","data":null,"patch":{}}"#, patch("{}"), None),
            (r#"{"id":"a","patch":{},"ifVersion":null}"#, patch("{}"), None),
            (r#"{"id":"a","patch":{},"ifVersion":0}"#, patch("{}"), Some(0)),
            (
                r#"{"id":"a","patch":{},"ifVersion":9007199254740991}"#,
                patch("{}"),
                Some((1 << 53) - 1),
            ),
        ];
        for (payload, change, version) in table {
            let condition = version.map(Condition::Version);
            let expected = Command::Update { collection, id: "a".into(), change, condition };
            assert_eq!(command(&name, payload), expected, "{payload}");
        }
    }
}

#[test]
fn deletes_conversions_and_skips_are_read() {
    for (prefix, collection) in BOTH {
        let name = format!("{prefix}_DELETE");
        for (payload, version) in
            [(r#"{"id":"a"}"#, None), (r#"{"id":"a","ifVersion":3}"#, Some(3))]
        {
            let condition = version.map(Condition::Version);
            let expected = Command::Delete { collection, id: "a".into(), condition };
            assert_eq!(command(&name, payload), expected);
        }
    }
    let table = [
        (r#"{"id":"a"}"#, None, None, None),
        (r#"{"id":"a","pendingId":null,"patch":null,"ifVersion":null}"#, None, None, None),
        (
            r#"{"id":"a","pendingId":"b","patch":{"x":1},"ifVersion":4}"#,
            Some("b"),
            Some(r#"{"x":1}"#),
            Some(4),
        ),
    ];
    for (payload, pending_id, patch, version) in table {
        let expected = Command::Convert {
            id: "a".into(),
            pending_id: pending_id.map(str::to_owned),
            patch: patch.map(str::to_owned),
            condition: version.map(Condition::Version),
        };
        assert_eq!(command("DRAFT_CONVERT", payload), expected);
    }
    assert_eq!(command("SKIP", "{}"), Command::Skip);
    assert_eq!(command("SKIP", r#"{"anything":1}"#), Command::Skip);
}

#[test]
fn a_missing_or_mistyped_member_is_named() {
    let mut table: Vec<(String, &str, &str)> = Vec::new();
    for (prefix, _) in BOTH {
        let mut add =
            |verb: &str, payload, member| table.push((format!("{prefix}_{verb}"), payload, member));
        add("CREATE", "{}", "data");
        add("CREATE", r#"{"id":"a"}"#, "data");
        add("CREATE", r#"{"data":null}"#, "data");
        for payload in [r#"{"data":[]}"#, r#"{"data":"{}"}"#, r#"{"data":1}"#, r#"{"data":true}"#] {
            add("CREATE", payload, "data");
        }
        add("CREATE", r#"{"id":1,"data":{}}"#, "id");
        add("CREATE", r#"{"id":{},"data":{}}"#, "id");
        add("UPDATE", r#"{"patch":{}}"#, "id");
        add("UPDATE", r#"{"id":null,"patch":{}}"#, "id");
        add("UPDATE", r#"{"id":["a"],"patch":{}}"#, "id");
        for payload in [
            r#"{"id":"a"}"#,
            r#"{"id":"a","patch":{},"data":{}}"#,
            r#"{"id":"a","patch":null,"data":null}"#,
        ] {
            add("UPDATE", payload, "exactly one of patch and data");
        }
        for payload in [
            r#"{"id":"a","patch":[]}"#,
            r#"{"id":"a","patch":"x"}"#,
            r#"{"id":"a","patch":1,"data":{}}"#,
        ] {
            add("UPDATE", payload, "patch");
        }
        add("UPDATE", r#"{"id":"a","data":[1]}"#, "data");
        add("UPDATE", r#"{"id":"a","patch":{},"ifVersion":"1"}"#, "ifVersion");
        add("DELETE", "{}", "id");
        add("DELETE", r#"{"id":false}"#, "id");
        for payload in [
            r#"{"id":"a","ifVersion":1.0}"#,
            r#"{"id":"a","ifVersion":-1}"#,
            r#"{"id":"a","ifVersion":{}}"#,
            r#"{"id":"a","ifVersion":9007199254740992}"#,
            r#"{"id":"a","ifVersion":true}"#,
            r#"{"id":"a","ifVersion":1e3}"#,
        ] {
            add("DELETE", payload, "ifVersion");
        }
    }
    let convert = [
        ("{}", "id"),
        (r#"{"id":7}"#, "id"),
        (r#"{"id":"a","pendingId":1}"#, "pendingId"),
        (r#"{"id":"a","pendingId":""}"#, "pendingId"),
        (r#"{"id":"a","patch":[]}"#, "patch"),
        (r#"{"id":"a","ifVersion":"4"}"#, "ifVersion"),
    ];
    table.extend(convert.map(|(payload, member)| ("DRAFT_CONVERT".to_owned(), payload, member)));
    for (name, payload, member) in table {
        let message = refusal(&name, payload);
        assert!(message.contains(member), "{name} {payload}: {message}");
    }
}

#[test]
fn a_payload_that_is_no_object_is_invalid() {
    let commands = ["DRAFT_CREATE", "PENDING_UPDATE", "DRAFT_DELETE", "DRAFT_CONVERT", "SKIP"];
    for name in commands {
        for payload in ["[]", "1", "\"{}\"", "true"] {
            assert!(refusal(name, payload).contains("payload"), "{name} {payload}");
        }
    }
    // One that is null counts as one that is left out: as an empty object.
    let null = decode(&frame("SKIP", "null"));
    assert_eq!(null, decode(r#"{"type":"SKIP","mutationId":7}"#));
    assert!(matches!(null, Ok(ClientFrame::Command { command: Command::Skip, .. })));
    // With a number these two are answered like commands.
    for name in ["AUTH", "PING"] {
        assert!(refusal(name, "[]").contains("payload"), "{name}");
    }
    let without = decode(r#"{"type":"DRAFT_CREATE","mutationId":7}"#);
    let Ok(ClientFrame::Command { number: Some(number), command }) = without else {
        panic!("{without:?}")
    };
    assert!(matches!(command, Command::Refused { message } if message.contains("data")));
    assert_eq!(number.digest, digest("DRAFT_CREATE", Value::from_checked("{}")));
    let skip = decode(r#"{"type":"SKIP"}"#);
    assert_eq!(skip, Ok(ClientFrame::Command { number: None, command: Command::Skip }));
}

#[test]
fn ids_keep_to_their_alphabet() {
    let long = "a".repeat(128);
    for id in ["a", "A9._:-", "...", ".a", "-", "0", long.as_str()] {
        let expected =
            Command::Delete { collection: Collection::Drafts, id: id.into(), condition: None };
        assert_eq!(command("DRAFT_DELETE", &format!(r#"{{"id":"{id}"}}"#)), expected);
    }
    let too_long = "a".repeat(129);
    let bad = [
        "",
        ".",
        "..",
        " ",
        "a b",
        "a/b",
        "a\\\\b",
        "é",
        "a\\n",
        "\\u0000",
        "a?",
        "a%20",
        "🎉",
        too_long.as_str(),
    ];
    for id in bad {
        let payload = format!(r#"{{"id":"{id}","data":{{}},"pendingId":"{id}"}}"#);
        for name in ["DRAFT_CREATE", "PENDING_UPDATE", "DRAFT_DELETE", "DRAFT_CONVERT"] {
            assert!(refusal(name, &payload).contains("payload.id"), "{name} {id:?}");
        }
        let convert = format!(r#"{{"id":"a","pendingId":"{id}"}}"#);
        assert!(refusal("DRAFT_CONVERT", &convert).contains("payload.pendingId"), "{id:?}");
    }
}

#[test]
fn mutation_ids_are_integers_from_1() {
    let with = |number: &str| {
        decode(&format!(r#"{{"type":"SKIP","payload":{{}},"mutationId":{number}}}"#))
    };
    for (text, id) in [("1", 1), ("42", 42), ("9007199254740991", (1 << 53) - 1)] {
        let Ok(ClientFrame::Command { number: Some(number), .. }) = with(text) else {
            panic!("{text}")
        };
        assert_eq!(number.mutation_id, id);
    }
    for text in [
        "0",
        "-1",
        "-0",
        "1.5",
        "1.0",
        "1e0",
        "\"1\"",
        "true",
        "[1]",
        "{}",
        "9007199254740992",
        "1e400",
    ] {
        let refused = with(text);
        let Err(FrameError { code: ErrorCode::BadFrame, message }) = refused else {
            panic!("{text}: {refused:?}")
        };
        assert!(
            message.contains("mutationId") && message.contains("9007199254740991"),
            "{message}"
        );
    }
    let none = ClientFrame::Command { number: None, command: Command::Skip };
    assert_eq!(with("null"), Ok(none.clone()));
    assert_eq!(decode(r#"{"type":"SKIP","payload":{}}"#), Ok(none));
}

#[test]
fn a_type_that_is_no_command_is_invalid_with_a_number_and_an_error_without() {
    let types = [
        "\"\"",
        "\"draft_create\"",
        "\"DRAFT_CREATED\"",
        "\"WELCOME\"",
        "\"canary\"",
        "\"SKIP \"",
        "1",
        "null",
        "{}",
    ];
    for name in types {
        let bare = decode(&format!(r#"{{"type":{name},"payload":{{}}}}"#));
        assert!(
            matches!(&bare, Err(error) if error.code == ErrorCode::BadFrame),
            "{name}: {bare:?}"
        );
        let numbered = decode(&format!(r#"{{"type":{name},"payload":{{}},"mutationId":3}}"#));
        let Ok(ClientFrame::Command { number: Some(number), command }) = numbered else {
            panic!("{name}: {numbered:?}")
        };
        assert_eq!(number.mutation_id, 3);
        assert!(matches!(command, Command::Refused { message } if message.contains("type")));
    }
    assert!(decode(r#"{"payload":{}}"#).is_err());
    let unnamed = decode(r#"{"payload":{"a":1},"mutationId":3}"#);
    assert!(matches!(
        unnamed,
        Ok(ClientFrame::Command { number: Some(_), command: Command::Refused { .. } })
    ));
}

#[test]
fn a_frame_that_breaks_the_json_rules_is_an_error() {
    let deep = format!(
        r#"{{"type":"SKIP","payload":{}1{},"mutationId":1}}"#,
        "[".repeat(64),
        "]".repeat(64)
    );
    let texts = [
        "",
        "{",
        "[]",
        "1",
        "null",
        "\"SKIP\"",
        "{}",
        deep.as_str(),
        r#"{"type":"SKIP","payload":{},"mutationId":1,}"#,
        r#"{"type":"SKIP","payload":{},"mutationId":1,"mutationId":2}"#,
        r#"{"type":"SKIP","payload":{"a":1,"\u0061":2},"mutationId":1}"#,
        r#"{"type":"SKIP","payload":{"a":"\ud800"},"mutationId":1}"#,
    ];
    for text in texts {
        let refused = decode(text);
        assert!(
            matches!(&refused, Err(error) if error.code == ErrorCode::BadFrame),
            "{text}: {refused:?}"
        );
    }
}

#[test]
fn unknown_members_are_ignored() {
    let text = r#" {"x":[{}],"timestamp":"not even a time","type":"DRAFT_DELETE","seq":-1,
        "payload":{"id":"a","y":null,"data":7}} "#;
    let command =
        Command::Delete { collection: Collection::Drafts, id: "a".into(), condition: None };
    assert_eq!(decode(text), Ok(ClientFrame::Command { number: None, command }));
}

#[test]
fn auth_and_ping_are_read_whatever_else_they_carry() {
    let table = [
        (r#"{"token":"t"}"#, Some("t")),
        (r#"{"token":"\u0074"}"#, Some("t")),
        (r#"{"token":null}"#, None),
        (r#"{"token":7}"#, None),
        ("{}", None),
        ("null", None),
    ];
    for (payload, token) in table {
        let token = token.map(|token| Token(token.into()));
        let bare = decode(&format!(r#"{{"type":"AUTH","payload":{payload}}}"#));
        assert_eq!(bare, Ok(ClientFrame::Auth { number: None, token: token.clone() }), "{payload}");
        let numbered = decode(&frame("AUTH", payload));
        assert!(matches!(numbered, Ok(ClientFrame::Auth { number: Some(number), token: found })
            if number.mutation_id == 7 && found == token));
    }
    assert_eq!(decode(r#"{"type":"PING"}"#), Ok(ClientFrame::Ping { number: None }));
    let list = decode(r#"{"type":"AUTH","payload":[]}"#);
    assert_eq!(list, Ok(ClientFrame::Auth { number: None, token: None }));
    let ping = decode(&frame("PING", "{}"));
    assert!(
        matches!(ping, Ok(ClientFrame::Ping { number: Some(number) }) if number.mutation_id == 7)
    );
}

#[test]
fn no_text_that_leaves_shows_what_came_in() {
    let payloads = [
        r#"{"id":"canary canary","data":{}}"#,
        r#"{"id":"a","patch":"canary","data":["canary"]}"#,
        r#"{"id":"a","patch":{},"ifVersion":"canary"}"#,
        r#"{"id":"a","pendingId":"canary/"}"#,
        r#""canary""#,
        r#"{"canary":1}"#,
    ];
    for name in ["DRAFT_CREATE", "DRAFT_UPDATE", "DRAFT_DELETE", "DRAFT_CONVERT", "SKIP", "canary"]
    {
        for payload in payloads {
            if let Command::Refused { message } = command(name, payload) {
                assert!(!message.contains("canary"), "{name} {payload}: {message}");
            }
        }
    }
    let errors = [
        r#"{"canary":1,"canary":2}"#,
        r#"{"type":"canary"}"#,
        r#"{"mutationId":"canary"}"#,
        r#""canary"#,
        "[\"canary\"]",
    ];
    for text in errors {
        let Err(error) = decode(text) else { panic!("{text}") };
        assert!(!format!("{error:?}").contains("canary"), "{text}");
    }
    let auth = decode(r#"{"type":"AUTH","payload":{"token":"canary"}}"#);
    assert_eq!(auth, Ok(ClientFrame::Auth { number: None, token: Some(Token("canary".into())) }));
    assert!(!format!("{auth:?} {:?}", Token("canary".into())).contains("canary"));
}

#[test]
fn a_command_weighs_the_documents_it_carries() {
    let table = [
        ("DRAFT_CREATE", r#"{"data":{ "a" : 1 }}"#, 7),
        ("DRAFT_UPDATE", r#"{"id":"a","patch":{"bb":1}}"#, 8),
        ("DRAFT_UPDATE", r#"{"id":"a","data":{}}"#, 2),
        ("DRAFT_CONVERT", r#"{"id":"a","patch":{"a":1}}"#, 7),
        ("DRAFT_CONVERT", r#"{"id":"a"}"#, 0),
        ("DRAFT_DELETE", r#"{"id":"a"}"#, 0),
        ("SKIP", "{}", 0),
    ];
    for (name, payload, bytes) in table {
        assert_eq!(command(name, payload).weight_bytes(), bytes, "{name} {payload}");
    }
}
