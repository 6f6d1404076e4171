//! Guards `sdk/src/generated.ts`: names, codes and the payloads of frames as the TypeScript client
//! knows them are rendered from the definitions of this crate, and nothing else.
//!
//! `UPDATE_TYPESCRIPT=1` writes the file instead of comparing it.

use std::fmt::Write as _;
use std::path::Path;

use draftwire_protocol::event::{Event, Origin};
use draftwire_protocol::kind::{DOCUMENT_EVENTS, PROGRESS_EVENTS, is_protocol_type, names};
use draftwire_protocol::reply::{
    self, Head, Outcome, Recovery, Rejection, SnapshotPart, SnapshotReason, Welcome,
};
use draftwire_protocol::{
    ClientFrame, CloseCode, Collection, Command, Document, ErrorCode, Limits, RejectionCode,
    Timestamp, limits,
};
use serde_json::Value;

#[test]
fn the_typescript_definitions_are_these() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/src/generated.ts");
    let rendered = render();
    if std::env::var_os("UPDATE_TYPESCRIPT").is_some() {
        std::fs::write(&path, &rendered).expect("the file can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == rendered,
        "sdk/src/generated.ts differs from the definitions: run UPDATE_TYPESCRIPT=1 cargo test \
         -p draftwire-protocol --test typescript, and look at the difference"
    );
}

fn render() -> String {
    let mut out = String::from(
        "/**\n * Names, codes and payloads of the wire protocol, rendered from `crates/protocol` by its test\n \
         * `typescript.rs`. Never edit it by hand: the test fails where it differs.\n */\n",
    );
    let commands: Vec<&str> = names::ALL.iter().copied().filter(|name| is_command(name)).collect();
    let control: Vec<&str> = names::ALL
        .iter()
        .copied()
        .filter(|name| ClientFrame::decode(&format!("{{\"type\":\"{name}\"}}")).is_err())
        .filter(|name| !DOCUMENT_EVENTS.contains(name) && !PROGRESS_EVENTS.contains(name))
        .collect();
    union(&mut out, "A command: what a client asks.", "CommandType", &commands);
    union(&mut out, "An event on documents: what has happened.", "EventType", &DOCUMENT_EVENTS);
    union(&mut out, "A frame from the server besides events.", "ControlType", &control);

    let codes = RejectionCode::ALL.map(RejectionCode::name);
    union(&mut out, "Why a command was not applied.", "RejectionCode", &codes);
    let passing = RejectionCode::ALL.into_iter().filter(|code| !code.is_final());
    let passing: Vec<&str> = passing.map(RejectionCode::name).collect();
    list(&mut out, "The codes that use up no `mutationId`.", "PASSING_CODES", &passing);
    let errors = ALL_ERRORS.map(ErrorCode::name);
    union(&mut out, "Why a frame was not taken for a command.", "ErrorCode", &errors);

    out.push_str("\n/** Why a connection is closed. */\nexport const CloseCode = {\n");
    for code in CloseCode::ALL {
        writeln!(out, "  {code:?}: {},", code.code()).unwrap();
    }
    out.push_str("} as const;\n");

    let defaults = Limits::default();
    out.push_str(
        "\n/** Limits of the protocol, and the defaults of those that `WELCOME` tells. */\n",
    );
    out.push_str("export const LIMITS = {\n");
    for (name, value) in [
        ("frameBytes", defaults.frame_bytes),
        ("documentBytes", defaults.document_bytes),
        ("inFlight", defaults.in_flight),
        ("dataLevels", limits::DATA_LEVELS_MAX),
        ("snapshotPartBytes", limits::SNAPSHOT_PART_BYTES_MAX),
        ("syncWaitMs", usize::try_from(limits::SYNC_WAIT_MILLIS_MAX).unwrap()),
    ] {
        writeln!(out, "  {name}: {value},").unwrap();
    }
    out.push_str("} as const;\n");

    out.push_str("\n/** The payloads of frames from the server, by type. */\n");
    out.push_str("export interface Payloads {\n");
    for (name, samples) in payload_samples() {
        writeln!(out, "  {name}: {};", shape(&samples, 1, "")).unwrap();
    }
    out.push_str("}\n");
    out
}

const ALL_ERRORS: [ErrorCode; 4] = {
    // A new variant does not compile here before it stands in the list.
    const fn listed(code: ErrorCode) -> ErrorCode {
        match code {
            ErrorCode::BadFrame
            | ErrorCode::NoClientId
            | ErrorCode::BadToken
            | ErrorCode::WrongUser => code,
        }
    }
    [
        listed(ErrorCode::BadFrame),
        listed(ErrorCode::NoClientId),
        listed(ErrorCode::BadToken),
        listed(ErrorCode::WrongUser),
    ]
};

/// True for what can be asked of a store: the decoder says so.
fn is_command(name: &str) -> bool {
    let frame = format!(
        r#"{{"type":"{name}","mutationId":1,"payload":{{"id":"a","{}":{{}}}}}}"#,
        if name.ends_with("_UPDATE") { "patch" } else { "data" }
    );
    match ClientFrame::decode(&frame) {
        Ok(ClientFrame::Command { command, .. }) => !matches!(command, Command::Refused { .. }),
        _ => false,
    }
}

fn union(out: &mut String, doc: &str, name: &str, members: &[&str]) {
    assert!(!members.is_empty());
    write!(out, "\n/** {doc} */\nexport type {name} =").unwrap();
    for member in members {
        write!(out, "\n  | '{member}'").unwrap();
    }
    out.push_str(";\n");
}

fn list(out: &mut String, doc: &str, name: &str, members: &[&str]) {
    write!(out, "\n/** {doc} */\nexport const {name}: readonly string[] = [").unwrap();
    for member in members {
        write!(out, "\n  '{member}',").unwrap();
    }
    out.push_str("\n];\n");
}

