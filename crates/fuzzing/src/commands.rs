//! The text of a message: the JSON scanner, the command decoder, merge patches and digests.
//!
//! The whole is one frame; where a line feed stands in it, what is before and behind the first is
//! also taken as a document and its patch. Compared with `serde_json` and the text of RFC 7396.

use draftwire_protocol::ClientFrame;
use draftwire_protocol::command::{Change, Command};
use draftwire_protocol::json::{JsonFault, Value, digest, merge_patch};
use draftwire_protocol::limits::{FRAME_LEVELS_MAX, INTEGER_MAX};
use serde_json::Value as Json;

use crate::reference::{self, Verdict};

/// The body. See the module.
pub fn body(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let checked = scan(text);
    decode(text, checked);
    if let Some((document, patch)) = text.split_once('\n') {
        if let (Some(document), Some(patch)) = (scan(document), scan(patch)) {
            merge(document, patch);
        }
        // A stored document is taken up without a second look; a damaged one must harm nobody.
        let torn = merge_patch(Value::from_checked(document), Value::from_checked(patch));
        assert!(torn.len() <= 8 * (document.len() + patch.len() + 2), "a merge only merges");
    }
}

/// Scans the text and compares; returns it where it is JSON that is allowed here.
fn scan(text: &str) -> Option<Value<'_>> {
    let ours = Value::parse(text, FRAME_LEVELS_MAX);
    match (reference::read(text), ours) {
        (Verdict::Means(json), Ok(value)) => {
            assert!(reference::levels(&json) <= FRAME_LEVELS_MAX, "too deep: {text:?}");
            assert_eq!(value.is_object(), json.is_object());
            read(value, &json);
        }
        (Verdict::Means(json), Err(error)) => {
            let deep = reference::levels(&json) > FRAME_LEVELS_MAX;
            assert!(deep && error.fault == JsonFault::TooDeep, "{error:?} in {text:?}");
        }
        (Verdict::Refused, Ok(_)) => panic!("taken for JSON: {text:?}"),
        (Verdict::Unknown, Err(error)) if error.fault == JsonFault::Syntax => {
            assert!(reference::is_no_json(text), "not taken for JSON: {text:?}");
        }
        _ => {}
    }
    ours.ok()
}

/// Reads a value as its consumers do.
fn read(value: Value<'_>, json: &Json) {
    let compact = value.compact();
    assert_eq!(serde_json::from_str::<Json>(&compact).ok().as_ref(), Some(json), "{compact:?}");
    let again = Value::parse(&compact, FRAME_LEVELS_MAX).map(|again| digest("T", again));
    assert_eq!(again, Ok(digest("T", value)), "a digest is by value: {compact:?}");
    assert_eq!(value.as_str().as_deref(), json.as_str());
    assert_eq!(value.as_bool(), json.as_bool());
    let members = value.members().map(|members| members.len());
    assert_eq!(members, json.as_object().map(serde_json::Map::len));
    assert_eq!(value.elements().map(|all| all.len()), json.as_array().map(Vec::len));
    for (name, member) in value.members().unwrap_or_default() {
        let theirs = json.get(name.as_ref()).unwrap_or_else(|| panic!("{name:?} is no member"));
        assert_eq!(&parsed(member.text()), theirs);
    }
}

fn parsed(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
}

fn decode(text: &str, checked: Option<Value<'_>>) {
    let decoded = ClientFrame::decode(text);
    let Some(frame) = checked else {
        assert!(decoded.is_err(), "a frame that is no JSON is refused");
        return;
    };
    let number = frame.get("mutationId").and_then(Value::as_integer);
    let number = number.filter(|number| (1..=INTEGER_MAX).contains(number));
    if number.is_some() {
        assert!(decoded.is_ok(), "with a number every readable frame is answered: {text:?}");
    }
    let Ok(decoded) = decoded else { return };
    let (given, command) = match decoded {
        ClientFrame::Command { number, command } => (number, Some(command)),
        ClientFrame::Auth { number, .. } | ClientFrame::Ping { number } => (number, None),
    };
    assert_eq!(given.map(|given| given.mutation_id), number, "{text:?}");
    let carried = match &command {
        Some(Command::Create { data, .. }) => Some(data),
        Some(Command::Update { change: Change::Patch(text) | Change::Replace(text), .. }) => {
            Some(text)
        }
        Some(Command::Convert { patch, .. }) => patch.as_ref(),
        _ => None,
    };
    if let Some(carried) = carried {
        let value = Value::parse(carried, FRAME_LEVELS_MAX);
        assert!(value.is_ok_and(Value::is_object), "what is stored is an object: {carried:?}");
    }
}

fn merge(document: Value<'_>, patch: Value<'_>) {
    let merged = merge_patch(document, patch);
    assert!(Value::parse(&merged, FRAME_LEVELS_MAX).is_ok(), "{merged:?}");
    let meanings = (reference::read(document.text()), reference::read(patch.text()));
    if let (Verdict::Means(document), Verdict::Means(patch)) = meanings {
        assert_eq!(parsed(&merged), reference::merge_patch(document, &patch));
    }
    let again = merge_patch(Value::from_checked(&merged), patch);
    let value = |text| Value::parse(text, FRAME_LEVELS_MAX).map(|value| digest("", value));
    assert_eq!(value(&again), value(&merged), "the same patch again changes nothing");
}
