//! What the devices of the crash test write, and what must be there at the end: computed from
//! the numbers of the commands alone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::device::{Device, Documents, Step};

/// The draft that all devices of a user patch.
pub const SHARED: &str = "shared";
/// Commands that a device has unanswered at a time.
const AHEAD: usize = 8;
/// A pending order is deleted so many commands after its draft was created.
const LIFE: u64 = 43;
/// Lines of a device in the shared draft.
const LINES: u64 = 16;

/// The command of a device with that number. Each succeeds if those before it have.
fn command(client_id: &str, number: u64) -> (&'static str, Value) {
    match number % 4 {
        1 => {
            let id = format!("{client_id}-{number}");
            ("DRAFT_CREATE", json!({ "id": id, "data": { "number": number } }))
        }
        2 => {
            let line = format!("{client_id}-{}", number % LINES);
            ("DRAFT_UPDATE", json!({ "id": SHARED, "patch": { "lines": { line: number } } }))
        }
        3 => {
            let id = format!("{client_id}-{}", number - 2);
            ("DRAFT_CONVERT", json!({ "id": id, "pendingId": id }))
        }
        _ if number > LIFE => {
            ("PENDING_DELETE", json!({ "id": format!("{client_id}-{}", number - LIFE) }))
        }
        _ => ("SKIP", json!({})),
    }
}

/// Writes numbered commands until told to stop and every one of them is answered.
pub async fn write(mut device: Device, stop: &AtomicBool) -> Device {
    loop {
        if !device.is_connected() {
            device.connect().await;
            continue;
        }
        if stop.load(Ordering::Acquire) {
            device.settle().await;
            return device;
        }
        while device.unanswered() < AHEAD {
            let (kind, payload) = command(&device.client_id, device.issued + 1);
            device.command(kind, &payload).await;
        }
        if device.step().await == Step::Frame {
            // Events of the two others come in between: everybody gets a turn.
            tokio::task::yield_now().await;
        }
    }
}

/// Checks what one device was answered: each command once, and none refused.
pub fn check_answers(device: &Device) {
    let numbers: Vec<u64> = device.answers.keys().copied().collect();
    let expected: Vec<u64> = (1..=device.issued).collect();
    assert_eq!(numbers, expected, "{}: one answer to each command", device.client_id);
    for (number, answer) in &device.answers {
        let (kind, payload) = command(&device.client_id, *number);
        let what = format!("{} {number}: {kind} {payload} got {answer}", device.client_id);
        assert_eq!(answer["type"], "ACK", "{what}");
        assert_ne!(answer["payload"]["outcome"], "unknown", "{what}");
    }
}

/// Checks the log as one device has seen it: the effect of each command exactly once, and nothing
/// else. `numbers` has the last number of each device; `before` the events of the beginning.
pub fn check_log(events: &[Value], numbers: &BTreeMap<String, u64>) {
    let mut seen: BTreeMap<(String, u64), Vec<&str>> = BTreeMap::new();
    for event in events {
        let origin = &event["payload"]["origin"];
        let (Some(client), Some(number)) =
            (origin["clientId"].as_str(), origin["mutationId"].as_u64())
        else {
            panic!("nobody wrote this: {event}");
        };
        let kind = event["type"].as_str().unwrap();
        seen.entry((client.to_owned(), number)).or_default().push(kind);
    }
    for (client, last) in numbers {
        for number in 1..=*last {
            let expected: &[&str] = match command(client, number).0 {
                "DRAFT_CREATE" => &["DRAFT_CREATED"],
                "DRAFT_UPDATE" => &["DRAFT_UPDATED"],
                "DRAFT_CONVERT" => &["DRAFT_CONVERTED"],
                "PENDING_DELETE" => &["PENDING_DELETED"],
                _ => &[],
            };
            let found = seen.remove(&(client.clone(), number)).unwrap_or_default();
            assert_eq!(found, expected, "events of command {number} of {client}");
        }
    }
    assert!(seen.is_empty(), "events of commands that nobody gave: {seen:?}");
}

/// Checks the documents: what the numbers say, and the shared draft changed exactly as often as
/// it was patched.
pub fn check_state(documents: &Documents, numbers: &BTreeMap<String, u64>, first_version: u64) {
    let mut expected: BTreeMap<(String, String), Value> = BTreeMap::new();
    let (mut lines, mut patches) = (serde_json::Map::new(), 0);
    for (client, last) in numbers {
        for number in 1..=*last {
            let (kind, payload) = command(client, number);
            let key = |collection: &str| {
                (collection.to_owned(), payload["id"].as_str().unwrap_or_default().to_owned())
            };
            match kind {
                "DRAFT_CREATE" => {
                    expected.insert(key("drafts"), payload["data"].clone());
                }
                "DRAFT_CONVERT" => {
                    let data = expected.remove(&key("drafts")).unwrap();
                    expected.insert(key("pending"), data);
                }
                "PENDING_DELETE" => {
                    expected.remove(&key("pending")).unwrap();
                }
                "DRAFT_UPDATE" => {
                    patches += 1;
                    lines.extend(payload["patch"]["lines"].as_object().unwrap().clone());
                }
                _ => {}
            }
        }
    }
    let shared = ("drafts".to_owned(), SHARED.to_owned());
    expected.insert(shared.clone(), json!({ "lines": lines }));
    let mut found: BTreeMap<_, _> =
        documents.iter().map(|(key, document)| (key.clone(), document["data"].clone())).collect();
    found.retain(|(_, id), _| !id.starts_with("ballast"));
    assert_eq!(found, expected);
    let version = documents[&shared]["version"].as_u64().unwrap();
    assert_eq!(version, first_version + patches, "each patch adds one to the version");
}