/// Every frame with a payload, each as poor and as rich as it can be.
fn payload_samples() -> Vec<(&'static str, Vec<Value>)> {
    let now = Timestamp::from_millis(1_700_000_000_000);
    let limits = Limits::default();
    let head = Head { epoch: "e".into(), seq: 1, at: Some(now) };
    let payload = |frame: &str| -> Value {
        let frame: Value = serde_json::from_str(frame).expect("a frame is JSON");
        frame["payload"].clone()
    };
    let welcome = |head: Option<&Head>| {
        let welcome = Welcome {
            connection_id: "c",
            user_id: "u",
            client_id: "d",
            head,
            last_mutation_id: 0,
            recovery: Recovery::Live,
            heartbeat_ms: 1,
            expires_at: now,
            limits,
        };
        payload(&welcome.to_frame(now))
    };
    let mut rendered = String::new();
    document().push_json(&mut rendered);
    let documents = vec![rendered.as_str()];
    let part = SnapshotPart {
        reason: SnapshotReason::Initial,
        drafts: documents.clone(),
        pending: documents,
        more: false,
    };
    let outcome = |outcome: &Outcome, number: Option<u64>| -> Value {
        serde_json::from_str(&outcome.payload(number)).unwrap()
    };
    let kept = |outcome: &Outcome| -> Value {
        serde_json::from_str(&reply::mark_duplicate(&outcome.payload(Some(1)))).unwrap()
    };
    let applied =
        |id: Option<&str>, version| Outcome::Applied { seq: 1, id: id.map(str::to_owned), version };
    let rejection = Rejection {
        expected: Some(1),
        retry_after_ms: Some(1),
        ..Rejection::new(RejectionCode::NotFound, "m").with_document(rendered.clone())
    };
    let bare = Outcome::Rejected(Rejection::new(RejectionCode::NotFound, "m"));
    let mut all = vec![
        (names::WELCOME, vec![welcome(None), welcome(Some(&head))]),
        (names::SNAPSHOT, vec![payload(&part.to_frame(&head, now))]),
        (
            names::ACK,
            vec![
                outcome(&applied(Some("a"), Some(1)), None),
                outcome(&applied(None, None), Some(1)),
                outcome(&Outcome::Unknown, Some(1)),
            ],
        ),
        (
            names::REJECTED,
            vec![
                outcome(&Outcome::Rejected(rejection.clone()), None),
                outcome(&bare, Some(1)),
                kept(&Outcome::Rejected(rejection)),
            ],
        ),
        (names::ERROR, vec![payload(&reply::error(ErrorCode::BadFrame, "m", now))]),
        (names::AUTHENTICATED, vec![payload(&reply::token_notice(names::AUTHENTICATED, now, now))]),
        (
            names::TOKEN_EXPIRING,
            vec![payload(&reply::token_notice(names::TOKEN_EXPIRING, now, now))],
        ),
        (names::RECONNECT, vec![payload(&reply::reconnect(1, "r", now))]),
    ];
    let origins = [
        Origin::Device { client_id: Some("d".into()), mutation_id: Some(1) },
        Origin::Device { client_id: None, mutation_id: None },
        Origin::Service("s".into()),
    ];
    for event in events() {
        let samples = origins.iter().map(|origin| payload(&event.to_frame(1, now, origin)));
        all.push((event.name(), samples.collect()));
    }
    assert!(all.iter().all(|(name, _)| is_protocol_type(name)));
    all
}

fn events() -> Vec<Event> {
    let mut all = Vec::new();
    for collection in Collection::ALL {
        all.push(Event::Created(collection, document()));
        all.push(Event::Updated(collection, document()));
        all.push(Event::Deleted(collection, "a".into()));
    }
    all.push(Event::Converted { draft_id: "a".into(), document: document() });
    assert_eq!(all.len(), DOCUMENT_EVENTS.len());
    all
}

fn document() -> Document {
    let now = Timestamp::from_millis(0);
    Document { id: "a".into(), version: 1, data: "{}".into(), created_at: now, updated_at: now }
}

/// The TypeScript type that all of the samples have; names of codes get their union.
fn shape(samples: &[Value], depth: usize, name: &str) -> String {
    let mut kinds: Vec<String> = Vec::new();
    for sample in samples {
        let kind = match sample {
            Value::Null => "null".into(),
            Value::Bool(_) => "boolean".into(),
            Value::Number(_) => "number".into(),
            Value::String(_) => "string".into(),
            Value::Array(items) => format!("{}[]", shape(items, depth, "")),
            Value::Object(_) if name == "data" => "Record<string, unknown>".into(),
            Value::Object(_) => continue,
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let objects: Vec<_> = samples.iter().filter_map(Value::as_object).collect();
    if !objects.is_empty() && name != "data" {
        kinds.push(members(&objects, depth));
    }
    kinds.join(" | ")
}

fn members(objects: &[&serde_json::Map<String, Value>], depth: usize) -> String {
    let mut names: Vec<&String> = objects.iter().flat_map(|object| object.keys()).collect();
    names.sort();
    names.dedup();
    let indent = "  ".repeat(depth + 1);
    let mut out = String::from("{\n");
    for name in names {
        let values: Vec<Value> =
            objects.iter().filter_map(|object| object.get(name)).cloned().collect();
        let optional = if values.len() < objects.len() { "?" } else { "" };
        let kind = shape(&values, depth + 1, name);
        writeln!(out, "{indent}{name}{optional}: {kind};").unwrap();
    }
    write!(out, "{}}}", "  ".repeat(depth)).unwrap();
    out
}
